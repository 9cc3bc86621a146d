"""The photos and masks in a team's folder, paired by name; nothing in the folder is opened."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from petseg.data.photos import SUFFIXES
from petseg.errors import UserError

IMAGES, MASKS = "images", "masks"  # the folder's own folders
MAX_EXAMPLES = 3  # names in a reason


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and its mask, as paths below the team's folder."""

    name: str  # the photo's path below images/ without its suffix
    photo: str
    mask: str  # empty if there is none
    reason: str = ""  # why the photo cannot be used


def pair_files(folder: Path, masks: Sequence[str] | None, masks_folder: str = MASKS) -> list[Pair]:
    """Return the photos in `folder`/images by name, each with its mask.

    A mask belongs to the photo that has the same path without its suffix, or, if there is none, to
    the only photo with the same file name without suffix. Letters with accents count as equal
    whether they are stored as one character or as two (NFC and NFD).

    Args:
        folder: a team's folder.
        masks: the paths of the masks below `masks_folder`; None looks for them there.
        masks_folder: the folder of the masks, relative to the root of their paths.

    Raises:
        UserError: a folder cannot be read.
    """
    photos_by_name = by_name(walk(folder, IMAGES))
    masks_by_name = by_name(walk(folder, masks_folder) if masks is None else masks)
    collisions = equal_but_for_case(photos_by_name)
    rows = []
    for name, own_masks in match(sorted(photos_by_name), masks_by_name):
        photos = photos_by_name.pop(name)
        reason = rejection_reason(name, photos, own_masks, collisions)
        mask = f"{masks_folder}/{own_masks[0]}" if len(own_masks) == 1 else ""
        rows.append(Pair(name, f"{IMAGES}/{photos[0]}", mask, reason))
    return rows


def walk(folder: Path, top: str) -> Iterator[str]:
    """Yield the paths of the pictures in `folder`/`top`, relative to that, at any depth.

    The folder `top` may be a link, and so may files; hidden files are left out.

    Args:
        folder: a team's folder.
        top: the name of the folder in it.

    Raises:
        UserError: a folder cannot be read, or is a link below `top`: DVC does not follow such
            links, so a change behind one would go unnoticed.
    """

    def fail(error: OSError) -> None:
        raise UserError(
            f"{escaped(error.filename)} cannot be read ({error.strerror}): a team's photos are in "
            f"{folder / IMAGES}, their masks in {folder / MASKS}"
        ) from error

    for path, folders, names in os.walk(folder / top, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (link := Path(path) / name).is_symlink():
                raise UserError(
                    f"{escaped(str(link))} is a link to a folder, in which DVC would not notice a change; "
                    f"make {folder / top} itself the link, or copy the files"
                )
        parent = Path(path).relative_to(folder / top).as_posix()
        prefix = "" if parent == "." else f"{parent}/"
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield prefix + name


def by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return paths by their name: without the suffix, accents composed."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        stem = path.rpartition(".")[0]
        names[unicodedata.normalize("NFC", stem)].append(path)
    for same in names.values():
        same.sort()
    return dict(names)


def match(
    photos: Collection[str], masks: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield every photo with its masks: of the same name, or else of the same unique stem.

    Args:
        photos: names of photos, in any order.
        masks: paths of masks by name.
    """
    stems = {stem(name) for name in photos if name not in masks}
    counts = Counter(stem(name) for name in photos if stem(name) in stems)
    same_stem: defaultdict[str, list[str]] = defaultdict(list)
    for name, paths in masks.items():
        if counts[stem(name)] == 1:
            same_stem[stem(name)] += paths
    for name in photos:
        yield name, masks.get(name) or same_stem.get(stem(name)) or ()


def stem(name: str) -> str:
    """Return the last part of a name."""
    return name.rpartition("/")[2]


def equal_but_for_case(names: Collection[str]) -> dict[str, list[str]]:
    """Return the names that are equal but for upper and lower case, by their lower case."""
    seen: set[str] = set()
    twice: set[str] = set()
    for name in names:
        key = name.casefold()
        (twice if key in seen else seen).add(key)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names if twice else ():
        if name.casefold() in twice:
            groups[name.casefold()].append(name)
    return {key: sorted(group) for key, group in groups.items()}


def rejection_reason(
    name: str,
    photos: Sequence[str],
    masks: Sequence[str],
    collisions: Mapping[str, Sequence[str]],
) -> str:
    """Return why a photo cannot be used by its name, or an empty text."""
    if not all(map(is_printable, (name, *masks))):
        return "name has a line break, another control character or bytes that are not UTF-8"
    if same := collisions.get(name.casefold()):
        return f"names equal but for case: {examples(same)}"
    if len(photos) > 1:
        return f"several photos of this name: {examples(photos)}"
    if len(masks) > 1:
        return f"several masks of this name: {examples(masks)}"
    return "" if masks else "no mask"


def is_printable(name: str) -> bool:
    """Return whether a name is UTF-8 without control characters."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def escaped(name: str) -> str:
    """Return a name with control characters and bytes that are not UTF-8 written as in Python."""
    if is_printable(name):
        return name
    return name.encode("unicode_escape").decode()


def examples(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - MAX_EXAMPLES
    return ", ".join(map(escaped, names[:MAX_EXAMPLES])) + (f" and {more} more" if more > 0 else "")
