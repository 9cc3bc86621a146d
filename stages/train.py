"""Trains the U-Net and writes the model of the epoch with the best validation IoU.

Reads: ARRAYS/train, ARRAYS/val.
Writes: MODEL/model.keras; MODEL/history.csv; MODEL/snapshots.npz, a few validation photos, their
trimaps and the prediction after each epoch.
Keeps outside DVC's outputs: LOG with the times of the epochs, ORIGINS with machine and commit, and
STATE, from which a killed training resumes.
"""

from dataclasses import asdict

from petseg import command, params
from petseg.data import arrays, examples
from petseg.model import backend
from petseg.training import checkpoint, fit, provenance
from petseg.training.settings import TrainParams, check_classes, check_network


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with train/ and val/",
        model="folder to write",
        log="CSV to write the times to, outside DVC's outputs",
        state="folder to resume a killed training from, outside DVC's outputs",
        origins="folder for when and where models were trained, outside DVC's outputs",
    )
    settings, recipe = params.load(TrainParams, "train"), params.active_recipe()
    splits = {name: arrays.load(paths.arrays / name) for name in ("train", "val")}
    check_network(splits["train"].frame, settings, params.origin())
    for name, split in splits.items():
        check_classes(split, settings.border, paths.arrays / name)
    train, val = (examples.of_split(split) for split in splits.values())
    paths.log.parent.mkdir(parents=True, exist_ok=True)
    key = checkpoint.key(
        asdict(settings),
        recipe,
        fit.data_hash(train, val),
        asdict(train.frame),
        fit.library_versions(),
    )
    state_file = paths.state / f"{key}.npz"
    model, state = fit.train_model(settings, recipe, train, val, state_file, paths.log)
    best = state.best_epoch
    description = fit.make_metadata(model, settings, recipe, train, val, best.epoch)
    fit.write_outputs(paths.model, model, description, state, val, settings)
    seconds = sum(timing.seconds for timing in state.timings)
    record = provenance.current(backend.device(), len(state.history), seconds)
    provenance.save(paths.origins, paths.model / "model.keras", record)
    # If DVC cannot commit the model, it is only written again: that takes the best weights alone.
    state.weights, state.optimizer = [], []
    meta, weights = state.packed()
    written = checkpoint.folder_digest(paths.model)
    checkpoint.save(state_file, meta | {"written": written}, weights)
    print(
        f"best epoch {best.epoch} with validation IoU {best.val_iou:.4f}; "
        f"threshold {description.threshold:.2f}"
    )


if __name__ == "__main__":
    command.exit_cleanly(main)
