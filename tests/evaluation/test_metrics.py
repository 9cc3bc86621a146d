"""Metrics against masks worked by hand."""

from pathlib import Path

import numpy as np
import pytest

from petseg import files
from petseg.data import labels
from petseg.data.arrays import Photo
from petseg.evaluation import metrics, scores, tables

# Pet is 1, background 2, border 3; in the prediction, pet is True.
TRIMAP = np.array([[[1, 1, 3, 2], [1, 3, 2, 2]]], np.uint8)
PREDICTION = np.array([[[1, 0, 1, 1], [1, 0, 0, 0]]], bool)

# Predicted as pet and as background: of pet 2 and 1, of border 1 and 1, of background 1 and 2 pixels.
COUNTS = [[2, 1, 1, 1, 1, 2]]


def test_counts_are_pixels_by_class_and_prediction() -> None:
    assert metrics.count(TRIMAP, PREDICTION).tolist() == COUNTS


@pytest.mark.parametrize(
    ("border", "cells"),
    [("foreground", (3, 1, 2, 2)), ("background", (2, 2, 1, 3)), ("ignored", (2, 1, 1, 2))],
)
def test_the_border_policy_moves_or_drops_the_band(
    border: labels.Border, cells: tuple[int, ...]
) -> None:
    c = metrics.confusion(np.array(COUNTS).sum(axis=0), border)
    assert (int(c.tp), int(c.fp), int(c.fn), int(c.tn)) == cells


def test_the_metrics_of_the_worked_example() -> None:
    values = metrics.from_photos(np.array(COUNTS))
    assert values == {
        "iou": 0.5,  # 3 / (3 + 1 + 2)
        "dice": 0.6667,  # 6 / (6 + 1 + 2)
        "accuracy": 0.625,  # 5 / 8
        "precision": 0.75,  # 3 / 4
        "recall": 0.6,  # 3 / 5
        "mean_iou": 0.45,  # (0.5 + 2 / (2 + 1 + 2)) / 2
        "image_iou": 0.5,
        "iou_border_background": 0.4,  # 2 / (2 + 2 + 1)
        "iou_border_ignored": 0.5,  # 2 / (2 + 1 + 1)
    }


def test_dataset_iou_weighs_pixels_and_image_iou_weighs_photos() -> None:
    counts = np.array([[9, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 9]])  # IoU 9/10 and 0/1
    values = metrics.from_photos(counts)
    assert values["iou"] == 0.8182  # 9 / 11
    assert values["image_iou"] == 0.45


def test_iou_of_two_empty_masks_is_one() -> None:
    empty = metrics.from_photos(np.array([[0, 0, 0, 0, 0, 8]]))
    assert empty["iou"] == empty["dice"] == empty["precision"] == empty["recall"] == 1.0


def test_boundary_scores_and_squared_errors_add_up_over_photos() -> None:
    # The counts, then the boundary bands' intersection and union, the boundary F, the squared error.
    first = [9, 0, 0, 0, 1, 0, 3, 4, 1.0, 0.5]
    second = [0, 1, 0, 0, 0, 9, 1, 6, 0.5, 1.5]
    values = metrics.from_photos(np.array([first, second]))
    assert values["iou"] == 0.8182
    assert values["boundary_iou"] == 0.4  # (3 + 1) / (4 + 6)
    assert values["boundary_f_2px"] == 0.75
    assert values["brier"] == 0.1  # (0.5 + 1.5) / 20


def test_metrics_at_full_size_are_of_summed_pixels_and_the_expected_ious_error_is_of_photos() -> (
    None
):
    # The counts, the four extra columns as above, the expected IoU, and at the photos' own size
    # the intersection and the union of the masks and of their bands.
    first = [9, 0, 0, 0, 1, 0, 3, 4, 1.0, 0.5, 0.7, 30, 40, 2, 4]  # IoU 9/10
    second = [0, 1, 0, 0, 0, 9, 1, 6, 0.5, 1.5, 0.4, 50, 60, 1, 8]  # IoU 0/1
    values = metrics.from_photos(np.array([first, second]))
    assert values["native_iou"] == 0.8  # (30 + 50) / (40 + 60)
    assert values["native_boundary_iou"] == 0.25  # (2 + 1) / (4 + 8)
    assert values["expected_iou_error"] == 0.3  # (|0.7 − 0.9| + |0.4 − 0|) / 2
    assert (values["boundary_iou"], values["brier"]) == (0.4, 0.1)  # as without these columns


def test_the_intervals_of_the_new_metrics_are_of_resampled_photos(tmp_path: Path) -> None:
    # Two photos of 1 pixel, the first right and sure, the second wrong and sure of itself.
    trimaps = np.array([[[1]], [[1]]], np.uint8)
    probabilities = np.array([[[255]], [[0]]], np.uint8)
    native = np.array([[4, 4, 1, 1], [0, 12, 0, 3]])
    measured = scores.measure(trimaps, probabilities, native, 0.5)
    assert measured.expected_ious.tolist() == [1, 1]  # an empty mask, of which all is sure
    assert measured.expected_iou_correlation() == 0
    by_key = {score.metric: score for score in scores.scores(measured)}
    native_iou, error = by_key["native_iou"], by_key["expected_iou_error"]
    assert (native_iou.value, native_iou.low, native_iou.high) == (0.25, 0, 1)  # 4 / 16
    assert (error.value, error.low, error.high) == (0.5, 0, 1)  # (0 + 1) / 2
    assert by_key["native_boundary_iou"].value == 0.25
    assert "expected_iou_correlation" not in by_key


def test_the_correlation_is_of_the_expected_and_the_true_iou_of_each_photo() -> None:
    # Three photos of pet alone, of which the mask has all, the upper half and nothing: IoU 1, 0.5, 0.
    # A pixel that is not in the mask has a probability of 0.2, so the expected IoUs are 1,
    # 8 / (8 + 8 · 0.2) = 0.8333, and 0.
    trimaps = np.ones((3, 4, 4), np.uint8)
    probabilities = np.full((3, 4, 4), 255, np.uint8)
    probabilities[1, 2:] = probabilities[2] = 51
    measured = scores.measure(trimaps, probabilities, np.ones((3, 4), np.int64), 0.5)
    assert measured.expected_ious.tolist() == [1, pytest.approx(8 / 9.6), 0]
    assert measured.expected_iou_correlation() == pytest.approx(1)
    # Its error is (0 + 0.3333 + 0) / 3.
    assert metrics.from_photos(measured.per_image())["expected_iou_error"] == 0.1111


def test_the_registry_has_each_key_of_metrics_json_and_no_other(tmp_path: Path) -> None:
    square, mask = (np.repeat(array, 2, axis=1) for array in (TRIMAP, PREDICTION))  # 4×4 pixels
    probabilities = np.where(mask, 200, 50).astype(np.uint8)
    native = np.array([[3, 6, 1, 2]])
    measured = scores.measure(square, probabilities, native, threshold=0.5)
    index = [Photo("a", "cat", "x", 4, 4, "", "")]
    tables.write_scores(tmp_path, index, ["species", "breed"], measured, official=False)
    written = files.read_json(tmp_path / "metrics.json")
    assert list(written) == [*metrics.METRICS, "official_data"]
    assert (written["iou"], written["native_iou"], written["native_boundary_iou"]) == (0.5,) * 3
    columns = list(files.read_csv(tmp_path / "per_image.csv")[0])
    assert columns == ["name", "species", "breed", *metrics.COLUMNS, *metrics.EXTRA_COLUMNS]

    with_interval = {key for key, metric in metrics.METRICS.items() if metric.has_interval}
    rows = {row["metric"] for row in files.read_csv(tmp_path / "intervals.csv")}
    assert with_interval <= rows
    assert set(metrics.METRICS) - with_interval == {"expected_iou_correlation"}
    assert "expected_iou_correlation" not in rows
    paired = {key for key, metric in metrics.METRICS.items() if metric.has_paired_interval}
    assert paired == set(metrics.from_photos(measured.per_image()))
