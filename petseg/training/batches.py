"""Batches of a split: shuffled and augmented to train on, in order to validate, made ahead."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from petseg.data.arrays import Split
from petseg.training import augment
from petseg.training.settings import TrainParams

Batch = tuple[UInt8[np.ndarray, "batch size size 3"], UInt8[np.ndarray, "batch size size"]]


def prefetch(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yield the same batches, each computed in a thread while the previous one is used."""
    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = thread.submit(next, batches, None)
            yield batch


def train_batches(
    split: Split, settings: TrainParams, epoch: int, skip: int = 0
) -> Iterator[Batch]:
    """Yield an epoch's batches, shuffled over the whole split and augmented.

    Order and augmentation depend on the seed and the epoch alone, so a resumed epoch has the same
    batches as one that was never interrupted.

    Args:
        split: the photos to train on.
        settings: batch size, seed and augmentation are used.
        epoch: number of the epoch, from 1.
        skip: how many photos of the epoch have been trained on already.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(split))
    transforms = augment.draw_transforms(
        rng, len(split), flip=settings.flip, crop=settings.crop, colour=settings.colour
    )
    for start in range(skip, len(order), settings.batch_size):
        batch = slice(start, start + settings.batch_size)
        # The arrays are read in the order of their rows, and transforms go with places in the
        # batch: within a batch the order makes no difference.
        rows = np.sort(order[batch])
        photos, trimaps = split.photos[rows], split.trimaps[rows]
        yield augment.apply_transforms(photos, trimaps, transforms[batch])


def val_batches(split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield the split's batches in the order of the index."""
    for start in range(0, len(split), batch_size):
        stop = start + batch_size
        yield np.asarray(split.photos[start:stop]), np.asarray(split.trimaps[start:stop])
