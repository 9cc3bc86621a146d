"""How long a training takes on this machine and how much memory it needs, from a few real steps.

    echo REQUEST | python -m petseg.training.estimate

REQUEST is the JSON that `measure_in_process` writes; the answer is the JSON of an `Estimate`. The
steps run in a process that ends afterwards, so that TensorFlow's memory goes with it.
"""

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from petseg import command
from petseg.data.arrays import Photo, Split
from petseg.data.examples import FramedPhotos
from petseg.data.frame import Frame, Mode
from petseg.errors import UserError
from petseg.inference import keras_engine
from petseg.model import backend
from petseg.training import fit
from petseg.training.checkpoint import State
from petseg.training.settings import TrainParams, check_network

MIN_STEPS = 3  # that are timed, however long they take
SECONDS = 3.0  # after which no further step is timed
MEMORY_MARGIN = 1.1  # one epoch of oxford-pretrained had a peak 8 % above that of a few steps
LEARNING_RATE = 1e-6  # so low that no loss explodes on random photos; the time is the same
BYTES_PER_PIXEL = 4  # of the arrays: three colours and the class
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Estimate:
    """The time and memory of a training on this machine, and what was measured for it."""

    epochs: int
    train_photos: int
    val_photos: int
    batch_size: int
    stops_early: bool  # a training with `patience` may need fewer epochs, so the time is a maximum
    start_seconds: float  # to import TensorFlow, build the network, and compile its graphs
    step_seconds: float  # a training step, with making its batch
    val_step_seconds: float  # a validation step
    epoch_end_seconds: float  # to predict the animation's photos and copy the weights
    threshold_seconds: float  # to choose the threshold on all validation photos, after training
    process_bytes: int  # the highest resident memory of the process that ran the steps
    array_bytes: int  # the arrays of training and validation on the disk
    device: str  # the GPUs, or the number of the processor's threads

    @property
    def steps_per_epoch(self) -> int:
        """The number of training steps in an epoch; the last may have a smaller batch."""
        return math.ceil(self.train_photos / self.batch_size)

    @property
    def epoch_seconds(self) -> float:
        """The time of one epoch: training, validation, and what follows them."""
        val_steps = math.ceil(self.val_photos / self.batch_size)
        training = self.steps_per_epoch * self.step_seconds
        return training + val_steps * self.val_step_seconds + self.epoch_end_seconds

    @property
    def seconds(self) -> float:
        """The time from the start of the training to its model, if all epochs are trained.

        The disk is left out: reading arrays that are not in the page cache, and writing the state
        after each epoch.
        """
        return self.start_seconds + self.epochs * self.epoch_seconds + self.threshold_seconds

    @property
    def bytes(self) -> int:
        """The highest resident memory that the system shows for the training.

        The training maps its arrays into memory, so after an epoch all of them count, although
        the system takes these pages back when memory is short: the training also runs, slower,
        with little more than `process_bytes`, to which a margin is added because the peak grows
        with the number of steps. The memory of a GPU does not count.
        """
        return round(MEMORY_MARGIN * self.process_bytes) + self.array_bytes


def measure_in_process(
    settings: TrainParams, frame: Frame, train_photos: int, val_photos: int, source: str
) -> Estimate:
    """Return the estimate from a process of its own; this process does not import TensorFlow.

    Ctrl-C ends both.

    Args:
        settings: the parameters of the training.
        frame: the network's input.
        train_photos: number of photos, or tiles, to train on.
        val_photos: number of photos, or tiles, to validate with.
        source: where the parameters were read, for errors: `params.yaml, recipe demo`.

    Raises:
        UserError: the network cannot be built, a split has no photo, or the steps need more memory
            than there is.
    """
    check_network(frame, settings, source)
    for name, photos in (("train on", train_photos), ("validate with", val_photos)):
        if photos < 1:
            raise UserError(f"{source}: the training has no photo to {name}; add more photos")
    request = {
        "settings": asdict(settings),
        "size": frame.size,
        "train_photos": train_photos,
        "val_photos": val_photos,
    }
    result = subprocess.run(
        [sys.executable, "-m", "petseg.training.estimate"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode < 0:
        raise UserError(
            f"{source}: signal {-result.returncode} ended a few training steps, as happens when "
            "memory runs out; lower train.batch_size or preprocess.image_size"
        )
    if result.returncode:
        *_, line = result.stderr.splitlines() or [f"exit status {result.returncode}"]
        reason = line.removeprefix("error: ")
        raise UserError(f"{source}: the section train does not work on this machine: {reason}")
    return Estimate(**json.loads(result.stdout))


def estimate(settings: TrainParams, size: int, train_photos: int, val_photos: int) -> Estimate:
    """Return the estimate from a few steps in this process, on random pixels.

    The first call of each part compiles a graph, so it counts as start. `size` is the side of the
    network's input in pixels; the other arguments are those of `measure_in_process`.
    """
    started = time.perf_counter()
    backend.start(settings.seed, settings.precision)
    trial = Trial(settings, random_photos(size, train_photos), random_photos(size, val_photos))
    for epoch in (trial.train_epoch, trial.validate):
        trial.seconds_per_step(epoch, steps=1)
    trial.end_epoch()
    trial.choose_threshold()
    start_seconds = time.perf_counter() - started
    return Estimate(
        epochs=settings.epochs,
        train_photos=train_photos,
        val_photos=val_photos,
        batch_size=settings.batch_size,
        stops_early=settings.patience > 0,
        start_seconds=start_seconds,
        step_seconds=trial.seconds_per_step(trial.train_epoch, MIN_STEPS, SECONDS),
        val_step_seconds=trial.seconds_per_step(trial.validate, MIN_STEPS, SECONDS / 3),
        epoch_end_seconds=seconds_of(trial.end_epoch),
        threshold_seconds=seconds_of(trial.choose_threshold) * val_photos / len(trial.batch),
        process_bytes=peak_memory(),
        array_bytes=(train_photos + val_photos) * size * size * BYTES_PER_PIXEL,
        device=device(),
    )


class Trial:
    """The parts of a training, with its network, steps, batches and augmentation."""

    def __init__(self, settings: TrainParams, train: FramedPhotos, val: FramedPhotos) -> None:
        from petseg.training import loop  # imports TensorFlow, which `backend` sets up first

        self.settings, self.train, self.val = settings, train, val
        self.batch = random_photos(val.frame.size, min(len(val), settings.batch_size))
        self.model, self.predictor = fit.build_networks(settings, train.frame.size)
        self.trainer = loop.Trainer(
            self.model,
            replace(settings, learning_rate=LEARNING_RATE),
            len(train),
            State(),
            lambda _: None,
            lambda: False,
        )

    def train_epoch(self) -> None:
        """Train an epoch from its first step."""
        self.trainer.state.batches = 0
        self.trainer.train_rest_of_epoch(self.train)

    def validate(self) -> None:
        """Measure the loss on the validation photos."""
        self.trainer.validate(self.val)

    def end_epoch(self) -> None:
        """Predict the animation's photos and copy the weights, but write no state."""
        keras_engine.levels(self.predictor, self.val.read(slice(self.settings.snapshots))[0])
        self.trainer.state.best = self.model.get_weights()
        self.trainer.save_state()

    def choose_threshold(self) -> None:
        """Choose the threshold on one batch of photos."""
        fit.best_threshold(self.predictor, self.batch, self.settings)

    def seconds_per_step(
        self, epoch: Callable[[], None], steps: int, seconds: float = 0.0
    ) -> float:
        """Run epochs until there are enough steps; return the mean time of a step.

        Args:
            epoch: `train_epoch` or `validate`.
            steps: the fewest steps to time. One more runs before them, without a batch made ahead.
            seconds: the shortest time to run them for.
        """
        from petseg.training import loop

        times: list[float] = []

        def stop() -> bool:
            times.append(time.perf_counter())
            return len(times) > steps and times[-1] - times[0] >= seconds

        self.trainer.stop = stop
        with suppress(loop.StoppedError):
            while True:
                epoch()
        return (times[-1] - times[0]) / (len(times) - 1)


def random_photos(size: int, photos: int) -> FramedPhotos:
    """Return photos of random pixels; all share the memory of one."""
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (size, size, 3), np.uint8)
    trimap = rng.integers(1, 4, (size, size), np.uint8)
    row = Photo("random", "", "", size, size, "", "")
    split = Split(
        np.broadcast_to(photo, (photos, *photo.shape)),
        np.broadcast_to(trimap, (photos, *trimap.shape)),
        [row] * photos,
        Frame("squash", size),
    )
    return FramedPhotos(split)


def seconds_of(call: Callable[[], None]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def peak_memory() -> int:
    """Return the highest resident memory of this process in bytes."""
    if STATUS.exists():
        # On Linux ru_maxrss begins with the memory of the process that started this one.
        (line,) = (row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def device() -> str:
    """Return the names of the GPUs, or the number of threads on the processor."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return backend.device()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{threads} threads"


def describe(result: Estimate, mode: Mode) -> str:
    """Return the estimate as a phrase for people; a training with patience may end earlier."""
    photos = "tiles" if mode == "tiles" else "photos"
    epochs = f"{result.epochs} epoch{'s' if result.epochs > 1 else ''}"
    if result.stops_early:
        epochs = f"at most {epochs}"
    return (
        f"about {duration(result.seconds)} for {epochs} of {result.train_photos:,} {photos} "
        f"on this machine ({result.device}), at most {result.bytes / 1e9:.1f} GB of memory"
    )


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: seconds up to two minutes, minutes up to two hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{round(hours, 1):g} h" if hours < 48 else f"{round(hours / 24, 1):g} days"


def main() -> None:
    """Read the request from standard input, and print the estimate as JSON."""
    request = json.load(sys.stdin)
    settings = TrainParams(**request.pop("settings"))
    try:
        result = estimate(settings, **request)
    except Exception as error:  # Whatever TensorFlow raises becomes one line.
        raise UserError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    command.exit_cleanly(main)
