"""Assign every photo to the training, validation or test split."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from petseg.data.archives import Entry
from petseg.errors import UserError

SPLITS = ("train", "val", "test")


def assign_splits(
    trainval: Iterable[Entry], test: Iterable[Entry], val_fraction: float, seed: int
) -> dict[str, str]:
    """Return the split of every listed name.

    The official test list is the test split; the official trainval list is divided by breed.
    """
    trainval = list(trainval)
    validation = sample_by_breed(trainval, val_fraction, seed)
    splits = {entry.name: "val" if entry.name in validation else "train" for entry in trainval}
    return splits | dict.fromkeys((entry.name for entry in test), "test")


def sample_by_breed(entries: Iterable[Entry], share: float, seed: int) -> set[str]:
    """Return the same share of the names of every breed, at least one but never all.

    Names are ranked by a hash of seed and name, so one more photo changes the choice of at
    most one other photo.
    """
    breeds: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        breeds[entry.breed].append(entry.name)
    sample: set[str] = set()
    for names in breeds.values():
        ranking = sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
        count = max(1, round(share * len(names)))
        sample.update(ranking[: min(count, len(names) - 1)])
    return sample


def check_disjoint(splits: Mapping[str, Collection[str]]) -> None:
    """Check that no name is in two splits: a photo used for testing must never be trained on.

    Raises:
        UserError: a name is in two splits.
    """
    split_by_name: dict[str, str] = {}
    for split, names in splits.items():
        for name in sorted(names):
            if name in split_by_name:
                raise UserError(
                    f"{name} is in both {split_by_name[name]} and {split}; list it once"
                )
            split_by_name[name] = split
