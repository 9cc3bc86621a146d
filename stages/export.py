"""Exports the model to ONNX, and predicts the test split with it.

Reads: MODEL/model.keras, ARRAYS/test, ARRAYS/val.
Writes: EXPORT/model.onnx, which everything that predicts reads; EXPORT/model-int8.onnx, the same
network in 8 bits; EXPORT/parity.csv, both held against Keras on the test split;
PREDICTIONS/probabilities.npy, uint8 in 1/255, what model.onnx gives for it: (n, size, size), or one
number for each pixel of the photos if they keep their size.
"""

from functools import partial
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import arrays, examples, quantisation
from petseg.data.frame import Mode
from petseg.errors import UserError
from petseg.evaluation import parity
from petseg.evaluation.parity import Comparison, Engine, EngineRow
from petseg.inference import tiles
from petseg.inference.onnx_engine import OnnxEngine, Refinement
from petseg.model import backend

KERAS, ONNX, INT8 = "keras", "onnx", "onnx int8"
MAX_IOU_CHANGE = 1e-4  # by how much the IoU of model.onnx may differ from that of Keras


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`export` in params.yaml."""

    batch_size: Annotated[int, Field(ge=1)]
    calibration_photos: Annotated[int, Field(ge=1)]
    refinement: Refinement
    foreground: Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=40)]


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with test/ and val/",
        model="folder with the model",
        export="folder to write the exported model to",
        predictions="folder to write the probabilities to",
    )
    settings = params.load(Params, "export")
    test, val = (arrays.load(paths.arrays / name) for name in ("test", "val"))
    backend.start(seed=0)
    # These import TensorFlow: after the parameters are checked, and after `backend` has set it up.
    from petseg.inference import export, int8, keras_engine
    from petseg.model import keras_file

    keras_path = paths.model / "model.keras"
    model, metadata = keras_file.load(keras_path)
    if metadata.frame != test.frame:
        raise UserError(
            f"{paths.model} takes {metadata.mode} of {metadata.image_size} pixels, {paths.arrays} "
            f"has {test.frame.mode} of {test.frame.size}; run `dvc repro train`"
        )
    check_refinement(settings.refinement, metadata.mode)
    for folder in (paths.export, paths.predictions):
        folder.mkdir(parents=True, exist_ok=True)
    model = export.in_float32(model)
    onnx_path, int8_path = paths.export / "model.onnx", paths.export / "model-int8.onnx"
    export.write(model, metadata, settings.refinement, settings.foreground, onnx_path)
    val_examples = examples.of_split(val)
    calibration = examples.spread_rows(val_examples, settings.calibration_photos)
    int8.write(onnx_path, val_examples.read(calibration)[0], int8_path)

    engines: dict[str, Engine] = {
        KERAS: partial(keras_engine.probabilities, model),
        ONNX: OnnxEngine(onnx_path).probabilities,
        INT8: OnnxEngine(int8_path).probabilities,
    }
    if metadata.mode == "tiles":
        engines = {
            name: partial(
                tiles.probabilities_of_all, engine, metadata.image_size, settings.batch_size
            )
            for name, engine in engines.items()
        }
    comparison = Comparison(list(engines), metadata.threshold)
    target = paths.predictions / "probabilities.npy"
    with arrays.RowWriter(target, test.frame.row_shape()) as writer:
        for trimaps, batch in parity.predict(engines, test, settings.batch_size):
            comparison.add(trimaps, batch)
            writer.extend(quantisation.quantise(batch[ONNX]))
    sizes = {KERAS: keras_path, ONNX: onnx_path, INT8: int8_path}
    table = comparison.rows({name: path.stat().st_size for name, path in sizes.items()})
    check_parity({row.engine: row for row in table})
    files.write_rows(paths.export / "parity.csv", EngineRow, table)


def check_refinement(refinement: Refinement, mode: Mode) -> None:
    """Refuse to refine masks that have the photos' own size already.

    Raises:
        UserError: they have, and would be refined.
    """
    if mode == "tiles" and refinement != "none":
        raise UserError(
            f"{params.origin()}: export.refinement is {refinement}; allowed with preprocess.mode "
            "tiles, whose masks have the photos' own size: none"
        )


def check_parity(rows: dict[str, EngineRow]) -> None:
    """Refuse an export whose IoU differs from that of Keras.

    Raises:
        UserError: it differs by more than `MAX_IOU_CHANGE`.
    """
    exported = rows[ONNX]
    print(
        f"test IoU {exported.iou:.4f}; a probability differs from Keras's by at most about "
        f"{max(exported.largest_difference, 1e-5):g}; int8: {rows[INT8].iou:.4f}"
    )
    if abs(exported.iou_change) > MAX_IOU_CHANGE:
        raise UserError(
            f"the exported network has a test IoU of {exported.iou}, Keras has "
            f"{rows[KERAS].iou}: they may differ by {MAX_IOU_CHANGE:g}. The conversion by tf2onnx "
            "is wrong for this network; try another train.encoder or another version of tf2onnx"
        )


if __name__ == "__main__":
    command.exit_cleanly(main)
