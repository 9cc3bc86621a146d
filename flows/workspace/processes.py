"""A stage's process: in a session of its own, its lines as they come, its end whatever happens."""

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

LOGS = Path("data/logs")  # what runs leave beside DVC's outputs
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
POLL = 0.2


def dvc(*arguments: str) -> list[str]:
    """Return the command that calls this environment's DVC."""
    return [sys.executable, "-m", "dvc", *arguments]


@contextmanager
def running(
    command: Sequence[str], log: Path, extra: dict[str, str], folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that writes to `log`; whatever happens, none of its group is left after.

    It works in `folder`, here by default. It writes to a file and not to a pipe, so that it
    outlives a flow that is killed: what it has trained by then is not lost.
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
    """End a process and its group: SIGTERM, and SIGKILL for what is there ten seconds later."""
    for sign, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        if not is_alive(process):
            return
        os.killpg(process.pid, sign)
        limit = time.monotonic() + patience
        while is_alive(process) and time.monotonic() < limit:
            time.sleep(0.1)


def is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Return whether anything of the process's group still works."""
    process.poll()  # takes leave of the process itself, or it would stay as a zombie
    for other in psutil.process_iter():
        try:
            if os.getpgid(other.pid) == process.pid and other.status() != psutil.STATUS_ZOMBIE:
                return True
        except (psutil.Error, OSError):
            continue
    return False


def lines(process: subprocess.Popen[bytes], log: Path) -> Iterator[str]:
    """Yield what the process writes, line by line as it comes, until it ends.

    A progress bar's states count as lines; empty ones are left out.
    """
    rest = ""
    with log.open(encoding="utf-8", errors="replace", newline="") as written:
        running = True
        while running:
            running = process.poll() is None  # asked before the last reading
            text = rest + written.read()
            *whole, rest = text.replace("\r", "\n").split("\n")
            if text.rfind("\r") > text.rfind("\n"):  # a bar's state: its end comes with the next
                whole, rest = [*whole, rest], ""
            yield from (line.rstrip() for line in whole if line.strip())
            if running:
                time.sleep(POLL)
    if rest.strip():
        yield rest.rstrip()


def call(command: Sequence[str], extra: dict[str, str]) -> str:
    """Run a command to its end and return what it prints.

    Raises:
        UserError: it fails; the text is the command's own.
    """
    done = subprocess.run(  # noqa: S603
        command,
        env=os.environ | extra,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(" ".join((done.stderr or done.stdout).split()))
    return done.stdout
