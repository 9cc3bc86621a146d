"""Which photo is trained on, validated on, tested on."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from petseg.data.archives import Entry
from petseg.errors import UserError

SPLITS = ("train", "val", "test")


def assign(
    trainval: Iterable[Entry], test: Iterable[Entry], val_fraction: float, seed: int
) -> dict[str, str]:
    """Return each listed name's split: the official test list, and trainval divided by breed."""
    trainval = list(trainval)
    validation = stratified(trainval, val_fraction, seed)
    splits = {entry.name: "val" if entry.name in validation else "train" for entry in trainval}
    return splits | dict.fromkeys((entry.name for entry in test), "test")


def stratified(entries: Iterable[Entry], share: float, seed: int) -> set[str]:
    """Return the same share of names of every breed, at least one but never all.

    Names are ranked by a hash with the seed: one more photo moves at most one other.
    """
    breeds: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        breeds[entry.breed].append(entry.name)
    chosen: set[str] = set()
    for names in breeds.values():
        ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
        count = max(1, round(share * len(names)))
        chosen.update(ranked[: min(count, len(names) - 1)])
    return chosen


def check_disjoint(splits: Mapping[str, Collection[str]]) -> None:
    """Refuse splits that share a name: what is tested on must never be trained on."""
    seen: dict[str, str] = {}
    for split, names in splits.items():
        for name in sorted(names):
            if name in seen:
                raise UserError(f"{name} is in both {seen[name]} and {split}; list it once")
            seen[name] = split
