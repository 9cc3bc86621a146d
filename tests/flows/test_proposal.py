"""A result as a branch to review, with a real bare git remote and a real DVC remote."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import artifacts
from flows.workspace import git, plan, proposal, recipes
from petseg import files
from petseg.errors import UserError
from tests.conftest import replace, run_in

Messages = list[str]
BETTER = ("third: {seconds: 0, value: 0.3}", "third: {seconds: 0, value: 0.4}")


@pytest.fixture
def remotes(upstream: Path, steps: Path) -> Path:
    """Give the checkout a DVC remote beside its git remote; return the folder of both."""
    folder = upstream.parent
    run_in(steps, "dvc", "remote", "add", "-q", "--default", "store", str(folder / "store"))
    run_in(steps, "git", "commit", "-qam", "a DVC remote")
    run_in(steps, "git", "push", "-q")
    return folder


def retrain(messages: Messages, recipe: str | None = None) -> str:
    """Run what changed as the flow does, and propose it; return the sentence about the proposal."""
    with proposal.clean_checkout(messages.append), recipes.temporarily_active(recipe, back=True):
        rows = plan.read()
        run_in(Path.cwd(), "dvc", "repro")
        return proposal.propose(recipe or "tiny", rows, messages.append)


def change(commit: bool = True) -> None:
    replace(Path("params.yaml"), *BETTER)
    if commit:
        git.git("commit", "-qam", "a better value")


def files_of(commit: str) -> set[str]:
    return set(git.git("diff", "--name-only", f"{commit}~1", commit).splitlines())


def state() -> tuple[str, ...]:
    """Return what a proposal must not change: branch, HEAD, index, status and every file."""
    names = git.git("ls-files").splitlines()
    contents = "".join(Path(name).read_text() for name in names)
    commands: list[Callable[[], str]] = [
        lambda: git.git("symbolic-ref", "HEAD"),
        lambda: git.git("rev-parse", "HEAD"),
        lambda: git.git("ls-files", "--stage"),
        lambda: git.git("status", "--short"),
    ]
    return (*(command() for command in commands), contents)


def test_a_result_becomes_a_branch_and_the_checkout_stays_as_it_was(remotes: Path) -> None:
    change()
    (Path("notes.txt")).write_text("mine, untracked")
    before = state()
    messages: Messages = []
    sentence = retrain(messages)
    branch = sentence.removeprefix("proposed as ")
    assert branch.startswith("retrain/tiny-20")
    assert branch.endswith("Z")
    assert state() == before
    assert files_of(branch) == {"dvc.lock", "reports/metrics.json"}
    assert json.loads(git.git("show", f"{branch}:reports/metrics.json")) == {"iou": 0.4}
    assert git.git("rev-parse", branch) == git.git("rev-parse", f"origin/{branch}")
    assert "up to date" in run_in(Path.cwd(), "dvc", "status", "data/first.json")
    clone = remotes / "reviewer"
    run_in(remotes, "git", "clone", "-q", "-b", branch, str(remotes / "bare.git"), str(clone))
    run_in(clone, "dvc", "pull")
    assert "up to date" in run_in(clone, "dvc", "status")


def test_the_text_of_the_pull_request_and_the_command_to_open_it_are_announced(
    remotes: Path,
) -> None:
    change()
    messages: Messages = []
    retrain(messages)
    text = next(Path("data/logs").glob("retrain-*.md")).read_text()
    # The three steps measure nothing by photo, so that the difference of their numbers says nothing.
    assert text.startswith("Retrain tiny: no verdict\n\n**No verdict: HEAD and this proposal have")
    assert re.search(r"\| `iou` +\| 0\.3000 \| 0\.4000 \| \+0\.1000 +\|", text)
    assert "- third: changed, steps.third.value 0.3 → 0.4" in text
    assert text.endswith("\n### Training\n\nNot recorded on this machine.\n")
    assert f"git request-pull HEAD {remotes}/bare.git retrain/tiny-" in messages[-1]
    git.git("remote", "set-url", "origin", "git@github.com:a/b.git")
    command = proposal.open_command("retrain/x", "origin", "IoU 1 → 2", Path("t.md"))
    assert command == "gh pr create --head retrain/x --title 'IoU 1 → 2' --body-file t.md"


def test_proposal_and_artifact_say_where_the_model_was_trained_or_that_it_is_not_recorded(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    (path,) = Path("data/logs/origins").iterdir()
    record = files.read_json(path) | {"commit": "0123456789ab", "cores": 2, "seconds": 90.0}
    files.write_json(path, record)
    text = proposal.describe("tiny", [])[1]
    assert "\n### Training\n\n- commit: 0123456789ab\n" in text
    assert f"- device: {record['device']}\n- cores: 2\n" in text
    assert text.endswith("- epochs: 2\n- minutes: 1.5")
    (row,) = artifacts.training_rows()
    assert (row["commit"], row["epochs"], row["minutes"]) == ("0123456789ab", "2", "1.5")
    path.unlink()
    assert proposal.describe("tiny", [])[1].endswith("Not recorded on this machine.")
    assert artifacts.training_rows() == [{"training": "Not recorded on this machine."}]


@pytest.mark.usefixtures("remotes")
def test_the_same_proposal_is_not_made_twice_while_it_is_open() -> None:
    change()
    first = retrain([]).removeprefix("proposed as ")
    assert retrain([]) == f"origin/{first} proposes the same already"
    git.git("push", "-q", "origin", "--delete", first)
    git.git("branch", "-D", first)
    assert retrain([]).startswith("proposed as retrain/tiny-")


@pytest.mark.usefixtures("remotes")
def test_another_recipe_is_proposed_with_params_yaml_and_then_restored() -> None:
    before = state()
    branch = retrain([], "other").removeprefix("proposed as ")
    assert files_of(branch) == {"dvc.lock", "params.yaml"}
    assert git.git("show", f"{branch}:params.yaml").startswith("recipe: other\n")
    assert state() == before


@pytest.mark.usefixtures("steps")
def test_a_recipe_that_a_killed_run_switched_is_restored_but_not_one_of_the_user() -> None:
    with recipes.temporarily_active("other", back=True):
        assert Path("params.yaml").read_text().startswith("recipe: other\n")
        left = recipes.SWITCH.read_text()
    assert git.edited_files() == []
    recipes.use("other")
    recipes.SWITCH.write_text(left)  # as after SIGKILL
    assert recipes.restore_recipe()
    assert git.edited_files() == []
    assert not recipes.restore_recipe()


@pytest.mark.usefixtures("steps")
def test_local_edits_are_refused_by_name_before_anything_runs() -> None:
    change(commit=False)
    Path("new.py").write_text("")
    git.git("add", "new.py")
    with pytest.raises(UserError, match=r"new\.py, params\.yaml; commit or stash them"):
        retrain([])
    assert "up to date" not in run_in(Path.cwd(), "dvc", "status")


@pytest.mark.usefixtures("steps")
def test_files_that_the_stages_write_are_no_local_edit_and_are_restored_afterwards() -> None:
    change()
    Path("reports/metrics.json").write_text('{"iou": 0.0}')
    before = state()
    assert retrain([]).startswith("proposed as ")
    assert state() == before


@pytest.mark.usefixtures("steps")
def test_without_a_name_to_commit_in_the_run_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{who}_{what}")
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    git.git("config", "user.useConfigOnly", "true")
    with pytest.raises(UserError, match=r"Please tell me who you are|no email was given"):
        retrain([])


@pytest.mark.usefixtures("steps")
def test_without_remotes_the_branch_is_local_and_an_unchanged_result_is_not_proposed() -> None:
    run_in(Path.cwd(), "dvc", "repro", "--force")
    assert retrain([]) == ""
    change()
    messages: Messages = []
    branch = retrain(messages).removeprefix("proposed as ")
    assert git.git("branch", "--list", branch).strip() == branch
    assert f"git diff HEAD {branch}" in messages[-1]
    assert retrain([]) == f"{branch} proposes the same already"


def test_a_fresh_clone_proposes_and_keeps_data_that_its_cache_could_not_bring_back(
    remotes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(
        Path("params.yaml"), "second: {seconds: 0, value: 0.2}", "second: {seconds: 0, value: 0}"
    )
    git.git("commit", "-qam", "another second")
    git.git("push", "-q")
    run_in(remotes, "git", "clone", "-q", str(remotes / "bare.git"), "fresh")
    monkeypatch.chdir(remotes / "fresh")
    before = state()
    messages: Messages = []
    assert retrain(messages).startswith("proposed as ")
    assert state() == before
    assert messages[-1].startswith(
        "data/ keeps the new outputs: the cache does not hold the old ones"
    )
    assert "data/second.json" in messages[-1]
    assert "data/first.json" not in messages[-1]
    assert json.loads(Path("data/second.json").read_text()) == {"iou": 0}


def test_a_push_that_fails_leaves_the_branch_and_its_error_names_the_commands_to_push_it(
    remotes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "PAUSES", (0,))
    hook = remotes / "bare.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    replace(Path("params.yaml"), "value: 0.2", "value: 0.25")
    git.git("commit", "-qam", "another second")
    before = state()
    with pytest.raises(
        UserError, match=r"committed here as retrain/tiny-.* could not be sent: git"
    ):
        retrain([])
    assert state() == before
    assert json.loads(Path("data/second.json").read_text()) == {"iou": 0.2}
    assert git.git("branch", "--list", "retrain/*")
