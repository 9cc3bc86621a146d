"""One step of a training as a graph: the loss, the counts, and the optimizers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import keras
import tensorflow as tf

from petseg.data.labels import BORDER, PET, Border
from petseg.model import efficientnet_lite
from petseg.training.settings import Loss, Schedule

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class OptimizerGroup:
    """An optimizer, and the weights of the model that it changes."""

    optimizer: keras.Optimizer
    weights: list[keras.Variable]


def make_optimizers(model: keras.Model, schedule: Schedule, photos: int) -> list[OptimizerGroup]:
    """Return an Adam for the new weights, and one at a share of the rate for the pretrained."""
    ready = [layer for layer in model.layers if efficientnet_lite.pretrained(layer)]
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
            parts.append(OptimizerGroup(optimizer, weights))
    return parts


def make_rate(
    schedule: Schedule, highest: float, photos: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate by step."""
    steps = schedule.epochs * math.ceil(photos / schedule.batch_size)
    alpha = {"none": 1.0, "cosine": 0.0}[schedule.decay]
    return keras.optimizers.schedules.CosineDecay(highest, steps, alpha)


def make_step(
    model: keras.Model, loss: Loss, border: Border, parts: list[OptimizerGroup] | None
) -> Step:
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
