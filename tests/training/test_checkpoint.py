"""A training that is killed or stopped resumes from its state; any other training does not."""

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
    loaded = checkpoint.load(tmp_path / "a.npz")
    assert loaded is not None
    assert loaded[0] == {"epoch": 3}
    assert list(loaded[1]) == ["weights"]
    assert [array.tolist() for array in loaded[1]["weights"]] == [[[0, 1, 2], [3, 4, 5]], [1]]
    assert loaded[1]["weights"][1].dtype == np.float32


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "a.npz") is None
    checkpoint.save(tmp_path / "a.npz", {}, {"weights": [np.zeros(1000)]})
    complete = (tmp_path / "a.npz").read_bytes()
    for broken in (complete[:2000], b"", b"PK nothing"):
        (tmp_path / "a.npz").write_bytes(broken)
        assert checkpoint.load(tmp_path / "a.npz") is None


def test_the_two_newest_states_stay(tmp_path: Path) -> None:
    for number in range(4):
        checkpoint.save(tmp_path / f"{number}.npz", {}, {})
        os.utime(tmp_path / f"{number}.npz", (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.npz", "3.npz"]


def test_the_key_depends_on_the_facts_and_the_code() -> None:
    assert checkpoint.key({"a": 1}) == checkpoint.key({"a": 1}) != checkpoint.key({"a": 2})


def test_a_folders_digest_is_the_one_that_dvc_gives_it(repo: Path) -> None:
    digest = checkpoint.folder_digest(repo / "data/model")
    assert re.search(
        rf"path: data/model\n +hash: md5\n +md5: {digest}", (repo / "dvc.lock").read_text()
    )
    assert checkpoint.is_committed(digest, repo / "dvc.lock")
    assert not checkpoint.is_committed("", repo / "dvc.lock")
    assert not checkpoint.is_committed(digest, repo / "none.lock")


@pytest.fixture
def long_training(repo: Path) -> Path:
    """The tiny repo with 60 epochs, and every parameter that adds to a training's state."""
    for before, after in (
        ("epochs: 2", "epochs: 60"),
        ("patience: 0", "patience: 59"),
        ("loss: bce", "loss: bce_dice"),
        ("lr_schedule: none", "lr_schedule: cosine"),
        ("crop: 1", "crop: 0.6"),
        ("colour: 0", "colour: 0.3"),
    ):
        replace(repo / "params.yaml", before, after)
    return repo


def start_training(folder: Path) -> subprocess.Popen[str]:
    """Start a training whose lines can be read while it works."""
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


def train_from_scratch(folder: Path) -> dict[str, bytes]:
    """Train and return the outputs; remove state and model."""
    run_in(folder, *TRAIN)
    result = outputs(folder)
    for path in (folder / "data/state").iterdir():
        path.unlink()
    (folder / "data/again/model.keras").unlink()
    return result


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "data/again" / name).read_bytes() for name in OUTPUTS}


def test_a_training_that_is_killed_three_times_ends_with_the_same_bytes(
    long_training: Path,
) -> None:
    expected = train_from_scratch(long_training)
    for epoch in (3, 20, 40):
        process = start_training(long_training)
        read_until(process, f"epoch {epoch:>3}/60")
        time.sleep(0.05)  # in the middle of the next ones
        process.kill()
        process.communicate()
        assert not (long_training / "data/again/model.keras").exists()
    output = run_in(long_training, *TRAIN)
    assert re.search(r"resuming epoch (4\d|5\d)", output)
    assert output.count("epoch ") < 25
    assert outputs(long_training) == expected


@pytest.mark.parametrize(("encoder", "multiplier"), [("strided", 1), ("efficientnet_lite0", 0.1)])
def test_running_averages_and_both_learning_rates_are_resumed(
    repo: Path, encoder: str, multiplier: float
) -> None:
    for before, after in (
        ("encoder: plain", f"encoder: {encoder}"),
        ("depth: 2", "depth: 5"),
        ("encoder_lr_multiplier: 1", f"encoder_lr_multiplier: {multiplier}"),
        ("epochs: 2", "epochs: 4"),
    ):
        replace(repo / "params.yaml", before, after)
    expected = train_from_scratch(repo)
    process = start_training(repo)
    read_until(process, "epoch   2/4")
    process.kill()
    process.communicate()
    assert "resuming epoch" in run_in(repo, *TRAIN)
    assert outputs(repo) == expected


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_that_is_asked_to_stop_saves_within_the_epoch(
    long_training: Path, sign: signal.Signals, code: int
) -> None:
    replace(long_training / "params.yaml", "batch_size: 4\n", "batch_size: 1\n")
    process = start_training(long_training)
    read_until(process, "epoch   2/60")
    process.send_signal(sign)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert re.search(r"stopped in epoch \d+; the next run resumes there", output)
    assert not list((long_training / "data").glob("again*"))
    (state,) = (long_training / "data/state").iterdir()
    loaded = checkpoint.load(state)
    assert loaded is not None
    assert 2 <= loaded[0]["epoch"] < 60


def test_a_state_is_of_its_parameters_and_data_alone(long_training: Path) -> None:
    process = start_training(long_training)
    read_until(process, "epoch   2/60")
    process.kill()
    process.communicate()
    replace(long_training / "params.yaml", "epochs: 60", "epochs: 3")
    assert "going on" not in run_in(long_training, *TRAIN)


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
    assert "this training was finished but not committed: the model is written again" in again
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
    output = run_in(repo, *TRAIN, fails=True)
    assert re.search(
        r"error: epoch \d+, (step \d+|validation): the loss is \S+ at a learning rate of 1; lower "
        r"train.learning_rate; (no epoch was done|epoch \d+, the best so far, is in "
        r"data/state/last_good.keras)",
        output,
    )
    assert "Traceback" not in output
    assert not list((repo / "data").glob("again*"))


@pytest.mark.parametrize(
    ("value", "words"),
    [(2, "photos without a pixel of foreground"), (1, "photos without a pixel of background")],
)
def test_a_set_of_one_class_is_refused_before_training(repo: Path, value: int, words: str) -> None:
    path = repo / "data/arrays/train/trimaps.npy"
    trimaps = np.load(path)
    path.unlink()  # it is a link into DVC's cache
    np.save(path, np.full_like(trimaps, value))
    output = run_in(repo, *TRAIN, fails=True)
    assert f"error: data/arrays/train has 10 {words}" in output


def test_in_a_temporary_copy_of_dvcs_the_log_says_that_a_kill_starts_over(repo: Path) -> None:
    output = run_in(repo, "dvc", "exp", "run", "--temp", "-S", "train.epochs=3")
    assert (
        "this is a temporary copy of DVC's: if this run is killed, the next starts over" in output
    )


def test_training_does_without_the_test_split(repo: Path) -> None:
    shutil.rmtree(repo / "data/arrays/test")
    run_in(repo, *TRAIN)
    assert outputs(repo)["model.keras"] == (repo / "data/model/model.keras").read_bytes()
