"""The pictures of a photo whose label is looked at: the photo, its mask, and the model's mask."""

import io
import threading
from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from petseg.data import edited_photos, photos
from petseg.data.labels import BACKGROUND, FOREGROUND, is_foreground
from petseg.data.listing import Member, RawData
from petseg.errors import UserError
from petseg.inference import cutout
from petseg.inference.segmenter import Prediction, Segmenter

MAX_SIDE = 1200  # pixels of the longer side of a picture in the page
CACHED = 4  # predictions that are kept, so that a photo's pictures share one


class View(StrEnum):
    """What a picture shows."""

    PHOTO = "photo"
    MASK = "mask"
    PREDICTION = "prediction"


class Pictures:
    """Draws the pictures, and gives the model's mask, of photos."""

    def __init__(self, data: RawData, segmenter: Segmenter, names: Collection[str]) -> None:
        """Find the files of these photos; those in an archive are read into memory.

        Args:
            data: the photos and masks.
            segmenter: the model.
            names: the photos.

        Raises:
            UserError: an archive cannot be read, or has no files of a photo.
        """
        self.data = data
        self.photos = {member.name: member for member in data.photos(names)}
        self.masks = {member.name: member for member in data.masks(names)}
        for name in names:
            if name not in self.photos or name not in self.masks:
                raise UserError(f"{data.place} has no files of {name}; run `dvc repro evaluate`")
        self.cached = lru_cache(CACHED)(lambda name: predict(segmenter, self.photos[name]))
        self.lock = threading.Lock()

    def predict(self, name: str) -> Prediction:
        """Return what the model says of a photo; others wait meanwhile, so that none is done twice."""
        with self.lock:
            return self.cached(name)

    def draw(self, name: str, view: View, replacement: Path | None = None) -> bytes:
        """Return a picture as JPEG; masks are laid over the photo in colour.

        Args:
            name: the photo.
            view: what to show.
            replacement: the file of the mask that takes the place of the photo's own.

        Raises:
            UserError: the file has changed since it was listed.
            UnusableError: the file cannot be decoded.
        """
        photo = photos.decode_full(self.photos[name].read()[0])
        if view is View.MASK:
            labels = (
                edited_photos.decode_labels(replacement.read_bytes())
                if replacement
                else self.data.decode_full_mask(self.masks[name].read()[0])
            )
            photo = cutout.overlay(photo, is_foreground(labels))
        elif view is View.PREDICTION:
            photo = cutout.overlay(photo, self.predict(name).mask())
        photo.thumbnail((MAX_SIDE, MAX_SIDE))
        return encode(photo, "JPEG", quality=90)

    def predicted_mask(self, name: str) -> bytes:
        """Return the model's mask as PNG, at the photo's own size, with the labels of a trimap."""
        mask = self.predict(name).mask()
        labels: UInt8[np.ndarray, "height width"] = np.where(
            mask, np.uint8(FOREGROUND), np.uint8(BACKGROUND)
        )
        return encode(Image.fromarray(labels), "PNG", optimize=True)


def predict(segmenter: Segmenter, photo: Member) -> Prediction:
    """Return what the model says of a photo."""
    return segmenter.predict_bytes(photo.read()[0])


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return a picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
