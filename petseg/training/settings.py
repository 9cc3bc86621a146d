"""The parameters of a training, and which of them go together."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg.data import arrays
from petseg.data.arrays import Split
from petseg.data.frame import Frame
from petseg.data.labels import FOREGROUND_AND_BACKGROUND, Border
from petseg.errors import UserError
from petseg.model import encoders
from petseg.model.encoders import Encoder


@checked(frozen=True, config={"extra": "forbid"})
class TrainParams:
    """The section `train` of params.yaml; recipes/defaults.yaml says what each key means."""

    encoder: Encoder
    input_scale: Literal[1, 2]
    base_channels: Annotated[int, Field(ge=1, le=256)]
    depth: Annotated[int, Field(ge=1, le=6)]
    precision: Literal["float32", "bfloat16"]
    epochs: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1)]
    loss: Literal["bce", "bce_dice", "bce_dice_photo"]
    edge_weight: Annotated[float, Field(ge=0, le=100)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    encoder_lr_multiplier: Annotated[float, Field(gt=0, le=1)]
    lr_schedule: Literal["none", "cosine"]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    border: Border
    flip: bool
    crop: Annotated[float, Field(gt=0, le=1)]
    colour: Annotated[float, Field(ge=0, lt=1)]
    flip_tta: bool
    snapshots: Annotated[int, Field(ge=1, le=16)]
    seed: Annotated[int, Field(ge=0)]


def check_network(frame: Frame, settings: TrainParams, source: str) -> None:
    """Refuse parameters that do not fit the encoder, and an image size that cannot be halved.

    Tiles begin at multiples of half their size, which must be whole at the lowest resolution.

    Args:
        frame: the network's input.
        settings: the parameters of the training.
        source: where they were read, for errors: `params.yaml, recipe demo`.

    Raises:
        UserError: one line that names the key and the allowed values.
    """
    encoder, depth = settings.encoder, settings.depth
    if encoder not in encoders.LITES:
        for key in ("input_scale", "encoder_lr_multiplier"):
            if (value := getattr(settings, key)) != 1:
                raise UserError(
                    f"{source}: train.{key} is {value:g}; allowed with train.encoder {encoder}: 1"
                )
    elif depth != encoders.LITE_DEPTH:
        raise UserError(
            f"{source}: train.depth is {depth}; allowed with train.encoder {encoder}: "
            f"{encoders.LITE_DEPTH}"
        )
    else:
        try:
            encoders.weight_file(encoder)
        except UserError as error:
            raise UserError(f"{source}: train.encoder is {encoder}; {error}") from None
    step, condition = 2**depth, f"train.depth {depth}"
    if frame.mode == "tiles":
        step, condition = max(8, 2 * step), f"{condition} and preprocess.mode tiles"
    if frame.size % step:
        lower = max(step, frame.size // step * step)
        raise UserError(
            f"{source}: preprocess.image_size is {frame.size}; allowed with {condition}: "
            f"multiples of {step}, such as {lower} or {lower + step}"
        )


def check_classes(split: Split, border: Border, folder: Path) -> None:
    """Refuse a split from which nothing can be learned.

    Raises:
        UserError: it has no photo, or no pixel of one of the two classes under this border policy.
    """
    if not len(split):
        raise UserError(f"{folder} has no photo; look at the lists in data/raw")
    parts = arrays.stacks(arrays.CHUNK, split.trimaps)
    present = set[int]().union(*(np.unique(trimaps).tolist() for _, (trimaps,) in parts))
    for name, classes in zip(
        ("foreground", "background"), FOREGROUND_AND_BACKGROUND[border], strict=True
    ):
        if not present & set(classes):
            raise UserError(
                f"{folder} has {len(split):,} photos without a pixel of {name}; "
                "look at the trimaps in data/raw"
            )
