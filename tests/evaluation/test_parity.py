"""Engines held against the first one, on two photos of 2×2 pixels worked by hand."""

import numpy as np
import pytest

from petseg.data.arrays import Photo, Split
from petseg.data.frame import Frame
from petseg.errors import UserError
from petseg.evaluation import parity
from petseg.evaluation.parity import Comparison, EngineRow
from stages import export

TRIMAPS = np.array([[[1, 2], [3, 2]], [[1, 1], [1, 2]]], np.uint8)  # the border, 3, is pet
# Right in every pixel at a threshold of 0.5.
KERAS = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.9, 0.9], [0.6, 0.4]]], np.float32)
# Of the second photo one pixel of pet changes side, and in the first nothing does.
OTHER = np.array([[[0.9, 0.1], [0.7, 0.2]], [[0.9, 0.9], [0.3, 0.4]]], np.float32)


def rows(batches: list[slice]) -> list[EngineRow]:
    """Return the table of the two engines, from these photos one batch after the other."""
    comparison = Comparison(["keras", "onnx"], 0.5)
    for batch in batches:
        comparison.add(TRIMAPS[batch], {"keras": KERAS[batch], "onnx": OTHER[batch]})
    return comparison.rows({"keras": 100, "onnx": 50})


def test_a_pixel_that_changes_side_changes_the_iou_and_is_counted() -> None:
    reference, other = rows([slice(0, 2)])
    assert reference == EngineRow("keras", 1, 0, 0, 0, 0, 0, 100)
    assert (other.engine, other.bytes) == ("onnx", 50)
    assert other.iou == 0.8  # of 5 pixels of pet 4
    assert other.iou_change == -0.2
    # A resample has the first photo twice (2 / 2 each), or the second (2 / 3 each), or both (4 / 5).
    assert (other.low, other.high) == (round(2 / 3 - 1, 6), 0)
    assert other.largest_difference == pytest.approx(0.3)  # 0.6 and 0.3
    assert other.changed_pixels == 0.125  # 1 of 8


def test_the_batches_do_not_matter() -> None:
    assert rows([slice(0, 1), slice(1, 2)]) == rows([slice(0, 2)])


def test_masks_are_those_of_the_probabilities_as_they_are_stored() -> None:
    # 0.4999 is stored as 127 / 255, which is below 0.5; 0.501 as 128.
    comparison = Comparison(["a", "b"], 0.5)
    batch = {
        "a": np.full((1, 1, 1), 0.4999, np.float32),
        "b": np.full((1, 1, 1), 0.501, np.float32),
    }
    comparison.add(np.array([[[1]]], np.uint8), batch)
    first, second = comparison.rows({"a": 1, "b": 1})
    assert (first.iou, second.iou, second.changed_pixels) == (0, 1, 1)


def test_without_pet_and_without_prediction_the_iou_is_one() -> None:
    comparison = Comparison(["a"], 0.5)
    comparison.add(np.full((3, 2, 2), 2, np.uint8), {"a": np.zeros((3, 2, 2), np.float32)})
    assert comparison.rows({"a": 1})[0].iou == 1


def test_every_engine_predicts_every_photo_in_batches() -> None:
    photos = np.arange(3 * 12, dtype=np.uint8).reshape(3, 2, 2, 3)
    index = [Photo(f"a_{number}", "a", "cat", 2, 2, "", "") for number in range(3)]
    test = Split(photos, np.full((3, 2, 2), 2, np.uint8), index, Frame("squash", 2))

    def red(batch: np.ndarray) -> np.ndarray:
        return batch[..., 0].astype(np.float32) / 255

    parts = list(parity.predict({"a": red, "b": lambda batch: 1 - red(batch)}, test, 2))
    assert [len(trimaps) for trimaps, _ in parts] == [2, 1]
    batches = [batch for _, batch in parts]
    assert [len(batch["a"]) for batch in batches] == [2, 1]
    joined = np.concatenate([batch["a"] for batch in batches])
    assert (joined == red(photos)).all()
    assert (np.concatenate([batch["b"] for batch in batches]) == 1 - red(photos)).all()


def table(iou: float, change: float) -> dict[str, EngineRow]:
    """Return the rows of the three engines with this IoU of the exported network."""
    values = {"keras": (0.9, 0.0), "onnx": (iou, change), "onnx int8": (0.8, -0.1)}
    return {
        name: EngineRow(name, value, difference, 0, 0, 0.25, 0, 1)
        for name, (value, difference) in values.items()
    }


def test_an_export_that_differs_by_more_than_a_ten_thousandth_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    export.check_parity(table(0.9001, 1e-4))
    assert capsys.readouterr().out == (
        "test IoU 0.9001; a probability differs from Keras's by at most about 0.25; int8: 0.8000\n"
    )
    for iou, change in ((0.89989, -1.1e-4), (0.90011, 1.1e-4)):
        with pytest.raises(UserError) as refused:
            export.check_parity(table(iou, change))
        assert f"has a test IoU of {iou}, Keras has 0.9: they may differ by 0.0001" in str(
            refused.value
        )
        assert "try another train.encoder or another version of tf2onnx" in str(refused.value)
