"""Masks from COCO, CVAT and Label Studio, with pixel counts worked out by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from petseg.data import coco, cvat, folder_source, label_studio
from petseg.data.mask_settings import CocoMasks, Names
from petseg.errors import UserError

SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]  # x and y in turn: 4 wide, 3 high


def coco_file(path: Path, *annotations: dict[str, Any], **image: Any) -> Path:
    """Write a COCO file with an image of 10 x 8 pixels and two categories."""
    content = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 10, "height": 8} | image],
        "annotations": [{"id": n, "image_id": 5} | row for n, row in enumerate(annotations)],
        "categories": [{"id": 1, "name": "cell"}, {"id": 2, "name": "debris"}],
    }
    path.write_text(json.dumps(content))
    return path


def render_coco(path: Path) -> np.ndarray:
    ((name, labels),) = coco.render_masks(path, ["cell"], ["debris"])
    assert name == "a.jpg"
    return labels


def test_a_polygon_is_foreground_and_the_rest_background(tmp_path: Path) -> None:
    path = coco_file(tmp_path / "a.json", {"category_id": 1, "segmentation": [SQUARE]})
    labels = render_coco(path)
    assert labels.shape == (8, 10)
    assert np.count_nonzero(labels == 1) == 12
    assert (labels[1:4, 2:6] == 1).all()
    assert np.count_nonzero(labels == 2) == 68


def test_run_lengths_go_down_the_columns_and_foreground_wins_over_ignored(tmp_path: Path) -> None:
    # Two columns of 8 pixels: the first is left out, the second is taken.
    runs = {"size": [8, 10], "counts": [8, 8, 64]}
    path = coco_file(
        tmp_path / "a.json",
        {"category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 1, 0, 1]]},
        {"category_id": 2, "segmentation": runs},
    )
    labels = render_coco(path)
    assert labels[0, :2].tolist() == [1, 1]
    assert (labels[1:, 1] == 0).all()
    assert np.count_nonzero(labels == 0) == 7


@pytest.mark.parametrize(
    ("annotation", "image", "words"),
    [
        ({"category_id": 1, "segmentation": [[0, 0, 1, 1]]}, {}, "a polygon has 4 numbers"),
        ({"category_id": 1}, {}, "segmentation of annotation 0 of a.jpg is wrong"),
        (
            {"category_id": 1, "segmentation": {"size": [2, 2], "counts": [4]}},
            {},
            "its size is not that of the image",
        ),
        ({"category_id": 1, "segmentation": [SQUARE]}, {"width": 10**6, "height": 10**6}, "pixels"),
    ],
)
def test_a_wrong_outline_is_one_line(
    tmp_path: Path, annotation: dict[str, Any], image: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        render_coco(coco_file(tmp_path / "a.json", annotation, **image))


def test_an_unknown_category_and_a_file_of_another_format_are_one_line(tmp_path: Path) -> None:
    path = coco_file(tmp_path / "a.json")
    with pytest.raises(UserError, match="no category cat; it has cell, debris"):
        list(coco.render_masks(path, ["cat"], []))
    path.write_text("[]")
    with pytest.raises(UserError, match="needs the lists images, annotations, categories"):
        list(coco.render_masks(path, ["cell"], []))


def test_coco_masks_of_a_folder_are_written_to_data_raw_alone(tmp_path: Path) -> None:
    own, target = tmp_path / "own", tmp_path / "raw"
    (own / "images/site").mkdir(parents=True)
    target.mkdir()
    Image.new("RGB", (10, 8)).save(own / "images/site/a.jpg")
    (own / "masks").mkdir()
    coco_file(own / "masks/annotations.json", {"category_id": 1, "segmentation": [SQUARE]})
    masks = CocoMasks(Names(("cell",)))
    source = folder_source.list_folder(own, masks, target, "../own")
    assert source["rendered"]
    assert [p.name for p in own.rglob("*.png")] == []
    labels = np.asarray(Image.open(target / "masks/a.png"))
    assert np.count_nonzero(labels == 1) == 12


@pytest.mark.parametrize("name", ["../../outside.jpg", "/etc/outside.jpg"])
def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    coco_file(tmp_path / "masks/a.json", file_name=name)
    with pytest.raises(UserError, match="leaves the folder"):
        folder_source.list_folder(tmp_path, CocoMasks(Names(("cell",))), tmp_path, ".")


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\nskip:0,128,0::\n"


def test_cvat_labels_have_the_colours_of_the_labelmap(tmp_path: Path) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text(LABELMAP)
    assert cvat.read_labelmap(path) == {"background": 0, "cat": 0x800000, "skip": 0x008000}
    assert cvat.colours(path, ["cat"], []) == ((0x800000,), (), (0, 0x008000))
    assert cvat.colours(path, ["cat"], ["skip"]) == ((0x800000,), (0x008000,), (0,))
    with pytest.raises(UserError, match="no label dog; it has background, cat, skip"):
        cvat.colours(path, ["dog"], [])


@pytest.mark.parametrize("line", ["cat", "cat:1,2::", "cat:256,0,0::", "dog:128,0,0::"])
def test_a_wrong_line_of_the_labelmap_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labelmap.txt"
    path.write_text(f"{LABELMAP}{line}\n")
    with pytest.raises(UserError, match="line 5: "):
        cvat.read_labelmap(path)


def brush(folder: Path, name: str, *rows: int) -> None:
    """Write a PNG of 4 x 4 pixels with these rows at 255."""
    pixels = np.zeros((4, 4), np.uint8)
    pixels[list(rows)] = 255
    Image.fromarray(pixels).save(folder / name)


def test_label_studio_files_of_a_task_are_merged_and_the_newest_annotation_counts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(
        json.dumps([{"id": 7, "data": {"image": "/data/upload/1/0123abcd-My%20cat.jpg"}}])
    )
    brush(tmp_path, "task-7-annotation-2-by-1-tag-Cat-0.png", 0, 1, 2, 3)
    brush(tmp_path, "task-7-annotation-3-by-a@b.c-tag-Cat-0.png", 0)
    brush(tmp_path, "task-7-annotation-3-by-a@b.c-tag-Cat-1.png", 1)
    brush(tmp_path, "task-7-annotation-3-by-a@b.c-tag-Blur-0.png", 1, 2)
    ((name, labels),) = label_studio.render_masks(tmp_path, path, ["Cat"], ["Blur"])
    assert name == "My cat.jpg"
    assert labels[:, 0].tolist() == [1, 1, 0, 2]
    with pytest.raises(UserError, match="is of the label Dog"):
        list(label_studio.render_masks(tmp_path, path, ["Dog"], []))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"image": "/data/local-files/?d=folder/IMG.jpg"}, "IMG.jpg"),
        ({"image": "https://example.org/a/b.png"}, "b.png"),
    ],
)
def test_the_photo_of_a_task_is_named_by_its_address(data: dict[str, str], name: str) -> None:
    assert label_studio.photo_name(data) == name
