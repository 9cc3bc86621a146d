"""One step of a training as a graph: the optimizers, and the pixel counts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import cast

import keras
import tensorflow as tf

from petseg.data.labels import FOREGROUND_AND_BACKGROUND
from petseg.model import efficientnet_lite
from petseg.training import fast_layers
from petseg.training.loss import mean_loss
from petseg.training.settings import TrainParams

Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class OptimizerGroup:
    """An optimizer, and the weights of the model that it changes."""

    optimizer: keras.Optimizer
    weights: list[keras.Variable]


def make_optimizers(model: keras.Model, settings: TrainParams, photos: int) -> list[OptimizerGroup]:
    """Return an Adam for the new weights, and one with a lower rate for pretrained weights.

    Args:
        model: the network to train.
        settings: learning rates, schedule, weight decay, epochs and batch size are used.
        photos: how many photos an epoch has.
    """
    pretrained = [layer for layer in model.layers if efficientnet_lite.is_pretrained(layer)]
    new = [layer for layer in model.layers if layer not in pretrained]
    groups = []
    for layers, rate in (
        (new, settings.learning_rate),
        (pretrained, settings.learning_rate * settings.encoder_lr_multiplier),
    ):
        weights = [weight for layer in layers for weight in layer.trainable_variables]
        if weights:
            schedule = learning_rate_schedule(settings, rate, photos)
            optimizer = keras.optimizers.Adam(schedule, weight_decay=settings.weight_decay or None)
            # Loshchilov and Hutter 2019, arXiv:1711.05101; of biases and batch norms, which are
            # vectors, nothing is removed.
            optimizer.exclude_from_weight_decay([one for one in weights if len(one.shape) == 1])
            optimizer.build(weights)
            groups.append(OptimizerGroup(optimizer, weights))
    return groups


def learning_rate_schedule(
    settings: TrainParams, highest: float, photos: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate by step: constant, or half a cosine down to 0."""
    steps = settings.epochs * math.ceil(photos / settings.batch_size)
    last = {"none": 1.0, "cosine": 0.0}[settings.lr_schedule]  # as a share of the highest
    return keras.optimizers.schedules.CosineDecay(highest, steps, last)


def is_any_of(trimaps: tf.Tensor, classes: tuple[int, ...]) -> tf.Tensor:
    """Return where a trimap has one of these classes."""
    return reduce(or_, [trimaps == value for value in classes])


def make_step(
    model: keras.Model, settings: TrainParams, groups: list[OptimizerGroup] | None
) -> Step:
    """Return the step as one graph: with optimizers it trains, with None it only measures.

    The step takes photos (n, size, size, 3) and trimaps (n, size, size), both uint8, and returns
    five float64 sums over the pixels that count under the border policy: loss, pixels,
    intersection, union, correct pixels.
    """
    size = model.input.shape[1]
    signature = [
        tf.TensorSpec([None, size, size, 3], tf.uint8),
        tf.TensorSpec([None, size, size], tf.uint8),
    ]
    foreground, background = FOREGROUND_AND_BACKGROUND[settings.border]
    if groups is not None:
        model = fast_layers.for_training(model)

    def measure(photos: tf.Tensor, trimaps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = model(photos, training=groups is not None)[..., 0]
        truth = is_any_of(trimaps, foreground)
        counted = truth | is_any_of(trimaps, background)
        predicted = logits > 0
        areas = (counted, predicted & truth & counted, (predicted | truth) & counted)
        counts = [tf.math.count_nonzero(area) for area in (*areas, (predicted == truth) & counted)]
        mean = mean_loss(logits, tf.cast(truth, tf.float32), tf.cast(counted, tf.float32), settings)
        sums = [tf.cast(number, tf.float64) for number in (mean, *counts)]
        return mean, tf.stack([sums[0] * sums[1], *sums[1:]])

    if groups is None:

        @tf.function(input_signature=signature)
        def val_step(photos: tf.Tensor, trimaps: tf.Tensor) -> tf.Tensor:
            return measure(photos, trimaps)[1]

        return cast(Step, val_step)

    @tf.function(input_signature=signature)
    def train_step(photos: tf.Tensor, trimaps: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            mean, sums = measure(photos, trimaps)
        gradients = tape.gradient(mean, [group.weights for group in groups])
        for group, group_gradients in zip(groups, gradients, strict=True):
            group.optimizer.apply(group_gradients, group.weights)
        return sums

    return cast(Step, train_step)
