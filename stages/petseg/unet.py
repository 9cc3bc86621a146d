"""Build the network: the classic U-Net, or a light decoder on a pretrained encoder."""

from typing import Literal

import keras
from keras import KerasTensor, layers

from stages.petseg import lite0

Encoder = Literal["plain", "efficientnet_lite0"]


def build(size: int, base_channels: int, depth: int, encoder: Encoder) -> keras.Model:
    """Return the network that is asked for; what is not pretrained has random weights.

    Args:
        size: the side of a photo in pixels, divisible by 2 ** depth.
        base_channels: channels at full resolution.
        depth: number of halvings; 5 for efficientnet_lite0.
        encoder: what halves the resolution, see `plain` and `pretrained`.

    Returns:
        A model from photos (n, size, size, 3), uint8 RGB, to logits (n, size, size, 1),
        float32. The scaling is its first layer.
    """
    photos = layers.Input((size, size, 3), dtype="uint8", name="photos")
    x = BUILDERS[encoder](photos, base_channels, depth)
    logits = layers.Conv2D(1, 1, dtype="float32", name="logits")(x)
    model = keras.Model(photos, logits, name="unet")
    if encoder == "efficientnet_lite0":
        lite0.load(model)
    return model


def plain(photos: KerasTensor, base_channels: int, depth: int) -> KerasTensor:
    """Return the features of the paper's U-Net at full resolution.

    The encoder halves the resolution `depth` times and doubles the channels, the decoder
    goes back, and each of its levels sees the encoder's features of the same resolution.
    Unlike the paper's it pads, so that the mask has the photo's size.
    """
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(photos)
    skips = []
    for level in range(depth):
        x = double_conv(x, base_channels * 2**level, f"encoder{level}")
        skips.append(x)
        x = layers.MaxPooling2D(name=f"down{level}")(x)
    x = double_conv(x, base_channels * 2**depth, "bottom")
    for level in reversed(range(depth)):
        x = layers.Conv2DTranspose(base_channels * 2**level, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([skips[level], x])
        x = double_conv(x, base_channels * 2**level, f"decoder{level}")
    return x


def double_conv(x: KerasTensor, channels: int, name: str) -> KerasTensor:
    """Two 3×3 convolutions, each with its ReLU inside, where oneDNN fuses them."""
    for number in (1, 2):
        x = layers.Conv2D(
            channels,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"{name}_{number}",
        )(x)
    return x


def pretrained(photos: KerasTensor, base_channels: int, depth: int) -> KerasTensor:
    """Return the features of a light decoder on EfficientNet-Lite0 at full resolution.

    Each level doubles the resolution bilinearly and has one separable convolution; its channels
    double from half the resolution on.
    """
    *skips, x = lite0.features(photos)
    for level in reversed(range(depth)):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"up{level}")(x)
        if level:
            x = layers.Concatenate(name=f"skip{level}")([skips[level - 1], x])
        x = layers.SeparableConv2D(
            base_channels * 2 ** max(0, level - 1),
            3,
            padding="same",
            activation="relu",
            depthwise_initializer=keras.initializers.RandomNormal(stddev=1 / 3),  # sees 9 pixels
            pointwise_initializer="he_normal",
            name=f"decoder{level}",
        )(x)
    return x


BUILDERS = {"plain": plain, "efficientnet_lite0": pretrained}


def with_probabilities(model: keras.Model) -> keras.Model:
    """Return the same network with its logits made probabilities, (n, size, size, 1)."""
    return keras.Model(
        model.input,
        layers.Activation("sigmoid", dtype="float32", name="pet")(model.output),
        name="unet",
    )
