"""The table of results survives whatever ends a run, and has one row per photo and name."""

from pathlib import Path

import pytest

from petseg.errors import UserError
from petseg.prediction.results import Result, Table

CAT = Result("in/cat.jpg", "cat", 4, 3, 0.5, 0.9, "c" * 16, "m" * 16)
DOG = Result('in/d "o", g.jpg', 'd "o", g', 4, 3, 0.25, 0.8, "d" * 16, "m" * 16)
BAD = Result("in/bad.jpg", "bad", reason="photo cannot be decoded: a, b")
TEXT = """photo,name,width,height,foreground,expected_iou,sha256,model,reason
in/bad.jpg,bad,0,0,0.0,0.0,,,"photo cannot be decoded: a, b"
in/cat.jpg,cat,4,3,0.5,0.9,cccccccccccccccc,mmmmmmmmmmmmmmmm,
"in/d ""o"", g.jpg","d ""o"", g",4,3,0.25,0.8,dddddddddddddddd,mmmmmmmmmmmmmmmm,
"""


def add(path: Path, *results: Result) -> Table:
    """Add results to the table at a path, and leave it like a run that is killed."""
    table = Table(path)
    for result in results:
        table.add(result)
    table.close()
    return table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a table that is not there yet."""
    return tmp_path / "results.csv"


def test_a_finished_table_is_sorted_and_alone_in_its_folder(path: Path) -> None:
    add(path, DOG, CAT, BAD).finish()
    assert path.read_text() == TEXT
    assert list(path.parent.iterdir()) == [path]
    Table(path).finish()
    assert path.read_text() == TEXT


@pytest.mark.parametrize("number_of_bytes", range(0, 130, 3))
def test_rows_survive_a_kill_after_any_byte(number_of_bytes: int, path: Path) -> None:
    add(path, DOG, CAT)
    unfinished = path.parent / "results.unfinished.csv"
    content = unfinished.read_bytes()
    assert len(content) > 130
    unfinished.write_bytes(content[:number_of_bytes])
    complete = Table(path).rows.values()
    assert set(complete) <= {DOG, CAT}
    add(path, BAD)
    assert BAD in Table(path).rows.values()
    assert set(complete) < set(Table(path).rows.values())
    add(path, CAT, DOG).finish()
    assert path.read_text() == TEXT


def test_a_kill_within_a_character_or_before_the_first_row_does_no_harm(path: Path) -> None:
    unfinished = path.parent / "results.unfinished.csv"
    for content in (b"", "in/Käfer".encode()[:5], b"in/bad.jpg,bad,0,0,0.0,0.0,,,"):
        unfinished.write_bytes(content)
        assert add(path, CAT).by_name() == {"cat": CAT}
        assert Table(path).by_name() == {"cat": CAT}


def test_only_photos_with_outputs_hold_a_name_and_the_last_one_holds_it(path: Path) -> None:
    other = Result("other/cat.jpg", "cat", 4, 3, 0.5, 0.9, "e" * 16, "m" * 16)
    renamed = Result(CAT.photo, "tom", 4, 3, 0.5, 0.9, "c" * 16, "m" * 16)
    refused = Result(other.photo, "cat", reason="photo cannot be read")
    table = add(path, CAT, BAD, other)
    assert table.by_name() == Table(path).by_name() == {"cat": other}
    assert set(table.rows) == {BAD.photo, other.photo}
    table = add(path, renamed, refused, CAT)
    assert table.by_name() == Table(path).by_name() == {"cat": CAT}
    assert set(table.rows) == {BAD.photo, CAT.photo, other.photo}


def test_a_file_of_somebody_else_is_not_replaced(path: Path) -> None:
    for content in (b"id,score\n1,2\n", b"\xff\xfe\x00", b"\n"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"results\.csv is no table of `petseg predict`; name"):
            Table(path)
        assert path.read_bytes() == content
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=r"results\.csv cannot be read: Is a directory"):
        Table(path)
