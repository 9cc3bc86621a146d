"""Trains the U-Net and keeps the best epoch by validation IoU.

Reads: ARRAYS/train, ARRAYS/val.
Writes: MODEL/model.keras, MODEL/history.csv, MODEL/snapshots.npz (a few validation photos,
their trimaps, and what each epoch made of them). LOG and ORIGINS get times and machine, which are no
result, and STATE what a run that is killed goes on with.
"""

from dataclasses import asdict

from petseg import command, params
from petseg.data import arrays
from petseg.model import backend
from petseg.training import checkpoint, fit, provenance
from petseg.training.settings import Params, check_classes, check_network


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
    key = checkpoint.key(
        asdict(settings), recipe, fit.data_hash(train, val), train.size, fit.library_versions()
    )
    file = paths.state / f"{key}.npz"
    model, state = fit.train_model(settings, recipe, train, val, file, paths.log)
    known = fit.make_metadata(model, settings, recipe, train, val, state.best_epoch.epoch)
    fit.write_outputs(paths.model, model, known, state, val, settings)
    seconds = sum(timing.seconds for timing in state.timings)
    made = provenance.current(backend.device(), len(state.history), seconds)
    provenance.save(paths.origins, paths.model / "model.keras", made)
    state.weights, state.optimizer = [], []  # it only has to be written, should DVC not commit it
    numbers, kept = state.packed()
    checkpoint.save(file, numbers | {"written": checkpoint.digest(paths.model)}, kept)
    print(
        f"kept epoch {state.best_epoch.epoch} with validation IoU {state.best_epoch.val_iou:.4f}; "
        f"threshold {known.threshold:.2f}"
    )


if __name__ == "__main__":
    command.exit_cleanly(main)
