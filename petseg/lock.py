"""A lock file that one process holds at a time; the kernel frees it, however the process ends."""

import fcntl
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TextIO

POLL_SECONDS = 0.5  # between two looks at what blocks
REPEAT_SECONDS = 60  # between two lines about the same wait
Announce = Callable[[str], None]


class HeldError(Exception):
    """Another process has the lock; the text says which, and since when."""


class Lock:
    """A held lock."""

    def __init__(self, path: Path, file: TextIO) -> None:
        """Write into the lock file who holds it."""
        self.path, self.file = path, file
        file.truncate(0)
        file.write(f"PID {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M}")
        file.flush()

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Remove the lock file and free the lock; nothing happens if that was done already."""
        if not self.file.closed:
            self.path.unlink(missing_ok=True)
            self.file.close()


def take(path: Path) -> Lock:
    """Take the lock.

    Raises:
        HeldError: another process has it.
        OSError: the file cannot be opened.
    """
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            with file:
                raise HeldError(file.read() or "it has just started") from None
        if is_at(path, file):
            return Lock(path, file)
        file.close()  # its holder removed the file after it was opened


def wait(path: Path, work: str, announce: Announce) -> Lock:
    """Take the lock as soon as it is free; announce who holds it, and again once a minute.

    Args:
        path: of the lock file.
        work: what its holder does, such as "another run writes masks/results.csv".
        announce: called with a line about the wait.

    Raises:
        OSError: the file cannot be opened.
    """
    locks: list[Lock] = []

    def blocker() -> str:
        try:
            locks.append(take(path))
        except HeldError as error:
            return f"{work} ({error})"
        return ""

    wait_while(blocker, announce)
    return locks[0]


def wait_while(blocker: Callable[[], str], announce: Announce) -> None:
    """Return once `blocker` returns an empty text.

    Until then, announce its text whenever that differs from the last one, and once a minute.
    """
    last, last_time = "", 0.0
    while reason := blocker():
        if reason != last or time.monotonic() - last_time > REPEAT_SECONDS:
            announce(f"waiting: {reason}")
            last, last_time = reason, time.monotonic()
        time.sleep(POLL_SECONDS)


def is_at(path: Path, file: TextIO) -> bool:
    """Return whether an open file is the one at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
