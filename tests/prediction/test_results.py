"""The table of results survives whatever ends a run, and has one row per photo and name."""

import os
import subprocess
import sys
import threading
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


def reopened(path: Path) -> Table:
    """Return the table at a path as another run reads it."""
    return add(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a table that is not there yet."""
    return tmp_path / "results.csv"


def test_a_finished_table_is_sorted_and_alone_in_its_folder(path: Path) -> None:
    add(path, DOG, CAT, BAD).finish()
    assert path.read_text() == TEXT
    assert list(path.parent.iterdir()) == [path]
    reopened(path).finish()
    assert path.read_text() == TEXT


@pytest.mark.parametrize("number_of_bytes", range(0, 130, 3))
def test_rows_survive_a_kill_after_any_byte(number_of_bytes: int, path: Path) -> None:
    add(path, DOG, CAT)
    unfinished = path.parent / "results.unfinished.csv"
    content = unfinished.read_bytes()
    assert len(content) > 130
    unfinished.write_bytes(content[:number_of_bytes])
    complete = reopened(path).rows.values()
    assert set(complete) <= {DOG, CAT}
    add(path, BAD)
    assert BAD in reopened(path).rows.values()
    assert set(complete) < set(reopened(path).rows.values())
    add(path, CAT, DOG).finish()
    assert path.read_text() == TEXT


def test_a_kill_within_a_character_or_before_the_first_row_does_no_harm(path: Path) -> None:
    unfinished = path.parent / "results.unfinished.csv"
    for content in (b"", "in/Käfer".encode()[:5], b"in/bad.jpg,bad,0,0,0.0,0.0,,,"):
        unfinished.write_bytes(content)
        assert add(path, CAT).of_name("cat") == CAT
        assert reopened(path).of_name("cat") == CAT


def test_only_photos_with_outputs_hold_a_name_and_the_last_one_holds_it(path: Path) -> None:
    other = Result("other/cat.jpg", "cat", 4, 3, 0.5, 0.9, "e" * 16, "m" * 16)
    renamed = Result(CAT.photo, "tom", 4, 3, 0.5, 0.9, "c" * 16, "m" * 16)
    refused = Result(other.photo, "cat", reason="photo cannot be read")
    table = add(path, CAT, BAD, other)
    assert table.of_name("cat") == reopened(path).of_name("cat") == other
    assert set(table.rows) == {BAD.photo, other.photo}
    table = add(path, renamed, refused, CAT)
    assert table.of_name("cat") == reopened(path).of_name("cat") == CAT
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


def test_one_run_at_a_time_has_a_table(path: Path) -> None:
    with Table(path) as table:
        with pytest.raises(UserError, match=rf"another run writes this table \(PID {os.getpid()},"):
            Table(path)
        table.add(CAT)
        lines: list[str] = []
        rows: list[Result] = []

        def wait() -> None:
            with Table(path, lines.append) as second:
                rows.extend(second.rows.values())
                second.finish()

        thread = threading.Thread(target=wait)
        thread.start()
        while not lines:
            thread.join(0.01)
        table.add(DOG)
    thread.join(10)
    assert lines[0].startswith(f"waiting: another run writes {path} (PID {os.getpid()}, since 20")
    assert len(lines) == 1
    assert rows == [CAT, DOG]  # as the first run has left them
    assert list(path.parent.iterdir()) == [path]


def test_shards_have_a_table_each(path: Path) -> None:
    with Table(path), Table(path.with_name("results-1-of-2.csv")):
        locks = {file.name for file in path.parent.iterdir()}
    assert locks == {".results.lock", ".results-1-of-2.lock"}


def test_a_table_takes_more_rows_after_it_was_finished(path: Path) -> None:
    with Table(path) as table:
        for result in (DOG, CAT, BAD):
            table.add(result)
            table.finish()
    assert path.read_text() == TEXT
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_somebody_else_does_not_stay_locked(path: Path) -> None:
    path.write_bytes(b"id,score\n1,2\n")
    for _ in range(2):
        with pytest.raises(UserError, match="is no table"):
            Table(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_of_a_killed_process_is_free(path: Path) -> None:
    script = "from pathlib import Path; from petseg.prediction.results import Table; "
    script += f"table = Table(Path({str(path)!r})); print('taken', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        with pytest.raises(UserError, match=f"PID {process.pid}, since"):
            Table(path)
        process.kill()
    with Table(path) as table:
        table.finish()
    assert list(path.parent.iterdir()) == [path]
