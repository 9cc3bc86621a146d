"""Predicts the test split, once, and writes every number that git keeps.

Reads: MODEL/model.keras, MODEL/history.csv, ARRAYS, RAW/source.json.
Writes: PREDICTIONS/probabilities.npy (n, size, size), uint8 in 1/255; and in REPORTS
metrics.json, data.json, and as CSV intervals, slices, per_image, thresholds, calibration, confusion,
suspects, history, photos, rejected.
"""

import shutil
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import arrays
from petseg.errors import UserError
from petseg.evaluation import tables
from petseg.inference import segmenter
from petseg.model import backend


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`evaluate` in params.yaml."""

    batch_size: Annotated[int, Field(ge=1)]


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        raw="folder with source.json",
        arrays="folder with test/, train/ and val/",
        model="folder with the model and its history",
        predictions="folder to write the probabilities to",
        reports="folder to write the numbers to",
    )
    settings = params.load(Params, "evaluate")
    test = arrays.load(paths.arrays / "test")
    source = files.read_json(paths.raw / "source.json")
    backend.start(seed=0)
    # This imports TensorFlow: after the parameters are checked, and after `backend` has set it up.
    from petseg.model import keras_file

    model, metadata = keras_file.load(paths.model / "model.keras")
    if metadata.image_size != test.size:
        raise UserError(
            f"{paths.model} takes {metadata.image_size} pixels, {paths.arrays} has {test.size}; run `dvc repro train`"
        )
    for folder in (paths.predictions, paths.reports):
        folder.mkdir(parents=True, exist_ok=True)
    probabilities = segmenter.predict(
        model, test, settings.batch_size, paths.predictions / "probabilities.npy"
    )
    tables.write_reports(paths.reports, paths.arrays, test, probabilities, metadata, source)
    shutil.copyfile(paths.model / "history.csv", paths.reports / "history.csv")


if __name__ == "__main__":
    command.exit_cleanly(main)
