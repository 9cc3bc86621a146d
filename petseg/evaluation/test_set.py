"""All measurements on the test photos, some photos at a time."""

import numpy as np
from jaxtyping import Int64

from petseg import progress
from petseg.data.arrays import PictureArray, Split
from petseg.evaluation import label_issues, scores, slices
from petseg.evaluation.label_issues import LabelIssue
from petseg.evaluation.scores import Measurements
from petseg.evaluation.slices import TrimapStats


def measure_test_set(
    test: Split,
    probabilities: PictureArray,
    native: Int64[np.ndarray, "n 4"],
    threshold: float,
) -> tuple[Measurements, TrimapStats, list[LabelIssue]]:
    """Return the measurements, the facts of the trimaps, and the labels that the model contradicts.

    Args:
        test: the test split.
        probabilities: of foreground, in 1/255, in the order of the split's photos.
        native: what `native.overlaps` measured on the photos at their own size.
        threshold: the smallest probability, in 0–1, with which a pixel counts as foreground.
    """
    measurements, stats, disagreements = [], [], []
    with progress.bar("measuring", len(test)) as bar:
        for rows, (trimaps, predictions) in test.contents(test.trimaps, probabilities):
            measurements.append(scores.measure(trimaps, predictions, native[rows], threshold))
            stats.append(slices.trimap_stats(trimaps))
            disagreements.append(label_issues.disagreement(trimaps, predictions))
            bar.update(len(trimaps))
    all_stats = slices.concatenate(stats)
    issues = label_issues.contradicted(
        test.index, all_stats.without_foreground, np.concatenate(disagreements)
    )
    return scores.concatenate(measurements), all_stats, list(issues)
