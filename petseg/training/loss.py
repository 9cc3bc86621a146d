"""The loss of a batch: cross-entropy, with more weight along outlines and with Dice if asked for."""

import tensorflow as tf

from petseg.training.settings import TrainParams

EDGE = 2  # pixels from the other class up to which a pixel is at the outline


def mean_loss(
    logits: tf.Tensor, truth: tf.Tensor, counted: tf.Tensor, settings: TrainParams
) -> tf.Tensor:
    """Return the loss of a batch, a scalar.

    `bce` is the binary cross-entropy in nats per pixel, a mean in which pixels at the outline
    weigh 1 + `edge_weight`, an idea of Ronneberger et al. 2015, arXiv:1505.04597. The others
    add 1 - Dice (Milletari et al. 2016, arXiv:1606.04797) of the probabilities p and the truth t.
    `bce_dice` takes it over the whole batch, Dice = 2 Σpt / Σ(p + t). `bce_dice_photo` takes the
    mean over the photos, in which a small subject weighs as much as a large one, with
    Dice = (2 Σpt + 1) / (Σ(p + t) + 1), which a photo without a subject has too.

    Args:
        logits: (n, size, size), float32, as the other two.
        truth: the same shape, 1 for foreground and 0 for background.
        counted: the same shape, 1 for pixels that count and 0 for others.
        settings: `loss` and `edge_weight` are used.
    """
    losses = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
    weights = counted
    if settings.edge_weight:
        weights = counted * (1 + settings.edge_weight * at_outline(truth, counted))
    # A batch may have no pixel that counts; there is nothing to learn from it.
    mean = tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)
    if settings.loss == "bce":
        return mean
    predicted = tf.sigmoid(logits) * counted
    axes, smooth = {"bce_dice": ((0, 1, 2), 0.0), "bce_dice_photo": ((1, 2), 1.0)}[settings.loss]
    overlap = tf.reduce_sum(predicted * truth, axes)
    areas = tf.reduce_sum(predicted, axes) + tf.reduce_sum(truth * counted, axes)
    return mean + tf.reduce_mean(1 - tf.math.divide_no_nan(2 * overlap + smooth, areas + smooth))


def at_outline(truth: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Return 1 where the square of ±2 pixels has pixels of both classes that count, else 0.

    All three have the shape (n, size, size) and are float32.
    """
    foreground, background = (
        tf.nn.max_pool2d((mask * counted)[..., None], 2 * EDGE + 1, 1, "SAME")[..., 0]
        for mask in (truth, 1 - truth)
    )
    return foreground * background
