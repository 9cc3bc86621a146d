"""EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946, without squeeze-and-excitation) as encoder.

`encoders` has the sizes of each, and where its ImageNet weights are. Each batch norm is folded into
the convolution before it, so that training computes none.
"""

import keras
import numpy as np
from keras import KerasTensor, layers

from petseg.model import encoders, torch_weights

EPSILON = 1e-3  # of the batch norms
STEM = 32  # channels
STAGES = (  # kernel, stride of the first block, expansion
    (3, 1, 1),
    (3, 2, 6),
    (5, 2, 6),
    (3, 2, 6),
    (5, 1, 6),
    (5, 2, 6),
    (3, 1, 6),
)
PARTS = {  # names of convolution and batch norm in the weight file
    "": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def features(photos: KerasTensor, encoder: str, input_scale: int = 1) -> list[KerasTensor]:
    """Return the last features at each resolution, from 1/2 to 1/32 of the scaled photo.

    Args:
        photos: (n, size, size, 3), RGB from 0 to 255, size divisible by 32.
        encoder: a name in `encoders.LITES`.
        input_scale: factor by which the photos are enlarged first, bilinearly.
    """
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(photos)
    if input_scale > 1:
        x = layers.UpSampling2D(input_scale, interpolation="bilinear", name="input_scale")(x)
    x = layers.Conv2D(STEM, 3, 2, padding="same", activation="relu6", name="stem")(x)
    last_features, number, lite = [x], 0, encoders.LITES[encoder]
    for shape, blocks, channels in zip(STAGES, lite.blocks, lite.channels, strict=True):
        kernel, stride, expansion = shape
        for step in (stride,) + (1,) * (blocks - 1):
            x = block(x, kernel, step, expansion, channels, f"block{number}")
            number += 1
        if stride == 2:
            last_features.append(x)
        else:
            last_features[-1] = x
    return last_features


def block(
    x: KerasTensor, kernel: int, stride: int, expansion: int, channels: int, name: str
) -> KerasTensor:
    """Apply one inverted residual block: expand, depthwise convolution, project, add the input."""
    before, padding = x, "same"
    if expansion != 1:
        wide = x.shape[-1] * expansion
        x = layers.Conv2D(wide, 1, activation="relu6", name=f"{name}_expand")(x)
    if stride == 1 and x.shape[1] < kernel:
        # TensorFlow's gradient of a depthwise convolution that pads by itself is slow here.
        x, padding = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"
    x = layers.DepthwiseConv2D(
        kernel, stride, padding=padding, activation="relu6", name=f"{name}_depthwise"
    )(x)
    x = layers.Conv2D(channels, 1, name=f"{name}_project")(x)
    if stride == 1 and channels == before.shape[-1]:
        x = layers.Add(name=f"{name}_add")([before, x])
    return x


def is_pretrained(layer: keras.Layer) -> bool:
    """Return whether `load` sets the weights of a layer."""
    name, _, part = layer.name.partition("_")
    return layer.name == "stem" or (name.startswith("block") and bool(part) and part in PARTS)


def load(model: keras.Model, encoder: str) -> None:
    """Set the weights of a model's encoder to those from ImageNet.

    Raises:
        UserError: its package is not installed, or its file has another checksum.
    """
    tensors = torch_weights.read(encoders.weight_file(encoder), encoders.LITES[encoder].sha256)
    for layer in filter(is_pretrained, model.layers):
        name, _, part = layer.name.partition("_")
        prefix = f"_blocks.{name.removeprefix('block')}." if part else ""
        layer.set_weights(folded(tensors, *(prefix + tensor for tensor in PARTS[part])))


def folded(tensors: dict[str, np.ndarray], conv: str, norm: str) -> list[np.ndarray]:
    """Return kernel (height, width, in, out) and bias of a convolution with its batch norm folded in."""
    gamma, beta, mean, variance = (
        tensors[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    kernel = tensors[f"{conv}.weight"] * scale[:, None, None, None]
    depthwise = kernel.shape[1] == 1
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), beta - mean * scale]
