"""Trains the U-Net and keeps the best epoch by validation IoU.

Reads: ARRAYS/train, ARRAYS/val.
Writes: MODEL/model.keras, MODEL/history.csv, MODEL/snapshots.npz (a few validation photos,
their trimaps, and what each epoch made of them). LOG and ORIGINS get times and machine, which are no
result, and STATE what a run that is killed goes on with.
"""

import hashlib
import sys
from dataclasses import asdict, fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from stages.petseg import (
    arrays,
    backend,
    checkpoint,
    command,
    interrupts,
    origin,
    params,
    tables,
    thresholds,
)
from stages.petseg.archives import BACKGROUND, BORDER, PET
from stages.petseg.arrays import Split
from stages.petseg.errors import UserError

if TYPE_CHECKING:
    import keras

    from stages.petseg.model_file import Facts
    from stages.petseg.training import EpochRow, Schedule, State, Timing

DEPTHS = {"efficientnet_lite0": 5}  # halvings that an encoder comes with
TEMPORARY = "exps"  # in the path of the copies in which `dvc exp run --temp` and --queue work


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


def resumed(file: Path, settings: Params) -> "State":
    """Return the state to go on from: a killed run's, or that of a new training.

    What has been trained to its end and stands in dvc.lock is over: to train it again was asked
    for. What DVC could not commit is only written again.
    """
    from stages.petseg.training import State

    checkpoint.clear(file.parent)
    found = checkpoint.load(file)
    if found is None:
        if TEMPORARY in Path.cwd().parts:
            print("in a temporary copy of DVC's: if this run is killed, the next starts over")
        return State()
    state = State.unpacked(*found)
    if state.ended(settings.epochs, settings.patience):
        print("trained to its end before, but not committed: written again", flush=True)
    else:
        print(f"going on with epoch {state.epoch}, {state.batches} steps of it done", flush=True)
    return state


def fit(
    settings: Params, recipe: str, train: Split, val: Split, file: Path, log: Path
) -> tuple["keras.Model", "State"]:
    """Train, a line per epoch; return the network with the weights kept, and how it got there.

    Raises:
        UserError: the loss is no number any more; the last good model then lies beside `file`.
        SystemExit: SIGTERM or Ctrl-C; the state is saved in `file`.
    """
    backend.start(settings.seed, settings.precision)
    # imported late: TensorFlow takes seconds, and a wrong parameter shall be told at once
    from stages.petseg import model_file, training, unet

    network = settings.base_channels, settings.depth, settings.encoder, settings.enlarge
    model = unet.build(train.size, *network)
    whole = unet.with_probabilities(model, settings.mirror_average)
    shown = np.asarray(val.photos[snapshot_rows(val, settings.snapshots)])
    print(
        f"{model.count_params():,} weights; {len(train):,} photos to train on, {len(val):,} to validate"
    )
    state = resumed(file, settings)
    if not state.frames:
        state.frames.append(model_file.probabilities(whole, shown))
    with interrupts.deferred() as asked:
        epochs = training.run(
            model,
            train,
            val,
            schedule(settings),
            state,
            lambda state: checkpoint.save(file, *state.packed()),
            asked.arrived,
        )
        try:
            for row, timing in epochs:
                state.frames.append(model_file.probabilities(whole, shown))
                tables.write_rows(log, training.Timing, state.timings)
                print(progress_line(row, timing, settings.epochs, row is state.kept), flush=True)
        except training.StoppedError:
            print(f"stopped in epoch {state.epoch}; the next run goes on from there", flush=True)
            sys.exit(asked.exit_code)
        except training.DivergedError as error:
            if not state.history:
                raise UserError(f"{error}; no epoch was done") from None
            model.set_weights(state.best)
            good = file.with_name("last_good.keras")
            known = facts(whole, settings, recipe, train, val, state.kept.epoch)
            model_file.save(whole, known, good)
            raise UserError(
                f"{error}; epoch {state.kept.epoch}, the best so far, is kept in {good}"
            ) from None
    model.set_weights(state.best)
    return whole, state


def best_threshold(model: "keras.Model", val: Split, settings: Params) -> float:
    """Return the threshold with the highest validation IoU under the training's border policy."""
    from stages.petseg import model_file

    counts = np.zeros((len(thresholds.CLASSES), thresholds.LEVELS), np.int64)
    for start in range(0, len(val), settings.batch_size):
        part = slice(start, start + settings.batch_size)
        found = model_file.probabilities(model, np.asarray(val.photos[part]))
        counts += thresholds.histogram(np.asarray(val.trimaps[part]), found)
    return thresholds.best(counts, settings.border)


def facts(
    model: "keras.Model", settings: Params, recipe: str, train: Split, val: Split, epoch: int
) -> "Facts":
    """Return what the model's file says of the model."""
    from stages.petseg.model_file import Facts

    return Facts(
        image_size=train.size,
        threshold=best_threshold(model, val, settings),
        border=settings.border,
        recipe=recipe,
        data_sha256=data_hash(train, val),
        epoch=epoch,
        versions=versions(),
    )


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with train/ and val/",
        model="folder to write",
        log="file for the times, outside DVC's outputs",
        state="folder for what a killed run goes on with, outside DVC's outputs",
        origins="folder for when and where models were trained, outside DVC's outputs",
    )
    settings = params.load(Params, "train")
    recipe = params.active_recipe()
    train, val = arrays.load(paths.arrays / "train"), arrays.load(paths.arrays / "val")
    check_network(train.size, settings, recipe)
    for name, split in (("train", train), ("val", val)):
        check_classes(split, settings.border, paths.arrays / name)
    paths.log.parent.mkdir(parents=True, exist_ok=True)
    # a run with anything else than these is another training
    key = checkpoint.key(asdict(settings), recipe, data_hash(train, val), train.size, versions())
    file = paths.state / f"{key}.npz"
    model, state = fit(settings, recipe, train, val, file, paths.log)
    known = facts(model, settings, recipe, train, val, state.kept.epoch)
    write(paths.model, model, known, state, val, settings)
    seconds = sum(timing.seconds for timing in state.timings)
    made = origin.here(backend.device(), len(state.history), seconds)
    origin.keep(paths.origins, paths.model / "model.keras", made)
    state.weights, state.optimizer = [], []  # it only has to be written, should DVC not commit it
    numbers, kept = state.packed()
    checkpoint.save(file, numbers | {"written": checkpoint.digest(paths.model)}, kept)
    print(
        f"kept epoch {state.kept.epoch} with validation IoU {state.kept.val_iou:.4f}; "
        f"threshold {known.threshold:.2f}"
    )


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}


def write(
    target: Path,
    model: "keras.Model",
    known: "Facts",
    state: "State",
    val: Split,
    settings: Params,
) -> None:
    """Write the stage's outputs."""
    from stages.petseg import model_file, training

    rows = snapshot_rows(val, settings.snapshots)
    with command.whole_folder(target) as folder:
        model_file.save(model, known, folder / "model.keras")
        tables.write_rows(folder / "history.csv", training.EpochRow, state.history)
        np.savez(
            folder / "snapshots.npz",
            photos=np.asarray(val.photos[rows]),
            trimaps=val.trimaps[rows],
            probabilities=np.stack(state.frames),
        )


if __name__ == "__main__":
    command.exit_cleanly(main)
