"""A run's result as a branch to review: built beside the user's files, which stay as they were."""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from flows.workspace import commits, git, plan, processes
from petseg import params
from petseg.errors import UserError
from petseg.review import compare, markdown

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """The files that a run writes, as they were before it; None is one that was not there."""

    files: dict[Path, bytes | None]

    def put_back(self) -> bool:
        """Write the files as they were; return whether any had changed."""
        changed = {path: old for path, old in self.files.items() if read_or_none(path) != old}
        for path, old in changed.items():
            if old is None:
                path.unlink()
            else:
                path.write_bytes(old)
        return bool(changed)

    def bring_back(self, announce: Announce) -> None:
        """Write the files as they were, and bring `data/` to them if the cache holds all of it."""
        if self.put_back() and (lacking := plan.check_out()):
            announce(
                f"data/ keeps the new outputs: the cache does not hold the old ones "
                f"({', '.join(lacking)}), so they could not be brought back"
            )


def read_or_none(path: Path) -> bytes | None:
    """Return a file's bytes, None if it is not there."""
    return path.read_bytes() if path.exists() else None


@contextmanager
def clean_checkout(announce: Announce) -> Iterator[None]:
    """Make sure that a proposal can be made of what happens within, and take it back afterwards.

    Tracked files are then as before. So is `data/`, if the cache holds all of the old outputs.

    Raises:
        UserError: tracked files are edited, or git does not know in whose name to commit.
    """
    written = plan.tracked_files()
    if edited := sorted(set(git.edited_files()) - set(written)):
        raise UserError(
            f"a proposal starts from the last commit, but these files differ from it: "
            f"{', '.join(edited)}; commit or stash them"
        )
    git.git("var", "GIT_COMMITTER_IDENT")  # before the long work, not after it
    before = Snapshot({Path(name): read_or_none(Path(name)) for name in written})
    try:
        yield
    except Exception:
        before.bring_back(announce)
        raise
    except BaseException:
        before.put_back()  # the run is being ended: no time for the data
        raise
    before.bring_back(announce)


def propose(recipe: str, rows: Sequence[plan.Row], announce: Announce) -> str:
    """Commit the results to a branch of their own, push it where it goes; return what was done.

    Nothing is done if the results equal the last commit's, or if an open proposal's do.

    Raises:
        UserError: the branch is made, but a push of it or of its data failed.
    """
    tree = tree_of_results()
    if tree == git.git("rev-parse", "HEAD^{tree}"):
        return ""
    remote = git.remote()
    if same := already_open(tree, remote, announce):
        return f"{same} proposes the same already"
    branch = f"retrain/{recipe}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    title, text = describe(recipe, rows)
    commit = git.git("commit-tree", tree, "-p", "HEAD", "-m", title, "-m", text)
    git.git("update-ref", f"refs/heads/{branch}", commit, "")
    file = processes.LOGS / f"{branch.replace('/', '-')}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{title}\n\n{text}\n", encoding="utf-8")
    push(branch, remote, announce)
    announce(
        f"proposal {branch}: {title}; open it with\n  {open_command(branch, remote, title, file)}"
    )
    return f"proposed as {branch}"


def tree_of_results() -> str:
    """Return the git tree of the last commit with the results in it, by an index of its own."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        git.git("read-tree", "HEAD", extra=index)
        names = [*plan.tracked_files(), str(params.FILE)]
        git.git("update-index", "--add", "--remove", "--", *names, extra=index)
        return git.git("write-tree", extra=index)


def already_open(tree: str, remote: str, announce: Announce) -> str:
    """Return the open proposal with this tree, empty if there is none."""
    if remote:
        names = f"+refs/heads/retrain/*:refs/remotes/{remote}/retrain/*"
        git.retry(lambda: git.git("fetch", "--quiet", "--prune", remote, names), announce)
    where = f"refs/remotes/{remote}/retrain" if remote else "refs/heads/retrain"
    listed = git.git("for-each-ref", "--format=%(tree) %(refname:short)", where)
    return next((line[41:] for line in listed.splitlines() if line.startswith(tree)), "")


def push(branch: str, remote: str, announce: Announce) -> None:
    """Send the data to the DVC remote and the branch to the git remote, where these are set up."""
    try:
        if plan.has_remote():
            git.retry(lambda: processes.run_dvc("push", "--quiet"), announce)
        if remote:
            git.retry(lambda: git.git("push", "--quiet", remote, branch), announce)
    except UserError as error:
        raise UserError(
            f"the proposal is committed here as {branch}, but could not be sent: {error}; "
            f"once that is mended: git checkout {branch} && dvc push && git push {remote} {branch}"
        ) from error


def describe(recipe: str, rows: Sequence[plan.Row]) -> tuple[str, str]:
    """Return a pull request's title and text: what moved, and why each stage was run."""
    before, now = commits.read("HEAD"), replace(commits.read(None), label="this proposal")
    found = compare.compare(before, now)
    title = f"Retrain {recipe}"
    if (main := found.main) and main.difference:
        title += f": test {main.title} {main.base:.4f} → {main.head:.4f}"
    why = [f"- {row.stage}: {row.status}, {'; '.join(row.because)}" for row in rows if row.because]
    text = markdown.markdown(found, lagging=False)
    return title, "\n".join([text, "### Why it was run", "", *why] if why else [text])


def open_command(branch: str, remote: str, title: str, text: Path) -> str:
    """Return the command that opens the pull request, by where the remote lies."""
    address = git.or_empty("remote", "get-url", remote) if remote else ""
    if "github" in address:
        return f"gh pr create --head {branch} --title {shlex.quote(title)} --body-file {text}"
    if "gitlab" in address:
        return f"glab mr create --source-branch {branch} --title {shlex.quote(title)} --description-file {text}"
    if remote:
        return f"git request-pull HEAD {address} {branch}  # the text: {text}"
    return f"git diff HEAD {branch}  # no git remote to send it to; the text: {text}"
