"""The archives and lists of the official layout."""

import os
import random
import tarfile
from pathlib import Path

import pytest

from petseg.data import archives
from petseg.data.archives import Entry
from petseg.errors import UserError


def test_a_list_is_read_without_its_comments() -> None:
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
def test_an_error_in_a_list_names_the_file_and_the_line(line: bytes, fault: str) -> None:
    with pytest.raises(UserError) as error_info:
        archives.parse_list(b"# head\n" + line + b"\n", "list.txt")
    assert str(error_info.value).startswith("list.txt, line 2: ")
    assert fault in str(error_info.value)


def test_duplicate_names_within_a_list_and_across_lists_are_returned() -> None:
    a, b, c = (Entry(name, 1, 1, 1) for name in "abc")
    assert archives.duplicate_names({"trainval": [a, b, a], "test": [b, c]}) == {
        "a": "trainval.txt and trainval.txt",
        "b": "trainval.txt and test.txt",
    }


def test_equal_members_give_equal_bytes_and_are_read_back(tmp_path: Path) -> None:
    members = [("images/a.jpg", b"one"), ("images/b.jpg", b"")]
    for name in ("first", "second"):
        archives.write(tmp_path / name, members)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert list(archives.read_members(tmp_path / "first")) == members


def test_only_regular_files_with_safe_names_are_read(tmp_path: Path) -> None:
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


def test_only_selected_members_are_read(tmp_path: Path) -> None:
    archives.write(tmp_path / "a", [("x", b"1"), ("y", b"2")])
    assert list(archives.read_members(tmp_path / "a", "y".__eq__)) == [("y", b"2")]


def test_an_archive_with_a_file_twice_is_refused(tmp_path: Path) -> None:
    archives.write(tmp_path / "a", [("x", b"1"), ("x", b"2")])
    with pytest.raises(UserError, match="a: x is there twice; pack the archive without it"):
        list(archives.read_members(tmp_path / "a"))


def test_an_archive_with_too_large_a_file_is_refused(tmp_path: Path) -> None:
    archives.write(tmp_path / "a", [("x", bytes(archives.MAX_BYTES + 1))])
    with pytest.raises(UserError, match="a: x has 268,435,457 bytes"):
        list(archives.read_members(tmp_path / "a"))


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    archives.write(tmp_path / "a", [(str(n), os.urandom(5000)) for n in range(20)])
    data = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match="not a readable"):
        list(archives.read_members(tmp_path / "a"))


def test_a_flipped_bit_never_changes_what_is_read(tmp_path: Path) -> None:
    members = [(str(n), random.Random(n).randbytes(5000)) for n in range(20)]
    archives.write(tmp_path / "a", members)
    data = (tmp_path / "a").read_bytes()
    positions = range(0, len(data), 499)
    errors = []
    for position in positions:
        flipped = bytes([data[position] ^ 1])
        (tmp_path / "a").write_bytes(data[:position] + flipped + data[position + 1 :])
        try:
            members_read = list(archives.read_members(tmp_path / "a"))
        except UserError as error:
            errors.append(str(error))
        else:  # some bits of gzip mean nothing: in the header, and where they fill up a byte
            assert members_read == members
    assert len(errors) >= len(positions) - 5
    assert all("not a readable" in text for text in errors)


def test_a_missing_archive_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.tar.gz is missing; run `dvc repro download`"):
        list(archives.read_members(tmp_path / "a.tar.gz"))


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"a.tar.gz: not a readable tar.gz"):
        list(archives.read_members(tmp_path / "a.tar.gz"))
