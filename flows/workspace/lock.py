"""One run at a time in a checkout: who works here, and waiting until nobody does."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

import psutil

LOCK = Path(".dvc/tmp/petseg.lock")  # held by flock: whatever ends the process frees it
MARK = "PETSEG_CHECKOUT"  # in the environment of whatever a run starts, so that it can be found
STAGE = "PETSEG_STAGE"
RWLOCK = Path(".dvc/tmp/rwlock")  # who reads and writes which path, as DVC keeps it
SAY_AGAIN = 60  # seconds between two lines about the same wait


@contextmanager
def exclusive(announce: Callable[[str], None]) -> Iterator[None]:
    """Hold this checkout; first wait, saying for whom, until no other run works in it.

    Waited for are another run, what a killed run has left working, and a `dvc` of the user's.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as file:
        wait_while(lambda: lock_holder(file), announce)
        file.truncate(0)
        file.write(f"PID {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M}")
        file.flush()
        wait_while(orphaned_stage, announce)
        wait_for_dvc(announce)
        yield


def wait_while(blocker: Callable[[], str], announce: Callable[[str], None]) -> None:
    """Return once `blocker` has nothing to say; announce what it says, again each minute."""
    told, said = 0.0, ""
    while found := blocker():
        if found != said or time.monotonic() - told > SAY_AGAIN:
            announce(f"waiting: {found}")
            told, said = time.monotonic(), found
        time.sleep(0.5)


def lock_holder(file: TextIO) -> str:
    """Take the lock; if another run has it, return which."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return f"another run works in this checkout ({file.read() or 'it starts just now'})"
    return ""


def orphaned_stage() -> str:
    """Return which process of a killed run still works here, and how to end it."""
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get(MARK) != str(Path.cwd()):
                continue
            group = os.getpgid(process.pid)
            return (
                f"stage {environment.get(STAGE)} of a run that was killed still "
                f"works as PID {group}; `kill -TERM -- -{group}` ends it"
            )
        except (psutil.Error, OSError):  # another user's, or it has just ended
            continue
    return ""


def wait_for_dvc(announce: Callable[[str], None]) -> None:
    """Return once no `dvc` uses a path in this checkout."""
    wait_while(active_dvc, announce)


def active_dvc() -> str:
    """Return which `dvc` works here by itself, from DVC's own list of who uses which path."""
    try:
        found = json.loads(RWLOCK.read_text() or "{}")
    except FileNotFoundError:
        return ""
    except json.JSONDecodeError:
        return "a `dvc` is about to start"  # it writes its list at this moment
    writers = [(path, user) for path, user in found.get("write", {}).items() if user]
    readers = [(path, user) for path, users in found.get("read", {}).items() for user in users]
    for path, user in writers + readers:
        if psutil.pid_exists(user["pid"]):
            return f"`{Path(user['cmd']).name}` (PID {user['pid']}) uses {Path(path).name}"
    return ""
