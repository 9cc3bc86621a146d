"""Trains the U-Net and keeps the best epoch by validation IoU.

Reads: ARRAYS/train, ARRAYS/val.
Writes: MODEL/model.keras, MODEL/history.csv, MODEL/snapshots.npz (a few validation photos,
their trimaps, and what each epoch made of them). LOG gets the times, which are no result.
"""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from stages.petseg import arrays, command, params, tables
from stages.petseg.arrays import Split
from stages.petseg.errors import UserError

if TYPE_CHECKING:
    from stages.petseg.training import EpochRow, Schedule, Timing


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`train` in params.yaml."""

    base_channels: Annotated[int, Field(ge=1, le=256)]
    depth: Annotated[int, Field(ge=1, le=6)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    decay: Literal["none", "cosine"]
    border: Literal["pet", "background", "ignored"]
    flip: bool
    threshold: Annotated[float, Field(gt=0, lt=1)]
    snapshots: Annotated[int, Field(ge=1, le=16)]
    seed: Annotated[int, Field(ge=0)]


def check_size(size: int, depth: int, recipe: str) -> None:
    """Refuse an image that cannot be halved `depth` times."""
    step = 2**depth
    if size % step:
        near = max(step, size // step * step)
        raise UserError(
            f"{params.FILE}, recipe {recipe}: recipes.{recipe}.preprocess.image_size is {size}; "
            f"allowed with train.depth {depth}: multiples of {step}, such as {near} or {near + step}"
        )


def data_hash(*splits: Split) -> str:
    """Return one SHA-256 for the photos and trimaps that the model has seen."""
    rows = (f"{row.name} {row.sha256}\n" for split in splits for row in split.index)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def schedule(settings: Params) -> "Schedule":
    """Return what the training loop needs of the parameters."""
    from stages.petseg.training import Schedule

    return Schedule(**{field.name: getattr(settings, field.name) for field in fields(Schedule)})


def snapshot_rows(val: Split, count: int) -> list[int]:
    """Return rows spread over the validation set, for the animation."""
    return [int(row) for row in np.linspace(0, len(val) - 1, min(count, len(val)))]


def progress_line(row: "EpochRow", timing: "Timing", epochs: int, best: bool) -> str:
    """Return one line for the terminal or a log."""
    minutes, seconds = divmod(round((epochs - row.epoch) * timing.seconds), 60)
    return (
        f"epoch {row.epoch:>3}/{epochs}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  iou {row.iou:.4f}  "
        f"val_loss {row.val_loss:.4f}  val_accuracy {row.val_accuracy:.4f}  val_iou {row.val_iou:.4f}  "
        f"{timing.photos_per_second:.0f} photos/s  {minutes} min {seconds:02} s left{'  best so far' if best else ''}"
    )


def fit(settings: Params, recipe: str, train: Split, val: Split, target: Path, log: Path) -> None:
    """Train, print a line per epoch, and write the stage's outputs to `target`."""
    # imported late: TensorFlow takes seconds, and a wrong parameter shall be told at once
    from stages.petseg import backend

    backend.start(settings.seed)
    from stages.petseg import model_file, training, unet

    model = unet.build(train.size, settings.base_channels, settings.depth)
    whole = unet.with_probabilities(model)
    rows = snapshot_rows(val, settings.snapshots)
    shown = np.asarray(val.photos[rows])
    history: list[training.EpochRow] = []
    timings: list[training.Timing] = []
    frames = [model_file.probabilities(whole, shown)]
    print(
        f"{model.count_params():,} weights; {len(train):,} photos to train on, {len(val):,} to validate"
    )
    for row, timing in training.run(model, train, val, schedule(settings)):
        history.append(row)
        timings.append(timing)
        frames.append(model_file.probabilities(whole, shown))
        best = row is max(history, key=lambda row: row.val_iou)  # the first of equals
        if best:
            kept, weights = row, model.get_weights()
        print(progress_line(row, timing, settings.epochs, best), flush=True)
        tables.write_rows(log, training.Timing, timings)
    model.set_weights(weights)
    facts = model_file.Facts(
        train.size, settings.threshold, settings.border, recipe, data_hash(train, val), kept.epoch
    )
    target.mkdir(parents=True, exist_ok=True)
    model_file.save(whole, facts, target / "model.keras")
    tables.write_rows(target / "history.csv", training.EpochRow, history)
    np.savez(
        target / "snapshots.npz",
        photos=shown,
        trimaps=val.trimaps[rows],
        probabilities=np.stack(frames),
    )
    print(f"kept epoch {kept.epoch} with validation IoU {kept.val_iou:.4f}")


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with train/ and val/",
        model="folder to write",
        log="file for the times, outside DVC's outputs",
    )
    settings = params.load(Params, "train")
    recipe = params.active_recipe()
    train, val = arrays.load(paths.arrays / "train"), arrays.load(paths.arrays / "val")
    check_size(train.size, settings.depth, recipe)
    paths.log.parent.mkdir(parents=True, exist_ok=True)
    fit(settings, recipe, train, val, paths.model, paths.log)


if __name__ == "__main__":
    command.exit_cleanly(main)
