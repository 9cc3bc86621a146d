"""A team's own folder: which photos get which masks, what is left out, and what never happens."""

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg import files
from petseg.data import arrays, convert, folder_check, folder_source, folder_tables, pairs, raw
from petseg.data.examples import FramedPhotos
from petseg.data.label_edits import NO_EDITS
from petseg.errors import UserError
from tests.conftest import DEMO, NO_LABEL_EDITS, TINY, run_in

SETTINGS = convert.Settings("squash", 16, 0.25, 0.25, seed=1, max_rejected=20)
ROOT = Path(__file__).parent.parent.parent


def write_pair(own: Path, name: str, mask: str | None = None) -> None:
    """Write a noisy photo and a mask whose left half is 255."""
    photo = own / "images" / f"{name}.png"
    photo.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(name.encode()))
    Image.fromarray(rng.integers(0, 255, (20, 40, 3), np.uint8)).save(photo)
    path = own / "masks" / f"{name if mask is None else mask}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.zeros((20, 40), np.uint8)
    labels[:, :20] = 255
    Image.fromarray(labels).save(path)


def reasons(own: Path) -> dict[str, str]:
    """Return why photos cannot be used by their names alone."""
    return {pair.name: pair.reason for pair in pairs.pair_files(own, None)}


def listed(own: Path, target: Path) -> Path:
    """Write what `download` writes for a folder; return where."""
    target.mkdir()
    place = os.path.relpath(own, target)
    files.write_json(
        target / "source.json", folder_source.list_folder(own, "binary", target, place)
    )
    return target


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the time and content of every file of a folder."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_mask_belongs_to_the_photo_of_its_path_or_of_its_unique_stem(tmp_path: Path) -> None:
    write_pair(tmp_path, "a/1")
    write_pair(tmp_path, "b/1")
    write_pair(tmp_path, "b/2", mask="2")
    by_name = {pair.name: pair.mask for pair in pairs.pair_files(tmp_path, None)}
    assert by_name == {"a/1": "masks/a/1.png", "b/1": "masks/b/1.png", "b/2": "masks/2.png"}


def test_names_that_leave_open_what_is_meant_are_left_out_with_a_reason(tmp_path: Path) -> None:
    for name in ("A", "a", "twice", "alone", "line\nbreak", "fine"):
        write_pair(tmp_path, name)
    (tmp_path / "images/twice.jpg").write_bytes(b"")
    (tmp_path / "masks/alone.png").unlink()
    same = "names equal but for case: A, a"
    assert reasons(tmp_path) == {
        "A": same,
        "a": same,
        "alone": "no mask",
        "fine": "",
        "line\nbreak": "name has a line break, another control character or bytes that are not UTF-8",
        "twice": "several photos of this name: twice.jpg, twice.png",
    }


def test_accents_match_however_they_are_stored(tmp_path: Path) -> None:
    composed, divided = (unicodedata.normalize(form, "Käse 😀") for form in ("NFC", "NFD"))
    assert composed != divided
    write_pair(tmp_path, divided, mask=composed)
    assert reasons(tmp_path) == {composed: ""}


def test_the_folders_may_be_links_but_no_folder_in_them(tmp_path: Path) -> None:
    write_pair(tmp_path / "share", "a")
    own = tmp_path / "own"
    own.mkdir()
    for name in ("images", "masks"):
        (own / name).symlink_to(tmp_path / "share" / name)
    assert reasons(own) == {"a": ""}
    (tmp_path / "share/images/again").symlink_to(tmp_path / "share/images")
    with pytest.raises(UserError, match="images/again is a link to a folder"):
        reasons(own)


def test_what_is_no_file_is_left_out_and_does_not_hang(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for name in ("a", "b", "c"):
        write_pair(own, name)
    (own / "images/a.png").unlink()
    os.mkfifo(own / "images/a.png")
    (own / "images/b.png").unlink()
    (own / "images/b.png").symlink_to(tmp_path / "gone.png")
    rows = files.read_csv(listed(own, tmp_path / "raw") / "photos.csv")
    reason = "photo is no file, or a link to none"
    assert [row["reason"] for row in rows] == [reason, reason, ""]


def test_a_table_with_its_header_alone_gives_no_groups(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("name,group,subgroup,subject\n")
    assert folder_tables.read_tables(tmp_path, {"a": "images/a.jpg"}).group_kinds == ()


def test_a_missing_folder_is_one_line_that_says_where_photos_belong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images cannot be read .*their masks in .*masks"):
        pairs.pair_files(tmp_path, None)


def test_tables_give_groups_subjects_and_splits_and_name_what_no_photo_has(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("\ufeffname,group,subject\na.jpg,x,s1\ngone,x,s2\n")
    (tmp_path / "splits.csv").write_text("name,split\na,test\n")
    tables = folder_tables.read_tables(tmp_path, {"a": "images/a.jpg", "b": "images/b.jpg"})
    assert tables.groups == {"a": {"group": "x", "subject": "s1"}}
    assert tables.group_kinds == ("group",)
    assert tables.splits == {"a": "test"}
    assert tables.unknown == ["gone in groups.csv"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("groups.csv", "name;group\na;x\n", "separated by commas"),
        ("groups.csv", "name,group\na,x\na,y\n", "line 3: a is there twice"),
        ("groups.csv", "name,subgroup\na,x\n", "none that is called group"),
        ("splits.csv", "name,split\na,training\n", "allowed: train, val, test"),
        ("splits.csv", "name,split\na\n", "line 2: has not as many values"),
    ],
)
def test_a_wrong_table_is_one_line_with_the_remedy(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        folder_tables.read_tables(tmp_path, {"a": "images/a.jpg"})


def test_photos_are_converted_in_place_and_the_folder_stays_as_it_was(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for number in range(12):
        write_pair(own, f"p{number}")
    (own / "masks/p3.png").write_bytes((own / "images/p3.png").read_bytes())
    before = tree(own)
    data = raw.open_raw(listed(own, tmp_path / "raw"))
    (tmp_path / "arrays").mkdir()
    convert.convert(data, tmp_path / "arrays", SETTINGS, NO_EDITS)
    assert tree(own) == before
    rejected = files.read_csv(tmp_path / "arrays/rejected.csv")
    assert [row["name"] for row in rejected] == ["p3"]
    assert "colours" in rejected[0]["reason"]
    loaded = [arrays.load(tmp_path / "arrays" / split) for split in ("train", "val", "test")]
    assert sum(map(len, loaded)) == 11
    assert all(len(split) for split in loaded)
    for split in loaded:
        _, trimaps = FramedPhotos(split).read(slice(None))
        assert (trimaps[:, :, :8] == 1).all()
        assert (trimaps[:, :, 8:] == 2).all()
    summary = files.read_json(tmp_path / "arrays/summary.json")
    assert summary["groups"] == {}


def test_the_list_is_the_same_for_the_same_files_elsewhere(tmp_path: Path) -> None:
    for place in ("one", "two/deep"):
        for number in (2, 1, 3) if place == "one" else (3, 2, 1):
            write_pair(tmp_path / place / "own", f"p{number}")
        listed(tmp_path / place / "own", tmp_path / place / "raw")
    texts = [(tmp_path / place / "raw/photos.csv").read_bytes() for place in ("one", "two/deep")]
    assert texts[0] == texts[1]


def test_photos_of_a_subject_stay_in_one_split(tmp_path: Path) -> None:
    own = tmp_path / "own"
    rows = ["name,group,subject"]
    for number in range(24):
        write_pair(own, f"p{number:02}")
        rows.append(f"p{number:02},g{number % 2},s{number // 4}")
    (own / "groups.csv").write_text("\n".join(rows) + "\n")
    data = raw.open_raw(listed(own, tmp_path / "raw"))
    (tmp_path / "arrays").mkdir()
    convert.convert(data, tmp_path / "arrays", SETTINGS, NO_EDITS)
    subjects: dict[int, set[str]] = {}
    for split in ("train", "val", "test"):
        for photo in arrays.read_index(tmp_path / "arrays" / split):
            subjects.setdefault(int(photo.name[1:]) // 4, set()).add(split)
            assert photo.group == f"g{int(photo.name[1:]) % 2}"
    assert {len(names) for names in subjects.values()} == {1}
    assert files.read_json(tmp_path / "arrays/summary.json")["groups"].keys() == {"group"}


def test_the_check_counts_what_the_stages_would_leave_out_and_use(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for number in range(8):
        write_pair(own, f"p{number}")
    (own / "masks/p1.png").unlink()
    Image.new("L", (40, 20), 0).save(own / "masks/p2.png")
    Image.new("L", (9, 9), 255).save(own / "masks/p3.png")
    work = tmp_path / "work"
    work.mkdir()
    report = folder_check.inspect(own, "binary", SETTINGS, NO_EDITS, work)
    assert report.by_kind() == {
        "no mask": ["p1"],
        "sizes differ": ["p3: photo 40x20, mask 9x9"],
    }
    assert report.remarks[folder_check.EMPTY] == ["p2"]
    assert len(report.index) == 6
    assert report.refusals == []
    assert set(report.values) == {0, 255}


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_photos_are_refused_in_the_words_of_the_stage(tmp_path: Path, count: int) -> None:
    own = tmp_path / "own"
    for number in range(count):
        write_pair(own, f"p{number}")
    work, target = tmp_path / "work", tmp_path / "arrays"
    work.mkdir()
    target.mkdir()
    report = folder_check.inspect(own, "binary", SETTINGS, NO_EDITS, work)
    with pytest.raises(UserError) as error:
        convert.convert(raw.open_raw(listed(own, tmp_path / "raw")), target, SETTINGS, NO_EDITS)
    assert report.refusals == [str(error.value)]
    assert "cannot be divided into train, val and test" in str(error.value)


def write_project(folder: Path) -> None:
    """Write what a project for a team's own photos has beside them, with the code as links."""
    text = TINY.replace(DEMO, "download: {source: folder, masks: binary}")
    (folder / "params.yaml").write_text(text)
    for code in ("petseg", "stages", "flows", "recipes"):
        (folder / code).symlink_to(ROOT / code)
    (folder / "data").mkdir()
    (folder / "data/labels.csv").write_text(NO_LABEL_EDITS)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a params.yaml for a team's own photos, and twelve of them."""
    write_project(tmp_path)
    for number in range(12):
        write_pair(tmp_path / "data/own", f"p{number}")
    run_in(tmp_path, *["python", "-m", "stages.download", "data/own", "data/raw", "data/downloads"])
    return tmp_path


PREPROCESS = ["python", "-m", "stages.preprocess", "data/raw", "data/labels", "data/arrays"]


@pytest.mark.parametrize(
    ("change", "words"),
    [("other bytes", "has changed since it was listed"), ("", "was there when it was listed")],
)
def test_a_photo_that_changes_after_it_was_listed_stops_the_stage_and_nothing_is_lost(
    project: Path, change: str, words: str
) -> None:
    run_in(project, *PREPROCESS)
    before = tree(project / "data/arrays")
    photo = project / "data/own/images/p5.png"
    photo.write_text(change) if change else photo.unlink()
    output = run_in(project, *PREPROCESS, fails=True)
    assert output.startswith("error: ")
    assert words in output
    assert "Traceback" not in output
    assert tree(project / "data/arrays") == before


def test_the_command_check_ends_with_1_if_the_stages_would_refuse(project: Path) -> None:
    output = run_in(project, "petseg", "check", "data/own")
    assert "12 of 12 photos can be used" in output
    assert "masks: binary" in output
    assert "training by params.yaml, recipe tiny: " in output
    for mask in (project / "data/own/masks").iterdir():
        mask.unlink()
    output = run_in(project, "petseg", "check", "data/own", fails=True)
    assert "left out: 12 no mask: p0; p1; p10; and 9 more (--names)" in output
    assert "error: " in output
    assert "Traceback" not in output


def test_an_empty_folder_is_one_line_that_says_what_to_do(project: Path) -> None:
    for photo in (project / "data/own/images").iterdir():
        photo.unlink()
    command = ["python", "-m", "stages.download", "data/own", "data/raw", "data/downloads"]
    before = (project / "data/raw/photos.csv").read_bytes()
    output = run_in(project, *command, fails=True)
    assert len(output.splitlines()) == 1
    assert "data/own/images has no photo" in output
    assert (project / "data/raw/photos.csv").read_bytes() == before
    assert json.loads((project / "data/raw/source.json").read_text())["folder"] == "../own"
