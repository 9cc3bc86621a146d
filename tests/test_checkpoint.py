"""A training that is killed, stopped or changed: what its state is used for, and what it is not."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from petseg.training import checkpoint
from tests.conftest import ENVIRONMENT, replace, run_in

TRAIN = (
    "python",
    "-m",
    "stages.train",
    "data/arrays",
    "data/again",
    "data/t.csv",
    "data/state",
    "data/o",
)
OUTPUTS = ("model.keras", "history.csv", "snapshots.npz")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    arrays = {"weights": [np.arange(6.0).reshape(2, 3), np.ones(1, np.float32)], "best": []}
    checkpoint.save(tmp_path / "a.npz", {"epoch": 3}, arrays)
    found = checkpoint.load(tmp_path / "a.npz")
    assert found is not None
    assert found[0] == {"epoch": 3}
    assert list(found[1]) == ["weights"]
    assert [array.tolist() for array in found[1]["weights"]] == [[[0, 1, 2], [3, 4, 5]], [1]]
    assert found[1]["weights"][1].dtype == np.float32


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "a.npz") is None
    checkpoint.save(tmp_path / "a.npz", {}, {"weights": [np.zeros(1000)]})
    whole = (tmp_path / "a.npz").read_bytes()
    for broken in (whole[:2000], b"", b"PK nothing"):
        (tmp_path / "a.npz").write_bytes(broken)
        assert checkpoint.load(tmp_path / "a.npz") is None


def test_two_states_are_kept_and_no_more(tmp_path: Path) -> None:
    for number in range(4):
        checkpoint.save(tmp_path / f"{number}.npz", {}, {})
        os.utime(tmp_path / f"{number}.npz", (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.npz", "3.npz"]


def test_the_key_is_of_the_facts_and_of_the_code() -> None:
    assert checkpoint.key({"a": 1}) == checkpoint.key({"a": 1}) != checkpoint.key({"a": 2})


def test_a_folders_digest_is_the_one_that_dvc_gives_it(repo: Path) -> None:
    found = checkpoint.digest(repo / "data/model")
    assert re.search(
        rf"path: data/model\n +hash: md5\n +md5: {found}", (repo / "dvc.lock").read_text()
    )
    assert checkpoint.committed(found, repo / "dvc.lock")
    assert not checkpoint.committed("", repo / "dvc.lock")
    assert not checkpoint.committed(found, repo / "none.lock")


@pytest.fixture
def long(repo: Path) -> Path:
    """The tiny repo with a training of many epochs that uses all that has a state."""
    for before, after in (
        ("epochs: 2", "epochs: 60"),
        ("patience: 0", "patience: 59"),
        ("loss: bce", "loss: bce_dice"),
        ("decay: none", "decay: cosine"),
        ("crop: 1", "crop: 0.6"),
        ("colour: 0", "colour: 0.3"),
    ):
        replace(repo / "params.yaml", before, after)
    return repo


def started(folder: Path) -> subprocess.Popen[str]:
    """Start the training; its lines come as it works."""
    return subprocess.Popen(
        TRAIN,
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read the training's lines up to one with these words."""
    assert process.stdout is not None
    assert any(words in line for line in process.stdout), f"it ended before {words!r}"


def trained(folder: Path) -> dict[str, bytes]:
    """Train, and return the outputs; neither a state nor a model is left."""
    run_in(folder, *TRAIN)
    found = outputs(folder)
    for path in (folder / "data/state").iterdir():
        path.unlink()
    (folder / "data/again/model.keras").unlink()
    return found


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "data/again" / name).read_bytes() for name in OUTPUTS}


def test_a_training_that_is_killed_again_and_again_ends_as_if_it_had_not_been(long: Path) -> None:
    expected = trained(long)
    for epoch in (3, 20, 40):
        process = started(long)
        read_until(process, f"epoch {epoch:>3}/60")
        time.sleep(0.05)  # in the middle of the next ones
        process.kill()
        process.communicate()
        assert not (long / "data/again/model.keras").exists()
    said = run_in(long, *TRAIN)
    assert re.search(r"going on with epoch (4\d|5\d)", said)
    assert said.count("epoch ") < 25
    assert outputs(long) == expected


@pytest.mark.parametrize("encoder", ["strided", "efficientnet_lite0"])
def test_running_averages_and_both_rates_are_gone_on_with(repo: Path, encoder: str) -> None:
    for before, after in (
        ("encoder: plain", f"encoder: {encoder}"),
        ("depth: 2", "depth: 5"),
        ("encoder_rate: 1", "encoder_rate: 0.1"),
        ("epochs: 2", "epochs: 4"),
    ):
        replace(repo / "params.yaml", before, after)
    expected = trained(repo)
    process = started(repo)
    read_until(process, "epoch   2/4")
    process.kill()
    process.communicate()
    assert "going on with epoch" in run_in(repo, *TRAIN)
    assert outputs(repo) == expected


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_that_is_asked_to_stop_saves_within_the_epoch(
    long: Path, sign: signal.Signals, code: int
) -> None:
    replace(long / "params.yaml", "batch_size: 4\n", "batch_size: 1\n")
    process = started(long)
    read_until(process, "epoch   2/60")
    process.send_signal(sign)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert re.search(r"stopped in epoch \d+; the next run goes on from there", said)
    assert not list((long / "data").glob("again*"))
    (state,) = (long / "data/state").iterdir()
    found = checkpoint.load(state)
    assert found is not None
    assert 2 <= found[0]["epoch"] < 60


def test_a_state_is_of_its_parameters_and_data_alone(long: Path) -> None:
    process = started(long)
    read_until(process, "epoch   2/60")
    process.kill()
    process.communicate()
    replace(long / "params.yaml", "epochs: 60", "epochs: 3")
    assert "going on" not in run_in(long, *TRAIN)


def test_what_dvc_could_not_commit_is_written_again_and_what_it_did_is_trained_anew(
    repo: Path,
) -> None:
    replace(repo / "params.yaml", "epochs: 2", "epochs: 3")
    run_in(repo, "dvc", "repro", "train")
    assert list((repo / "data/training").iterdir())
    forced = run_in(repo, "dvc", "repro", "-f", "-s", "train")
    assert "epoch   3/3" in forced  # committed: trained anew
    lock = (repo / "dvc.lock").read_text()
    run_in(repo, "git", "checkout", "-q", "dvc.lock")  # as if it had not been committed
    again = run_in(repo, "dvc", "repro", "-f", "-s", "train")
    assert "trained to its end before, but not committed: written again" in again
    assert "epoch   3/3" not in again
    assert (repo / "dvc.lock").read_text() == lock


def test_the_state_of_a_committed_training_is_removed_when_another_one_starts(repo: Path) -> None:
    replace(repo / "params.yaml", "epochs: 2", "epochs: 3")
    run_in(repo, "dvc", "repro", "evaluate")
    (finished,) = (repo / "data/training").iterdir()
    replace(repo / "params.yaml", "epochs: 3", "epochs: 4")
    run_in(repo, "dvc", "repro", "train")
    assert not finished.exists()
    # Two states may lie there, so the first would have stayed had the training not removed it.
    (state,) = (repo / "data/training").iterdir()
    assert state.name != finished.name


def test_a_loss_that_explodes_stops_with_where_and_keeps_the_best(repo: Path) -> None:
    replace(repo / "params.yaml", "learning_rate: 0.01", "learning_rate: 1.0")
    replace(repo / "params.yaml", "epochs: 2", "epochs: 90")
    said = run_in(repo, *TRAIN, fails=True)
    assert re.search(
        r"error: epoch \d+, (step \d+|validation): the loss is \S+ at a learning rate of 1; lower "
        r"train.learning_rate; (no epoch was done|epoch \d+, the best so far, is kept in "
        r"data/state/last_good.keras)",
        said,
    )
    assert "Traceback" not in said
    assert not list((repo / "data").glob("again*"))


@pytest.mark.parametrize(
    ("value", "words"),
    [(2, "photos without a pixel of pet"), (1, "photos without a pixel of background")],
)
def test_a_set_of_one_class_is_refused_before_training(repo: Path, value: int, words: str) -> None:
    path = repo / "data/arrays/train/trimaps.npy"
    trimaps = np.load(path)
    path.unlink()  # it is a link into DVC's cache
    np.save(path, np.full_like(trimaps, value))
    said = run_in(repo, *TRAIN, fails=True)
    assert f"error: data/arrays/train has 10 {words}" in said


def test_in_a_temporary_copy_of_dvcs_the_log_says_that_a_kill_starts_over(repo: Path) -> None:
    said = run_in(repo, "dvc", "exp", "run", "--temp", "-S", "recipes.tiny.train.epochs=3")
    assert "in a temporary copy of DVC's: if this run is killed, the next starts over" in said


def test_training_does_without_the_test_split(repo: Path) -> None:
    shutil.rmtree(repo / "data/arrays/test")
    run_in(repo, *TRAIN)
    assert outputs(repo)["model.keras"] == (repo / "data/model/model.keras").read_bytes()
