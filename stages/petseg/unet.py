"""Build the U-Net (Ronneberger, Fischer and Brox 2015, arXiv:1505.04597) in Keras."""

import keras
from keras import KerasTensor, layers


def build(size: int, base_channels: int, depth: int) -> keras.Model:
    """Return an untrained U-Net that gives logits.

    The encoder halves the resolution `depth` times and doubles the channels, the decoder
    goes back, and each of its levels sees the encoder's features of the same resolution.
    Unlike the paper's it pads, so that the mask has the photo's size.

    Args:
        size: the side of a photo in pixels, divisible by 2 ** depth.
        base_channels: channels at full resolution.
        depth: number of halvings; 4 in the paper.

    Returns:
        A model from photos (n, size, size, 3), uint8 RGB, to logits (n, size, size, 1),
        float32. The scaling to −1…1 is its first layer.
    """
    photos = layers.Input((size, size, 3), dtype="uint8", name="photos")
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
    return keras.Model(photos, layers.Conv2D(1, 1, dtype="float32", name="logits")(x), name="unet")


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


def with_probabilities(model: keras.Model) -> keras.Model:
    """Return the same network with its logits made probabilities, (n, size, size, 1)."""
    return keras.Model(
        model.input,
        layers.Activation("sigmoid", dtype="float32", name="pet")(model.output),
        name="unet",
    )
