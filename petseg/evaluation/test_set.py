"""Everything that is counted on the test photos, some photos at a time."""

import numpy as np
from jaxtyping import UInt8

from petseg import progress
from petseg.data.arrays import Split
from petseg.evaluation import label_issues, scores, slices
from petseg.evaluation.label_issues import Suspect
from petseg.evaluation.scores import Measurements
from petseg.evaluation.slices import TrimapStats

CHUNK = 256  # photos whose masks are counted at a time


def measure_test_set(
    test: Split, probabilities: UInt8[np.ndarray, "n size size"], threshold: float
) -> tuple[Measurements, TrimapStats, list[Suspect]]:
    """Return what is counted on the test photos, what their trimaps say of them, and odd labels."""
    measured, shapes, disagreements = [], [], []
    with progress.bar("measuring", len(test)) as bar:
        for start in range(0, len(test), CHUNK):
            trimaps, found = (
                np.asarray(array[start : start + CHUNK]) for array in (test.trimaps, probabilities)
            )
            measured.append(scores.measure(trimaps, found, threshold))
            shapes.append(slices.trimap_stats(trimaps))
            disagreements.append(label_issues.disagreement(trimaps, found))
            bar.update(len(found))
    shape = slices.concatenate(shapes)
    odd = label_issues.contradicted(test.index, shape.without_pet, np.concatenate(disagreements))
    return scores.concatenate(measured), shape, list(odd)
