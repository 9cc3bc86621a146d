"""Times the paired bootstrap of every metric against a loop over its resamples.

    .venv/bin/python benchmarks/bootstrap_speed.py --photos 3669 --rounds 5

Both draw 10,000 resamples of the same photos, in turn; the ratio of the medians counts.
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
    """Return counts by photo as a model of IoU about 0.9 has them, (photos, 6)."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([40, 2, 4, 3, 2, 49], photos)
    return (shares * PIXELS).astype(np.int64)


def loop(base: np.ndarray, head: np.ndarray) -> list[float]:
    """Return the IoU's difference in each resample, one after the other."""
    rng = np.random.default_rng(bootstrap.SEED)
    found = []
    for _ in range(bootstrap.RESAMPLES):
        drawn = rng.integers(0, len(base), len(base))
        old, new = (metrics.from_photos(side[drawn]) for side in (base, head))
        found.append(new["iou"] - old["iou"])
    return found


def main() -> None:
    """Time both in turn and print the medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=3669)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    base, head = counts(asked.photos, 1), counts(asked.photos, 2)
    seconds: dict[str, list[float]] = {"paired.differences": [], "loop": []}
    for _ in range(asked.rounds):
        for name, call in (("paired.differences", paired_bootstrap.differences), ("loop", loop)):
            started = time.perf_counter()
            call(base, head)
            seconds[name].append(time.perf_counter() - started)
    fast, slow = (statistics.median(found) for found in seconds.values())
    print(f"{fast:.2f} s against {slow:.2f} s in a loop: {fast / slow:.2f}")


if __name__ == "__main__":
    main()
