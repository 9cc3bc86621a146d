"""The estimate of a training's time and memory, from real steps in a real process."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from petseg.data.frame import Frame
from petseg.errors import UserError
from petseg.training import estimate
from petseg.training.estimate import Estimate
from petseg.training.settings import TrainParams
from tests.conftest import ROOT

SIZE, TRAIN, VAL = 16, 20, 3
SOURCE = "params.yaml, recipe tiny"
SETTINGS = TrainParams(
    encoder="plain",
    input_scale=1,
    base_channels=4,
    depth=2,
    precision="float32",
    epochs=5,
    patience=0,
    batch_size=8,
    loss="bce",
    edge_weight=0,
    learning_rate=1.0,
    encoder_lr_multiplier=1,
    lr_schedule="cosine",
    weight_decay=0,
    border="ignored",
    flip=True,
    crop=0.5,
    colour=0.3,
    flip_tta=True,
    snapshots=4,
    seed=1,
)
ESTIMATE = Estimate(
    epochs=10,
    train_photos=17,
    val_photos=8,
    batch_size=8,
    stops_early=False,
    start_seconds=20,
    step_seconds=5,
    val_step_seconds=2,
    epoch_end_seconds=1,
    threshold_seconds=4,
    process_bytes=1_000_000_000,
    array_bytes=200_000_000,
    device="2 threads",
)
SCRIPT = """
import json, sys
from dataclasses import asdict
from petseg import command
from petseg.data.frame import Frame
from petseg.training import estimate
from tests.training.test_estimate import SETTINGS, SIZE, SOURCE, TRAIN, VAL

def main():
    result = estimate.measure_in_process(SETTINGS, Frame("squash", SIZE), TRAIN, VAL, SOURCE)
    print(json.dumps(asdict(result)))
    print(*sorted({"keras", "numpy", "tensorflow"} & set(sys.modules)))

command.exit_cleanly(main)
"""


def start_script() -> subprocess.Popen[str]:
    """Start `SCRIPT` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def output() -> list[str]:
    """The lines that `SCRIPT` prints: an estimate as JSON, and the imported packages."""
    with start_script() as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return out.splitlines()


def test_the_steps_of_a_real_process_give_time_and_memory(output: list[str]) -> None:
    result = Estimate(**json.loads(output[0]))
    assert (result.epochs, result.train_photos, result.val_photos) == (5, 20, 3)
    assert result.steps_per_epoch == 3  # of 8, 8 and 4 photos
    assert 0 < result.step_seconds < result.start_seconds  # TensorFlow alone takes longer to import
    assert 0 < result.val_step_seconds < result.start_seconds
    assert result.epoch_end_seconds > 0
    assert result.threshold_seconds > 0
    assert result.process_bytes > 100_000_000  # TensorFlow
    assert result.array_bytes == 23 * 16 * 16 * 4  # 23 photos with three colours and a class
    assert result.device == f"{len(os.sched_getaffinity(0))} threads"


def test_the_process_that_requests_an_estimate_imports_no_tensorflow(output: list[str]) -> None:
    assert output[1:] == ["numpy"]


def test_ctrl_c_ends_both_processes() -> None:
    with start_script() as process:
        while not (children := psutil.Process(process.pid).children()):
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_the_time_of_an_epoch_is_that_of_its_steps_and_its_validation() -> None:
    assert ESTIMATE.steps_per_epoch == 3  # of 8, 8 and 1 photo
    assert ESTIMATE.epoch_seconds == 3 * 5 + 1 * 2 + 1
    assert ESTIMATE.seconds == 20 + 10 * 18 + 4


def test_the_time_grows_with_the_epochs_and_the_memory_does_not() -> None:
    longer = replace(ESTIMATE, epochs=30)
    assert longer.seconds - ESTIMATE.seconds == 20 * 18
    assert longer.bytes == ESTIMATE.bytes == 1_300_000_000  # 1.1 × 1 GB, and 0.2 GB of arrays


def test_the_estimate_is_described_in_one_sentence() -> None:
    # 204 seconds are 3.4 minutes
    assert estimate.describe(ESTIMATE, "squash") == (
        "about 3 min for 10 epochs of 17 photos on this machine (2 threads), "
        "at most 1.3 GB of memory"
    )
    assert estimate.describe(replace(ESTIMATE, stops_early=True), "squash") == (
        "about 3 min for at most 10 epochs of 17 photos on this machine (2 threads), "
        "at most 1.3 GB of memory"
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (59.6, "60 s"),
        (119, "119 s"),
        (121, "2 min"),
        (5400, "90 min"),
        (9000, "2.5 h"),
        (86400, "24 h"),
        (216000, "2.5 days"),
        (12960000, "150 days"),
    ],
)
def test_a_time_has_the_unit_that_suits_it(seconds: float, expected: str) -> None:
    assert estimate.duration(seconds) == expected


@pytest.mark.parametrize(
    ("size", "train", "val", "expected"),
    [
        (18, 20, 3, "preprocess.image_size is 18; allowed with train.depth 2: multiples of 4"),
        (16, 0, 3, "the training has no photo to train on"),
        (16, 20, 0, "the training has no photo to validate with"),
    ],
)
def test_a_training_that_cannot_start_is_refused_in_one_line(
    size: int, train: int, val: int, expected: str
) -> None:
    with pytest.raises(UserError) as error:
        estimate.measure_in_process(SETTINGS, Frame("squash", size), train, val, SOURCE)
    assert str(error.value).startswith(f"{SOURCE}: {expected}")
    assert "\n" not in str(error.value)


def test_steps_that_fail_give_their_reason_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('built for\\nanother processor')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        estimate.measure_in_process(SETTINGS, Frame("squash", SIZE), TRAIN, VAL, SOURCE)
    assert str(error.value) == (
        f"{SOURCE}: the section train does not work on this machine: "
        "ImportError: built for another processor"
    )
