"""The training loop: epochs over the memory maps, the step, and the history."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import keras
import numpy as np
import tensorflow as tf
from jaxtyping import UInt8

from stages.petseg import augment, progress
from stages.petseg.archives import BORDER, PET
from stages.petseg.arrays import Split

Border = Literal["pet", "background", "ignored"]
Decay = Literal["none", "cosine"]
Batch = tuple[UInt8[np.ndarray, "batch size size 3"], UInt8[np.ndarray, "batch size size"]]
Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch's results; a row of history.csv. Loss is in nats per pixel."""

    epoch: int  # from 1
    loss: float
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
    batch_size: int
    learning_rate: float
    decay: Decay  # of the learning rate: none, or along half a cosine to 0 at the last step
    border: Border
    flip: bool
    seed: int


def run(
    model: keras.Model, train: Split, val: Split, schedule: Schedule
) -> Iterator[tuple[EpochRow, Timing]]:
    """Train the model in place; yield after every epoch.

    Training figures are means over the epoch while the weights change, as is usual.
    Shuffling and flips depend on the seed and the epoch alone.
    """
    optimizer = keras.optimizers.Adam(learning_rate(schedule, len(train)))
    optimizer.build(model.trainable_variables)
    train_step = make_step(model, schedule.border, optimizer)
    val_step = make_step(model, schedule.border, None)
    for epoch in range(1, schedule.epochs + 1):
        started = time.perf_counter()
        trained = totals(
            train_step,
            shuffled(train, schedule, epoch),
            len(train),
            f"epoch {epoch}",
        )
        seconds = time.perf_counter() - started
        tested = totals(
            val_step,
            in_order(val, schedule.batch_size),
            len(val),
            "validation",
        )
        whole = time.perf_counter() - started
        row = EpochRow(epoch, *figures(trained), *figures(tested))
        yield row, Timing(epoch, round(whole, 2), round(len(train) / seconds, 1))


def learning_rate(
    schedule: Schedule, photos: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the rate as Keras's optimizers take it."""
    if schedule.decay == "none":
        return schedule.learning_rate
    steps = schedule.epochs * math.ceil(photos / schedule.batch_size)
    return keras.optimizers.schedules.CosineDecay(schedule.learning_rate, steps)


def shuffled(split: Split, schedule: Schedule, epoch: int) -> Iterator[Batch]:
    """Yield the split's batches in the epoch's own order, over the whole set."""
    rng = np.random.default_rng([schedule.seed, epoch])
    order = rng.permutation(len(split))
    for start in range(0, len(order), schedule.batch_size):
        rows = np.sort(
            order[start : start + schedule.batch_size]
        )  # the disk likes it, the step does not mind
        photos, trimaps = split.photos[rows], split.trimaps[rows]
        if schedule.flip:
            augment.flip_half(rng, photos, trimaps)
        yield photos, trimaps


def in_order(split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield the split's batches as they lie."""
    for start in range(0, len(split), batch_size):
        stop = start + batch_size
        yield np.asarray(split.photos[start:stop]), np.asarray(split.trimaps[start:stop])


def totals(step: Step, batches: Iterator[Batch], photos: int, title: str) -> np.ndarray:
    """Return the sum of a step's results over the batches."""
    total = np.zeros(5)
    with progress.bar(title, photos) as bar:
        for batch in batches:
            total += step(*batch).numpy()
            bar.update(len(batch[0]))
    return total


def figures(total: np.ndarray) -> tuple[float, float, float]:
    """Return (loss, accuracy, IoU) from the step's five sums, 6 decimals."""
    loss, pixels, hits, union, right = total.tolist()
    return (
        round(loss / pixels, 6),
        round(right / pixels, 6),
        round(hits / union if union else 1.0, 6),
    )


def make_step(model: keras.Model, border: Border, optimizer: keras.Optimizer | None) -> Step:
    """Return the step as one graph: with an optimizer it trains, without it only measures.

    The step takes photos (n, size, size, 3) and trimaps (n, size, size), both uint8, and
    returns five float64 sums over the batch's counted pixels: binary cross-entropy, pixels,
    intersection, union, pixels right.
    """
    size = model.input.shape[1]
    signature = [
        tf.TensorSpec([None, size, size, 3], tf.uint8),
        tf.TensorSpec([None, size, size], tf.uint8),
    ]

    def measure(photos: tf.Tensor, trimaps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = model(photos, training=optimizer is not None)[..., 0]
        truth = (trimaps == PET) | (trimaps == BORDER) if border == "pet" else trimaps == PET
        counted = trimaps != BORDER if border == "ignored" else tf.ones_like(truth)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(truth, tf.float32), logits)
        loss = tf.reduce_sum(losses * tf.cast(counted, tf.float32))
        found = logits > 0
        pixels = tf.math.count_nonzero(counted)
        parts = (found & truth & counted, (found | truth) & counted, (found == truth) & counted)
        counts = [pixels, *map(tf.math.count_nonzero, parts)]
        return loss / tf.cast(pixels, tf.float32), tf.stack(
            [tf.cast(loss, tf.float64), *(tf.cast(n, tf.float64) for n in counts)]
        )

    if optimizer is None:

        @tf.function(input_signature=signature)
        def test_step(photos: tf.Tensor, trimaps: tf.Tensor) -> tf.Tensor:
            return measure(photos, trimaps)[1]

        return cast(Step, test_step)

    @tf.function(input_signature=signature)
    def train_step(photos: tf.Tensor, trimaps: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss, sums = measure(photos, trimaps)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return sums

    return cast(Step, train_step)
