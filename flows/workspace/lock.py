"""One run at a time in a checkout: the lock, and the wait while another process uses the checkout."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from petseg.lock import wait, wait_while

LOCK = Path(".dvc/tmp/petseg.lock")  # held by flock, so it is free as soon as its process ends
CHECKOUT = "PETSEG_CHECKOUT"  # environment variable of a stage's processes: the checkout's path
STAGE = "PETSEG_STAGE"  # environment variable of a stage's processes: the stage's name
RWLOCK = Path(".dvc/tmp/rwlock")  # DVC's list of the processes that read and write each path


@contextmanager
def exclusive(announce: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of this checkout, once no other process uses it.

    First wait for another run, for a stage that a killed run has left behind, and for a `dvc`
    command of the user's; announce what the wait is for.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with wait(LOCK, "another run works in this checkout", announce):
        wait_while(orphaned_stage, announce)
        wait_for_dvc(announce)
        yield


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
