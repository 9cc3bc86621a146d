"""A team's own photos, read where they lie: the list with hashes that stands for them in data/raw."""

import csv
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from petseg import files, parallel, progress
from petseg.data import mask_formats
from petseg.data.frame import Frame
from petseg.data.listing import ListedPhoto, Member
from petseg.data.mask_formats import MaskFormat
from petseg.data.pairs import Pair
from petseg.data.photos import Picture

LIST, SOURCE = "photos.csv", "source.json"
NO_GROUP = "none"  # the group of a photo without a group, where other photos have one
SMALL_FILE = 1 << 20  # bytes of a file that is read at once
BATCH = 16  # pairs hashed per task of a thread


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A photo of a team's folder with its mask; a row of photos.csv."""

    name: str
    photo: str  # path below the folder
    photo_bytes: int
    photo_sha256: str
    mask: str  # path below the folder, or below data/raw if the mask was rendered; may be empty
    mask_bytes: int
    mask_sha256: str
    split: str  # train, val or test if splits.csv names it, else empty
    group: str
    subgroup: str
    subject: str
    reason: str  # why the photo cannot be used, or empty


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Size and hash of a file, or why it cannot be read."""

    bytes: int = 0
    sha256: str = ""
    reason: str = ""


def file_facts(path: Path, kind: str) -> FileFacts:
    """Return the size and hash of a file; `kind` begins the reason why it cannot be read."""
    if not path.is_file():
        return FileFacts(reason=f"{kind} is no file, or a link to none")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= SMALL_FILE:  # for which file_digest takes twice as long
                return FileFacts(size, hashlib.sha256(file.read()).hexdigest())
            return FileFacts(size, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        return FileFacts(reason=f"{kind} cannot be read: {error.strerror}")


def hashed_pairs(
    folder: Path, masks_folder: Path, pairs: Iterable[Pair], total: int
) -> Iterator[tuple[Pair, FileFacts, FileFacts]]:
    """Yield every pair with the facts of its photo and mask; unusable ones are not read.

    Args:
        folder: the team's folder.
        masks_folder: where the masks' paths begin: the same, or the one with rendered masks.
        pairs: the photos and masks.
        total: how many there are.
    """

    def hash_pair(pair: Pair) -> tuple[Pair, FileFacts, FileFacts]:
        if pair.reason:
            return pair, FileFacts(), FileFacts()
        photo = file_facts(folder / pair.photo, "photo")
        return pair, photo, file_facts(masks_folder / pair.mask, "mask")

    with progress.bar("reading photos and masks", total, " pairs") as bar:
        for row in parallel.ordered(hash_pair, pairs, BATCH):
            bar.update()
            yield row


def read_list(path: Path) -> Iterator[FolderRow]:
    """Yield the rows of photos.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            values = dict(zip(COLUMNS, row, strict=True))
            yield FolderRow(
                **values | {name: int(values[name]) for name in ("photo_bytes", "mask_bytes")}  # type: ignore[arg-type]
            )


COLUMNS = [field.name for field in fields(FolderRow)]


class FolderPhotos:
    """The photos and masks of a team's folder, as data/raw lists them."""

    def __init__(self, raw: Path) -> None:
        source = files.read_json(raw / SOURCE)
        self.folder = raw / source["folder"]
        self.masks_folder = raw if source["rendered"] else self.folder
        self.place = str(source["folder"])
        self.group_kinds = tuple(source["groups"])
        self.format = MaskFormat.from_json(source["masks"])
        self.rows = {row.name: row for row in read_list(raw / LIST)}

    def listed(self) -> list[ListedPhoto]:
        """Return every photo of the folder, also those that cannot be used."""
        has_groups, has_subgroups = (name in self.group_kinds for name in ("group", "subgroup"))
        return [
            ListedPhoto(
                row.name,
                row.split,
                row.group or NO_GROUP * has_groups,
                row.subgroup or NO_GROUP * has_subgroups,
                row.subject,
                row.reason,
            )
            for row in self.rows.values()
        ]

    def masks(self, names: Collection[str]) -> Iterator[Member]:
        """Yield the masks of these photos in the order of the list."""
        for name in names:
            row = self.rows[name]
            path = self.masks_folder / row.mask
            yield Member(name, str(path), path.read_bytes, row.mask_sha256)

    def photos(self, names: Collection[str]) -> Iterator[Member]:
        """Yield these photos in the order of the list."""
        for name in names:
            row = self.rows[name]
            path = self.folder / row.photo
            yield Member(name, str(path), path.read_bytes, row.photo_sha256)

    def decode_mask(self, data: bytes, frame: Frame) -> Picture:
        """Return a mask's labels in its frame; raises as `mask_formats.decode_mask`."""
        return mask_formats.decode_mask(data, frame, self.format)

    def decode_full_mask(self, data: bytes) -> UInt8[np.ndarray, "height width"]:
        """Return a mask's labels at its own size; raises as `mask_formats.decode_labels`."""
        return mask_formats.decode_labels(data, self.format)
