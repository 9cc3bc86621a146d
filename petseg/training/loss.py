"""The loss of a batch: cross-entropy, with more weight along outlines and with Dice if asked for."""

import tensorflow as tf

from petseg.training.settings import TrainParams

EDGE = 2  # pixels from the other class up to which a pixel is at the outline


def mean_loss(
    logits: tf.Tensor, truth: tf.Tensor, counted: tf.Tensor, settings: TrainParams
) -> tf.Tensor:
    """Return the loss of a batch, a scalar.

    `bce` is the binary cross-entropy in nats per pixel, a mean in which pixels at the outline
    weigh 1 + `edge_weight`. `bce_dice` adds 1 - Dice of the probabilities p and the truth t over
    the whole batch, Dice = 2 Σpt / Σ(p + t).

    Args:
        logits: (n, size, size).
        truth: the same shape, 1 for foreground and 0 for background.
        counted: the same shape, 1 for pixels that count and 0 for others.
        settings: `loss` and `edge_weight` are used.
    """
    losses = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
    weights = counted
    if settings.edge_weight:
        weights = counted * (1 + settings.edge_weight * at_outline(truth))
    # A batch may have no pixel that counts; there is nothing to learn from it.
    mean = tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)
    if settings.loss == "bce":
        return mean
    predicted = tf.sigmoid(logits) * counted
    overlap = tf.reduce_sum(predicted * truth)
    areas = tf.reduce_sum(predicted) + tf.reduce_sum(truth * counted)
    return mean + 1 - tf.math.divide_no_nan(2 * overlap, areas)


def at_outline(truth: tf.Tensor) -> tf.Tensor:
    """Return 1 for pixels with one of the other class in the square of ±2 pixels, else 0."""
    side, masks = 2 * EDGE + 1, truth[..., None]
    highest = tf.nn.max_pool2d(masks, side, 1, "SAME")
    lowest = -tf.nn.max_pool2d(-masks, side, 1, "SAME")
    return (highest - lowest)[..., 0]
