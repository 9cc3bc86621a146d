"""Archives and lists of the official layout."""

import os
import random
import tarfile
from pathlib import Path

import pytest

from petseg.data import archives
from petseg.data.archives import Entry
from petseg.errors import UserError


def test_a_list_is_read_with_its_comments_left_out() -> None:
    text = b"#Image CLASS-ID SPECIES BREED ID\nMaine_Coon_12 4 1 3\n\nbeagle_7 5 2 1\n"
    coon, beagle = archives.parse_list(text, "list.txt")
    assert coon == Entry("Maine_Coon_12", 4, 1, 3)
    assert (coon.breed, coon.species, beagle.species) == ("Maine_Coon", "cat", "dog")
    assert coon.row == "Maine_Coon_12 4 1 3"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"beagle_7 5 2", "expected NAME CLASS-ID SPECIES BREED-ID, found 'beagle_7 5 2'"),
        (b"beagle_7 5 2 x", "expected NAME"),
        (b"beagle_7 5 3 1", "species is 3; allowed: 1 (cat), 2 (dog)"),
        (b"beagle_7 5 2 1\r", "save the list with Unix line ends"),
        (b"\xef\xbb\xbfbeagle_7 5 2 1", "byte-order mark"),
        (b"b\xe9agle_7 5 2 1", "is not UTF-8"),
    ],
)
def test_a_line_that_is_no_row_is_named_by_file_and_line(line: bytes, fault: str) -> None:
    with pytest.raises(UserError) as caught:
        archives.parse_list(b"# head\n" + line + b"\n", "list.txt")
    assert str(caught.value).startswith("list.txt, line 2: ")
    assert fault in str(caught.value)


def test_a_name_listed_twice_is_found_within_a_list_and_across_them() -> None:
    a, b, c = (Entry(name, 1, 1, 1) for name in "abc")
    assert archives.listed_twice({"trainval": [a, b, a], "test": [b, c]}) == {
        "a": "trainval.txt and trainval.txt",
        "b": "trainval.txt and test.txt",
    }


def test_equal_members_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    members = [("images/a.jpg", b"one"), ("images/b.jpg", b"")]
    for name in ("first", "second"):
        archives.write(tmp_path / name, members)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert list(archives.read_members(tmp_path / "first")) == members


def test_only_regular_files_of_the_layout_are_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    kinds = {
        "images/link.jpg": tarfile.SYMTYPE,
        "images/hard.jpg": tarfile.LNKTYPE,
        "images/device.jpg": tarfile.CHRTYPE,
        "images/pipe.jpg": tarfile.FIFOTYPE,
        "images/folder.jpg": tarfile.DIRTYPE,
    }
    names = ["/etc/a.jpg", "../a.jpg", "images/../../a.jpg", "images/._a.jpg", "./images/a.jpg"]
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (kinds | dict.fromkeys(names, tarfile.REGTYPE)).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert list(archives.read_members(path)) == [("images/a.jpg", b"")]


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    archives.write(tmp_path / "a", [("x", b"1"), ("y", b"2")])
    assert list(archives.read_members(tmp_path / "a", "y".__eq__)) == [("y", b"2")]


def test_a_file_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    archives.write(tmp_path / "a", [("x", b"1"), ("x", b"2")])
    with pytest.raises(UserError, match="a: x is there twice; pack the archive without it"):
        list(archives.read_members(tmp_path / "a"))


def test_a_file_too_large_to_read_is_refused(tmp_path: Path) -> None:
    archives.write(tmp_path / "a", [("x", bytes(archives.MAX_BYTES + 1))])
    with pytest.raises(UserError, match="a: x has 268,435,457 bytes"):
        list(archives.read_members(tmp_path / "a"))


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_cut_archive_is_no_short_one(tmp_path: Path, keep: float) -> None:
    archives.write(tmp_path / "a", [(str(n), os.urandom(5000)) for n in range(20)])
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match="not a readable"):
        list(archives.read_members(tmp_path / "a"))


def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path) -> None:
    members = [(str(n), random.Random(n).randbytes(5000)) for n in range(20)]
    archives.write(tmp_path / "a", members)
    packed = (tmp_path / "a").read_bytes()
    places = range(0, len(packed), 499)
    refused = []
    for place in places:
        flipped = packed[place] ^ 1
        (tmp_path / "a").write_bytes(packed[:place] + bytes([flipped]) + packed[place + 1 :])
        try:
            found = list(archives.read_members(tmp_path / "a"))
        except UserError as error:
            refused.append(str(error))
        else:  # gzip has bits without a meaning: a header's, and those that fill up a byte
            assert found == members
    assert len(refused) >= len(places) - 5
    assert all("not a readable" in text for text in refused)


def test_a_missing_archive_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.tar.gz is missing; run `dvc repro download`"):
        list(archives.read_members(tmp_path / "a.tar.gz"))


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"a.tar.gz: not a readable tar.gz"):
        list(archives.read_members(tmp_path / "a.tar.gz"))
