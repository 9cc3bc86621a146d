"""Layers that compute the same as others, faster, for the training step alone.

The model that is saved keeps the usual layers. benchmarks/step_speed.py measures what these bring.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from petseg.model import efficientnet_lite

Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def for_training(model: keras.Model) -> keras.Model:
    """Return the network, sharing its weights, with faster layers where there are some.

    It always computes as in training: batch norm uses the batch's own mean and variance.
    """

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        if efficientnet_lite.is_pretrained(layer) and is_pointwise(layer):
            return pointwise(layer)(*args)
        if type(layer) is keras.layers.BatchNormalization and layer.compute_dtype == "float32":
            return fused_norm(layer)(*args)
        return layer(*args, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def fused_norm(norm: keras.layers.BatchNormalization) -> keras.Layer:
    """Return a batch norm, by the weights of this layer, as one operation; Keras has about ten."""

    def call(x: tf.Tensor) -> tf.Tensor:
        normalised, mean, variance, *_ = tf.compat.v1.nn.fused_batch_norm(
            x, norm.gamma.value, norm.beta.value, epsilon=norm.epsilon
        )
        pixels = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        variance *= (pixels - 1) / pixels  # TensorFlow divides by n - 1, Keras by n
        for average, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            average.assign(average * norm.momentum + value * (1 - norm.momentum))
        return normalised

    return keras.layers.Lambda(call, output_shape=lambda shape: shape, name=f"{norm.name}_fused")


def is_pointwise(layer: keras.Layer) -> bool:
    """Return whether a layer is a 1×1 convolution of every pixel."""
    return type(layer) is keras.layers.Conv2D and layer.kernel_size == layer.strides == (1, 1)


def pointwise(conv: keras.layers.Conv2D) -> keras.Layer:
    """Return a 1×1 convolution with bias, linear or with ReLU6, by the weights of this layer.

    A 1×1 convolution is a matrix product over all pixels, and so are its gradients. TensorFlow
    computes these by oneDNN's gradients of any convolution, which take longer.
    """
    is_relu6 = conv.activation is keras.activations.relu6

    def call(x: tf.Tensor) -> tf.Tensor:
        kernel, bias = (tf.convert_to_tensor(weight) for weight in (conv.kernel, conv.bias))
        return convolve(x, kernel[0, 0], bias, is_relu6)

    return keras.layers.Lambda(
        call, output_shape=lambda shape: (*shape[:-1], conv.filters), name=f"{conv.name}_pointwise"
    )


def convolve(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, is_relu6: bool) -> tf.Tensor:
    """Return a 1×1 convolution whose gradients are matrix products.

    Args:
        x: (n, height, width, in).
        kernel: (in, out).
        bias: (out,).
        is_relu6: whether ReLU6 follows.
    """

    @tf.custom_gradient
    def function(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        y = tf.nn.bias_add(tf.nn.conv2d(x, kernel[None, None], 1, "SAME"), bias)
        y = tf.nn.relu6(y) if is_relu6 else y

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dy = tf.raw_ops.Relu6Grad(gradients=dy, features=y) if is_relu6 else dy
            pixels_dy, pixels_x = rows(dy), rows(x)
            dx = tf.reshape(tf.matmul(pixels_dy, kernel, transpose_b=True), tf.shape(x))
            dkernel = tf.matmul(pixels_x, pixels_dy, transpose_a=True)
            ones = tf.ones_like(pixels_dy[:, :1])
            return dx, dkernel, tf.matmul(ones, pixels_dy, transpose_a=True)[0]

        return y, gradient

    return function(x, kernel, bias)


def rows(features: tf.Tensor) -> tf.Tensor:
    """Return features (n, height, width, channels) with a row per pixel."""
    return tf.reshape(features, (-1, features.shape[-1]))
