"""The parameters of a training, and which of them go together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import params
from petseg.data.arrays import Split
from petseg.data.labels import BACKGROUND, BORDER, PET, Border
from petseg.errors import UserError

Decay = Literal["none", "cosine"]
Loss = Literal["bce", "bce_dice"]
DEPTHS = {"efficientnet_lite0": 5}  # halvings that an encoder comes with


@dataclass(frozen=True)
class Schedule:
    """What the loop needs to know."""

    epochs: int
    patience: int  # epochs without a better IoU that end it early; 0: off
    batch_size: int
    loss: Loss
    learning_rate: float  # the highest
    encoder_rate: float  # share of it for weights that come pretrained
    decay: Decay  # of the learning rate: none, or along half a cosine to 0 at the last step
    border: Border
    flip: bool  # this and the next two: see augment.draw
    crop: float
    colour: float
    seed: int


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`train` in params.yaml."""

    encoder: Literal["plain", "strided", "efficientnet_lite0"]
    enlarge: Literal[1, 2]
    base_channels: Annotated[int, Field(ge=1, le=256)]
    depth: Annotated[int, Field(ge=1, le=6)]
    precision: Literal["float32", "bfloat16"]
    epochs: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1)]
    loss: Literal["bce", "bce_dice"]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    encoder_rate: Annotated[float, Field(gt=0, le=1)]
    decay: Literal["none", "cosine"]
    border: Literal["pet", "background", "ignored"]
    flip: bool
    crop: Annotated[float, Field(gt=0, le=1)]
    colour: Annotated[float, Field(ge=0, lt=1)]
    mirror_average: bool
    snapshots: Annotated[int, Field(ge=1, le=16)]
    seed: Annotated[int, Field(ge=0)]


def check_network(size: int, settings: Params, recipe: str) -> None:
    """Refuse what the encoder cannot do, and an image that cannot be halved so often."""
    depth, known = settings.depth, DEPTHS.get(settings.encoder, settings.depth)
    if settings.enlarge != 1 and settings.encoder != "efficientnet_lite0":
        raise UserError(
            f"{params.FILE}, recipe {recipe}: recipes.{recipe}.train.enlarge is {settings.enlarge}; "
            f"allowed with train.encoder {settings.encoder}: 1"
        )
    if depth != known:
        raise UserError(
            f"{params.FILE}, recipe {recipe}: recipes.{recipe}.train.depth is {depth}; "
            f"allowed with train.encoder {settings.encoder}: {known}"
        )
    step = 2**depth
    if size % step:
        near = max(step, size // step * step)
        raise UserError(
            f"{params.FILE}, recipe {recipe}: recipes.{recipe}.preprocess.image_size is {size}; "
            f"allowed with train.depth {depth}: multiples of {step}, such as {near} or {near + step}"
        )


def check_classes(split: Split, border: str, where: Path) -> None:
    """Refuse a set from which nothing can be learned.

    Raises:
        UserError: it has no photo, or under this border policy no pixel of one of the classes.
    """
    present = set(np.unique(split.trimaps).tolist())
    pet = {PET, BORDER} if border == "pet" else {PET}
    ground = {BACKGROUND, BORDER} if border == "background" else {BACKGROUND}
    for name, wanted in (("pet", pet), ("background", ground)):
        if not present & wanted:
            found = f"{len(split):,} photos without a pixel of {name}" if len(split) else "no photo"
            raise UserError(f"{where} has {found}; look at the trimaps in data/raw")
