"""Divide the wrong pixels of the test split by where they lie: what still costs IoU, and how much.

    .venv/bin/python benchmarks/limit.py

Run it in a checkout after `dvc repro`, whose data and numbers it reads; --root names another. The border
counts as foreground, ignored pixels do not count, and the masks are those of the network's size. "IoU
without" is the IoU if all of these pixels were right.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
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


def near_outline(truth: boundary.Masks, counted: boundary.Masks) -> boundary.Masks:
    """Return the pixels at most `NEAR` pixels from one of the other class; both must count."""
    foreground, background = truth & counted, ~truth & counted
    near = np.zeros_like(truth)
    for down, right in boundary.ring(0, NEAR):
        near |= foreground & boundary.shift(background, down, right)
        near |= background & boundary.shift(foreground, down, right)
    return near


def wrong_by_place(
    trimaps: np.ndarray, predicted: np.ndarray, is_contradicted: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the wrong pixels of each kind, (n, height, width); each is of one kind only."""
    truth = is_foreground(trimaps)
    counted = trimaps != IGNORED
    wrong = (truth != predicted) & counted
    in_doubt = np.broadcast_to(is_contradicted[:, None, None], wrong.shape)
    near = near_outline(truth, counted)
    border = trimaps == BORDER
    places = {
        "photos whose label may be wrong": in_doubt,
        "in the trimap's border": border,
        f"elsewhere, at most {NEAR} pixels from the outline": near,
        "further away, missed foreground": truth,
        "further away, false foreground": ~truth,
    }
    kinds = {}
    for name, place in places.items():
        kinds[name] = wrong & place
        wrong = wrong & ~place
    return kinds


@dataclass(frozen=True)
class Counts:
    """What is counted in n photos."""

    wrong: dict[str, np.ndarray]  # wrong pixels by kind, (n, 2): false and missed
    intersection: np.ndarray  # pixels that are foreground in the truth and in the mask, (n,)
    foreground: np.ndarray  # pixels of the truth that are foreground, (n,)
    share: np.ndarray  # of the photo that is foreground, 0–1, (n,)


def measure(root: Path) -> Counts:
    """Return the counts of the test split of a checkout."""
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
    areas, shares = [], []
    for rows, (trimaps, levels) in test.contents(test.trimaps, probabilities):
        truth, predicted = is_foreground(trimaps), masks.mask(levels, threshold)
        areas.append([np.count_nonzero(area, axis=(1, 2)) for area in (truth & predicted, truth)])
        shares.append(slices.trimap_stats(trimaps).share)
        for name, pixels in wrong_by_place(trimaps, predicted, is_contradicted[rows]).items():
            counts = [
                np.count_nonzero(pixels & side, axis=(1, 2)) for side in (predicted, ~predicted)
            ]
            parts.setdefault(name, []).append(np.stack(counts, axis=1))
    wrong = {name: np.concatenate(part) for name, part in parts.items()}
    intersection, foreground = np.concatenate(areas, axis=1)
    return Counts(wrong, intersection, foreground, np.concatenate(shares))


def iou_without(intersection: float, wrong: float, false: float, missed: float) -> float:
    """Return the IoU if some false and missed pixels were right.

    Args:
        intersection: its pixels.
        wrong: all wrong pixels.
        false: those of them that would no longer be predicted.
        missed: those of them that would be found.
    """
    return ratio(intersection + missed, intersection + wrong - false)


def ratio(part: float, whole: float) -> float:
    """Return part / whole, or 1 where both are 0, as in the metrics."""
    return part / whole if whole else 1.0


def table_by_place(counts: Counts) -> str:
    """Return a row for each kind of wrong pixels; there must be some."""
    total = sum(int(pixels.sum()) for pixels in counts.wrong.values())
    intersection = int(counts.intersection.sum())
    rows = [
        (
            name,
            f"{pixels.sum() / total:.1%}",
            f"{iou_without(intersection, total, *pixels.sum(0)):.4f}",
        )
        for name, pixels in counts.wrong.items()
    ]
    return as_table(("wrong pixels", "share", "IoU without"), rows)


def table_by_size(counts: Counts) -> str:
    """Return a row for each third of the photos by the subject's share, if it has photos."""
    wrong = np.sum(list(counts.wrong.values()), axis=0)
    intersection, total = int(counts.intersection.sum()), int(wrong.sum())
    third, _ = slices.size_thirds(counts.share)
    rows = []
    for number, name in enumerate(slices.SIZES):
        photos = third == number
        if not photos.any():
            continue
        false, missed = wrong[photos].sum(0).tolist()
        inside = int(counts.intersection[photos].sum())
        rows.append(
            (
                name,
                f"{ratio(inside, inside + false + missed):.4f}",
                f"{ratio(counts.foreground[photos].sum(), counts.foreground.sum()):.1%}",
                f"{(false + missed) / total:.1%}",
                f"{iou_without(intersection, total, false, missed):.4f}",
            )
        )
    headers = ("third by size", "IoU", "share of the foreground", "share of the wrong")
    return as_table((*headers, "IoU without"), rows)


def as_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, its cells as they are."""
    text: str = tabulate(rows, headers, tablefmt="github", disable_numparse=True)
    return text


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="checkout with data/ and reports/"
    )
    counts = measure(parser.parse_args().root)
    total = sum(int(pixels.sum()) for pixels in counts.wrong.values())
    intersection = int(counts.intersection.sum())
    iou = ratio(intersection, intersection + total)
    print(f"{len(counts.share):,} photos, IoU {iou:.4f}, {total:,} wrong pixels")
    if total:
        print("", table_by_place(counts), "", table_by_size(counts), sep="\n")


if __name__ == "__main__":
    main()
