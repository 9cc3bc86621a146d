"""What the expected IoU is worth: whether the masks that it calls doubtful are the bad ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

PERCENT = 100
Values = Float64[np.ndarray, "n"]


@dataclass(frozen=True)
class ReviewRow:
    """What a person finds who looks at the least sure masks; a row of confidence.csv."""

    reviewed: float  # share of the photos, those with the lowest expected IoU
    expected_iou: float  # the highest among the reviewed; 0 if none is reviewed
    bad_found: float  # share of all bad masks that are among the reviewed; 1 if none is bad
    image_iou: float  # mean IoU of the masks that are not reviewed; 1 if all are


def rank_correlation(first: Values, second: Values) -> float:
    """Return Spearman's rank correlation, −1 to 1; 0 if all values of one of the two are equal.

    It is the correlation of the ranks; equal values share the mean of their ranks.
    """
    deviations = [ranks(values) - (len(values) - 1) / 2 for values in (first, second)]
    squares = [float(deviation @ deviation) for deviation in deviations]
    product = float(deviations[0] @ deviations[1])
    return product / (squares[0] * squares[1]) ** 0.5 if all(squares) else 0.0


def ranks(values: Values) -> Values:
    """Return the rank of each value, from 0; equal values have the mean of their ranks."""
    _, groups, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = sizes.cumsum()
    return np.asarray((ends - (sizes + 1) / 2)[groups])


def review_curve(expected: Values, ious: Values, bad_iou: float) -> list[ReviewRow]:
    """Return what is found when 0, 1, … 100 % of the photos are reviewed, the least sure first.

    This is a risk–coverage curve: Geifman and El-Yaniv, Selective Classification for Deep Neural
    Networks, NeurIPS 2017.

    Args:
        expected: the expected IoU of each mask, 0–1.
        ious: its true IoU, 0–1.
        bad_iou: a mask is bad if its true IoU is lower.
    """
    order = np.argsort(expected, kind="stable")
    bad = (ious < bad_iou)[order]
    rows = []
    for percent in range(PERCENT + 1):
        reviewed = round(len(order) * percent / PERCENT)
        bad_share = float(bad[:reviewed].sum() / bad.sum()) if bad.any() else 1.0
        rest = ious[order[reviewed:]]
        highest = float(expected[order[reviewed - 1]]) if reviewed else 0.0
        mean = float(rest.mean()) if len(rest) else 1.0
        numbers = (percent / PERCENT, highest, bad_share, mean)
        rows.append(ReviewRow(*(round(number, 4) for number in numbers)))
    return rows
