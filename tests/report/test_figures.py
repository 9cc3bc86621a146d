"""Figures: overlays computed by hand, the animation, and plots with equal bytes."""

from pathlib import Path

import numpy as np
from PIL import Image

from petseg.report import overlays, plots


def test_the_error_overlay_marks_missed_pet_blue_and_false_pet_orange() -> None:
    trimap = np.array([[1, 3, 2, 2]], np.uint8)
    mask = np.array([[True, False, True, False]])
    pixels = overlays.error_overlay(
        overlays.Example("x", np.full((1, 4, 3), 100, np.uint8), trimap, mask)
    )
    hit, missed, false, background = pixels[0].astype(int).tolist()
    assert hit == background == [170, 170, 170]
    assert missed[2] > missed[0]
    assert false[0] > false[2]


def test_an_animation_has_a_frame_per_epoch_and_the_last_one_stays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos, probabilities = (
        rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((2, 16, 16, 3), (3, 2, 16, 16))
    )
    overlays.animate(
        tmp_path / "a.webp", photos, np.full((2, 16, 16), 1, np.uint8), probabilities, 0.2
    )
    with Image.open(tmp_path / "a.webp") as image:
        assert (getattr(image, "n_frames", 1), image.size) == (3, (2 * 160, 3 * 160 + 8))
        durations = []
        for frame in range(3):
            image.seek(frame)
            image.load()
            durations.append(image.info["duration"])
    assert durations == [200, 200, 800]


def test_a_plot_drawn_twice_has_the_same_bytes_and_names_its_axes() -> None:
    rows = [
        {"threshold": "0.2", "precision": "0.5", "recall": "1"},
        {"threshold": "0.8", "precision": "1", "recall": "0.25"},
    ]
    svg = plots.precision_recall(rows, 0.75)
    assert svg == plots.precision_recall(rows, 0.75)
    for text in ("precision", "recall", "threshold 0.75"):
        assert f">{text}<" in svg


def test_the_plot_of_doubtful_masks_marks_its_rows_and_has_the_same_bytes_again() -> None:
    rows = [
        {"reviewed": "0.0", "bad_found": "0.0"},
        {"reviewed": "0.05", "bad_found": "0.5"},
        {"reviewed": "1.0", "bad_found": "1.0"},
    ]
    svg = plots.confidence(rows, rows[1:2])
    assert svg == plots.confidence(rows, rows[1:2])
    assert svg != plots.confidence(rows, rows[2:])
    for text in ("share of the bad masks", "by chance", "5 %"):
        assert f">{text}<" in svg


def test_a_confusion_matrix_shows_the_share_of_every_cell() -> None:
    rows = [
        {"truth": truth, "predicted": predicted, "share": share}
        for truth, predicted, share in (
            *(("foreground", "foreground", "0.9"), ("foreground", "background", "0.1")),
            *(("border", "foreground", "0.6"), ("border", "background", "0.4")),
        )
    ]
    svg = plots.confusion(rows, "cat")
    for share in ("90.0%", "10.0%", "60.0%", "40.0%"):
        assert share in svg
