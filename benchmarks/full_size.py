"""Measure masks at the photos' own size, with and without the guided refinement of their edges.

    python benchmarks/full_size.py data/export/model.onnx data/raw

The folder holds images.tar.gz and annotations.tar.gz; the photos are those of the test list. IoU is that
of the sums over all photos, with the border as foreground and without its pixels; boundary IoU has the border
as pet. The change comes with its 95 % interval: photos are drawn with replacement, in pairs.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from petseg.data import arrays, convert, photos, raw
from petseg.data.arrays import Split
from petseg.data.label_edits import NO_EDITS
from petseg.data.labels import BORDER, FOREGROUND
from petseg.evaluation import native, parity
from petseg.inference import masks
from petseg.inference.onnx_engine import ExportMetadata, OnnxEngine, Refinement

REFINEMENTS: tuple[Refinement, ...] = ("none", "guided")
MEASURES = ("IoU", "boundary IoU", "IoU, border ignored")
BATCH = 16


@dataclass(frozen=True)
class Measured:
    """What was measured with one refinement."""

    overlaps: np.ndarray  # (photos, 6): intersection and union of each of `MEASURES`, pixels
    seconds: float  # of one photo from probabilities to mask in one thread, median


def predict(engine: OnnxEngine, test: Split) -> np.ndarray:
    """Return the probabilities of the test photos in 1/255, (n, size, size)."""
    parts = arrays.stacks(BATCH, test.photos)
    return np.concatenate([engine.levels(photos) for _, (photos,) in parts])


def measure(
    folder: Path, test: Split, probabilities: np.ndarray, metadata: ExportMetadata
) -> Measured:
    """Return the overlaps of the test photos and the time of a photo."""
    rows = {photo.name: row for row, photo in enumerate(test.index)}
    inside, seconds = np.zeros((len(rows), 2), np.int64), []
    data = raw.open_raw(folder)
    for files in native.read(data, rows, with_photos=True):
        assert files.photo
        truth = data.decode_full_mask(files.mask.read()[0])
        read_photo: Callable[[], Image.Image] = partial(photos.decode_full, files.photo.read()[0])
        start = time.perf_counter()
        size = truth.shape[::-1]
        levels = masks.at_photo_size(
            probabilities[files.row], (size[0], size[1]), metadata.refinement, read_photo
        )
        mask = masks.mask(levels, metadata.threshold)
        seconds.append(time.perf_counter() - start)
        mask, foreground = mask & (truth != BORDER), truth == FOREGROUND
        inside[files.row] = [
            np.count_nonzero(pixels) for pixels in (mask & foreground, mask | foreground)
        ]
    overlaps = native.overlaps(folder, test.index, probabilities, metadata, NO_EDITS)
    return Measured(np.hstack([overlaps, inside]).astype(float), statistics.median(seconds))


def lines(by_refinement: dict[Refinement, Measured]) -> Iterator[str]:
    """Yield a line for each measure and one for the time."""
    reference, other = (by_refinement[name].overlaps for name in REFINEMENTS)
    for number, name in enumerate(MEASURES):
        pair = slice(2 * number, 2 * number + 2)
        before, after = (
            parity.iou(rows[:, pair].sum(axis=0, keepdims=True))[0] for rows in (reference, other)
        )
        change, low, high = parity.iou_change(reference[:, pair], other[:, pair])
        yield (
            f"{name:20} {before:.4f}  refined {after:.4f}, "
            f"change {change:+.4f} ({low:+.4f} to {high:+.4f})"
        )
    before, after = (1000 * by_refinement[name].seconds for name in REFINEMENTS)
    yield f"{'ms a photo':20} {before:6.1f}  refined {after:6.1f}, reading the photo included"


def main() -> None:
    """Print the measures with and without the refinement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("archives", type=Path, help="folder with the two archives")
    args = parser.parse_args()
    engine = OnnxEngine(args.model)
    with tempfile.TemporaryDirectory() as folder:
        settings = convert.Settings(
            "squash", engine.metadata.image_size, 0.1, 0.1, seed=1, max_rejected=1000
        )
        convert.convert(raw.open_raw(args.archives), Path(folder), settings, NO_EDITS)
        test = arrays.load(Path(folder) / "test")
        probabilities = predict(engine, test)
        by_refinement = {
            name: measure(
                args.archives, test, probabilities, replace(engine.metadata, refinement=name)
            )
            for name in REFINEMENTS
        }
    sides = [(photo.width, photo.height) for photo in test.index]
    width, height = np.median(sides, axis=0)
    print(f"{len(test):,} test photos, {width:.0f} × {height:.0f} pixels in the median")
    for line in lines(by_refinement):
        print(line)


if __name__ == "__main__":
    main()
