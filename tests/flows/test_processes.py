"""A stage's process: its lines as they come, its progress as lines, and its end with its children."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.workspace import processes
from petseg import progress
from tests.conftest import ended

BAR = """
import time
from petseg import progress
with progress.bar("reading", 40) as bar:
    for _ in range(40):
        time.sleep(0.05)
        bar.update()
print("done")
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def lines_of(script: str, log: Path, **extra: str) -> list[str]:
    """Return the lines of a script that runs to its end."""
    with processes.running([sys.executable, "-c", script], log, extra) as process:
        return list(processes.lines(process, log))


def test_lines_are_complete_and_each_state_of_a_progress_bar_is_a_line(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.write('one\\n\\n  two\\rthree\\r\\nfour')"
    assert lines_of(script, tmp_path / "log") == ["one", "  two", "three", "four"]


@pytest.mark.parametrize(
    ("printed", "line"), [("print('early')", "early"), ("print('\\rhalf', end='')", "half")]
)
def test_lines_and_states_of_a_progress_bar_come_while_the_process_still_runs(
    tmp_path: Path, printed: str, line: str
) -> None:
    script = f"import time; {printed}; time.sleep(600)"
    log = tmp_path / "log"
    with processes.running([sys.executable, "-c", script], log, {}) as process:
        assert next(processes.lines(process, log)) == line
        assert process.poll() is None
    assert process.returncode == -15


def test_a_progress_bar_prints_nothing_in_a_pipe_and_a_few_lines_in_a_flows_log(
    tmp_path: Path,
) -> None:
    assert lines_of(BAR, tmp_path / "log") == ["done"]
    *bar, last = lines_of(BAR, tmp_path / "log", **{progress.LINES: "0.5"})
    assert last == "done"
    assert 2 <= len(bar) <= 5
    assert all(line.startswith("reading: ") and "photos/s" in line for line in bar)


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE", 1.0)
    log = tmp_path / "log"
    with processes.running([sys.executable, "-c", STUBBORN], log, {}) as process:
        child = psutil.Process(int(next(processes.lines(process, log))))
        started = time.monotonic()
    assert time.monotonic() - started < 5
    assert process.returncode == -9
    assert ended(child)
