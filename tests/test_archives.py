"""Archives and lists of the official layout."""

import tarfile
from pathlib import Path

import pytest

from stages.petseg import archives
from stages.petseg.archives import Entry
from stages.petseg.errors import UserError


def test_a_list_is_read_with_its_comments_left_out() -> None:
    text = "#Image CLASS-ID SPECIES BREED ID\nMaine_Coon_12 4 1 3\n\nbeagle_7 5 2 1\n"
    coon, beagle = archives.parse_list(text, "list.txt")
    assert coon == Entry("Maine_Coon_12", 4, 1, 3)
    assert (coon.breed, coon.species, beagle.species) == ("Maine_Coon", "cat", "dog")
    assert coon.row == "Maine_Coon_12 4 1 3"


@pytest.mark.parametrize("line", ["beagle_7 5 2", "beagle_7 5 2 x"])
def test_a_row_that_is_not_one_is_named_by_file_and_line(line: str) -> None:
    with pytest.raises(UserError, match=r"list.txt, line 2: expected NAME"):
        archives.parse_list(f"# head\n{line}\n", "list.txt")


def test_equal_members_give_equal_bytes_and_come_back(tmp_path: Path) -> None:
    members = [("images/a.jpg", b"one"), ("images/b.jpg", b"")]
    for name in ("first", "second"):
        archives.write(tmp_path / name, members)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert list(archives.read_members(tmp_path / "first")) == members


def test_companions_of_macos_and_links_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    archives.write(path, [("images/._a.jpg", b"x"), ("images/a.jpg", b"y")])
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("images/c.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("images/._a.jpg"))
        archive.addfile(tarfile.TarInfo("images/a.jpg"))
    assert [name for name, _ in archives.read_members(path)] == ["images/a.jpg"]


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"a.tar.gz: not a readable tar.gz"):
        list(archives.read_members(tmp_path / "a.tar.gz"))
