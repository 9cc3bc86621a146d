"""Read a mask by a declared convention, or give the reason why it cannot be used."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import ExifTags, Image

from petseg.data.frame import Frame
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND, IGNORED
from petseg.data.photos import (
    JPEG_START,
    Picture,
    UnusableError,
    decoding_errors,
    framed_labels,
    open_header,
)

Kind = Literal["binary", "trimap", "values", "colours", "labels"]
Values = Integer[np.ndarray, "height width"]  # grey values, indices of a palette, or 0xRRGGBB
MAX_VALUE = 65_535  # the highest grey value that can be declared
BAND = 1 << 20  # pixels that are looked up at a time
MAX_NAMES = 5  # undeclared values that a reason names
UNDECLARED = 255  # in a lookup table: no label
NOT_DECLARED = "download.masks does not declare"  # in the reason of a mask with such a value
LOSSY_TIFF = {"jpeg": "JPEG", "tiff_jpeg": "JPEG", "webp": "WebP"}
WIDE_CHANNELS = re.compile(r";16[BLN]")  # in the name of Pillow's unpacker
LISTS = ("foreground", "ignore", "background")
COLOUR_MODES = ("1", "L", "P", "LA", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class MaskFormat:
    """What the pixels of a team's masks stand for; source.json has it as a mapping.

    Only `values` and `colours` use the lists: of grey values from 0 to 65,535, or of colours as
    0xRRGGBB. In them, as in `trimap` and `labels`, a pixel of any other value is an error.
    """

    kind: Kind  # binary: all but 0 is foreground; labels: those of petseg.data.labels
    foreground: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()
    background: tuple[int, ...] = (0,)  # also black

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "MaskFormat":
        """Return the convention that `asdict` gave this mapping for, also after JSON made lists."""
        return cls(content["kind"], *(tuple(content[name]) for name in LISTS))


def decode_labels(data: bytes, masks: MaskFormat) -> UInt8[np.ndarray, "height width"]:
    """Return the labels of a mask's pixels, 0 to 3 as in petseg.data.labels, at its own size.

    Raises:
        UnusableError: the bytes are not a complete picture, its values are uncertain (as
            `open_mask` says), of another kind than the convention's, or not declared.
    """
    with decoding_errors("mask"):
        image = open_mask(data)
        read_values = colour_values if masks.kind == "colours" else grey_values
        table = lookup_table(masks)
        labels = []
        undeclared: Counter[int] = Counter()
        for band in bands(image):
            values = read_values(band)
            labels.append(look_up(table, values))
            if labels[-1].max() == UNDECLARED:
                undeclared += count_values(values[labels[-1] == UNDECLARED])
        if undeclared:
            raise UnusableError(undeclared_reason(list(undeclared), masks.kind))
        return np.concatenate(labels)


def decode_mask(data: bytes, frame: Frame, masks: MaskFormat) -> Picture:
    """Return the labels of a mask in its frame, by nearest neighbour, with its original size.

    Raises:
        UnusableError: as `decode_labels` does.
    """
    return framed_labels(Image.fromarray(decode_labels(data, masks)), frame)


@lru_cache(maxsize=4)
def lookup_table(masks: MaskFormat) -> UInt8[np.ndarray, " values"]:
    """Return the label of every value, or 255 for none; the last entry is for all higher values."""
    size = 1 << 24 if masks.kind == "colours" else MAX_VALUE + 2
    if masks.kind == "binary":
        table = np.full(size, FOREGROUND, np.uint8)
        table[0] = BACKGROUND
        return table
    table = np.full(size, UNDECLARED, np.uint8)
    if masks.kind in ("values", "colours"):
        table[list(masks.foreground)] = FOREGROUND
        table[list(masks.ignore)] = IGNORED
        table[list(masks.background)] = BACKGROUND
    else:
        labels = [FOREGROUND, BACKGROUND, BORDER] + [IGNORED] * (masks.kind == "labels")
        table[labels] = labels
    return table


def look_up(table: UInt8[np.ndarray, " n"], values: Values) -> UInt8[np.ndarray, "height width"]:
    """Return the table's entry for every value; values outside the table get its last entry."""
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(values).point(table[:256].tolist()))
    # As unsigned numbers, negative ones are above the table as well.
    return table[np.minimum(values.astype(np.uint32), len(table) - 1)]


def bands(image: Image.Image) -> Iterator[Image.Image]:
    """Yield an image in bands of rows, so that wide numbers for its pixels need little memory."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def open_mask(data: bytes) -> Image.Image:
    """Return the decoded image of a mask whose values are certain.

    Raises:
        UnusableError: the bytes are not a complete picture, or have lossy compression, several
            frames, 16 bits a colour channel, an EXIF orientation, or transparent pixels.
    """
    if not data:
        raise UnusableError("mask is an empty file")
    lossy = lossy_format(data)
    if lossy:
        raise UnusableError(lossy_reason(lossy))
    image = open_header(data)
    if image.format == "TIFF" and image.info.get("compression") in LOSSY_TIFF:
        raise UnusableError(lossy_reason(f"TIFF of {LOSSY_TIFF[image.info['compression']]} data"))
    if getattr(image, "is_animated", False):
        raise UnusableError("mask has several frames or pages; save one mask a file")
    if not image.mode.startswith("I") and WIDE_CHANNELS.search(str(getattr(image, "tile", ""))):
        raise UnusableError("mask has 16 bits per colour channel; save it with 8")
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    if orientation in range(2, 9):
        raise UnusableError(f"mask has the EXIF orientation {orientation}; save it without EXIF")
    image.load()
    if image.has_transparency_data and is_transparent(image):
        raise UnusableError("mask has transparent pixels; save it without transparency")
    # Writers of GIF number the palette anew, so that only its colours have a meaning.
    return image.convert("RGB") if image.format == "GIF" else image


def lossy_format(data: bytes) -> str:
    """Return the name of a file's format if it does not keep every value, or an empty text."""
    if data.startswith(JPEG_START):
        return "JPEG"
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return ""
    position = 12
    while position + 8 <= len(data):  # the chunks of a WebP: name, length, content, padding
        name, length = data[position : position + 4], data[position + 4 : position + 8]
        if name == b"VP8 ":
            return "lossy WebP"
        size = int.from_bytes(length, "little")
        position += 8 + size + size % 2
    return ""


def lossy_reason(kind: str) -> str:
    """Return why a mask of a lossy format cannot be used."""
    return f"mask is a {kind}, whose compression changes values at the edges; save it as PNG"


def is_transparent(image: Image.Image) -> bool:
    """Return whether any pixel is not opaque."""
    return bool(np.asarray(image.convert("RGBA").getchannel("A")).min() < 255)


def grey_values(image: Image.Image) -> Values:
    """Return grey values or indices of a palette; white is 255 in a mask of one bit a pixel.

    Raises:
        UnusableError: the image has colours or floating-point numbers.
    """
    if image.mode in ("L", "P", "I") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode == "LA":
        return np.asarray(image.getchannel("L"))
    if has_colours(image):
        raise UnusableError(
            "mask has colours, not grey values; declare them as download.masks.colours"
        )
    if image.mode in ("RGB", "RGBA"):
        return np.asarray(image.getchannel("R"))
    raise mode_error(image)


def has_colours(image: Image.Image) -> bool:
    """Return whether the channels for red, green and blue differ anywhere."""
    if image.mode not in ("RGB", "RGBA"):
        return False
    red, green, blue = (channel.tobytes() for channel in image.split()[:3])
    return not red == green == blue


def colour_values(image: Image.Image) -> Values:
    """Return colours as 0xRRGGBB, for a palette those of its entries.

    Raises:
        UnusableError: the image has grey values of more than 8 bits.
    """
    if image.mode not in COLOUR_MODES:
        raise mode_error(image)
    channels = np.asarray(image.convert("RGBA"))  # (height, width, 4)
    packed: Values = channels.view(">u4")[..., 0] >> 8
    return packed


def mode_error(image: Image.Image) -> UnusableError:
    """Return the error for an image whose kind of numbers the convention does not fit."""
    if image.mode == "F":
        return UnusableError("mask has floating-point numbers; save it with whole numbers, as PNG")
    if image.mode.startswith("I"):
        return UnusableError(
            "mask has grey values of 16 or 32 bits; declare them as download.masks.values"
        )
    return UnusableError(f"mask has the colour mode {image.mode}; save it as grey or RGB, in PNG")


def count_values(values: Integer[np.ndarray, "..."]) -> Counter[int]:
    """Return how often each value occurs."""
    # NumPy counts numbers of 16 bits ten times as fast as those of 8 bits.
    wide = values.astype(np.uint16) if values.dtype == np.uint8 else values
    distinct, numbers = np.unique(wide, return_counts=True)
    return Counter(dict(zip(distinct.tolist(), numbers.tolist(), strict=True)))


def undeclared_reason(values: list[int], kind: Kind) -> str:
    """Return the reason that names undeclared values, of which there is at least one."""
    names = [colour_name(value) if kind == "colours" else str(value) for value in sorted(values)]
    owner = {"trimap": "a trimap does not have", "labels": "no label has"}
    remedy = owner.get(kind, NOT_DECLARED)
    noun = ("colour" if kind == "colours" else "value") + ("s" if len(names) > 1 else "")
    return f"mask has the {noun} {join_names(names)}, which {remedy}"


def join_names(names: list[str]) -> str:
    """Return names as in a sentence, the first five and the number of the others."""
    last = f"{len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else names[-1]
    first = names[:MAX_NAMES] if len(names) > MAX_NAMES else names[:-1]
    return f"{', '.join(first)} and {last}" if first else last


def colour_name(colour: int) -> str:
    """Return a colour, 0xRRGGBB, as it is written in params.yaml."""
    return f"#{colour:06x}"
