"""Measures the predictions of the test split, and writes every number that git keeps.

Reads: RAW, ARRAYS, MODEL/history.csv, EXPORT/model.onnx (its metadata), EXPORT/parity.csv,
PREDICTIONS/probabilities.npy.
Writes: in REPORTS metrics.json, data.json, and as CSV intervals, slices, per_image, thresholds,
calibration, confidence, confusion, suspects, history, photos, rejected, export.
"""

import shutil
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, params
from petseg.data import arrays
from petseg.evaluation import tables
from petseg.inference.onnx_engine import OnnxEngine


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`evaluate` in params.yaml."""

    bad_iou: Annotated[float, Field(ge=0, le=1)]


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        raw="folder with the two archives and source.json",
        arrays="folder with test/, train/ and val/",
        model="folder with the history of the training",
        export="folder with the exported model",
        predictions="folder with the probabilities",
        reports="folder to write the numbers to",
    )
    settings = params.load(Params, "evaluate")
    test = arrays.load(paths.arrays / "test")
    probabilities = arrays.load_probabilities(paths.predictions / "probabilities.npy", test)
    metadata = OnnxEngine(paths.export / "model.onnx").metadata
    paths.reports.mkdir(parents=True, exist_ok=True)
    tables.write_reports(
        paths.reports, paths.raw, paths.arrays, test, probabilities, metadata, settings.bad_iou
    )
    shutil.copyfile(paths.model / "history.csv", paths.reports / "history.csv")
    shutil.copyfile(paths.export / "parity.csv", paths.reports / "export.csv")


if __name__ == "__main__":
    command.exit_cleanly(main)
