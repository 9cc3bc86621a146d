"""What a prediction is written as: its kinds, their formats, names and folders."""

import io
import json
import tempfile
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from petseg.data.photos import UnusableError
from petseg.errors import UserError
from petseg.inference.segmenter import Prediction
from petseg.prediction import kinds
from petseg.prediction.kinds import Format, Kind
from petseg.prediction.sources import Source

WEBP_SIDE = 16_383  # pixels; the format has no larger pictures
DOUBTFUL = "doubtful"  # the folder of the photos that a person should look at
# Runs of equal bytes are all that masks have, and so this compresses them best and fastest.
RUNS: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_RLE}
COLOURS: dict[str, Any] = {"compress_level": 3}


@dataclass(frozen=True)
class Target:
    """Where outputs go, and which."""

    out: Path | None  # None: beside each photo
    kinds: tuple[Kind, ...]
    format: Format
    doubtful: float | None  # the expected IoU, 0–1, below which photos are set apart

    def is_doubtful(self, expected_iou: float) -> bool:
        """Return whether a person should look at a photo with this expected IoU."""
        return self.doubtful is not None and expected_iou < self.doubtful

    def folder(self, source: Source, is_doubtful: bool) -> Path:
        """Return the folder of a photo's outputs, in which their name is a relative path."""
        if self.out is None:
            return source.folder
        return self.out / DOUBTFUL if is_doubtful else self.out

    def paths(self, source: Source, is_doubtful: bool) -> dict[Kind, Path]:
        """Return the path of each output of a photo."""
        folder = self.folder(source, is_doubtful)
        return {
            kind: folder / kinds.file_name(source.name, kind, self.format) for kind in self.kinds
        }

    def move(self, source: Source, is_doubtful: bool) -> None:
        """Move all outputs of a photo from where another limit for doubtful ones has put them."""
        old, new = (self.folder(source, doubtful) for doubtful in (not is_doubtful, is_doubtful))
        for ending in kinds.ENDINGS if old != new else ():
            path, target = old / f"{source.name}{ending}", new / f"{source.name}{ending}"
            if path.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)

    def others(self, source: Source, is_doubtful: bool) -> dict[Path, tuple[Kind, Format]]:
        """Return the outputs of a photo on the disk that are of another kind or format.

        They are told from files of other programs by their metadata.
        """
        folder = self.folder(source, is_doubtful)
        paths = {
            folder / kinds.file_name(source.name, kind, file_format): (kind, file_format)
            for kind in kinds.KINDS
            for file_format in kinds.FORMATS
            if kind not in self.kinds or file_format != self.format
        }
        return {path: output for path, output in paths.items() if is_of_petseg(path)}


@dataclass(frozen=True)
class Origin:
    """What the metadata of an output says of the model; only its content, never its path."""

    model: str  # SHA-256 of the model's file
    threshold: float

    def as_text(self) -> dict[str, str]:
        """Return the metadata as names and values."""
        return {
            "Software": software(),
            "Model": f"SHA-256 {self.model}",
            "Threshold": f"{self.threshold:.4f}",
        }


@cache
def software() -> str:
    """Return name and version of this project; looking them up takes a third of a millisecond."""
    return f"petseg {version('petseg')}"


def encode(prediction: Prediction, kind: Kind, file_format: Format, origin: Origin) -> bytes:
    """Return a prediction as the bytes of an image file; equal predictions give equal bytes.

    Raises:
        UnusableError: the photo is too large for the format.
    """
    if file_format == "webp" and max(prediction.width, prediction.height) > WEBP_SIDE:
        raise UnusableError(f"photo has more pixels on a side than WebP's {WEBP_SIDE:,}; use PNG")
    image = picture(prediction, kind)
    profile = image.info.get("icc_profile", b"")
    is_grey = kind in ("mask", "probability")
    buffer = io.BytesIO()
    if file_format == "png":
        info = PngInfo()
        for name, value in origin.as_text().items():
            info.add_text(name, value)
        speed = RUNS if is_grey else COLOURS
        image.save(buffer, "PNG", pnginfo=info, icc_profile=profile, **speed)
    else:
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = origin.as_text()["Software"]
        exif[ExifTags.Base.ImageDescription] = json.dumps(origin.as_text())
        image.save(
            buffer, "WEBP", lossless=is_grey, quality=90, method=2, exif=exif, icc_profile=profile
        )
    return buffer.getvalue()


def is_of_petseg(path: Path) -> bool:
    """Return whether the file at a path is an output of this project, by its metadata."""
    try:
        with Image.open(path, formats=("PNG", "WEBP")) as image:
            name = image.info.get("Software") or image.getexif().get(ExifTags.Base.Software)
    except (OSError, SyntaxError, ValueError):  # it is missing, or no picture
        return False
    return str(name).startswith("petseg ")


def picture(prediction: Prediction, kind: Kind) -> Image.Image:
    """Return a prediction as an image: grey of 8 bits, RGBA for a cut-out, RGB for an overlay."""
    if kind == "mask":
        return Image.fromarray(np.where(prediction.mask(), np.uint8(255), np.uint8(0)))
    if kind == "probability":
        return Image.fromarray(prediction.full_levels)
    return prediction.cutout() if kind == "cutout" else prediction.overlay()


def check_folder(folder: Path) -> None:
    """Create a folder for outputs where it is missing.

    Raises:
        UserError: it cannot be created, or nothing can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder}: outputs cannot be written there ({error.strerror}); name another folder "
            "with --out"
        ) from error
