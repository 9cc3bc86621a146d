"""What a team's splits.csv divides between splits, although it should stay together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from petseg.data.listing import ListedPhoto
from petseg.data.splits import SPLITS

SUBJECTS = "subjects that splits.csv divides between splits"
LOOK_ALIKE = "sets of photos that look alike, which splits.csv divides between splits"


def divided(
    listed: Iterable[ListedPhoto], split_by_name: Mapping[str, str], look_alike: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return the subjects, and the sets of photos that look alike, with photos in several splits.

    Args:
        listed: all photos.
        split_by_name: the split of every photo.
        look_alike: a number for each usable photo, equal for those that look alike.
    """
    usable = [row for row in listed if row.name in look_alike]
    subjects = [(row.subject, row.name) for row in usable if row.subject]
    numbers = [(str(look_alike[row.name]), row.name) for row in usable]
    return {
        SUBJECTS: [f"{key} ({text})" for key, text in in_several_splits(subjects, split_by_name)],
        LOOK_ALIKE: [text for _, text in in_several_splits(numbers, split_by_name)],
    }


def in_several_splits(
    pairs: Iterable[tuple[str, str]], split_by_name: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each key whose names are in several splits, with a name of each split.

    Args:
        pairs: keys and names.
        split_by_name: the split of every name.
    """
    names_by_key: defaultdict[str, defaultdict[str, list[str]]]
    names_by_key = defaultdict(lambda: defaultdict(list))
    for key, name in pairs:
        names_by_key[key][split_by_name[name]].append(name)
    for key, by_split in names_by_key.items():
        if len(by_split) > 1:
            parts = [f"{split}: {some(by_split[split])}" for split in SPLITS if split in by_split]
            yield key, ", ".join(parts)


def some(names: list[str]) -> str:
    """Return the first name, and how many there are more."""
    return f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else names[0]
