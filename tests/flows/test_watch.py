"""`petseg predict --watch` in a process of its own: what it predicts, prints and leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.cli import app
from petseg.errors import UserError
from tests.conftest import ENVIRONMENT
from tests.flows.prefect_server import wait_until
from tests.prediction.red_model import as_bytes, noise_photo, save_photo, write_red_model

POLL_SECONDS = 0.4  # instead of 2
RUN = f"""import sys
from petseg.prediction import watch
from flows.cli.app import main
watch.POLL_SECONDS = {POLL_SECONDS}
main(["predict", "--watch", *sys.argv[1:]])
"""
WATCHING = f"watching in, a look every {POLL_SECONDS} s; Ctrl-C ends it\n"
CAT = "out/cat.mask.png: the mask covers 50 %, expected IoU 0.80\n"
BAD = "photo cannot be decoded: cannot identify image file"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with a model to which red is the probability."""
    monkeypatch.chdir(tmp_path)
    write_red_model(Path("model.onnx"))
    Path("in").mkdir()


class Watch:
    """A running watch, and what it has printed so far."""

    def __init__(self, *args: str) -> None:
        with Path("out.log").open("ab") as out, Path("err.log").open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, *args, "--out", "out", "--model", "model.onnx"],
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, or the watch ends."""
        wait_until(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, Path("err.log").read_text()

    def wait_for_line(self, text: str) -> None:
        """Wait until the watch has printed a text, to whichever of the two."""
        self.wait_for(lambda: text in printed() + errors())

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def watching(*args: str) -> Iterator[Watch]:
    """Start a watch of `in`, and kill it at the end if it still runs."""
    watch = Watch(*(args or ("in",)))
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.wait()


def printed() -> str:
    """Return what was printed to standard output."""
    return Path("out.log").read_text()


def errors() -> str:
    """Return what was printed to standard error."""
    return Path("err.log").read_text()


def rows() -> list[str]:
    """Return the rows of the results, without the header; none if there is no such file."""
    path = Path("out/results.csv")
    return path.read_text().splitlines()[1:] if path.exists() else []


def replace_by_older(path: str, red: int) -> None:
    """Move a photo to a path as `mv` does, which keeps its time, here that of 1970."""
    older = save_photo(Path("older.jpg"), red=red)
    os.utime(older, (1, 1))
    older.rename(path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_photos_that_come_and_change_have_a_line_each_until_a_signal(
    number: signal.Signals, code: int
) -> None:
    save_photo(Path("in/cat.jpg"))
    with watching() as watch:
        watch.wait_for(lambda: printed() == CAT)
        save_photo(Path("in/a/dog.jpg"), red=255)
        Path("in/bad.jpg").write_bytes(b"no photo")
        watch.wait_for_line("out/a/dog.mask.png: the mask covers 50 %, expected IoU 1.00\n")
        watch.wait_for_line(f"error: in/bad.jpg: {BAD}\n")
        watch.wait_for(lambda: len(rows()) == 3)  # the table is complete after every look
        Path("in/cat.jpg").touch()  # the same content
        replace_by_older("in/a/dog.jpg", red=255)  # the same content under another time
        save_photo(Path("in/last.jpg"))
        watch.wait_for_line("out/last.mask.png")
        assert watch.end(number) == code
    assert len(printed().splitlines()) == 3
    assert errors() == f"{WATCHING}error: in/bad.jpg: {BAD}\n"
    assert {path.name for path in Path("out").iterdir()} == {
        *("cat.mask.png", "last.mask.png", "results.csv", "a")
    }
    assert [row.split(",")[0] for row in rows()] == [
        *("in/a/dog.jpg", "in/bad.jpg", "in/cat.jpg", "in/last.jpg")
    ]


def test_a_photo_replaced_by_an_older_file_is_predicted_again_also_after_a_restart() -> None:
    save_photo(Path("in/cat.jpg"))
    with watching() as watch:
        watch.wait_for(lambda: len(rows()) == 1)
        replace_by_older("in/cat.jpg", red=255)
        watch.wait_for_line("expected IoU 1.00")
        watch.end()
    replace_by_older("in/cat.jpg", red=153)
    with watching() as watch:
        watch.wait_for_line("expected IoU 0.60")
        watch.end()
    assert len(printed().splitlines()) == 3


def test_a_photo_that_is_written_slowly_is_left_until_it_is_complete() -> None:
    data = as_bytes(noise_photo((300, 200)), "JPEG")
    with watching() as watch:
        watch.wait_for_line("watching")
        with Path("in/slow.jpg").open("wb") as file:
            for start in range(0, len(data), len(data) // 20 + 1):
                file.write(data[start : start + len(data) // 20 + 1])
                file.flush()
                time.sleep(POLL_SECONDS / 3)
        watch.wait_for(lambda: "out/slow.mask.png: " in printed())
        watch.end()
    assert errors() == WATCHING
    assert len(printed().splitlines()) == 1


def test_a_broken_photo_is_reported_once_and_again_only_when_it_has_changed() -> None:
    Path("in/bad.jpg").write_bytes(b"no photo")
    with watching() as watch:
        watch.wait_for_line("error: in/bad.jpg")
        for name in ("one", "two"):  # two more looks
            save_photo(Path(f"in/{name}.jpg"))
            watch.wait_for_line(f"out/{name}.mask.png")
        assert errors().count("in/bad.jpg") == 1
        Path("in/bad.jpg").write_bytes(b"no photo either")
        watch.wait_for(lambda: errors().count("in/bad.jpg") == 2)
        save_photo(Path("in/bad.jpg"))
        watch.wait_for_line("out/bad.mask.png: the mask covers 50 %")
        watch.end()


@pytest.mark.parametrize("redo", [False, True])
def test_another_model_is_loaded_and_says_what_becomes_of_earlier_outputs(redo: bool) -> None:
    save_photo(Path("in/cat.jpg"))
    with watching("in", *["--redo"] * redo) as watch:
        watch.wait_for(lambda: len(rows()) == 1)
        Path("model.onnx").write_bytes(b"not complete")
        watch.wait_for_line("model.onnx is no ONNX file")
        write_red_model(Path("model.onnx"), threshold=0.9)
        watch.wait_for_line("model.onnx is another model now; by another: 1")
        save_photo(Path("in/dog.jpg"))
        watch.wait_for_line("out/dog.mask.png: the mask covers 0 %")
        assert watch.end() == 130
    assert ("out/cat.mask.png: the mask covers 0 %" in printed()) == redo
    remedy = "--redo: they are predicted again" if redo else "start with --redo to predict them"
    assert remedy in errors()
    assert len(errors().splitlines()) == 3


def test_a_watch_has_its_table_for_itself_and_json_says_what_it_did() -> None:
    save_photo(Path("in/cat.jpg"))
    command = ["petseg", "predict", "in", "--out", "out", "--model", "model.onnx"]
    with watching("in", "--json") as watch:
        watch.wait_for(lambda: len(rows()) == 1)
        other = subprocess.run(
            command, env=os.environ | ENVIRONMENT, capture_output=True, text=True
        )
        assert other.returncode == 1
        assert other.stderr.startswith(
            f"error: out/results.csv: another run writes this table (PID {watch.process.pid}, since "
        )
        assert len(other.stderr.splitlines()) == 1
        watch.end(signal.SIGKILL)
    assert json.loads(printed())["outputs"] == {"mask": "out/cat.mask.png"}
    # The lock of a killed process is free.
    again = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "1 photo, outputs in out; already there: 1\n")


def test_a_folder_that_vanishes_is_said_once_and_looked_at_when_it_is_back() -> None:
    with watching() as watch:
        watch.wait_for_line("watching")
        Path("in").rename("elsewhere")
        watch.wait_for_line("in: no such file or folder; looking again until it is there")
        time.sleep(1.5 * POLL_SECONDS)  # another look
        save_photo(Path("elsewhere/cat.jpg"))
        Path("elsewhere").rename("in")
        watch.wait_for_line(CAT)
        watch.end()
    assert len(errors().splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--out out", "--watch needs a folder or a pattern, such as photos/"),
        ("- --out out", "--watch takes folders that exist and patterns in quotes; - is neither"),
        ("http://example.org --out out", "--watch takes folders that exist and patterns in quotes"),
        ("none --out out", "--watch takes folders that exist and patterns in quotes; none is"),
        ("in --list x --out out", "--watch takes folders and patterns, no --list; name the folder"),
        ("in", "--watch needs --out FOLDER"),
        ("in --out out --overwrite", "--watch replaces the outputs of changed photos anyway"),
        ("in --out out --doubtful 2", "--doubtful is 2; allowed: 0 to 1"),
        ("in --out out --model none.onnx", "none.onnx: no model is there"),
    ],
)
def test_options_that_do_not_fit_a_watch_are_refused(line: str, text: str) -> None:
    args = line.split() if "--model" in line else [*line.split(), "--model", "model.onnx"]
    with pytest.raises(UserError) as error:
        app.run_command(["predict", *args, "--watch"])
    assert str(error.value).startswith(text)
    assert not Path("out").exists()
