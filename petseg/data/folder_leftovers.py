"""What lies in a team's folder without being used: masks without a photo, and other files."""

import os
from collections.abc import Iterator
from pathlib import Path

from petseg.data import label_studio
from petseg.data.folder_source import FolderContent
from petseg.data.mask_settings import CocoMasks, CvatMasks, LabelStudioMasks, Masks
from petseg.data.pairs import IMAGES, MASKS, by_name, escaped, match, stem, walk
from petseg.data.photos import SUFFIXES

NO_PHOTO = "masks without a photo"
OTHER = "other files in images/ and masks/, which nothing reads"


def leftovers(folder: Path, masks: Masks, content: FolderContent) -> dict[str, list[str]]:
    """Return the files and masks that are not used, by kind."""
    return {
        NO_PHOTO: sorted(map(escaped, masks_without_photo(folder, content))),
        OTHER: sorted(map(escaped, other_files(folder, masks))),
    }


def masks_without_photo(folder: Path, content: FolderContent) -> Iterator[str]:
    """Yield the masks that belong to no photo: their paths, or the names that an export gives."""
    used = {pair.mask for pair in content.pairs}
    top = content.masks_top
    paths = walk(content.masks_folder, top)
    masks = by_name(path for path in paths if f"{top}/{path}" not in used)
    stems = set(map(stem, masks))
    photos = {pair.name: pair for pair in content.pairs if stem(pair.name) in stems}
    several = {
        path for name, paths in match(photos, masks) if not photos[name].mask for path in paths
    }
    for name, unused in masks.items():
        for path in unused:
            if path not in several:
                yield f"{top}/{path}" if content.masks_folder == folder else name


def other_files(folder: Path, masks: Masks) -> Iterator[str]:
    """Yield the paths of files, below the folder, that are neither photos, masks nor annotations."""
    for path in visible_files(folder / IMAGES):
        if not path.lower().endswith(SUFFIXES):
            yield f"{IMAGES}/{path}"
    for path in visible_files(folder / MASKS):
        if not is_read(path, masks):
            yield f"{MASKS}/{path}"


def is_read(path: str, masks: Masks) -> bool:
    """Return whether a file in masks/ may be read under a convention; CVAT's whole export is."""
    if isinstance(masks, CvatMasks):
        return True
    if isinstance(masks, CocoMasks):
        return path.endswith(".json")
    if isinstance(masks, LabelStudioMasks):
        return path.endswith(".json") or bool(label_studio.FILE.fullmatch(path.rpartition("/")[2]))
    return path.lower().endswith(SUFFIXES)


def visible_files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files in a folder, at any depth, but for hidden files and folders."""
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        parent = Path(path).relative_to(folder)
        yield from ((parent / name).as_posix() for name in names if not name.startswith("."))
