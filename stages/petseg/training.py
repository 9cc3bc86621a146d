"""The training loop: epochs over the memory maps, the step, and the history."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

import keras
import numpy as np
import tensorflow as tf
from jaxtyping import UInt8

from stages.petseg import augment, lite0, progress
from stages.petseg.archives import BORDER, PET
from stages.petseg.arrays import Split
from stages.petseg.errors import UserError
from stages.petseg.thresholds import Border

Decay = Literal["none", "cosine"]
Loss = Literal["bce", "bce_dice"]
Batch = tuple[UInt8[np.ndarray, "batch size size 3"], UInt8[np.ndarray, "batch size size"]]
Weights = list[np.ndarray]
Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

EXPLODED = 100.0  # nats per pixel; a network that knows nothing has 0.69


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch's results; a row of history.csv."""

    epoch: int  # from 1
    loss: float  # bce: nats per pixel
    accuracy: float
    iou: float
    val_loss: float
    val_accuracy: float
    val_iou: float


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an epoch took; a row of the log, which is no result."""

    epoch: int
    seconds: float
    photos_per_second: float  # while training, without validation


@dataclass(frozen=True)
class Schedule:
    """What the loop needs to know."""

    epochs: int
    patience: int  # epochs without a better IoU that end it early; 0: off
    batch_size: int
    loss: Loss
    learning_rate: float  # the highest
    encoder_rate: float  # share of it for weights that come pretrained
    decay: Decay  # of the learning rate: none, or along half a cosine to 0 at the last step
    border: Border
    flip: bool  # this and the next two: see augment.draw
    crop: float
    colour: float
    seed: int


@dataclass
class State:
    """Where a training is: what the rest of it depends on beside photos, schedule and code."""

    epoch: int = 1  # that is being trained
    batches: int = 0  # of it that are done
    totals: np.ndarray = field(default_factory=lambda: np.zeros(5))  # the step's sums over these
    history: list[EpochRow] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    weights: Weights = field(default_factory=list)  # of the model
    optimizer: Weights = field(default_factory=list)  # its variables: moments and step count
    best: Weights = field(default_factory=list)  # of the model at the epoch kept
    frames: Weights = field(default_factory=list)  # for the caller: an array per epoch

    @property
    def kept(self) -> EpochRow:
        """The best epoch by validation IoU, the first of equals; at least one must be done."""
        return max(self.history, key=lambda row: row.val_iou)

    def ended(self, epochs: int, patience: int) -> bool:
        """Return whether all epochs are done, or the last ones have brought nothing."""
        waited = self.epoch - 1 - self.kept.epoch if self.history else 0
        return self.epoch > epochs or 0 < patience <= waited

    def packed(self) -> tuple[dict[str, Any], dict[str, Weights]]:
        """Return the state as what JSON can hold, and arrays."""
        numbers = {
            "epoch": self.epoch,
            "batches": self.batches,
            "history": [asdict(row) for row in self.history],
            "timings": [asdict(row) for row in self.timings],
        }
        names = ("weights", "optimizer", "best", "frames")
        return numbers, {"totals": [self.totals]} | {name: getattr(self, name) for name in names}

    @classmethod
    def unpacked(cls, numbers: dict[str, Any], arrays: dict[str, Weights]) -> "State":
        """Return the state that was packed."""
        return cls(
            epoch=numbers["epoch"],
            batches=numbers["batches"],
            history=[EpochRow(**row) for row in numbers["history"]],
            timings=[Timing(**row) for row in numbers["timings"]],
            totals=arrays["totals"][0],
            **{name: found for name, found in arrays.items() if name != "totals"},
        )


@dataclass(frozen=True)
class Part:
    """An optimizer, and the weights of the model that it changes."""

    optimizer: keras.Optimizer
    weights: list[keras.Variable]


class StoppedError(Exception):
    """The training was asked to stop, and has saved its state."""


class DivergedError(UserError):
    """The loss is no number any more, or far beyond one."""


def run(
    model: keras.Model,
    train: Split,
    val: Split,
    schedule: Schedule,
    state: State,
    save: Callable[[State], None],
    stop: Callable[[], bool],
) -> Iterator[tuple[EpochRow, Timing]]:
    """Train the model in place from where `state` is; yield after every epoch, then save it.

    Training figures are means over the epoch while the weights change, as is usual.
    Shuffling and augmentation depend on the seed and the epoch alone, so that a state that is
    gone on with ends as if nothing had come between.

    Raises:
        StoppedError: `stop()` was true after a step; the state is saved.
        DivergedError: the loss is no number any more, or above 100 nats per pixel.
    """
    parts = make_optimizers(model, schedule, len(train))
    restore(model, parts, state)
    train_step = make_step(model, schedule.loss, schedule.border, parts)
    val_step = make_step(model, schedule.loss, schedule.border, None)

    def keep() -> None:
        state.weights = model.get_weights()
        state.optimizer = [variable.numpy() for variable in variables(parts)]
        save(state)

    def stepped(sums: np.ndarray, where: str) -> None:
        check(sums, f"epoch {state.epoch}, {where}", float(parts[0].optimizer.learning_rate))
        if stop():
            keep()
            raise StoppedError

    def trained(sums: np.ndarray) -> None:
        state.totals += sums
        state.batches += 1
        stepped(sums, f"step {state.batches}")

    while not state.ended(schedule.epochs, schedule.patience):
        epoch, started = state.epoch, time.perf_counter()
        done = state.batches * schedule.batch_size
        rest = shuffled(train, schedule, epoch, done)
        each_step(train_step, rest, len(train), f"epoch {epoch}", trained)
        seconds = time.perf_counter() - started
        tested = np.zeros(5)

        def validated(sums: np.ndarray, total: np.ndarray = tested) -> None:
            total += sums
            stepped(sums, "validation")

        each_step(val_step, in_order(val, schedule.batch_size), len(val), "validation", validated)
        whole = round(time.perf_counter() - started, 2)
        timing = Timing(epoch, whole, round(max(0, len(train) - done) / seconds, 1))
        row = EpochRow(epoch, *figures(state.totals), *figures(tested))
        state.history.append(row)
        state.timings.append(timing)
        if row is state.kept:
            state.best = model.get_weights()
        yield row, timing
        state.epoch, state.batches, state.totals = epoch + 1, 0, np.zeros(5)
        keep()


def variables(parts: list[Part]) -> list[keras.Variable]:
    """Return what the optimizers remember."""
    return [variable for part in parts for variable in part.optimizer.variables]


def restore(model: keras.Model, parts: list[Part], state: State) -> None:
    """Give network and optimizers what they had when the state was saved."""
    if state.weights:
        model.set_weights(state.weights)
        for variable, value in zip(variables(parts), state.optimizer, strict=True):
            variable.assign(value)


def each_step(
    step: Step,
    batches: Iterator[Batch],
    photos: int,
    title: str,
    done: Callable[[np.ndarray], None],
) -> None:
    """Take a step with each batch while the next is made, and hand its sums to `done`."""
    with progress.bar(title, photos) as bar, closing(ahead(batches)) as ready:
        for batch in ready:
            sums = step(*batch).numpy()
            bar.update(len(batch[0]))
            done(sums)


def ahead(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yield the same, each made in a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def check(sums: np.ndarray, where: str, rate: float) -> None:
    """Refuse a step whose loss is no number, or has exploded.

    Raises:
        DivergedError: the text says where, and at which learning rate.
    """
    loss = sums[0] / sums[1]
    if not loss < EXPLODED:  # so that NaN is caught
        raise DivergedError(
            f"{where}: the loss is {loss:g} at a learning rate of {rate:g}; lower "
            "train.learning_rate"
        )


def make_optimizers(model: keras.Model, schedule: Schedule, photos: int) -> list[Part]:
    """Return an Adam for the new weights, and one at a share of the rate for the pretrained."""
    ready = [layer for layer in model.layers if lite0.pretrained(layer)]
    new = [layer for layer in model.layers if layer not in ready]
    parts = []
    for layers, highest in (
        (new, schedule.learning_rate),
        (ready, schedule.learning_rate * schedule.encoder_rate),
    ):
        weights = [weight for layer in layers for weight in layer.trainable_variables]
        if weights:
            rate = make_rate(schedule, highest, photos)
            optimizer = keras.optimizers.Adam(rate)
            optimizer.build(weights)
            parts.append(Part(optimizer, weights))
    return parts


def make_rate(
    schedule: Schedule, highest: float, photos: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate by step."""
    steps = schedule.epochs * math.ceil(photos / schedule.batch_size)
    alpha = {"none": 1.0, "cosine": 0.0}[schedule.decay]
    return keras.optimizers.schedules.CosineDecay(highest, steps, alpha)


def shuffled(split: Split, schedule: Schedule, epoch: int, done: int = 0) -> Iterator[Batch]:
    """Yield the split's batches in the epoch's own order, over the whole set, after those done."""
    rng = np.random.default_rng([schedule.seed, epoch])
    order = rng.permutation(len(split))
    draws = augment.draw(
        rng, len(split), flip=schedule.flip, crop=schedule.crop, colour=schedule.colour
    )
    for start in range(done, len(order), schedule.batch_size):
        batch = slice(start, start + schedule.batch_size)
        rows = np.sort(order[batch])  # the disk likes it, the step does not mind
        yield augment.apply(split.photos[rows], split.trimaps[rows], draws[batch])


def in_order(split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield the split's batches as they lie."""
    for start in range(0, len(split), batch_size):
        stop = start + batch_size
        yield np.asarray(split.photos[start:stop]), np.asarray(split.trimaps[start:stop])


def figures(total: np.ndarray) -> tuple[float, float, float]:
    """Return (loss, accuracy, IoU) from the step's five sums, 6 decimals."""
    loss, pixels, hits, union, right = total.tolist()
    return (
        round(loss / pixels, 6),
        round(right / pixels, 6),
        round(hits / union if union else 1.0, 6),
    )


def make_step(model: keras.Model, loss: Loss, border: Border, parts: list[Part] | None) -> Step:
    """Return the step as one graph: with optimizers it trains, without them only measures.

    The step takes photos (n, size, size, 3) and trimaps (n, size, size), both uint8, and
    returns five float64 sums over the batch's counted pixels: the loss, pixels,
    intersection, union, pixels right. The loss `bce` is binary cross-entropy; `bce_dice` adds
    1 − Dice of the probabilities over the whole batch, 2Σpt / Σ(p + t), to every pixel's.
    """
    size = model.input.shape[1]
    signature = [
        tf.TensorSpec([None, size, size, 3], tf.uint8),
        tf.TensorSpec([None, size, size], tf.uint8),
    ]

    def measure(photos: tf.Tensor, trimaps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = model(photos, training=parts is not None)[..., 0]
        truth = (trimaps == PET) | (trimaps == BORDER) if border == "pet" else trimaps == PET
        counted = trimaps != BORDER if border == "ignored" else tf.ones_like(truth)
        found = logits > 0
        areas = (counted, found & truth & counted, (found | truth) & counted)
        counts = [tf.math.count_nonzero(area) for area in (*areas, (found == truth) & counted)]
        mean = mean_loss(logits, tf.cast(truth, tf.float32), tf.cast(counted, tf.float32))
        sums = [tf.cast(number, tf.float64) for number in (mean, *counts)]
        return mean, tf.stack([sums[0] * sums[1], *sums[1:]])

    def mean_loss(logits: tf.Tensor, truth: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        losses = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
        mean = tf.reduce_sum(losses * counted) / tf.reduce_sum(counted)
        if loss == "bce":
            return mean
        found = tf.sigmoid(logits) * counted
        both = tf.reduce_sum(found * truth)
        return mean + 1 - 2 * both / (tf.reduce_sum(found) + tf.reduce_sum(truth * counted))

    if parts is None:

        @tf.function(input_signature=signature)
        def test_step(photos: tf.Tensor, trimaps: tf.Tensor) -> tf.Tensor:
            return measure(photos, trimaps)[1]

        return cast(Step, test_step)

    @tf.function(input_signature=signature)
    def train_step(photos: tf.Tensor, trimaps: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            mean, sums = measure(photos, trimaps)
        gradients = tape.gradient(mean, [part.weights for part in parts])
        for part, found in zip(parts, gradients, strict=True):
            part.optimizer.apply(found, part.weights)
        return sums

    return cast(Step, train_step)
