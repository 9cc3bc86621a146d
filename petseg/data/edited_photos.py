"""Photos with the masks that a team's corrections of labels give them."""

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from petseg.data import mask_formats
from petseg.data.frame import Frame
from petseg.data.label_edits import LabelEdits
from petseg.data.listing import ListedPhoto, Member, RawData
from petseg.data.mask_formats import MaskFormat
from petseg.data.photos import Picture

FORMAT = MaskFormat("labels")  # of the masks that take the place of others


class ReplacementMask(bytes):
    """The content of a mask that takes the place of another: its pixels are labels, 0 to 3."""


class EditedPhotos:
    """The photos behind data/raw with the masks that corrections give them."""

    def __init__(self, data: RawData, edits: LabelEdits) -> None:
        """Wrap the photos and masks as they are."""
        self.data = data
        self.place, self.group_kinds = data.place, data.group_kinds
        self.replacements = edits.masks

    def listed(self) -> list[ListedPhoto]:
        """Return every listed photo, also those that are dropped."""
        return self.data.listed()

    def masks(self, names: Collection[str]) -> Iterator[Member]:
        """Yield the masks of these photos, those that take the place of others first."""
        for name in self.replacements:
            if name in names:
                yield replacement(name, self.replacements[name])
        yield from self.data.masks([name for name in names if name not in self.replacements])

    def photos(self, names: Collection[str]) -> Iterator[Member]:
        """Yield these photos as far as there are any."""
        return self.data.photos(names)

    def decode_mask(self, data: bytes, frame: Frame) -> Picture:
        """Return a mask's labels in its frame."""
        if isinstance(data, ReplacementMask):
            return mask_formats.decode_mask(data, frame, FORMAT)
        return self.data.decode_mask(data, frame)

    def decode_full_mask(self, data: bytes) -> UInt8[np.ndarray, "height width"]:
        """Return a mask's labels at its own size."""
        if isinstance(data, ReplacementMask):
            return decode_labels(data)
        return self.data.decode_full_mask(data)


def decode_labels(data: bytes) -> UInt8[np.ndarray, "height width"]:
    """Return the labels of a mask that takes the place of another, at its own size."""
    return mask_formats.decode_labels(data, FORMAT)


def replacement(name: str, path: Path) -> Member:
    """Return the mask that takes the place of a photo's own."""
    return Member(name, str(path), lambda: ReplacementMask(path.read_bytes()))
