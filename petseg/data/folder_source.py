"""Lists a team's photos and masks in data/raw, and renders the masks of annotation tools there."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from petseg import files
from petseg.data import coco, cvat, folder_tables, label_studio
from petseg.data.folder import LIST, FileFacts, FolderRow, hashed_pairs
from petseg.data.folder_tables import FolderTables
from petseg.data.mask_formats import MaskFormat
from petseg.data.mask_settings import (
    CocoMasks,
    CvatMasks,
    LabelStudioMasks,
    Masks,
    mask_format,
)
from petseg.data.pairs import MASKS, Pair, escaped, pair_files
from petseg.errors import UserError

MAX_SHOWN = 80  # characters of a name in an error
Rendering = Iterator[tuple[str, UInt8[np.ndarray, "height width"]]]  # photo's file name, labels


@dataclass(frozen=True)
class FolderContent:
    """What a team's folder holds: its pairs, its tables, and how its masks are read."""

    pairs: list[Pair]
    tables: FolderTables
    format: MaskFormat
    masks_folder: Path  # where the paths of the masks begin
    masks_top: str  # the folder in it that holds the masks


def read_folder(folder: Path, masks: Masks, rendered_folder: Path) -> FolderContent:
    """Return what a team's folder holds; no photo is opened.

    Args:
        folder: the team's folder, with images/ and masks/.
        masks: the convention of the masks.
        rendered_folder: where masks of COCO and Label Studio are written, below masks/.

    Raises:
        UserError: a folder cannot be read, or a table or an annotation file is wrong.
    """
    masks_folder, top = folder, MASKS
    if isinstance(masks, CvatMasks):
        labelmap = only_file(folder / MASKS, "labelmap.txt")
        names = masks.cvat
        colours = cvat.colours(labelmap, names.foreground, names.ignore)
        top = (labelmap.parent / "SegmentationClass").relative_to(folder).as_posix()
        pairs = pair_files(folder, None, top)
        mask_kind = MaskFormat("colours", *colours)
    elif isinstance(masks, CocoMasks | LabelStudioMasks):
        masks_folder, mask_kind = rendered_folder, mask_format(masks)
        pairs = pair_files(folder, list(render(folder, masks, rendered_folder / MASKS)))
    else:
        pairs, mask_kind = pair_files(folder, None), mask_format(masks)
    photos = {pair.name: pair.photo for pair in pairs}
    tables = folder_tables.read_tables(folder, photos)
    return FolderContent(pairs, tables, mask_kind, masks_folder, top)


def only_file(folder: Path, ending: str) -> Path:
    """Return the only file in a folder, at any depth, whose name has this ending.

    Raises:
        UserError: there is none, or more than one.
    """
    matches = sorted(
        Path(path) / name
        for path, _, names in os.walk(folder)
        for name in names
        if name.endswith(ending) and Path(path, name).is_file()
    )
    if len(matches) != 1:
        number = (
            "no file" if not matches else f"{len(matches)} files ({', '.join(map(str, matches))})"
        )
        raise UserError(f"{folder} has {number} ending in {ending}; put exactly one there")
    return matches[0]


def render(folder: Path, masks: CocoMasks | LabelStudioMasks, target: Path) -> Iterator[str]:
    """Write the masks of an annotation tool's export as PNG of labels; yield their paths in `target`."""
    annotations = only_file(folder / MASKS, ".json")
    names = masks.coco if isinstance(masks, CocoMasks) else masks.label_studio
    rendering: Rendering
    if isinstance(masks, CocoMasks):
        rendering = coco.render_masks(annotations, names.foreground, names.ignore)
    else:
        rendering = label_studio.render_masks(
            folder / MASKS, annotations, names.foreground, names.ignore
        )
    for photo, labels in rendering:
        path = mask_path(photo)
        try:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(target / path, compress_level=1)
        except (OSError, ValueError) as error:  # such as a name that no disk can hold
            raise UserError(
                f"{annotations}: the mask of {photo[:MAX_SHOWN]!r} cannot be written ({error}); "
                "if it is the name, mend it"
            ) from error
        yield path


def mask_path(photo: str) -> str:
    """Return the path of the mask of a photo that an annotation file names.

    Raises:
        UserError: the path would leave the folder.
    """
    path = PurePosixPath(photo)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise UserError(f"the annotations name a photo {photo!r}, which leaves the folder; mend it")
    return path.with_suffix(".png").as_posix()


def list_rows(folder: Path, content: FolderContent) -> Iterator[FolderRow]:
    """Yield a row for every photo of a folder, with the sizes and hashes of its files."""
    pairs, tables = content.pairs, content.tables
    for pair, photo, mask in hashed_pairs(folder, content.masks_folder, pairs, len(pairs)):
        yield folder_row(pair, photo, mask, tables)


def folder_row(pair: Pair, photo: FileFacts, mask: FileFacts, tables: FolderTables) -> FolderRow:
    """Return the row of photos.csv of a photo."""
    group = tables.groups.get(pair.name, {})
    return FolderRow(
        escaped(pair.name),
        escaped(pair.photo),
        photo.bytes,
        photo.sha256,
        escaped(pair.mask),
        mask.bytes,
        mask.sha256,
        tables.splits.get(pair.name, ""),
        group.get("group", ""),
        group.get("subgroup", ""),
        group.get("subject", ""),
        pair.reason or photo.reason or mask.reason,
    )


def list_folder(folder: Path, masks: Masks, raw: Path, place: str) -> dict[str, Any]:
    """Write photos.csv, and rendered masks, to `raw`; return the content of source.json.

    Args:
        folder: the team's folder.
        masks: the convention of the masks.
        raw: the folder to write to.
        place: the path from data/raw to the team's folder.

    Raises:
        UserError: as `read_folder`, or the folder has no photo.
    """
    return write_list(folder, read_folder(folder, masks, raw), raw, place)


def write_list(folder: Path, content: FolderContent, raw: Path, place: str) -> dict[str, Any]:
    """Write photos.csv to `raw`; return the content of source.json. See `list_folder`."""
    if not content.pairs:
        raise UserError(
            f"{folder / 'images'} has no photo; put the photos there and the masks in "
            f"{folder / MASKS}, and look at them with `petseg check {folder}`"
        )
    files.write_rows(raw / LIST, FolderRow, list_rows(folder, content))
    return {
        "source": "folder",
        "official": False,
        "licence": "that of the photos",
        "folder": place,
        "photos": len(content.pairs),
        "sha256": files.sha256(raw / LIST),
        "masks": asdict(content.format),
        "rendered": content.masks_folder != folder,
        "groups": list(content.tables.group_kinds),
    }
