"""Convert photos and masks to memory-mapped arrays, a list of rejected photos and a summary."""

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import files
from petseg.data import arrays, label_edits, near_duplicates, photos, splits, summary
from petseg.data.arrays import PictureFile
from petseg.data.decode import DecodeResult, decode_all
from petseg.data.edited_photos import EditedPhotos
from petseg.data.frame import Frame, Mode
from petseg.data.label_edits import Action, LabelEdits
from petseg.data.listing import ListedPhoto, RawData
from petseg.errors import UserError

TEMPORARY_PHOTOS, TEMPORARY_MASKS = "all-photos.npy", "all-masks.npy"


@checked(frozen=True, config={"extra": "forbid"})
class Settings:
    """How photos are converted: `preprocess` in params.yaml."""

    mode: Mode  # how a photo of any shape becomes the network's square input
    # side of that square in pixels
    image_size: Annotated[int, Field(ge=16, le=1024)]
    # share of the photos that are not tested on which validate
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    # share of the photos that test; only without an official split
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: Annotated[int, Field(ge=0)]  # decides which photos validate, and test
    max_rejected: Annotated[int, Field(ge=0)]  # how many listed photos may be unusable

    @property
    def frame(self) -> Frame:
        """The network's input, and how photos are brought to it."""
        return Frame(self.mode, self.image_size)


@dataclass(frozen=True, slots=True)
class RejectedPhoto:
    """A listed photo that is not used; a row of rejected.csv."""

    name: str
    split: str
    reason: str


@dataclass(frozen=True, slots=True)
class Mask:
    """What the conversion remembers of a mask; its pixels are a row of a .npy file."""

    row: int
    width: int  # of the original mask in pixels
    height: int  # of the original mask in pixels
    digest: bytes  # SHA-256 of the file
    reason: str  # why it cannot be used, or empty


@dataclass
class Decoded:
    """The usable photos in the order of their rows in the array of all photos."""

    photos: PictureFile  # of the usable photos
    masks: PictureFile  # of all readable masks
    index: list[arrays.Photo] = field(default_factory=list)
    photo_rows: list[int] = field(default_factory=list)  # in the file of photos
    mask_rows: list[int] = field(default_factory=list)  # in the file of masks
    reasons: dict[str, str] = field(default_factory=dict)  # of the others, by name

    def drop(self, edits: LabelEdits) -> None:
        """Leave out the photos that a person dropped."""
        dropped = edits.with_action(Action.DROP)
        self.reasons |= {name: f"dropped: {edit.reason}" for name, edit in dropped.items()}
        used = [row for row, photo in enumerate(self.index) if photo.name not in dropped]
        self.index = [self.index[row] for row in used]
        self.photo_rows = [self.photo_rows[row] for row in used]
        self.mask_rows = [self.mask_rows[row] for row in used]


def decode_masks(
    data: RawData, names: Collection[str], frame: Frame, path: Path
) -> tuple[dict[str, Mask], PictureFile]:
    """Decode the masks of these photos; return them by name, and the file of the readable ones.

    Args:
        data: the photos and masks.
        names: the photos.
        frame: what masks are resized to.
        path: the .npy file to write.
    """
    masks: dict[str, Mask] = {}
    sizes: list[tuple[int, int]] = []
    with arrays.RowWriter(path, frame.row_shape()) as writer:
        for result in decode_all(data.decode_mask, frame, data.masks(names)):
            picture = result.picture
            width, height = (picture.width, picture.height) if picture else (0, 0)
            masks[result.name] = Mask(len(sizes), width, height, result.digest, result.reason)
            if picture:
                writer.extend(picture.pixels)
                sizes.append((height, width))
    return masks, PictureFile(path, frame, sizes)


def rejection_reason(photo: DecodeResult, mask: Mask | None) -> str:
    """Return why a photo cannot be used, or an empty text."""
    picture = photo.picture
    if picture is None:
        return photo.reason
    if mask is None:
        return "no mask"
    if mask.reason:
        return mask.reason
    if (picture.width, picture.height) != (mask.width, mask.height):
        sizes = f"photo {picture.width}x{picture.height}, mask {mask.width}x{mask.height}"
        return f"sizes differ: {sizes}"
    return ""


def decode_photos(
    data: RawData,
    listed: Mapping[str, ListedPhoto],
    masks: Mapping[str, Mask],
    mask_file: PictureFile,
    path: Path,
) -> Decoded:
    """Decode the listed photos, and find those that can be used.

    Args:
        data: the photos and masks.
        listed: the photos by name.
        masks: their masks by name.
        mask_file: the pixels of the masks.
        path: the .npy file to write.
    """
    frame, sizes = mask_file.frame, list[tuple[int, int]]()
    decoded = Decoded(
        PictureFile(path, frame, sizes),
        mask_file,
        reasons=dict.fromkeys(listed, f"not in {data.place}"),
    )
    with arrays.RowWriter(path, frame.row_shape(3)) as writer:
        for photo in decode_all(photos.decode_photo, frame, data.photos(listed)):
            mask, picture = masks.get(photo.name), photo.picture
            decoded.reasons[photo.name] = rejection_reason(photo, mask)
            if decoded.reasons[photo.name] or not (picture and mask):
                continue
            del decoded.reasons[photo.name]
            writer.extend(picture.pixels)
            decoded.photo_rows.append(len(sizes))
            decoded.mask_rows.append(mask.row)
            sizes.append((picture.height, picture.width))
            decoded.index.append(index_row(listed[photo.name], photo, picture, mask))
    return decoded


def index_row(
    row: ListedPhoto, photo: DecodeResult, picture: photos.Picture, mask: Mask
) -> arrays.Photo:
    """Return the row of index.csv of a usable photo."""
    sha256 = hashlib.sha256(photo.digest + mask.digest).hexdigest()[:16]
    size = (picture.width, picture.height)
    return arrays.Photo(row.name, row.group, row.subgroup, *size, sha256, picture.traits)


def copy_rows(
    source: PictureFile,
    rows: list[int],
    path: Path,
    follow: Callable[[arrays.Stack], None] | None = None,
) -> None:
    """Write these pictures of a file to another one; `follow` is called with some at a time."""
    row_shape = np.load(source.path, mmap_mode="r", allow_pickle=False).shape[1:]
    with arrays.RowWriter(path, row_shape) as writer:
        for pixels in source.chunks(rows):
            writer.extend(pixels)
            if follow:
                follow(pixels)


def assign_splits(
    listed: list[ListedPhoto], decoded: Decoded, settings: Settings, edits: LabelEdits
) -> dict[str, str]:
    """Return the split of every listed name: the official or a drawn one, unless it is swapped.

    Photos that are dropped take part in the draw, so that dropping one moves no other.
    """
    return label_edits.swap_splits(edits, original_splits(listed, decoded, settings))


def original_splits(
    listed: list[ListedPhoto], decoded: Decoded, settings: Settings
) -> dict[str, str]:
    """Return the split of every listed name: the official one, or one that is drawn by seed."""
    if any(row.split == splits.TRAINVAL for row in listed):
        return splits.divide_trainval(listed, settings.val_fraction, settings.seed)
    return splits.draw_splits(
        candidates(listed, look_alike_numbers(decoded)),
        test_fraction=settings.test_fraction,
        val_fraction=settings.val_fraction,
        seed=settings.seed,
    )


def look_alike_numbers(decoded: Decoded) -> dict[str, int]:
    """Return a number for each usable photo by name; photos that look alike have the same one."""
    if not decoded.index:
        return {}
    parts = [near_duplicates.hashes(part) for part in decoded.photos.contents(decoded.photo_rows)]
    hashes, contrast = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    numbers = near_duplicates.clusters(hashes, contrast).tolist()
    return {photo.name: number for photo, number in zip(decoded.index, numbers, strict=True)}


def candidates(listed: list[ListedPhoto], look_alike: Mapping[str, int]) -> list[splits.Candidate]:
    """Return the photos between which splits are drawn; one that is not usable is like no other."""
    rows = [row for row in listed if not row.reason]
    near = [look_alike.get(row.name, -1 - position) for position, row in enumerate(rows)]
    clusters = splits.merge_clusters([row.subject for row in rows], np.array(near, np.int64))
    return [
        splits.Candidate(row.name, f"{row.group}/{row.subgroup}", cluster, row.split)
        for row, cluster in zip(rows, clusters, strict=True)
    ]


def write_splits(
    target: Path, decoded: Decoded, split_by_name: Mapping[str, str]
) -> tuple[dict[str, list[arrays.Photo]], dict[str, summary.PixelCounter]]:
    """Write the photos, the masks and the index of every split; count the pixels of the masks."""
    index: dict[str, list[arrays.Photo]] = {}
    pixels: dict[str, summary.PixelCounter] = {}
    for split in splits.SPLITS:
        folder = target / split
        folder.mkdir(parents=True)
        rows = [
            row for row, photo in enumerate(decoded.index) if split_by_name[photo.name] == split
        ]
        index[split], pixels[split] = [decoded.index[row] for row in rows], summary.PixelCounter()
        photo_rows = [decoded.photo_rows[row] for row in rows]
        copy_rows(decoded.photos, photo_rows, folder / arrays.PHOTOS)
        mask_rows = [decoded.mask_rows[row] for row in rows]
        copy_rows(decoded.masks, mask_rows, folder / arrays.TRIMAPS, pixels[split].add)
        files.write_json(folder / arrays.FRAME, asdict(decoded.photos.frame))
        files.write_rows(folder / arrays.INDEX, arrays.Photo, index[split])
    return index, pixels


def decode(
    data: RawData, rows: list[ListedPhoto], target: Path, settings: Settings, edits: LabelEdits
) -> Decoded:
    """Decode every listed photo with its mask; write those that can be used to files in `target`.

    Raises:
        UserError: the data do not have a photo that is to be corrected, or its mask is not usable.
    """
    label_edits.check_names(edits, (row.name for row in rows))
    data = EditedPhotos(data, edits)
    listed = {row.name: row for row in rows}
    usable = {name: row for name, row in listed.items() if not row.reason}
    masks, mask_file = decode_masks(data, usable, settings.frame, target / TEMPORARY_MASKS)
    decoded = decode_photos(data, usable, masks, mask_file, target / TEMPORARY_PHOTOS)
    decoded.reasons |= {name: row.reason for name, row in listed.items() if row.reason}
    check_masks(edits, decoded.reasons)
    return decoded


def check_masks(edits: LabelEdits, reasons: Mapping[str, str]) -> None:
    """Check that photos can be used with the masks that corrections give them.

    Args:
        edits: the corrections.
        reasons: why photos cannot be used, by name.

    Raises:
        UserError: one of them cannot be used.
    """
    for name, path in edits.masks.items():
        if name in reasons:
            raise UserError(
                f"{edits.table}: {name} cannot be used with {path}: {reasons[name]}. Such a mask "
                "has the size of the photo and the values 1 foreground, 2 background, 3 border and "
                "0 ignored, and takes the place of another"
            )


def convert(data: RawData, target: Path, settings: Settings, edits: LabelEdits) -> None:
    """Convert photos and masks to arrays in `target`, an empty folder.

    Writes train/, val/, test/, rejected.csv, summary.json, and the corrections with their masks.

    Raises:
        UserError: more than `max_rejected` photos are unusable, a split is empty, or the data do
            not have a photo that is to be corrected.
    """
    start = time.perf_counter()
    listed = data.listed()
    decoded = decode(data, listed, target, settings, edits)
    split_by_name = assign_splits(listed, decoded, settings, edits)
    decoded.drop(edits)
    rejected = [
        RejectedPhoto(name, split_by_name.get(name, ""), reason)
        for name, reason in sorted(decoded.reasons.items())
    ]
    check_rejected(decoded.reasons, settings.max_rejected, edits)
    index, pixels = write_splits(target, decoded, split_by_name)
    check_splits(index)
    for temporary in (decoded.photos, decoded.masks):
        temporary.path.unlink()
    files.write_rows(target / "rejected.csv", RejectedPhoto, rejected)
    reasons = list(decoded.reasons.values())
    description = summary.describe(index, pixels, data.group_kinds, reasons)
    files.write_json(target / "summary.json", description | {"label_edits": edits.counts})
    label_edits.record(edits, target / label_edits.RECORD)
    used = ", ".join(f"{len(rows):,} {split}" for split, rows in index.items())
    rate = len(listed) / (time.perf_counter() - start)
    print(f"{used}; {len(rejected)} set aside; {rate:,.0f} photos/s")


def check_rejected(reasons: Mapping[str, str], max_rejected: int, edits: LabelEdits) -> None:
    """Check that not too many photos are rejected.

    Args:
        reasons: why photos are rejected, by name.
        max_rejected: how many may be.
        edits: the corrections; the photos that they drop do not count.

    Raises:
        UserError: there are more.
    """
    dropped = edits.with_action(Action.DROP)
    reasons = {name: reason for name, reason in reasons.items() if name not in dropped}
    if len(reasons) > max_rejected:
        examples = "; ".join(f"{name}: {reasons[name]}" for name in sorted(reasons)[:5])
        raise UserError(
            f"{len(reasons)} photos cannot be used, more than preprocess.max_rejected "
            f"{max_rejected}: {examples}"
        )


def check_splits(index: Mapping[str, list[arrays.Photo]]) -> None:
    """Check that no split is empty.

    Raises:
        UserError: one is.
    """
    for split, rows in index.items():
        if not rows:
            raise UserError(f"no photo is left for {split}; look at the lists of the photos")
