"""Give photos to an exported model, and get masks at the photos' own size."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageOps

from petseg.data import photos, quantisation
from petseg.data.photos import Picture, UnusableError
from petseg.data.quantisation import quantise
from petseg.errors import UserError
from petseg.inference import confidence, cutout, masks, tiles
from petseg.inference.onnx_engine import ExportMetadata, OnnxEngine

Photo = str | Path | bytes | Image.Image | UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photo; arrays at the photo's size are computed when asked for."""

    levels: UInt8[
        np.ndarray, "rows columns"
    ]  # probability in 1/255, for the photo without padding, at the scale of the network
    width: int  # of the upright photo in pixels
    height: int  # of the upright photo in pixels
    metadata: ExportMetadata
    read_photo: Callable[[], Image.Image]  # returns the photo, RGB, upright, at its own size

    @property
    def expected_iou(self) -> float:
        """The IoU, 0 to 1, that the mask would have if the probabilities were right."""
        return float(confidence.expected_iou(self.levels[None], self.metadata.threshold)[0])

    @property
    def foreground(self) -> float:
        """The share of the photo, 0 to 1, that the mask covers."""
        return float(masks.mask(self.levels, self.metadata.threshold).mean())

    @cached_property
    def full_levels(self) -> UInt8[np.ndarray, "height width"]:
        """The probability of the foreground in 1/255 for every pixel of the photo."""
        size = (self.width, self.height)
        return masks.at_photo_size(self.levels, size, self.metadata.refinement, self.read_photo)

    def probabilities(self) -> Float32[np.ndarray, "height width"]:
        """Return the probability of the foreground for every pixel, 0 to 1."""
        return self.full_levels / np.float32(quantisation.MAX_LEVEL)

    def mask(self) -> Bool[np.ndarray, "height width"]:
        """Return the pixels that are foreground: their probability reaches the model's threshold."""
        return masks.mask(self.full_levels, self.metadata.threshold)

    def cutout(self) -> Image.Image:
        """Return the photo as RGBA, transparent where it is background, with a soft edge."""
        return cutout.cutout(self.read_photo(), self.full_levels, self.metadata.threshold)

    def overlay(self) -> Image.Image:
        """Return the photo as RGB with the mask laid over it in colour."""
        return cutout.overlay(self.read_photo(), self.mask())


class Segmenter:
    """An exported model that finds the foreground of photos of any size.

    Example:
        >>> pets = Segmenter.load("data/export/model.onnx")
        >>> mask = pets.mask("photo.jpg")  # bool, (height, width)
        >>> pets.cutout("photo.jpg").save("photo.png")
    """

    def __init__(self, engine: OnnxEngine) -> None:
        self.engine = engine
        self.metadata = engine.metadata

    @classmethod
    def load(cls, path: str | Path, *, threads: int = 0) -> "Segmenter":
        """Return the segmenter of a model.onnx.

        Args:
            path: a file that the stage `export` wrote.
            threads: how many threads work on one photo; 0 stands for one for each core. With 1,
                call it from as many threads as there are cores.

        Raises:
            UserError: the file is missing, or is no exported model of this project.
        """
        return cls(OnnxEngine(Path(path), threads))

    def predict(self, photo: Photo) -> Prediction:
        """Return what the model says of a photo.

        Args:
            photo: a file's path, its bytes, a Pillow image, or an RGB array (height, width, 3).

        Raises:
            UserError: it is no picture that can be decoded; the text names the file.
        """
        name = str(photo) if isinstance(photo, str | Path) else "the photo"
        try:
            return self.predict_bytes(encoded(photo))
        except UnusableError as error:
            raise UserError(f"{name}: {error}") from None
        except OSError as error:
            raise UserError(f"{name} cannot be read: {error.strerror or error}") from None

    def predict_bytes(self, data: bytes) -> Prediction:
        """Return what the model says of the photo in the bytes of a file.

        Raises:
            UnusableError: the bytes are no picture that can be decoded.
        """
        picture = self.decode(data)
        return self.prediction(data, picture, self.levels(picture.pixels))

    def levels(
        self, pixels: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "height width"]:
        """Return the probability of the foreground, in 1/255, for what `decode` made of a photo."""
        if self.metadata.mode == "tiles":
            size = self.metadata.image_size
            return quantise(tiles.probabilities(self.engine.probabilities, pixels, size))
        (levels,) = self.engine.levels(pixels[None])
        return np.asarray(levels)

    def decode(self, data: bytes) -> Picture:
        """Return the photo in the bytes of a file as the network reads it, and its size.

        Raises:
            UnusableError: the bytes are no picture that can be decoded.
        """
        return photos.decode_photo(data, self.metadata.frame)

    def prediction(
        self, data: bytes, picture: Picture, levels: UInt8[np.ndarray, "height width"]
    ) -> Prediction:
        """Return the prediction for a photo, given what `decode` and the network made of it."""
        levels = self.metadata.frame.content(levels, picture.width, picture.height)
        read_photo = cache(lambda: photos.decode_full(data))  # two outputs may need it
        return Prediction(levels, picture.width, picture.height, self.metadata, read_photo)

    def mask(self, photo: Photo) -> Bool[np.ndarray, "height width"]:
        """Return the pixels of a photo that are foreground."""
        return self.predict(photo).mask()

    def probabilities(self, photo: Photo) -> Float32[np.ndarray, "height width"]:
        """Return the probability of the foreground for every pixel of a photo, 0 to 1."""
        return self.predict(photo).probabilities()

    def cutout(self, photo: Photo) -> Image.Image:
        """Return a photo as RGBA, transparent where it is background, with a soft edge."""
        return self.predict(photo).cutout()

    def expected_iou(self, photo: Photo) -> float:
        """Return the IoU, 0 to 1, that the photo's mask would have if the probabilities were right."""
        return self.predict(photo).expected_iou


def encoded(photo: Photo) -> bytes:
    """Return a photo as the bytes of a file; one in memory becomes an uncompressed, upright one."""
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, str | Path):
        return Path(photo).read_bytes()
    image = photo if isinstance(photo, Image.Image) else from_array(photo)
    image = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    return buffer.getvalue()


def from_array(photo: UInt8[np.ndarray, "height width 3"]) -> Image.Image:
    """Return an RGB array as an image.

    Raises:
        UserError: it has another shape or another type.
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise UserError(
            f"the photo is an array of {photo.dtype} {photo.shape}; expected RGB, uint8 "
            "(height, width, 3), 0 to 255"
        )
    return Image.fromarray(photo)
