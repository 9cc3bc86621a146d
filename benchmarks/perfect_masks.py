"""Measure what a size of the network's input costs: the IoU at full size of a network without a fault.

    .venv/bin/python benchmarks/perfect_masks.py data/raw --sizes 64 128 256

The true masks are resized to a square of each size, antialiased, as probabilities in 1/255, and from
there to the photo's own size, as `petseg predict` does it. IoU and boundary IoU have the border as
foreground, are of the sums over all photos, and leave ignored pixels out. A hard mask has probabilities
of 0 and 1 only.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from petseg import progress
from petseg.data import raw
from petseg.data.labels import IGNORED, is_foreground
from petseg.data.listing import RawData
from petseg.data.photos import UnusableError
from petseg.evaluation import boundary
from petseg.evaluation.metrics import ratio
from petseg.inference import masks

HALF = 0.5  # the threshold


def overlaps(labels: np.ndarray, size: int, is_hard: bool) -> np.ndarray:
    """Return intersection and union of a mask and the same resized, then of their boundary bands.

    Args:
        labels: a trimap, (height, width).
        size: side of the square in pixels.
        is_hard: whether the resized mask has no level between 0 and 1.
    """
    height, width = labels.shape
    truth = is_foreground(labels)
    full = Image.fromarray(truth.astype(np.uint8) * 255)
    levels = np.asarray(full.resize((size, size), Image.Resampling.BILINEAR))
    if is_hard:
        levels = masks.mask(levels, HALF).astype(np.uint8) * 255
    resized = masks.at_photo_size(levels, (width, height), "none", lambda: full)
    mask = masks.mask(resized, HALF) & (labels != IGNORED)
    areas = [np.count_nonzero(both) for both in (truth & mask, truth | mask)]
    depth = boundary.band_width(height, width)
    return np.concatenate([areas, boundary.band_overlap(truth[None], mask[None], depth)[0]])


def measure(data: RawData, sizes: list[int]) -> tuple[int, dict[tuple[int, bool], np.ndarray]]:
    """Return the number of photos, and the sums of `overlaps` by size and whether masks are hard."""
    kinds = [(size, is_hard) for size in sizes for is_hard in (False, True)]
    sums = {kind: np.zeros(4, np.int64) for kind in kinds}
    names = [photo.name for photo in data.listed()]
    photos = 0
    with progress.bar("measuring", len(names)) as bar:
        for member in data.masks(names):
            bar.update()
            try:
                labels = data.decode_full_mask(member.read()[0])
            except UnusableError:
                continue  # preprocess sets it aside with the reason
            photos += 1
            for kind in kinds:
                sums[kind] += overlaps(labels, *kind)
    return photos, sums


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path, help="folder with the photos at their own size: data/raw")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    args = parser.parse_args()
    photos, sums = measure(raw.open_raw(args.raw), args.sizes)
    rows = [
        (size, "hard" if is_hard else "soft", f"{ratio(a, b):.4f}", f"{ratio(c, d):.4f}")
        for (size, is_hard), (a, b, c, d) in sums.items()
    ]
    print(f"{photos:,} photos")
    print(tabulate(rows, ("size", "mask", "IoU", "boundary IoU"), tablefmt="github"))


if __name__ == "__main__":
    main()
