"""What `petseg check` says of a team's folder beside the photos that are left out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data import folder_check, folder_leftovers, folder_splits
from petseg.data.label_edits import NO_EDITS
from petseg.data.mask_settings import CocoMasks, CvatMasks, LabelStudioMasks, Masks, Names
from tests.conftest import NO_LABEL_EDITS, run_in
from tests.data.test_folder import SETTINGS, write_pair, write_project


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of twelve photos in a project whose params.yaml is for a team's own photos."""
    write_project(tmp_path)
    for number in range(12):
        write_pair(tmp_path / "data/own", f"p{number:02}")
    return tmp_path / "data/own"


def check(own: Path, *options: str, fails: bool = False) -> list[str]:
    """Return the lines of `petseg check`."""
    command = ("petseg", "check", "data/own", "--no-estimate", *options)
    return run_in(own.parent.parent, *command, fails=fails).splitlines()


def inspect(own: Path, work: Path, masks: Masks = "binary") -> folder_check.FolderReport:
    """Return the report of a folder."""
    work.mkdir()
    return folder_check.inspect(own, masks, SETTINGS, NO_EDITS, work)


def write_table(own: Path, name: str, *rows: str) -> None:
    """Write a table of the folder."""
    (own / name).write_text("\n".join(rows) + "\n")


def test_a_folder_without_anything_odd_gives_few_lines(own: Path) -> None:
    assert check(own) == [
        "data/own: 12 of 12 photos can be used",
        "look at: 12 tiny photos: p00; p01; p02; and 9 more (--names)",
        "values of the masks: 0 (50.0 %), 255 (50.0 %)",
        "they suggest, in `download` of the recipe: masks: binary",
        "splits: 8 train, 2 val, 2 test",
    ]


def test_corrections_apply_as_in_the_stages(own: Path) -> None:
    table = own.parent / "labels.csv"
    table.write_text(f"{NO_LABEL_EDITS}p03,drop,blurred,Ann\n")
    lines = check(own)  # max_rejected is 0, and a dropped photo does not count
    assert lines[:2] == [
        "data/own: 11 of 12 photos can be used",
        "left out: 1 dropped: p03: blurred",
    ]
    table.write_text(f"{NO_LABEL_EDITS}p99,drop,,Ann\n")
    (line,) = check(own, fails=True)
    assert line.startswith("error: data/labels.csv: the data have no photo p99; correct the name,")
    assert "If the table is for other data, move it into data/labels" in line


def test_no_line_is_suggested_where_the_recipe_lists_every_value(own: Path) -> None:
    params = own.parent.parent / "params.yaml"
    declared = "masks: {values: {foreground: [0], background: [255]}}"
    params.write_text(params.read_text().replace("masks: binary", declared))
    assert not [line for line in check(own) if line.startswith("they suggest")]
    params.write_text(
        params.read_text().replace("[255]", "[7]").replace("rejected: 0", "rejected: 99")
    )
    assert "they suggest, in `download` of the recipe: masks: binary" in check(own, fails=True)


def test_groups_are_counted_per_split_and_only_the_largest_without_names(own: Path) -> None:
    groups = [f"p{n:02},site,room{max(0, n - 1)}" for n in range(12)]
    write_table(own, "groups.csv", "name,group,subgroup", *groups)
    write_table(own, "splits.csv", "name,split", "p00,test", "p01,val", "p02,test", "p03,val")
    lines = check(own)
    first = lines.index("group site: 8 train, 2 val, 2 test")
    assert lines[first + 1 : first + 4] == [
        "subgroup room0: 0 train, 1 val, 1 test",
        "subgroup room1: 0 train, 0 val, 1 test",
        "subgroup room10: 1 train, 0 val, 0 test",
    ]
    assert lines[-1] == "and 1 more subgroups (--names)"
    assert len([line for line in check(own, "--names") if line.startswith("subgroup ")]) == 11


def test_files_that_nothing_uses_and_rows_of_no_photo_are_named(own: Path) -> None:
    shutil.copy(own / "masks/p00.png", own / "masks/old.png")
    (own / "images/notes.txt").write_text("")
    (own / "images/.hidden").write_text("")
    (own / "masks/raw.psd").write_text("")
    write_table(own, "groups.csv", "name,group", "gone,x", "p00,x")
    write_table(own, "splits.csv", "name,split", "q1,val", "q2,val", "q3,val", "q4,val")
    lines = check(own)
    assert "look at: 1 masks without a photo: masks/old.png" in lines
    other = "2 other files in images/ and masks/, which nothing reads"
    assert f"look at: {other}: images/notes.txt; masks/raw.psd" in lines
    unknown = "gone in groups.csv; q1 in splits.csv; q2 in splits.csv"
    rows = "look at: 5 names in a table that no photo has"
    assert f"{rows}: {unknown}; and 2 more (--names)" in lines
    assert f"{rows}: {unknown}; q3 in splits.csv; q4 in splits.csv" in check(own, "--names")


def test_masks_without_a_photo_are_those_that_no_photo_could_mean(
    own: Path, tmp_path: Path
) -> None:
    """Of p00 there are two photos and three masks; of p01 and p02 several masks."""
    write_pair(own, "a/p00")
    shutil.copy(own / "masks/p01.png", own / "masks/p01.gif")
    (own / "masks/p02.png").unlink()
    for folder in ("x", "y"):
        (own / "masks" / folder).mkdir()
        for name in ("p00", "p02"):
            shutil.copy(own / "masks/p03.png", own / f"masks/{folder}/{name}.png")
    report = inspect(own, tmp_path / "work")
    assert set(report.by_kind()) == {"several masks of this name"}
    assert report.others[folder_leftovers.NO_PHOTO] == ["masks/x/p00.png", "masks/y/p00.png"]


def test_what_splits_csv_divides_and_should_not_is_named(own: Path, tmp_path: Path) -> None:
    shutil.copy(own / "images/p00.png", own / "images/p01.png")
    subjects = ["p04,s", "p05,s", "p06,s", "p07,t", "p08,t"]
    write_table(own, "groups.csv", "name,subject", *subjects)
    rows = ["p00,train", "p01,test", "p04,train", "p05,val", "p06,train", "p07,val"]
    write_table(own, "splits.csv", "name,split", *rows)
    report = inspect(own, tmp_path / "work")
    assert report.others[folder_splits.LOOK_ALIKE] == ["train: p00, test: p01"]
    assert report.others[folder_splits.SUBJECTS] == ["s (train: p04 and 1 more, val: p05)"]
    assert report.refusals == []


def test_without_splits_csv_nothing_is_divided(own: Path, tmp_path: Path) -> None:
    shutil.copy(own / "images/p00.png", own / "images/p01.png")
    assert folder_splits.LOOK_ALIKE not in inspect(own, tmp_path / "work").others


def coco_annotations(own: Path, **more: object) -> None:
    """Replace the masks by a COCO file: a cell and two specks in every photo, debris in one."""
    shutil.rmtree(own / "masks")
    (own / "masks").mkdir()
    names = sorted(path.name for path in (own / "images").iterdir())
    outline = [[0, 0, 20, 0, 20, 20, 0, 20]]
    objects = [(n, category) for n in range(len(names)) for category in (1, 3, 3)] + [(0, 2)]
    content = {
        "images": [
            {"id": n, "file_name": name, "width": 40, "height": 20} for n, name in enumerate(names)
        ],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "segmentation": outline}
            for n, (image, category) in enumerate(objects)
        ],
        "categories": [
            {"id": n, "name": name}
            for n, name in enumerate(("cell", "debris", "speck", "ghost"), start=1)
        ],
    }
    (own / "masks/instances.json").write_text(json.dumps(content | more))


def test_categories_of_coco_are_counted_with_what_the_recipe_declares(own: Path) -> None:
    coco_annotations(own)
    params = own.parent.parent / "params.yaml"
    masks = "masks: {coco: {foreground: [cell], ignore: [debris]}}"
    params.write_text(params.read_text().replace("masks: binary", masks))
    shutil.copy(own / "images/p00.png", own / "masks/p00.png")
    lines = check(own)
    assert "labels that are foreground: cell (12 objects)" in lines
    assert "labels that are ignored: debris (1 object)" in lines
    others = "speck (24 objects); ghost (0 objects)"
    assert f"labels that are background, as the recipe does not name them: {others}" in lines
    assert not [line for line in lines if "suggest" in line or "values" in line]
    other = "1 other files in images/ and masks/, which nothing reads: masks/p00.png"
    assert f"look at: {other}" in lines


def test_photos_that_a_coco_file_alone_has_are_masks_without_a_photo(
    own: Path, tmp_path: Path
) -> None:
    coco_annotations(own)
    (own / "images/p03.png").unlink()
    report = inspect(own, tmp_path / "work", CocoMasks(Names(("cell",))))
    assert report.others[folder_leftovers.NO_PHOTO] == ["p03"]


def test_labels_of_cvat_have_their_share_of_the_pixels(own: Path, tmp_path: Path) -> None:
    export = own / "masks/SegmentationClass"
    (own / "masks").rename(own / "old")
    export.parent.mkdir()
    (own / "old").rename(export)
    labelmap = "background:0,0,0::\ncat:255,255,255::\ndog:128,0,0::\n"
    (own / "masks/labelmap.txt").write_text(labelmap)
    (own / "masks/ImageSets").mkdir()
    (own / "masks/ImageSets/default.txt").write_text("p00\n")
    report = inspect(own, tmp_path / "work", CvatMasks(Names(("cat",))))
    assert {(use.name, use.meaning, use.amount) for use in report.labels} == {
        ("background", "background", "50.0 % of the pixels"),
        ("cat", "foreground", "50.0 % of the pixels"),
        ("dog", "background", "no pixels"),
    }
    assert report.others[folder_leftovers.OTHER] == []


def test_labels_of_label_studio_are_counted_in_the_newest_annotations(
    own: Path, tmp_path: Path
) -> None:
    shutil.rmtree(own / "masks")
    (own / "masks").mkdir()
    tasks = [{"id": n, "data": {"image": f"/data/p{n:02}.png"}} for n in range(12)]
    (own / "masks/export.json").write_text(json.dumps(tasks))
    area = Image.fromarray(np.full((20, 40), 255, np.uint8))
    for task in range(12):
        for annotation, label in ((1, "Dog"), (2, "Cat"), (2, "Old-cat")):
            name = f"task-{task}-annotation-{annotation}-by-1-tag-{label}-0.png"
            area.save(own / "masks" / name)
    masks = LabelStudioMasks(Names(("Cat",), ("Old-cat",)))
    report = inspect(own, tmp_path / "work", masks)
    assert {(use.name, use.meaning, use.amount) for use in report.labels} == {
        ("Cat", "foreground", "12 brush masks"),
        ("Old-cat", "ignored", "12 brush masks"),
    }
