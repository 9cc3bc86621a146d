"""What every source of photos gives: the listed photos, and their files one after another."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from petseg.data.frame import Frame
from petseg.data.photos import Picture
from petseg.errors import UserError


@dataclass(frozen=True, slots=True)
class ListedPhoto:
    """A photo as the data's own lists have it."""

    name: str
    split: str = ""  # train, val, test, trainval (to be divided into train and val), or empty
    group: str = ""  # such as its species
    subgroup: str = ""  # such as its breed
    subject: str = ""  # photos of one subject, such as a patient, stay in one split
    reason: str = ""  # why it cannot be used, as far as that is known before it is decoded


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a photo or of its mask."""

    name: str  # of the photo
    path: str  # of the file, for errors
    load: Callable[[], bytes]
    sha256: str = ""  # that the file must have, as hexadecimal digits; empty if any will do

    def read(self) -> tuple[bytes, bytes]:
        """Return the content and its SHA-256.

        Raises:
            UserError: the file has changed since it was listed.
        """
        try:
            data = self.load()
        except OSError as error:
            raise UserError(
                f"{self.path} was there when it was listed, but not now ({error.strerror}); "
                "run `dvc repro` again"
            ) from error
        digest = hashlib.sha256(data)
        if self.sha256 and digest.hexdigest() != self.sha256:
            raise UserError(f"{self.path} has changed since it was listed; run `dvc repro` again")
        return data, digest.digest()


@runtime_checkable
class RawData(Protocol):
    """The photos and masks behind data/raw."""

    place: str  # where the photos are, as reasons for missing ones name it
    group_kinds: tuple[str, ...]  # what groups and subgroups are called; as many as there are

    def listed(self) -> list[ListedPhoto]:
        """Return every listed photo, also those that cannot be used."""

    def masks(self, names: Collection[str]) -> Iterator[Member]:
        """Yield the masks of these photos that there are."""

    def photos(self, names: Collection[str]) -> Iterator[Member]:
        """Yield these photos as far as there are any."""

    def decode_mask(self, data: bytes, frame: Frame) -> Picture:
        """Return a mask's labels, see `petseg.data.labels`, in its frame."""

    def decode_full_mask(self, data: bytes) -> UInt8[np.ndarray, "height width"]:
        """Return a mask's labels at its own size."""
