"""Where a model came from: kept once, by what the model is."""

from pathlib import Path

import pytest

from petseg.training import provenance
from tests.conftest import run_in


def git_repo(folder: Path) -> str:
    """Make a repository with one commit; return its hash."""
    (folder / "code.py").write_text("1")
    (folder / "dvc.lock").write_text("1")
    run_in(folder, "git", "init", "-q")
    run_in(folder, "git", "add", ".")
    run_in(folder, "git", "commit", "-qm", "one")
    return run_in(folder, "git", "rev-parse", "HEAD").strip()


def test_the_first_training_of_equal_bytes_is_the_one_that_is_told(tmp_path: Path) -> None:
    model, folder = tmp_path / "model.keras", tmp_path / "origins"
    model.write_bytes(b"weights")
    provenance.save(folder, model, provenance.current("a processor", 18, 87.04))
    provenance.save(folder, model, provenance.current("another", 18, 99.0))
    found = provenance.load(folder, model)
    assert (found["device"], found["epochs"], found["seconds"]) == ("a processor", 18, 87.0)
    model.write_bytes(b"other weights")
    assert provenance.load(folder, model) == {}


def test_the_commit_is_told_with_its_changes_but_for_dvcs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git_repo(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("2")
    assert provenance.commit() == head[:12]
    (tmp_path / "code.py").write_text("2")
    assert provenance.commit() == f"{head[:12]} and changes"


def test_without_git_or_a_commit_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() == ""
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == ""
