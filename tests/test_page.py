"""Figures and page: overlays by hand, and text from the data that does no harm."""

from pathlib import Path

import numpy as np
from PIL import Image

from stages.petseg import figures, page


def test_the_error_overlay_marks_missed_pet_blue_and_false_pet_orange() -> None:
    trimap = np.array([[1, 3, 2, 2]], np.uint8)
    found = np.array([[True, False, True, False]])
    pixels = figures.error_overlay(
        figures.Example("x", np.full((1, 4, 3), 100, np.uint8), trimap, found)
    )
    right, missed, false, left = pixels[0].astype(int).tolist()
    assert right == left == [170, 170, 170]
    assert missed[2] > missed[0]
    assert false[0] > false[2]


def test_an_animation_has_a_frame_per_epoch_and_the_last_one_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos, found = (
        rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((2, 16, 16, 3), (3, 2, 16, 16))
    )
    figures.animate(tmp_path / "a.gif", photos, np.full((2, 16, 16), 1, np.uint8), found, 0.2)
    with Image.open(tmp_path / "a.gif") as image:
        assert (getattr(image, "n_frames", 1), image.size) == (3, (2 * 2 * 16, 2 * 3 * 16 + 8))
        image.seek(2)
        assert image.info["duration"] == 4 * 200


def test_markup_in_the_data_is_escaped() -> None:
    split = {
        "photos": 1,
        "cats": 1,
        "dogs": 0,
        "pixel_shares": {"pet": 0.5, "border": 0.1},
        "masks_without_pet": 0,
    }
    sizes = {"least": 1, "median": 1, "largest": 1}
    data = {
        "source": {"source": "archives", "licence": "L", "archives": {}},
        "splits": dict.fromkeys(("train", "val", "test"), split),
        "breeds": {"<b>": {"train": 1, "val": 0, "test": 2}},
        "odd": {"GIF": 1},
        "original_width": sizes,
        "original_height": sizes,
        "rejected": {"photos": 1, "reasons": {"sizes differ": 1}},
        "model": {
            "kept_epoch": 1,
            "threshold": 0.5,
            "border_in_training": "pet",
            "data_sha256": "0",
        },
    }
    html = page.render(
        "report.html.j2",
        recipe="<script>alert(1)</script>",
        metrics={"iou": 0.5, "official_data": False},
        data=data,
        tiles=[],
        curves=page.drawing("<svg/>"),
        precision_recall="",
        animation="",
        galleries=[],
        confusion=[],
        rejected=[{"name": "<img src=x>", "split": "test", "reason": "&"}],
    )
    assert "<script>" not in html
    assert "&lt;img src=x&gt;" in html
    assert "&lt;b&gt;" in html
    assert "<svg/>" in html
