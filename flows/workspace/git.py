"""Git for the flows: the state of a checkout, its update from upstream, and repeated attempts."""

import time
from collections.abc import Callable

from petseg.errors import UserError
from petseg.git import git as git  # exported here as well, for the callers of this module
from petseg.git import or_empty as or_empty

PAUSES = (2, 10, 30)  # seconds before each new attempt at a call that needs the network


def edited_files() -> list[str]:
    """Return the tracked files that differ from the last commit, staged or not."""
    return git("diff", "--name-only", "--relative", "HEAD").splitlines()


def remote() -> str:
    """Return the name of the current branch's remote, else `origin`; empty if there is no such remote."""
    branch = or_empty("symbolic-ref", "--short", "HEAD")
    name = or_empty("config", f"branch.{branch}.remote") or "origin"
    return name if name in git("remote").splitlines() else ""


def fast_forward(announce: Callable[[str], None]) -> None:
    """Fast-forward the current branch to its upstream; do nothing if it has no upstream.

    Raises:
        UserError: Upstream cannot be reached, the branch has commits that upstream lacks, or local
            edits would be overwritten.
    """
    upstream = or_empty("rev-parse", "--abbrev-ref", "@{upstream}")
    if not upstream:
        announce("the branch has no upstream: this checkout runs as it is")
        return
    before = git("rev-parse", "HEAD")
    retry(lambda: git("fetch", "--quiet"), announce)
    try:
        git("merge", "--ff-only", "--quiet", "@{upstream}")
    except UserError as error:
        raise UserError(
            f"this checkout cannot be fast-forwarded to {upstream}: {error}; "
            "merge, rebase or stash by hand, then start the run again"
        ) from error
    if git("rev-parse", "HEAD") != before:
        announce(f"fast-forwarded to {git('rev-parse', '--short', 'HEAD')} of {upstream}")


def retry(call: Callable[[], object], announce: Callable[[str], None]) -> None:
    """Make a call that needs the network; if it fails, try again after each of the pauses.

    Raises:
        UserError: The last attempt failed.
    """
    for pause in PAUSES:
        try:
            call()
        except UserError as error:
            announce(f"{error}; trying again in {pause} s")
            time.sleep(pause)
        else:
            return
    call()
