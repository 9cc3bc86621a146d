"""A training from its parameters to the model of the best epoch, resumed where it was killed."""

import hashlib
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from petseg import files
from petseg.data import arrays, examples, labels, quantisation
from petseg.data.examples import Examples
from petseg.errors import UserError
from petseg.evaluation import thresholds
from petseg.model import backend
from petseg.model.metadata import Metadata
from petseg.training import checkpoint, signals
from petseg.training.checkpoint import EpochRow, State, Timing
from petseg.training.settings import TrainParams

if TYPE_CHECKING:
    import keras

DVC_COPIES = "exps"  # in the path of the copies in which `dvc exp run --temp` and --queue work


def data_hash(*splits: Examples) -> str:
    """Return one SHA-256 for the photos and trimaps that the model has seen."""
    rows = (f"{row.name} {row.sha256}\n" for split in splits for row in split.index)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute."""
    return {name: version(name) for name in ("tensorflow", "keras", "numpy")}


def progress_line(row: EpochRow, timing: Timing, epochs: int, is_best: bool) -> str:
    """Return one line for the terminal or a log."""
    minutes, seconds = divmod(round((epochs - row.epoch) * timing.seconds), 60)
    return (
        f"epoch {row.epoch:>3}/{epochs}  loss {row.loss:.4f}  accuracy {row.accuracy:.4f}  iou {row.iou:.4f}  "
        f"val_loss {row.val_loss:.4f}  val_accuracy {row.val_accuracy:.4f}  val_iou {row.val_iou:.4f}  "
        f"{timing.photos_per_second:.0f} photos/s  {minutes} min {seconds:02} s left{'  best so far' if is_best else ''}"
    )


def load_state(file: Path, settings: TrainParams) -> State:
    """Return the state to resume from, or that of a new training.

    A finished training that stands in dvc.lock is not resumed: somebody wants it trained again.
    One that DVC could not commit is not trained again, only written again.
    """
    checkpoint.remove_committed(file.parent)
    saved = checkpoint.load(file)
    if saved is None:
        if DVC_COPIES in Path.cwd().parts:
            print("this is a temporary copy of DVC's: if this run is killed, the next starts over")
        return State()
    state = State.unpacked(*saved)
    if state.is_finished(settings.epochs, settings.patience):
        print(
            "this training was finished but not committed: the model is written again", flush=True
        )
    else:
        print(f"resuming epoch {state.epoch} after {state.batches} steps", flush=True)
    return state


def train_model(
    settings: TrainParams, recipe: str, train: Examples, val: Examples, file: Path, log: Path
) -> tuple["keras.Model", State]:
    """Train and print a line per epoch; return the model of the best epoch, and the state.

    Args:
        settings: the parameters of the training.
        recipe: the recipe's name, for the model's metadata.
        train: what to train on.
        val: what decides which epoch is the best.
        file: where the state is saved, to resume from.
        log: the CSV of the epochs' times.

    Raises:
        UserError: the loss is NaN or far too high; the best model so far lies beside `file`.
        SystemExit: SIGTERM or Ctrl-C; the state is saved in `file`.
    """
    backend.start(settings.seed, settings.precision)
    # TensorFlow takes seconds to import, and a wrong parameter is reported before that.
    from petseg.model import keras_file
    from petseg.training import loop

    model, predictor = build_networks(settings, train.frame.size)
    print(
        f"{model.count_params():,} weights; {counted(train)} to train on, {counted(val)} to validate"
    )
    state = load_state(file, settings)
    with signals.deferred_signals() as request:
        epochs = loop.train_epochs(
            model,
            train,
            val,
            settings,
            state,
            lambda state: checkpoint.save(file, *state.packed()),
            request.is_set,
        )
        try:
            follow_epochs(epochs, predictor, val, settings, state, log)
        except loop.StoppedError:
            print(f"stopped in epoch {state.epoch}; the next run resumes there", flush=True)
            sys.exit(request.exit_code)
        except loop.DivergedError as error:
            if not state.history:
                raise UserError(f"{error}; no epoch was done") from None
            model.set_weights(state.best)
            last_good, best = file.with_name("last_good.keras"), state.best_epoch.epoch
            metadata = make_metadata(predictor, settings, recipe, train, val, best)
            keras_file.save(predictor, metadata, last_good)
            raise UserError(f"{error}; epoch {best}, the best so far, is in {last_good}") from None
    model.set_weights(state.best)
    return predictor, state


def counted(photos: Examples) -> str:
    """Return the number of photos, and of the windows that cover them, in words."""
    text = f"{len(photos.index):,} photos"
    return f"{text} ({len(photos):,} tiles)" if photos.frame.mode == "tiles" else text


def build_networks(settings: TrainParams, image_size: int) -> tuple["keras.Model", "keras.Model"]:
    """Return the network to logits, which is trained, and the one to probabilities; they share weights."""
    from petseg.model import unet

    model = unet.build(
        image_size,
        settings.base_channels,
        settings.depth,
        settings.encoder,
        settings.input_scale,
    )
    return model, unet.with_probabilities(model, settings.flip_tta)


def follow_epochs(
    epochs: Iterable[tuple[EpochRow, Timing]],
    predictor: "keras.Model",
    val: Examples,
    settings: TrainParams,
    state: State,
    log: Path,
) -> None:
    """After each epoch predict the animation's photos, write the log, and print a line.

    The first frame of the animation is the prediction before any training.
    """
    from petseg.inference import keras_engine

    photos, _ = val.read(examples.spread_rows(val, settings.snapshots))
    if not state.frames:
        state.frames.append(keras_engine.levels(predictor, photos))
    for row, timing in epochs:
        state.frames.append(keras_engine.levels(predictor, photos))
        files.write_rows(log, Timing, state.timings)
        is_best = row is state.best_epoch
        print(progress_line(row, timing, settings.epochs, is_best), flush=True)


def best_threshold(model: "keras.Model", val: Examples, settings: TrainParams) -> float:
    """Return the threshold with the highest validation IoU under the training's border policy."""
    from petseg.inference import keras_engine

    counts = np.zeros((len(labels.CLASSES), quantisation.LEVELS), np.int64)
    for start in range(0, len(val), settings.batch_size):
        photos, trimaps = val.read(slice(start, start + settings.batch_size))
        counts += thresholds.histogram(trimaps, keras_engine.levels(model, photos))
    return thresholds.best_threshold(counts, settings.border)


def make_metadata(
    model: "keras.Model",
    settings: TrainParams,
    recipe: str,
    train: Examples,
    val: Examples,
    epoch: int,
) -> Metadata:
    """Return what is stored in the model's file beside its weights."""
    return Metadata(
        image_size=train.frame.size,
        mode=train.frame.mode,
        threshold=best_threshold(model, val, settings),
        border=settings.border,
        recipe=recipe,
        data_sha256=data_hash(train, val),
        epoch=epoch,
        versions=library_versions(),
    )


def write_outputs(
    folder: Path,
    model: "keras.Model",
    description: Metadata,
    state: State,
    val: Examples,
    settings: TrainParams,
) -> None:
    """Write model.keras, history.csv and snapshots.npz; the folder appears only when complete."""
    from petseg.model import keras_file

    photos, trimaps = val.read(examples.spread_rows(val, settings.snapshots))
    with files.atomic_folder(folder) as partial:
        keras_file.save(model, description, partial / "model.keras")
        files.write_rows(partial / "history.csv", EpochRow, state.history)
        arrays.write_npz(
            partial / "snapshots.npz",
            photos=photos,
            trimaps=trimaps,
            probabilities=np.stack(state.frames),
        )
