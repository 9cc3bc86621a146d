"""A split's batches: shuffled and augmented to train on, in order to validate, made ahead."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from petseg.data.arrays import Split
from petseg.training import augment
from petseg.training.settings import Schedule

Batch = tuple[UInt8[np.ndarray, "batch size size 3"], UInt8[np.ndarray, "batch size size"]]


def prefetch(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yield the same, each made in a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def train_batches(split: Split, schedule: Schedule, epoch: int, done: int = 0) -> Iterator[Batch]:
    """Yield the split's batches in the epoch's own order, over the whole set, after those done."""
    rng = np.random.default_rng([schedule.seed, epoch])
    order = rng.permutation(len(split))
    draws = augment.draw_transforms(
        rng, len(split), flip=schedule.flip, crop=schedule.crop, colour=schedule.colour
    )
    for start in range(done, len(order), schedule.batch_size):
        batch = slice(start, start + schedule.batch_size)
        rows = np.sort(order[batch])  # the disk likes it, the step does not mind
        yield augment.apply_transforms(split.photos[rows], split.trimaps[rows], draws[batch])


def val_batches(split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield the split's batches as they lie."""
    for start in range(0, len(split), batch_size):
        stop = start + batch_size
        yield np.asarray(split.photos[start:stop]), np.asarray(split.trimaps[start:stop])
