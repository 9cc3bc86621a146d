"""The results of a commit or of the working tree, read from git alone."""

import tarfile
import tempfile
from functools import cache
from pathlib import Path

from flows.workspace import git
from petseg.errors import UserError
from petseg.review import results
from petseg.review.agreement import ReadFile

WORKING_TREE = "the working tree"


class ShallowCloneError(UserError):
    """This clone lacks the history in which the commit may be."""


def read(revision: str | None) -> results.Results:
    """Return the results at a revision, or in the working tree for None.

    Raises:
        ShallowCloneError: there is no such revision, and the clone lacks history.
        UserError: there is no such revision.
    """
    if revision is None:
        return results.read(WORKING_TREE, "", cache(files_below(Path())))
    commit = resolve(revision)
    with tempfile.TemporaryDirectory() as folder:
        # One process reads all files, and git itself fetches those that a partial clone lacks. The
        # archive is of the tree: that of a commit starts with a header that tarfile cannot read if
        # no file follows it.
        git.git("archive", f"--output={folder}/files.tar", f"{commit}^{{tree}}")
        with tarfile.open(f"{folder}/files.tar", "r:") as files:
            return results.read(revision, commit, cache(files_in(files)))


def resolve(revision: str) -> str:
    """Return a revision's commit.

    Raises:
        ShallowCloneError: there is no such revision, and the clone lacks history.
        UserError: there is no such revision.
    """
    commit = git.or_empty(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    if not commit and shallow():
        raise ShallowCloneError(
            f"{revision} is not in this shallow clone; `git fetch --unshallow` brings the history "
            "(in GitHub Actions: `fetch-depth: 0`, in GitLab CI: `GIT_DEPTH: 0`)"
        )
    if not commit:
        raise UserError(f"{revision} names no commit here; `git fetch` may bring it")
    return commit


def lacks_commits(base: results.Results, head: results.Results) -> bool:
    """Return whether head lacks commits of base, so that the two differ by these as well.

    In a shallow clone, which cannot know, it is False.
    """
    missing = git.or_empty("rev-list", "--max-count=1", f"{head.commit or 'HEAD'}..{base.commit}")
    return bool(missing) and not shallow()


def shallow() -> bool:
    """Return whether this clone lacks history."""
    return git.git("rev-parse", "--is-shallow-repository") == "true"


def files_in(archive: tarfile.TarFile) -> ReadFile:
    """Return a function that reads the files of a tar."""
    members = {member.name: member for member in archive if member.isfile()}

    def get(path: str) -> bytes | None:
        file = archive.extractfile(members[path]) if path in members else None
        return file.read() if file else None

    return get


def files_below(folder: Path) -> ReadFile:
    """Return a function that reads the files of a folder."""

    def get(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    return get
