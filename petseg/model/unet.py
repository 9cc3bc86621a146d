"""Build the network: the U-Net of the paper, or a light decoder on a faster or pretrained encoder."""

import keras
from keras import KerasTensor, layers

from petseg.model import efficientnet_lite
from petseg.model.encoders import LITES, Encoder


def build(
    size: int, base_channels: int, depth: int, encoder: Encoder, input_scale: int = 1
) -> keras.Model:
    """Return the network; weights that are not pretrained are random.

    Args:
        size: the side of a photo in pixels, divisible by 2 ** depth.
        base_channels: channels at full resolution.
        depth: how many times the resolution is halved; 5 for a pretrained encoder.
        encoder: which network halves the resolution, see `plain`, `strided` and `pretrained`.
        input_scale: factor by which photos are enlarged for a pretrained encoder, 1 or 2.

    Returns:
        A model from photos (n, size, size, 3), uint8 RGB, to logits (n, size, size, 1),
        float32. The first layer scales the photos.
    """
    photos = layers.Input((size, size, 3), dtype="uint8", name="photos")
    if encoder in LITES:
        x = pretrained(photos, encoder, base_channels, input_scale)
    else:
        x = {"plain": plain, "strided": strided}[encoder](photos, base_channels, depth)
    logits = layers.Conv2D(1, 1, dtype="float32", name="logits")(x)
    model = keras.Model(photos, logits, name="unet")
    if encoder in LITES:
        efficientnet_lite.load(model, encoder)
    return model


def plain(photos: KerasTensor, base_channels: int, depth: int) -> KerasTensor:
    """Return the features of the paper's U-Net at full resolution.

    The encoder halves the resolution `depth` times and doubles the channels each time. The decoder
    does the reverse, and each of its levels also gets the encoder's features of its resolution.
    Unlike in the paper the convolutions pad, so that the mask has the photo's size.
    Ronneberger, Fischer and Brox: U-Net, MICCAI 2015.
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
    """Apply two 3×3 convolutions, each with ReLU as its activation, so that oneDNN fuses the two."""
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

    Each of its levels has two 3×3 convolutions and up to eight times the base channels. At half
    the resolution a photo takes a quarter of the work, so the network sees more photos in the
    same time.
    """
    full = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(photos)
    stem = layers.Conv2D(base_channels, 3, 2, padding="same", use_bias=False, name="stem")
    x, features = norm_relu(stem(full), "stem"), []
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
        features.append(x)
    return light_decoder([edges(full, base_channels), *features], base_channels, normalised=True)


def pretrained(
    photos: KerasTensor, encoder: str, base_channels: int, input_scale: int
) -> KerasTensor:
    """Return the features of the light decoder on an EfficientNet-Lite at full resolution.

    In photos much smaller than ImageNet's 224 pixels, objects are smaller than the encoder has
    learned (Touvron et al. 2019, arXiv:1906.06423). With photos enlarged by 2, its first features
    are at full resolution already.
    """
    features = efficientnet_lite.features(photos, encoder, input_scale)
    if input_scale == 1:
        full = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_full")(photos)
        features.insert(0, edges(full, base_channels))
    return light_decoder(features, base_channels, normalised=False)


def edges(photos: KerasTensor, base_channels: int) -> KerasTensor:
    """Return features of one convolution at full resolution, where the photo's edges are sharp."""
    channels = max(1, base_channels // 2)
    return layers.Conv2D(channels, 3, padding="same", activation="relu", name="edges")(photos)


def light_decoder(features: list[KerasTensor], base_channels: int, normalised: bool) -> KerasTensor:
    """Return features at full resolution: at each level doubled bilinearly, then one convolution.

    Args:
        features: from full resolution down, each at half the resolution of the previous.
        base_channels: channels at full and at half resolution, doubled at every further halving.
        normalised: whether there is batch norm between each convolution and its ReLU.
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
            depthwise_initializer=keras.initializers.RandomNormal(
                stddev=1 / 3
            ),  # the mean over 9 pixels keeps its scale
            pointwise_initializer="he_normal",
            name=f"decoder{level}",
        )(x)
        x = norm_relu(x, f"decoder{level}") if normalised else x
    return x


def norm_relu(x: KerasTensor, name: str) -> KerasTensor:
    """Apply batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167) and ReLU."""
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def with_probabilities(model: keras.Model, flip_tta: bool) -> keras.Model:
    """Return a network that shares the weights and gives probabilities, (n, size, size, 1).

    Args:
        model: a network from photos to logits.
        flip_tta: also predict the mirrored photo, and return the mean of the two predictions.
    """
    sigmoid = layers.Activation("sigmoid", dtype="float32", name="foreground")
    if not flip_tta:
        return keras.Model(model.input, sigmoid(model.output), name="unet")
    photos = layers.Input(model.input.shape[1:], dtype="uint8", name="photos")
    both = [sigmoid(model(photos)), mirrored(sigmoid(model(mirrored(photos))))]
    return keras.Model(photos, layers.Average(dtype="float32", name="mean")(both), name="unet")


def mirrored(pictures: KerasTensor) -> KerasTensor:
    """Return images (n, size, size, channels) mirrored left to right."""
    return keras.ops.flip(pictures, axis=2)
