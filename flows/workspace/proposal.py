"""A run's result as a branch to review, built beside the user's files, which stay as they were."""

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
from petseg.review import compare, headline, markdown
from petseg.training import provenance

MODEL = Path("data/model/model.keras")
ORIGINS = processes.LOGS / "origins"  # the records of trainings, as in dvc.yaml's stage train

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """The content of the files that a run writes, before the run; None for a missing file."""

    files: dict[Path, bytes | None]

    def restore(self) -> bool:
        """Write the files as they were; return whether any had changed."""
        changed = {path: old for path, old in self.files.items() if read_or_none(path) != old}
        for path, old in changed.items():
            if old is None:
                path.unlink()
            else:
                path.write_bytes(old)
        return bool(changed)

    def restore_with_data(self, announce: Announce) -> None:
        """Write the files as they were, and check out their `data/` if the cache holds all of it."""
        if self.restore() and (missing := plan.check_out()):
            announce(
                f"data/ keeps the new outputs: the cache does not hold the old ones "
                f"({', '.join(missing)}), so they could not be brought back"
            )


def read_or_none(path: Path) -> bytes | None:
    """Return a file's bytes, None if there is no such file."""
    return path.read_bytes() if path.exists() else None


@contextmanager
def clean_checkout(announce: Announce) -> Iterator[None]:
    """Check that a proposal can be made of a run, let it run, and restore the checkout afterwards.

    Tracked files are then as before the run. So is `data/`, if the cache holds all of the old
    outputs.

    Raises:
        UserError: tracked files are edited, or git has no name and e-mail to commit with.
    """
    names = plan.tracked_files()
    if edited := sorted(set(git.edited_files()) - set(names)):
        raise UserError(
            f"a proposal starts from the last commit, but these files differ from it: "
            f"{', '.join(edited)}; commit or stash them"
        )
    git.git("var", "GIT_COMMITTER_IDENT")  # fails before the long work, not after it
    snapshot = Snapshot({Path(name): read_or_none(Path(name)) for name in names})
    try:
        yield
    except Exception:
        snapshot.restore_with_data(announce)
        raise
    except BaseException:
        snapshot.restore()  # the run is being stopped: there is no time to check out the data
        raise
    snapshot.restore_with_data(announce)


def propose(recipe: str, rows: Sequence[plan.Row], announce: Announce) -> str:
    """Commit the results to a new branch and push it; return a sentence about the proposal.

    Nothing is committed if the results equal the last commit's (the sentence is then empty) or
    those of an open proposal.

    Raises:
        UserError: the branch is committed, but a push of it or of its data failed.
    """
    tree = tree_of_results()
    if tree == git.git("rev-parse", "HEAD^{tree}"):
        return ""
    remote = git.remote()
    if duplicate := open_proposal(tree, remote, announce):
        return f"{duplicate} proposes the same already"
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
    """Return the git tree of the last commit with the results in it; the user's index stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        git.git("read-tree", "HEAD", extra=index)
        names = [*plan.tracked_files(), str(params.FILE)]
        git.git("update-index", "--add", "--remove", "--", *names, extra=index)
        return git.git("write-tree", extra=index)


def open_proposal(tree: str, remote: str, announce: Announce) -> str:
    """Return the branch that proposes this tree, empty if there is none."""
    if remote:
        names = f"+refs/heads/retrain/*:refs/remotes/{remote}/retrain/*"
        git.retry(lambda: git.git("fetch", "--quiet", "--prune", remote, names), announce)
    prefix = f"refs/remotes/{remote}/retrain" if remote else "refs/heads/retrain"
    branches = git.git("for-each-ref", "--format=%(tree) %(refname:short)", prefix)
    return next((line[41:] for line in branches.splitlines() if line.startswith(tree)), "")


def push(branch: str, remote: str, announce: Announce) -> None:
    """Push the data to the DVC remote and the branch to the git remote, where these are set up."""
    try:
        if plan.has_remote():
            git.retry(lambda: processes.run_dvc("push", "--quiet"), announce)
        if remote:
            git.retry(lambda: git.git("push", "--quiet", remote, branch), announce)
    except UserError as error:
        raise UserError(
            f"the proposal is committed here as {branch}, but could not be sent: {error}; "
            f"once that is fixed: git checkout {branch} && dvc push && git push {remote} {branch}"
        ) from error


def describe(recipe: str, rows: Sequence[plan.Row]) -> tuple[str, str]:
    """Return a pull request's title and text: metrics, why each stage ran, where it was trained."""
    proposed = replace(commits.read(None), label="this proposal")
    review = compare.compare(commits.read("HEAD"), proposed)
    title = f"Retrain {recipe}: {headline.title(review)}"
    reasons = [
        f"- {row.stage}: {row.status}, {'; '.join(row.because)}" for row in rows if row.because
    ]
    text = [markdown.markdown(review, lagging=False)]
    if reasons:
        text += ["### Why it was run", "", *reasons, ""]
    return title, "\n".join([*text, "### Training", "", *training_lines()])


def training_record() -> provenance.Provenance | None:
    """Return the record of the present model's training; None without a model or a record."""
    return provenance.load(ORIGINS, MODEL) if MODEL.exists() else None


def training_lines() -> list[str]:
    """Return where the model was trained as a Markdown list, or that there is no record of it."""
    record = training_record()
    if not record:
        return [provenance.NOT_RECORDED]
    return [f"- {name}: {value}" for name, value in provenance.as_rows(record).items()]


def open_command(branch: str, remote: str, title: str, text: Path) -> str:
    """Return the command that opens the pull request, by the host of the remote."""
    url = git.or_empty("remote", "get-url", remote) if remote else ""
    if "github" in url:
        return f"gh pr create --head {branch} --title {shlex.quote(title)} --body-file {text}"
    if "gitlab" in url:
        return f"glab mr create --source-branch {branch} --title {shlex.quote(title)} --description-file {text}"
    if remote:
        return f"git request-pull HEAD {url} {branch}  # the text: {text}"
    return f"git diff HEAD {branch}  # no git remote to send it to; the text: {text}"
