"""Divide the wrong pixels of the test split by where they lie: what still costs IoU, and how much.

    .venv/bin/python benchmarks/limit.py

Run it in a checkout after `dvc repro`, whose data and numbers it reads; --root names another. The border
counts as foreground, and the masks are those of the network's size. "IoU without" is the IoU if all of
these pixels were right.
"""

import argparse
from pathlib import Path

import numpy as np
from tabulate import tabulate

from petseg import files
from petseg.data import arrays
from petseg.data.labels import BORDER, IGNORED, is_foreground
from petseg.evaluation import boundary, slices
from petseg.evaluation.label_issues import Reason
from petseg.inference import masks
from petseg.inference.onnx_engine import OnnxEngine

NEAR = 2  # pixels from the true outline that count as near, as in boundary_f_2px
CONTRADICTED = (Reason.WITHOUT_FOREGROUND, Reason.DISAGREEMENT)


def near_outline(truth: boundary.Masks) -> boundary.Masks:
    """Return the pixels at most `NEAR` pixels from one of the other class."""
    shifts = boundary.ring(0, NEAR)
    near = np.zeros_like(truth)
    for down, right in shifts:
        near |= truth & boundary.shift(~truth, down, right)
        near |= ~truth & boundary.shift(truth, down, right)
    return near


def wrong_by_place(
    trimaps: np.ndarray, predicted: np.ndarray, is_contradicted: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the wrong pixels of each kind, (n, height, width); each is of one kind only."""
    truth = is_foreground(trimaps)
    wrong = (truth != predicted) & (trimaps != IGNORED)
    in_doubt = np.broadcast_to(is_contradicted[:, None, None], wrong.shape)
    near = near_outline(truth)
    border = trimaps == BORDER
    places = {
        "photos whose label may be wrong": in_doubt,
        "in the trimap's border": border,
        f"elsewhere, at most {NEAR} pixels from the outline": near,
        "further away, missed pet": truth,
        "further away, false pet": ~truth,
    }
    kinds = {}
    for name, place in places.items():
        kinds[name] = wrong & place
        wrong = wrong & ~place
    return kinds


def measure(root: Path) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return each photo's wrong pixels by kind, as false and missed; intersections; shares of foreground."""
    test = arrays.load(root / "data/arrays/test")
    probabilities = arrays.load_probabilities(root / "data/predictions/probabilities.npy", test)
    threshold = OnnxEngine(root / "data/export/model.onnx").metadata.threshold
    suspects = {
        row["name"]
        for row in files.read_csv(root / "reports/suspects.csv")
        if row["split"] == "test" and row["reason"] in CONTRADICTED
    }
    is_contradicted = np.array([photo.name in suspects for photo in test.index])
    parts: dict[str, list[np.ndarray]] = {}
    intersections, shares = [], []
    for rows, (trimaps, levels) in test.contents(test.trimaps, probabilities):
        truth, predicted = is_foreground(trimaps), masks.mask(levels, threshold)
        intersections.append(np.count_nonzero(truth & predicted, axis=(1, 2)))
        shares.append(slices.trimap_stats(trimaps).share)
        for name, pixels in wrong_by_place(trimaps, predicted, is_contradicted[rows]).items():
            counts = [
                np.count_nonzero(pixels & side, axis=(1, 2)) for side in (predicted, ~predicted)
            ]
            parts.setdefault(name, []).append(np.stack(counts, axis=1))
    kinds = {name: np.concatenate(part) for name, part in parts.items()}
    return kinds, np.concatenate(intersections), np.concatenate(shares)


def iou_without(inter: float, wrong: float, false: float, missed: float) -> float:
    """Return the IoU if some false and missed pixels were right.

    Args:
        inter: pixels of the intersection.
        wrong: all wrong pixels.
        false: those of them that would no longer be predicted.
        missed: those of them that would be found.
    """
    return (inter + missed) / (inter + wrong - false)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="checkout with data/ and reports/"
    )
    kinds, intersections, shares = measure(parser.parse_args().root)
    wrong = sum(kinds.values(), np.zeros_like(next(iter(kinds.values()))))
    inter, total = int(intersections.sum()), int(wrong.sum())
    print(f"{len(shares):,} photos, IoU {inter / (inter + total):.4f}, {total:,} wrong pixels\n")
    rows = [
        (name, f"{counts.sum() / total:.1%}", f"{iou_without(inter, total, *counts.sum(0)):.4f}")
        for name, counts in kinds.items()
    ]
    print(
        tabulate(
            rows, ("wrong pixels", "share", "IoU without"), tablefmt="github", disable_numparse=True
        )
        + "\n"
    )
    third, _ = slices.size_thirds(shares)
    thirds = []
    for number, name in enumerate(slices.SIZES):
        photos = third == number
        part = int(intersections[photos].sum())
        false, missed = wrong[photos].sum(0).tolist()
        thirds.append(
            (
                name,
                f"{part / (part + false + missed):.4f}",
                f"{shares[photos].sum() / shares.sum():.1%}",
                f"{(false + missed) / total:.1%}",
                f"{iou_without(inter, total, false, missed):.4f}",
            )
        )
    headers = ("third by size", "IoU", "share of the pet", "share of the wrong", "IoU without")
    print(tabulate(thirds, headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
