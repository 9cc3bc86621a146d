"""How far the predictions of several engines that run one network lie from each other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from petseg import progress
from petseg.data import arrays, quantisation
from petseg.data.arrays import Split
from petseg.data.labels import IGNORED, is_foreground
from petseg.evaluation import bootstrap

Engine = Callable[[UInt8[np.ndarray, "n height width 3"]], Float32[np.ndarray, "n height width"]]
Overlaps = Float64[np.ndarray, "n 2"]  # intersection and union in pixels
Batch = dict[str, Float32[np.ndarray, "n height width"]]  # probabilities by engine


@dataclass(frozen=True)
class EngineRow:
    """An engine held against the reference; a row of export.csv."""

    engine: str
    iou: float  # on the test split, border as foreground
    iou_change: float  # against the reference
    low: float  # of the 95 % interval of the change over photos
    high: float
    largest_difference: float  # of a probability, 0–1
    changed_pixels: float  # share of the pixels that change side of the threshold, 0–1
    bytes: int  # of the model's file


def predict(
    engines: Mapping[str, Engine], test: Split, batch_size: int
) -> Iterator[tuple[UInt8[np.ndarray, "n height width"], Batch]]:
    """Yield trimaps of a split, and the probabilities that each engine gives for their photos."""
    with progress.bar("predicting", len(test)) as bar:
        for _, (photos, trimaps) in arrays.stacks(batch_size, test.photos, test.trimaps):
            yield trimaps, {name: engine(photos) for name, engine in engines.items()}
            bar.update(len(photos))


class Comparison:
    """What is added up over the batches of a split to compare engines with the first of them."""

    def __init__(self, names: list[str], threshold: float) -> None:
        """Start with no photo.

        Args:
            names: the engines; the first one is the reference.
            threshold: the smallest probability, in 0–1, with which a pixel is foreground.
        """
        self.min_level = quantisation.min_level(threshold)
        self.names = names
        self.pixels = 0
        self.largest = dict.fromkeys(names, 0.0)
        self.changed = dict.fromkeys(names, 0)
        self.overlaps: dict[str, list[Overlaps]] = {name: [] for name in names}

    def add(self, trimaps: UInt8[np.ndarray, "n height width"], batch: Batch) -> None:
        """Add a batch's trimaps and each engine's probabilities for its photos."""
        counted = trimaps != IGNORED
        masks = {
            name: (quantisation.quantise(values) >= self.min_level) & counted
            for name, values in batch.items()
        }
        reference = self.names[0]
        self.pixels += int(np.count_nonzero(counted))
        for name in self.names:
            difference = float(np.abs(batch[name] - batch[reference]).max())
            self.largest[name] = max(self.largest[name], difference)
            self.changed[name] += int(np.count_nonzero(masks[name] != masks[reference]))
            self.overlaps[name].append(overlaps(is_foreground(trimaps), masks[name]))

    def rows(self, sizes: Mapping[str, int]) -> list[EngineRow]:
        """Return a row for each engine; `sizes` has the bytes of their files."""
        columns = {name: np.concatenate(self.overlaps[name]) for name in self.names}
        return [
            EngineRow(
                name,
                round(iou(columns[name].sum(axis=0, keepdims=True))[0], 6),
                *iou_change(columns[self.names[0]], columns[name]),
                round(self.largest[name], 5),
                round(self.changed[name] / self.pixels, 8),
                sizes[name],
            )
            for name in self.names
        ]


def overlaps(
    truth: Bool[np.ndarray, "n height width"], masks: Bool[np.ndarray, "n height width"]
) -> Overlaps:
    """Return each photo's intersection and union of mask and truth, in pixels."""
    cells = [np.count_nonzero(pixels, axis=(1, 2)) for pixels in (truth & masks, truth | masks)]
    return np.stack(cells, axis=1).astype(float)


def iou(sums: Overlaps) -> Float64[np.ndarray, "sums"]:
    """Return the IoU of sums of `overlaps`; 1 where the union is empty."""
    intersection, union = sums.T
    return np.where(union == 0, 1.0, intersection / np.maximum(union, 1))


def iou_change(reference: Overlaps, other: Overlaps) -> tuple[float, float, float]:
    """Return by how much the IoU changes, and its 95 % interval over photos, 6 decimals."""
    both = np.hstack([reference, other])
    total = both.sum(axis=0, keepdims=True)
    resampled = bootstrap.resampled_sums(both, np.random.default_rng(bootstrap.SEED))
    change, samples = (iou(sums[:, 2:]) - iou(sums[:, :2]) for sums in (total, resampled))
    numbers = (float(change[0]), *bootstrap.interval(samples))
    value, low, high = (round(number, 6) + 0.0 for number in numbers)  # + 0.0 makes 0.0 of −0.0
    return value, low, high
