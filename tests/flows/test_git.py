"""Git calls, and fast-forwarding a checkout to a real upstream."""

from pathlib import Path

import pytest

from flows.workspace import git
from petseg.errors import UserError
from tests.conftest import replace, run_in


@pytest.fixture
def colleague(upstream: Path) -> Path:
    """The clone of a colleague who has pushed a commit to the checkout's upstream."""
    replace(upstream / "params.yaml", "value: 0.3", "value: 0.4")
    run_in(upstream, "git", "commit", "-qam", "a better value")
    run_in(upstream, "git", "push", "-q")
    return upstream


@pytest.mark.usefixtures("colleague")
def test_a_checkout_is_fast_forwarded_and_then_is_up_to_date() -> None:
    lines: list[str] = []
    git.fast_forward(lines.append)
    assert git.git("rev-parse", "HEAD") == git.git("rev-parse", "origin/main")
    assert lines == [f"fast-forwarded to {git.git('rev-parse', '--short', 'HEAD')} of origin/main"]
    git.fast_forward(lines.append)
    assert len(lines) == 1


@pytest.mark.usefixtures("steps")
def test_a_branch_without_upstream_runs_as_it_is() -> None:
    lines: list[str] = []
    git.fast_forward(lines.append)
    assert lines == ["the branch has no upstream: this checkout runs as it is"]


@pytest.mark.usefixtures("colleague")
def test_a_checkout_with_a_commit_that_upstream_lacks_is_refused_and_stays_as_it_is() -> None:
    Path("own.txt").write_text("own")
    git.git("add", "own.txt")
    git.git("commit", "-qm", "own")
    before = git.git("rev-parse", "HEAD")
    with pytest.raises(UserError, match=r"cannot be fast-forwarded to origin/main: .*by hand"):
        git.fast_forward(print)
    assert git.git("rev-parse", "HEAD") == before


@pytest.mark.usefixtures("colleague")
def test_a_local_edit_that_would_be_overwritten_is_named_and_stays() -> None:
    replace(Path("params.yaml"), "value: 0.1", "value: 0.15")
    with pytest.raises(UserError, match=r"would be overwritten by merge: params\.yaml"):
        git.fast_forward(print)
    assert "value: 0.15" in Path("params.yaml").read_text()


def test_an_unreachable_upstream_is_tried_again_after_each_pause_and_then_an_error(
    colleague: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "PAUSES", (0, 0))
    (colleague.parent / "bare.git").rename(colleague.parent / "away.git")
    lines: list[str] = []
    with pytest.raises(UserError, match=r"git fetch: .*bare\.git"):
        git.fast_forward(lines.append)
    assert len(lines) == 2


def test_without_git_installed_the_error_says_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"git cannot be started .*'git'.*; install it"):
        git.git("status")
    assert git.or_empty("status") == ""
