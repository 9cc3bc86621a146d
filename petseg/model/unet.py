"""Build the network: the classic U-Net, or a light decoder on a quicker or a pretrained encoder."""

from typing import Literal

import keras
from keras import KerasTensor, layers

from petseg.model import efficientnet_lite

Encoder = Literal["plain", "strided", "efficientnet_lite0"]


def build(
    size: int, base_channels: int, depth: int, encoder: Encoder, input_scale: int = 1
) -> keras.Model:
    """Return the network that is asked for; what is not pretrained has random weights.

    Args:
        size: the side of a photo in pixels, divisible by 2 ** depth.
        base_channels: channels at full resolution.
        depth: number of halvings; 5 for efficientnet_lite0.
        encoder: what halves the resolution, see `plain`, `strided` and `pretrained`.
        input_scale: times that photos are enlarged for a pretrained encoder, 1 or 2.

    Returns:
        A model from photos (n, size, size, 3), uint8 RGB, to logits (n, size, size, 1),
        float32. The scaling is its first layer.
    """
    photos = layers.Input((size, size, 3), dtype="uint8", name="photos")
    if encoder == "efficientnet_lite0":
        x = pretrained(photos, base_channels, input_scale)
    else:
        x = {"plain": plain, "strided": strided}[encoder](photos, base_channels, depth)
    logits = layers.Conv2D(1, 1, dtype="float32", name="logits")(x)
    model = keras.Model(photos, logits, name="unet")
    if encoder == "efficientnet_lite0":
        efficientnet_lite.load(model)
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


def strided(photos: KerasTensor, base_channels: int, depth: int) -> KerasTensor:
    """Return features at full resolution from an encoder whose first convolution halves it.

    Each of its levels has two 3×3 convolutions, and up to eight times the base channels. Half
    the resolution is a quarter of the work: it sees that many more photos in the same time.
    """
    full = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(photos)
    stem = layers.Conv2D(base_channels, 3, 2, padding="same", use_bias=False, name="stem")
    x, found = norm_relu(stem(full), "stem"), []
    for level in range(depth):
        if level:
            x = layers.MaxPooling2D(name=f"down{level}")(x)
        for number in (1, 2):
            conv = layers.Conv2D(
                base_channels * min(2**level, 8),
                3,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                name=f"encoder{level}_{number}",
            )
            x = norm_relu(conv(x), conv.name)
        found.append(x)
    return light_decoder([edges(full, base_channels), *found], base_channels, normalised=True)


def pretrained(photos: KerasTensor, base_channels: int, input_scale: int) -> KerasTensor:
    """Return the features of the light decoder on EfficientNet-Lite0 at full resolution.

    Photos much smaller than ImageNet's 224 pixels show the encoder smaller things than it has
    learned (Touvron et al. 2019, arXiv:1906.06423). Enlarged twice, its first features are at
    full resolution themselves.
    """
    found = efficientnet_lite.features(photos, input_scale)
    if input_scale == 1:
        full = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_full")(photos)
        found.insert(0, edges(full, base_channels))
    return light_decoder(found, base_channels, normalised=False)


def edges(photos: KerasTensor, base_channels: int) -> KerasTensor:
    """Return what one convolution sees at full resolution, which halves have blurred."""
    channels = max(1, base_channels // 2)
    return layers.Conv2D(channels, 3, padding="same", activation="relu", name="edges")(photos)


def light_decoder(features: list[KerasTensor], base_channels: int, normalised: bool) -> KerasTensor:
    """Double the resolution bilinearly and take one separable convolution, level by level.

    Args:
        features: from full resolution down, each half of the one before.
        base_channels: at full and at half resolution; they double from there down.
        normalised: batch norm before each ReLU; without, the convolution has it inside.
    """
    *skips, x = features
    for level in reversed(range(len(skips))):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([skips[level], x])
        x = layers.SeparableConv2D(
            base_channels * 2 ** max(0, level - 1),
            3,
            padding="same",
            use_bias=not normalised,
            activation=None if normalised else "relu",
            depthwise_initializer=keras.initializers.RandomNormal(stddev=1 / 3),  # sees 9 pixels
            pointwise_initializer="he_normal",
            name=f"decoder{level}",
        )(x)
        x = norm_relu(x, f"decoder{level}") if normalised else x
    return x


def norm_relu(x: KerasTensor, name: str) -> KerasTensor:
    """Batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167), and ReLU."""
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def with_probabilities(model: keras.Model, flip_tta: bool) -> keras.Model:
    """Return the same network with its logits made probabilities, (n, size, size, 1).

    Args:
        model: from photos to logits; its weights are shared, not copied.
        flip_tta: predict the mirror image, too, and return the mean of both.
    """
    sigmoid = layers.Activation("sigmoid", dtype="float32", name="pet")
    if not flip_tta:
        return keras.Model(model.input, sigmoid(model.output), name="unet")
    photos = layers.Input(model.input.shape[1:], dtype="uint8", name="photos")
    both = [sigmoid(model(photos)), mirrored(sigmoid(model(mirrored(photos))))]
    return keras.Model(photos, layers.Average(name="mean")(both), name="unet")


def mirrored(pictures: KerasTensor) -> KerasTensor:
    """Return (n, size, size, channels) left to right."""
    return keras.ops.flip(pictures, axis=2)
