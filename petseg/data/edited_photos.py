"""Photos and masks with a team's corrections of labels applied."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from petseg.data import label_edits, mask_formats
from petseg.data.frame import Frame
from petseg.data.label_edits import Action, LabelEdits
from petseg.data.listing import ListedPhoto, Member, RawData
from petseg.data.mask_formats import MaskFormat
from petseg.data.photos import Picture

FORMAT = MaskFormat("labels")  # of the masks that take the place of others


class ReplacementMask(bytes):
    """The content of a mask that takes the place of another: its pixels are labels, 0 to 3."""


class EditedPhotos:
    """The photos and masks behind data/raw with corrections applied, but for their splits."""

    def __init__(self, data: RawData, edits: LabelEdits) -> None:
        """Wrap the photos and masks as they are."""
        self.data, self.edits = data, edits
        self.place, self.group_kinds = data.place, data.group_kinds
        self.replacements = edits.masks

    def listed(self) -> list[ListedPhoto]:
        """Return every listed photo; a dropped one has that as its reason.

        Raises:
            UserError: the data do not have a photo that is to be changed.
        """
        return mark_dropped(self.data.listed(), self.edits)

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
            return mask_formats.decode_labels(data, FORMAT)
        return self.data.decode_full_mask(data)


def replacement(name: str, path: Path) -> Member:
    """Return the mask that takes the place of a photo's own."""
    return Member(name, str(path), lambda: ReplacementMask(path.read_bytes()))


def mark_dropped(listed: list[ListedPhoto], edits: LabelEdits) -> list[ListedPhoto]:
    """Return the listed photos; a dropped one has that as its reason.

    Raises:
        UserError: the data do not have a photo that is to be changed.
    """
    label_edits.check_names(edits, (row.name for row in listed))
    dropped = edits.with_action(Action.DROP)
    return [
        replace(row, reason=f"dropped: {dropped[row.name].reason}") if row.name in dropped else row
        for row in listed
    ]
