"""A training from its parameters to the model of the best epoch, resumed where it was."""

import hashlib
import sys
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from petseg import files
from petseg.data import labels
from petseg.data.arrays import Split
from petseg.errors import UserError
from petseg.evaluation import thresholds
from petseg.model import backend
from petseg.training import checkpoint, signals
from petseg.training.settings import Params

if TYPE_CHECKING:
    import keras

    from petseg.model.metadata import Metadata
    from petseg.training.checkpoint import EpochRow, State, Timing
    from petseg.training.settings import Schedule

TEMPORARY = "exps"  # in the path of the copies in which `dvc exp run --temp` and --queue work


def data_hash(*splits: Split) -> str:
    """Return one SHA-256 for the photos and trimaps that the model has seen."""
    rows = (f"{row.name} {row.sha256}\n" for split in splits for row in split.index)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def schedule(settings: Params) -> "Schedule":
    """Return what the training loop needs of the parameters."""
    from petseg.training.settings import Schedule

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


def load_state(file: Path, settings: Params) -> "State":
    """Return the state to go on from: a killed run's, or that of a new training.

    What has been trained to its end and stands in dvc.lock is over: to train it again was asked
    for. What DVC could not commit is only written again.
    """
    from petseg.training.checkpoint import State

    checkpoint.clear(file.parent)
    found = checkpoint.load(file)
    if found is None:
        if TEMPORARY in Path.cwd().parts:
            print("in a temporary copy of DVC's: if this run is killed, the next starts over")
        return State()
    state = State.unpacked(*found)
    if state.is_finished(settings.epochs, settings.patience):
        print("trained to its end before, but not committed: written again", flush=True)
    else:
        print(f"going on with epoch {state.epoch}, {state.batches} steps of it done", flush=True)
    return state


def train_model(
    settings: Params, recipe: str, train: Split, val: Split, file: Path, log: Path
) -> tuple["keras.Model", "State"]:
    """Train, a line per epoch; return the network with the weights kept, and how it got there.

    Raises:
        UserError: the loss is no number any more; the last good model then lies beside `file`.
        SystemExit: SIGTERM or Ctrl-C; the state is saved in `file`.
    """
    backend.start(settings.seed, settings.precision)
    # imported late: TensorFlow takes seconds, and a wrong parameter shall be told at once
    from petseg.inference import segmenter
    from petseg.model import keras_file, unet
    from petseg.training import checkpoint, loop

    network = settings.base_channels, settings.depth, settings.encoder, settings.enlarge
    model = unet.build(train.size, *network)
    whole = unet.with_probabilities(model, settings.mirror_average)
    shown = np.asarray(val.photos[snapshot_rows(val, settings.snapshots)])
    print(
        f"{model.count_params():,} weights; {len(train):,} photos to train on, {len(val):,} to validate"
    )
    state = load_state(file, settings)
    if not state.frames:
        state.frames.append(segmenter.probabilities(whole, shown))
    with signals.deferred_signals() as asked:
        epochs = loop.train_epochs(
            model,
            train,
            val,
            schedule(settings),
            state,
            lambda state: checkpoint.save(file, *state.packed()),
            asked.is_set,
        )
        try:
            for row, timing in epochs:
                state.frames.append(segmenter.probabilities(whole, shown))
                files.write_rows(log, checkpoint.Timing, state.timings)
                print(
                    progress_line(row, timing, settings.epochs, row is state.best_epoch), flush=True
                )
        except loop.StoppedError:
            print(f"stopped in epoch {state.epoch}; the next run goes on from there", flush=True)
            sys.exit(asked.exit_code)
        except loop.DivergedError as error:
            if not state.history:
                raise UserError(f"{error}; no epoch was done") from None
            model.set_weights(state.best)
            good = file.with_name("last_good.keras")
            known = make_metadata(whole, settings, recipe, train, val, state.best_epoch.epoch)
            keras_file.save(whole, known, good)
            raise UserError(
                f"{error}; epoch {state.best_epoch.epoch}, the best so far, is kept in {good}"
            ) from None
    model.set_weights(state.best)
    return whole, state


def best_threshold(model: "keras.Model", val: Split, settings: Params) -> float:
    """Return the threshold with the highest validation IoU under the training's border policy."""
    from petseg.inference import segmenter

    counts = np.zeros((len(labels.CLASSES), thresholds.LEVELS), np.int64)
    for start in range(0, len(val), settings.batch_size):
        part = slice(start, start + settings.batch_size)
        found = segmenter.probabilities(model, np.asarray(val.photos[part]))
        counts += thresholds.histogram(np.asarray(val.trimaps[part]), found)
    return thresholds.best_threshold(counts, settings.border)


def make_metadata(
    model: "keras.Model", settings: Params, recipe: str, train: Split, val: Split, epoch: int
) -> "Metadata":
    """Return what the model's file says of the model."""
    from petseg.model.metadata import Metadata

    return Metadata(
        image_size=train.size,
        threshold=best_threshold(model, val, settings),
        border=settings.border,
        recipe=recipe,
        data_sha256=data_hash(train, val),
        epoch=epoch,
        versions=library_versions(),
    )


def library_versions() -> dict[str, str]:
    """Return the versions of what computes."""
    return {name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")}


def write_outputs(
    target: Path,
    model: "keras.Model",
    known: "Metadata",
    state: "State",
    val: Split,
    settings: Params,
) -> None:
    """Write the stage's outputs."""
    from petseg.model import keras_file
    from petseg.training import checkpoint

    rows = snapshot_rows(val, settings.snapshots)
    with files.atomic_folder(target) as folder:
        keras_file.save(model, known, folder / "model.keras")
        files.write_rows(folder / "history.csv", checkpoint.EpochRow, state.history)
        np.savez(
            folder / "snapshots.npz",
            photos=np.asarray(val.photos[rows]),
            trimaps=val.trimaps[rows],
            probabilities=np.stack(state.frames),
        )
