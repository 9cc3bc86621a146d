"""Git as the flow uses it: one call with its errors in words, and what is asked of a checkout."""

import time
from collections.abc import Callable

from petseg.errors import UserError
from petseg.git import git as git  # handed on to the callers of this module
from petseg.git import or_empty as or_empty

PAUSES = (2, 10, 30)  # seconds before what failed on the network is done again


def edited_files() -> list[str]:
    """Return the tracked files that differ from the last commit, staged or not."""
    return git("diff", "--name-only", "--relative", "HEAD").splitlines()


def remote() -> str:
    """Return the git remote of the current branch, else `origin`; empty without one."""
    branch = or_empty("symbolic-ref", "--short", "HEAD")
    chosen = or_empty("config", f"branch.{branch}.remote") or "origin"
    return chosen if chosen in git("remote").splitlines() else ""


def fast_forward(announce: Callable[[str], None]) -> None:
    """Fast-forward the current branch to its upstream; without one there is nothing to do.

    Raises:
        UserError: upstream cannot be reached, or the checkout has gone another way.
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
            "bring the branch in line by hand, then start the run again"
        ) from error
    if git("rev-parse", "HEAD") != before:
        announce(f"fast-forwarded to {git('rev-parse', '--short', 'HEAD')} of {upstream}")


def retry(call: Callable[[], object], announce: Callable[[str], None]) -> None:
    """Do what needs the network; where it fails, again after each of the pauses."""
    for pause in PAUSES:
        try:
            call()
        except UserError as error:
            announce(f"{error}; once more in {pause} s")
            time.sleep(pause)
        else:
            return
    call()
