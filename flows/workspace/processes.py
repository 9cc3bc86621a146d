"""Starts a stage in a session of its own, reads its output line by line, and ends its processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from petseg.errors import UserError

LOGS = Path("data/logs")  # for files of a run that are no outputs of DVC
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
POLL = 0.2  # seconds between two looks at the output


def dvc(*arguments: str) -> list[str]:
    """Return the command line of a DVC command, with the DVC of this Python environment."""
    return [sys.executable, "-m", "dvc", *arguments]


@contextmanager
def running(
    command: Sequence[str], log: Path, extra: dict[str, str], folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process and yield it; on leaving, even by an exception, end its whole process group.

    Its output goes to a file and not to a pipe, so that the process goes on when the flow is killed,
    and a training that is under way is not lost.

    Args:
        command: The program and its arguments.
        log: File for stdout and stderr; it is overwritten.
        extra: Environment variables that are set in addition to those of this process.
        folder: Working directory; the current one by default.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"} | extra,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        terminate(process)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group: by SIGTERM, and by SIGKILL if any is left ten seconds later."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        if not is_alive(process):
            return
        os.killpg(process.pid, signal_number)
        deadline = time.monotonic() + GRACE
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.1)


def is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Return whether any process of this process's group still runs."""
    for other in psutil.process_iter():
        try:
            if os.getpgid(other.pid) == process.pid and other.status() != psutil.STATUS_ZOMBIE:
                return True
        except (psutil.Error, OSError):
            continue
    process.poll()  # reaps the process, which may have ended just now and would remain a zombie
    return False


def lines(process: subprocess.Popen[bytes], log: Path) -> Iterator[str]:
    """Yield the lines that a process writes to its log, as soon as they are there, until it ends.

    Each state of a progress bar is a line, too. Empty lines are left out.
    """
    rest = ""
    with log.open(encoding="utf-8", errors="replace", newline="") as file:
        alive = True
        while alive:
            alive = process.poll() is None  # before reading, so that the last read misses nothing
            text = rest + file.read()
            *complete, rest = text.replace("\r", "\n").split("\n")
            if text.rfind("\r") > text.rfind("\n"):
                # A progress bar writes "\r" before a state, and nothing after it until the next.
                complete, rest = [*complete, rest], ""
            yield from (line.rstrip() for line in complete if line.strip())
            if alive:
                time.sleep(POLL)
    if rest.strip():
        yield rest.rstrip()


def run_dvc(*arguments: str) -> None:
    """Run a DVC command to its end.

    Raises:
        UserError: It fails; the text is DVC's own.
    """
    result = subprocess.run(  # noqa: S603 - there is no shell to interpret the arguments
        dvc(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise UserError(" ".join((result.stderr or result.stdout).split()))
