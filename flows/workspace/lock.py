"""One run at a time in a checkout: the lock, and the wait while another process uses the checkout."""

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

LOCK = Path(".dvc/tmp/petseg.lock")  # held by flock, so it is free as soon as its process ends
CHECKOUT = "PETSEG_CHECKOUT"  # environment variable of a stage's processes: the checkout's path
STAGE = "PETSEG_STAGE"  # environment variable of a stage's processes: the stage's name
RWLOCK = Path(".dvc/tmp/rwlock")  # DVC's list of the processes that read and write each path
REPEAT = 60  # seconds between two lines about the same wait


@contextmanager
def exclusive(announce: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of this checkout, once no other process uses it.

    First wait for another run, for a stage that a killed run has left behind, and for a `dvc`
    command of the user's; announce what the wait is for.
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
    """Return once `blocker` returns an empty text.

    Until then, announce its text whenever that differs from the last one, and once a minute.
    """
    last, last_time = "", 0.0
    while reason := blocker():
        if reason != last or time.monotonic() - last_time > REPEAT:
            announce(f"waiting: {reason}")
            last, last_time = reason, time.monotonic()
        time.sleep(0.5)


def lock_holder(file: TextIO) -> str:
    """Take the lock and return an empty text; if another run has it, return a text that names that."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        return f"another run works in this checkout ({file.read() or 'it has just started'})"
    return ""


def stage_environment(stage: str) -> dict[str, str]:
    """Return the environment variables by which `orphaned_stage` recognizes a stage's processes."""
    return {CHECKOUT: str(Path.cwd()), STAGE: stage}


def orphaned_stage() -> str:
    """Return a text about a stage that a killed run has left behind, with the command to end it.

    It is empty if there is none.
    """
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if environment.get(CHECKOUT) != str(Path.cwd()):
                continue
            group = os.getpgid(process.pid)
            return (
                f"stage {environment.get(STAGE)} of a run that was killed still "
                f"works as PID {group}; `kill -TERM -- -{group}` ends it"
            )
        except (psutil.Error, OSError):  # another user's process, or one that has just ended
            continue
    return ""


def wait_for_dvc(announce: Callable[[str], None]) -> None:
    """Return once no `dvc` command uses a path in this checkout; announce what it waits for."""
    wait_while(active_dvc, announce)


def active_dvc() -> str:
    """Return a text about a `dvc` command that uses a path in this checkout; empty if none does."""
    try:
        rwlock = json.loads(RWLOCK.read_text() or "{}")
    except FileNotFoundError:
        return ""
    except json.JSONDecodeError:
        return "a `dvc` is about to start"  # It is writing the list at this moment.
    writers = [(path, user) for path, user in rwlock.get("write", {}).items() if user]
    readers = [(path, user) for path, users in rwlock.get("read", {}).items() for user in users]
    for path, user in writers + readers:
        if psutil.pid_exists(user["pid"]):
            return f"`{Path(user['cmd']).name}` (PID {user['pid']}) uses {Path(path).name}"
    return ""
