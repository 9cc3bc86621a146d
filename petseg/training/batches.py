"""Batches of a split: shuffled and augmented to train on, in order to validate, made ahead."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from petseg.data.examples import Batch, Examples
from petseg.training import augment
from petseg.training.settings import TrainParams


def prefetch(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yield the same batches, each computed in a thread while the previous one is used."""
    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = thread.submit(next, batches, None)
            yield batch


def train_batches(
    examples: Examples, settings: TrainParams, epoch: int, skip: int = 0
) -> Iterator[Batch]:
    """Yield an epoch's batches, shuffled over all examples and augmented.

    Order and augmentation depend on the seed and the epoch alone, so a resumed epoch has the same
    batches as one that was never interrupted.

    Args:
        examples: what to train on.
        settings: batch size, seed and augmentation are used.
        epoch: number of the epoch, from 1.
        skip: how many examples of the epoch have been trained on already.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(examples))
    transforms = augment.draw_transforms(
        rng, len(examples), flip=settings.flip, crop=settings.crop, colour=settings.colour
    )
    drawn = examples.drawn(rng)
    for start in range(skip, len(order), settings.batch_size):
        batch = slice(start, start + settings.batch_size)
        # The arrays are read in the order of their rows, and transforms go with places in the
        # batch: within a batch the order makes no difference.
        rows = np.sort(order[batch])
        yield augment.apply_transforms(*drawn.read(rows), transforms[batch])


def val_batches(examples: Examples, batch_size: int) -> Iterator[Batch]:
    """Yield batches of all examples in their order."""
    for start in range(0, len(examples), batch_size):
        yield examples.read(slice(start, start + batch_size))
