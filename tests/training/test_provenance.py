"""The record of where a model was trained: found by the model's content."""

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


def test_the_record_of_a_model_is_that_of_the_latest_training_with_equal_bytes(
    tmp_path: Path,
) -> None:
    model, folder = tmp_path / "model.keras", tmp_path / "origins"
    model.write_bytes(b"weights")
    provenance.save(folder, model, provenance.current("another", 18, 99.0))
    provenance.save(folder, model, provenance.current("a processor", 18, 87.04))
    record = provenance.load(folder, model)
    assert record
    assert (record.device, record.epochs, record.seconds) == ("a processor", 18, 87.0)
    model.write_bytes(b"other weights")
    assert provenance.load(folder, model) is None


def test_a_record_is_shown_with_minutes_and_says_when_there_was_no_commit() -> None:
    record = provenance.Provenance("", "a processor", 2, "Linux, Python 3.11.7", 18, 90.0)
    assert provenance.as_rows(record) == {
        "commit": "no git commit",
        "device": "a processor",
        "cores": "2",
        "system": "Linux, Python 3.11.7",
        "epochs": "18",
        "minutes": "1.5",
    }


def test_the_commit_mentions_changed_code_but_not_the_files_that_dvc_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git_repo(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("2")
    assert provenance.commit() == head[:12]
    (tmp_path / "code.py").write_text("2")
    assert provenance.commit() == f"{head[:12]} and changes"


def test_without_git_or_without_a_commit_the_commit_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit() == ""
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() == ""
