"""Times the paired bootstrap of every metric against a loop over its resamples.

    .venv/bin/python benchmarks/bootstrap_speed.py --photos 3669 --rounds 5

Both draw 10,000 resamples of the same photos, in turn; the result is the ratio of the medians.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from petseg.evaluation import bootstrap, metrics
from petseg.review import paired_bootstrap

sys.path.insert(0, str(Path(__file__).parent.parent))

PIXELS = 128 * 128


def counts(photos: int, seed: int) -> np.ndarray:
    """Return counts by photo like those of a model with an IoU of about 0.9, (photos, 6)."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([40, 2, 4, 3, 2, 49], photos)
    return (shares * PIXELS).astype(np.int64)


def loop(base: np.ndarray, head: np.ndarray) -> list[float]:
    """Return the IoU's difference in each resample, one after the other."""
    rng = np.random.default_rng(bootstrap.SEED)
    differences = []
    for _ in range(bootstrap.RESAMPLES):
        rows = rng.integers(0, len(base), len(base))
        base_metrics, head_metrics = (metrics.from_photos(counts[rows]) for counts in (base, head))
        differences.append(head_metrics["iou"] - base_metrics["iou"])
    return differences


def main() -> None:
    """Time both in turn and print the medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=3669)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    base, head = counts(args.photos, 1), counts(args.photos, 2)
    seconds: dict[str, list[float]] = {"bootstrap": [], "loop": []}
    for _ in range(args.rounds):
        for name, call in (("bootstrap", paired_bootstrap.differences), ("loop", loop)):
            start = time.perf_counter()
            call(base, head)
            seconds[name].append(time.perf_counter() - start)
    fast, slow = (statistics.median(times) for times in seconds.values())
    print(f"{fast:.2f} s against {slow:.2f} s in a loop: {fast / slow:.2f}")


if __name__ == "__main__":
    main()
