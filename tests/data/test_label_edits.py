"""Corrections of labels: what the table may say, and what each action does to the arrays."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg import files
from petseg.data import archives, arrays, convert, label_edits, raw
from petseg.data.edited_photos import EditedPhotos
from petseg.data.label_edits import Action, LabelEdit, LabelEdits
from petseg.errors import UserError
from tests.conftest import NO_LABEL_EDITS
from tests.data.test_convert import pack
from tests.data.test_folder import listed, write_pair

SETTINGS = convert.Settings("squash", 16, 0.25, 0.5, seed=1, max_rejected=0)


def edits_in(folder: Path, *rows: str) -> LabelEdits:
    """Write a table with these rows beside its folder of masks, and read it."""
    (folder / "labels").mkdir(exist_ok=True)
    table = folder / "labels.csv"
    table.write_text(NO_LABEL_EDITS + "".join(f"{row}\n" for row in rows))
    return label_edits.read(table, folder / "labels")


def convert_with(folder: Path, *rows: str, source: Path | None = None) -> Path:
    """Convert six packed photos, or another source, with these corrections; return the arrays."""
    target = folder / f"arrays{len(list(folder.iterdir()))}"
    target.mkdir()
    source = source or pack(folder / f"raw{target.name}")
    convert.convert(raw.open_raw(source), target, SETTINGS, edits_in(folder, *rows))
    return target


def names(target: Path) -> dict[str, set[str]]:
    """Return the names of the photos of each split."""
    splits = ("train", "val", "test")
    return {name: {row.name for row in arrays.read_index(target / name)} for name in splits}


def row_of(target: Path, split: str, name: str) -> tuple[arrays.Photo, np.ndarray]:
    """Return a photo's row of the index, and its mask."""
    loaded = arrays.load(target / split)
    (row,) = (row for row, photo in enumerate(loaded.index) if photo.name == name)
    return loaded.index[row], np.asarray(loaded.trimaps[row])


def test_a_table_is_read_with_every_action_and_written_in_the_order_of_the_names(
    tmp_path: Path,
) -> None:
    (tmp_path / "labels/site 1").mkdir(parents=True)
    (tmp_path / "labels/site 1/b.png").write_bytes(b"a mask")
    edits = edits_in(
        tmp_path,
        "d,keep,,Ann",
        'c, drop ,"blurred, twice",Ann',
        "b,use mask site 1/b.png,half a cat,Bo",
        "a,swap split,twin,",
    )
    assert edits.rows[1] == LabelEdit("c", Action.DROP, "", "blurred, twice", "Ann")
    assert edits.masks == {"b": tmp_path / "labels/site 1/b.png"}
    assert edits.counts == {"drop": 1, "swap split": 1, "use mask": 1}
    label_edits.write(tmp_path / "again.csv", edits.rows)
    assert (tmp_path / "again.csv").read_text().splitlines() == [
        "name,action,reason,who",
        "a,swap split,twin,",
        "b,use mask site 1/b.png,half a cat,Bo",
        'c,drop,"blurred, twice",Ann',
        "d,keep,,Ann",
    ]


def test_a_table_saved_by_a_spreadsheet_is_read_as_well(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(b"\xef\xbb\xbfname,action,reason,who\r\na,drop,,\r\n\r\n")
    assert [row.name for row in label_edits.read(table, tmp_path / "labels").rows] == ["a"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,delete,,", "the action of a is 'delete'; allowed: drop, keep, swap split, use mask"),
        ("a,use mask,,", "the action of a is 'use mask'; allowed: .*use mask FILE"),
        ("a,use mask gone.png,,", r"the mask .*labels/gone.png is missing; put it there"),
        ("a,use mask ../labels.csv,,", r"is outside .*labels; copy it there"),
        ("a,use mask /etc/passwd,,", r"is outside .*labels; copy it there"),
        ("a,drop,", "has 3 values; write 4, name,action,reason,who"),
        ("a,drop,one,two,three", "has 5 values"),
        (",drop,,", "has no name; write that of a photo"),
        ('a,"drop,,', "not a CSV"),
    ],
)
def test_a_wrong_row_is_one_line_with_file_line_and_remedy(
    tmp_path: Path, row: str, words: str
) -> None:
    with pytest.raises(UserError, match=rf"labels.csv, line 2: .*{words}") as error:
        edits_in(tmp_path, row)
    assert "\n" not in str(error.value)


def test_a_name_on_two_lines_other_columns_and_a_missing_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels.csv, line 3: a is on line 2, too; list it once"):
        edits_in(tmp_path, "a,drop,,", "a,keep,,")
    table = tmp_path / "labels.csv"
    table.write_text("photo,action\n")
    with pytest.raises(UserError, match=r"line 1: the columns are photo,action; the first line"):
        label_edits.read(table, tmp_path)
    table.unlink()
    with pytest.raises(UserError, match=r"labels.csv is missing; write a file with the line name,"):
        label_edits.read(table, tmp_path)


def test_a_link_that_leads_out_of_the_folder_of_masks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "mask.png").write_bytes(b"a mask")
    (tmp_path / "labels/link.png").symlink_to(tmp_path / "mask.png")
    with pytest.raises(UserError, match=r"the mask link.png is outside"):
        edits_in(tmp_path, "a,use mask link.png,,")


def test_a_recipe_may_name_only_tables_that_dvc_tracks() -> None:
    folder = Path("data/labels")
    for table in ("data/labels.csv", "data/labels/clean.csv"):
        assert label_edits.locate(table, folder, "params.yaml") == Path(table)
    for table in (
        "labels.csv",
        "/data/labels/clean.csv",
        "data/labels/../other.csv",
        "data/labels/a.txt",
    ):
        with pytest.raises(
            UserError, match=r"params.yaml: preprocess.labels is .*; allowed: data/labels.csv"
        ):
            label_edits.locate(table, folder, "params.yaml")


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((10, 20), 255, np.uint8), "mask has the value 255, which no label has"),
        (np.full((9, 20), 1, np.uint8), "sizes differ: photo 20x10, mask 20x9"),
    ],
)
def test_a_mask_that_does_not_fit_its_photo_is_refused(
    tmp_path: Path, pixels: np.ndarray, reason: str
) -> None:
    (tmp_path / "labels").mkdir()
    Image.fromarray(pixels).save(tmp_path / "labels/new.png")
    with pytest.raises(UserError) as error:
        convert_with(tmp_path, "a_5,use mask new.png,,Ann")
    table, mask = tmp_path / "labels.csv", tmp_path / "labels/new.png"
    assert str(error.value).startswith(f"{table}: a_5 cannot be used with {mask}: {reason}. ")
    assert "1 foreground, 2 background, 3 border and 0 ignored" in str(error.value)


def test_a_dropped_photo_is_listed_with_its_reason_and_is_not_one_too_many(tmp_path: Path) -> None:
    before = names(convert_with(tmp_path))
    target = convert_with(tmp_path, "a_6,drop,no pet,Ann", "a_1,keep,,")
    assert files.read_csv(target / "rejected.csv") == [
        {"name": "a_6", "split": "test", "reason": "dropped: no pet"}
    ]
    assert names(target) == before | {"test": {"a_5"}}
    summary = files.read_json(target / "summary.json")
    assert summary["label_edits"] == {"drop": 1}
    assert summary["rejected"] == {"photos": 1, "reasons": {"dropped": 1}}


def test_a_dropped_photo_moves_no_other_photo_where_splits_are_drawn(tmp_path: Path) -> None:
    for number in range(40):
        write_pair(tmp_path / "own", f"p{number}")
    for twin in ("p3", "p17", "p21"):  # each stays in the split of its twin
        for kind in ("images", "masks"):
            shutil.copy(tmp_path / f"own/{kind}/{twin}.png", tmp_path / f"own/{kind}/{twin}x.png")
    source = listed(tmp_path / "own", tmp_path / "list")
    before = names(convert_with(tmp_path, source=source))
    assert all({"p3", "p3x"} <= photos or not {"p3", "p3x"} & photos for photos in before.values())
    drops = {"p3", "p17", "p21", min(before["test"]), min(before["val"])}
    rows = [f"{name},drop,," for name in drops]
    after = names(convert_with(tmp_path, *rows, source=source))
    assert after == {split: photos - drops for split, photos in before.items()}


def test_swapped_photos_change_between_test_and_train(tmp_path: Path) -> None:
    before = names(convert_with(tmp_path))
    (val,), train = before["val"], min(before["train"])
    rows = [f"{name},swap split,twin,Ann" for name in ("a_5", train)]
    after = names(convert_with(tmp_path, *rows))
    assert after["test"] == {"a_6", train}
    assert after["train"] == (before["train"] | {"a_5"}) - {train}
    assert after["val"] == {val}


def test_another_mask_takes_the_place_of_a_trimap_at_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    labels = np.repeat(np.array([[0, 1, 2, 3]], np.uint8), 5, axis=1).repeat(10, axis=0)
    Image.fromarray(labels).save(tmp_path / "labels/a_5.png")
    old, _ = row_of(convert_with(tmp_path), "test", "a_5")
    source = pack(tmp_path / "raw")
    target = convert_with(tmp_path, "a_5,use mask a_5.png,half,Ann", source=source)
    photo, mask = row_of(target, "test", "a_5")
    assert np.unique(mask).tolist() == [0, 1, 2, 3]
    assert photo.sha256 != old.sha256
    assert row_of(target, "test", "a_6")[0].sha256 != photo.sha256

    (tmp_path / "labels/a_5.png").unlink()  # the arrays have a copy, which evaluate reads
    edited = EditedPhotos(
        archives.ArchivedPhotos(source), label_edits.read_record(target / "labels.csv")
    )
    masks = {mask.name: edited.decode_full_mask(mask.read()[0]) for mask in edited.masks(["a_5"])}
    assert np.array_equal(masks["a_5"], labels)


def test_another_mask_has_labels_whatever_the_masks_of_the_folder_mean(tmp_path: Path) -> None:
    for number in range(8):
        write_pair(tmp_path / "own", f"site/p{number}")
    (tmp_path / "labels/site").mkdir(parents=True)
    Image.fromarray(np.full((20, 40), 2, np.uint8)).save(tmp_path / "labels/site/p1.png")
    source = listed(tmp_path / "own", tmp_path / "list")
    target = convert_with(tmp_path, "site/p1,use mask site/p1.png,empty,", source=source)
    (split,) = (split for split, photos in names(target).items() if "site/p1" in photos)
    assert np.unique(row_of(target, split, "site/p1")[1]).tolist() == [2]
    (other, *_) = (split for split, photos in names(target).items() if "site/p2" in photos)
    assert np.unique(row_of(target, other, "site/p2")[1]).tolist() == [1, 2]


def test_a_name_that_the_data_do_not_have_is_refused_unless_it_is_kept(tmp_path: Path) -> None:
    convert_with(tmp_path, "a_77,keep,,")
    with pytest.raises(UserError, match=r"labels.csv: the data have no photo a_77; correct the"):
        convert_with(tmp_path, "a_77,drop,,")


def test_only_what_changes_something_is_recorded_beside_the_arrays(tmp_path: Path) -> None:
    target = convert_with(tmp_path, "a_2,keep,fine,Ann", "a_1,drop,blurred,Ann")
    assert (target / "labels.csv").read_text() == f"{NO_LABEL_EDITS}a_1,drop,blurred,Ann\n"
