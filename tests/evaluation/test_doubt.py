"""What the expected IoU is worth: ranks, their correlation and the review curve, by hand."""

import numpy as np
import pytest

from petseg.evaluation import doubt
from petseg.evaluation.doubt import ReviewRow


def test_equal_values_have_the_mean_of_their_ranks() -> None:
    assert doubt.ranks(np.array([0.3, 0.1, 0.2])).tolist() == [2, 0, 1]
    # 0.5 has ranks 1, 2 and 3; 0.9 has 4 and 5.
    values = np.array([0.5, 0.9, 0.1, 0.5, 0.9, 0.5])
    assert doubt.ranks(values).tolist() == [2, 4.5, 0, 2, 4.5, 2]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 1000], 1),  # only the order counts
        ([1, 2, 3, 4], [4, 3, 2, 1], -1),
        # Without ties it is 1 − 6 Σ d² / (n (n² − 1)): d = 1, 1, 1, 1, so 1 − 24 / 60.
        ([1, 2, 3, 4], [2, 1, 4, 3], 0.6),
        # With ties: the ranks are 0, 1.5, 1.5, 3 and 0, 1, 2, 3, less 1.5: −1.5, 0, 0, 1.5 and
        # −1.5, −0.5, 0.5, 1.5. The products add up to 4.5, the squares to 4.5 and 5.
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / (4.5 * 5) ** 0.5),
        ([1, 1, 1], [1, 2, 3], 0),
        ([7], [8], 0),
    ],
)
def test_the_rank_correlation_is_spearmans(
    first: list[float], second: list[float], expected: float
) -> None:
    values = [np.array(side, float) for side in (first, second)]
    assert doubt.rank_correlation(*values) == pytest.approx(expected)


def test_the_review_curve_of_four_masks_two_of_them_bad() -> None:
    expected = np.array([0.9, 0.4, 0.95, 0.6])
    ious = np.array([0.75, 0.3, 0.85, 0.9])  # by expected IoU: 0.3, 0.9, 0.75, 0.85
    curve = doubt.review_curve(expected, ious, 0.8)
    assert [row.reviewed for row in curve] == [percent / 100 for percent in range(101)]
    assert curve[0] == ReviewRow(0, 0, 0, 0.7)  # (0.3 + 0.9 + 0.75 + 0.85) / 4
    assert curve[25] == ReviewRow(0.25, 0.4, 0.5, 0.8333)  # (0.9 + 0.75 + 0.85) / 3
    assert curve[50] == ReviewRow(0.5, 0.6, 0.5, 0.8)  # the mask of 0.9 was looked at in vain
    assert curve[75] == ReviewRow(0.75, 0.9, 1, 0.85)
    assert curve[100] == ReviewRow(1, 0.95, 1, 1)


def test_a_mask_of_exactly_the_limit_is_not_bad_and_without_bad_ones_all_are_found() -> None:
    curve = doubt.review_curve(np.array([0.5, 0.6]), np.array([0.8, 0.9]), 0.8)
    assert {row.bad_found for row in curve} == {1}
    curve = doubt.review_curve(np.array([0.5, 0.6]), np.array([0.8, 0.9]), 0.81)
    assert [curve[percent].bad_found for percent in (0, 50, 100)] == [0, 1, 1]
