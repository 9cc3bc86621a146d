"""Decode a photo or a trimap to an array of a given size, or give the reason why it cannot be used."""

import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from petseg.data.archives import Member
from petseg.data.labels import BORDER, PET

# The formats that Pillow may try: it decodes these itself; for others it starts a program.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
ANIMATED = ("GIF", "PNG", "WEBP")
MAX_PIXELS = 89_000_000  # just below Pillow's limit, where it warns; at twice that it raises
DECODING_ERRORS = (OSError, SyntaxError, ValueError)  # raised by Pillow and simplejpeg
MODE_NAMES = {"L": "grey", "P": "palette", "RGBA": "alpha", "LA": "alpha", "1": "black and white"}
BATCH = 8  # members per task of a thread: a task for every single member would cost time
BATCHES_PER_THREAD = 4  # that wait or are being decoded


class UnusableError(Exception):
    """The file cannot be used; the text is the reason, as it stands in rejected.csv."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture resized to a square, with the size and the unusual traits of its file."""

    pixels: UInt8[np.ndarray, "size size *channels"]
    width: int  # of the upright original in pixels
    height: int  # of the upright original in pixels
    traits: str = ""  # what is unusual about the file, joined by commas


def decode_photo(data: bytes, size: int) -> Picture:
    """Return a photo as RGB, (size, size, 3), turned upright and antialiased.

    The file may have any of `FORMATS`, whatever its name says. Of an animation the first frame
    is used, of transparent pixels the colour, of 16 bits the upper 8.

    Raises:
        UnusableError: the bytes are not a complete picture, or have too many pixels to decode.
    """
    with decoding_errors("photo"):
        image = open_header(data)
        rgb = (
            decode_jpeg(data, image.size, size)
            if is_plain_jpeg(image)
            else decode_other(data, image)
        )
        resized = rgb.resize((size, size), Image.Resampling.BILINEAR)
        orientation = exif_orientation(image)
        if orientation != 1:
            resized.getexif()[ExifTags.Base.Orientation] = orientation
            resized = ImageOps.exif_transpose(resized)
        width, height = image.size if orientation < 5 else image.size[::-1]
        return Picture(np.asarray(resized), width, height, unusual_traits(image, orientation))


def decode_trimap(data: bytes, size: int) -> Picture:
    """Return a trimap, (size, size) of 1 pet, 2 background, 3 border, by nearest neighbour.

    Raises:
        UnusableError: the bytes are not a complete picture, or hold other values.
    """
    with decoding_errors("trimap"):
        image = open_header(data)
        if image.mode not in ("L", "P"):
            raise UnusableError(f"trimap is not one channel of 8 bits: {image.mode}")
        values = np.asarray(image)
        if values.min() < PET or values.max() > BORDER:
            raise UnusableError(
                f"trimap has values outside 1 to 3: {values.min()} to {values.max()}"
            )
        resized = image.resize((size, size), Image.Resampling.NEAREST)
        return Picture(np.asarray(resized), *image.size)


@contextmanager
def decoding_errors(kind: str) -> Iterator[None]:
    """Turn what the decoders raise into an `UnusableError` of one line; `kind` begins its text."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableError(f"{kind} has too many pixels: more than {MAX_PIXELS:,}") from error
    except DECODING_ERRORS as error:
        # Pillow's texts may hold an object's address, which differs from run to run.
        text = " ".join(str(error).split("<")[0].split())
        raise UnusableError(f"{kind} cannot be decoded: {text}") from error


def open_header(data: bytes) -> Image.Image:
    """Return the picture with only its header read."""
    Image.init()
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return image


def exif_orientation(image: Image.Image) -> int:
    """Return the orientation in EXIF, 1 to 8; 1 (upright) if it is missing or invalid."""
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def is_plain_jpeg(image: Image.Image) -> bool:
    """Return whether this is a JPEG whose colours libjpeg converts to RGB."""
    return image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB")


def decode_jpeg(data: bytes, full_size: tuple[int, int], size: int) -> Image.Image:
    """Return a JPEG as RGB, at 1, 1/2, 1/4 or 1/8 of its full size, never below `size`.

    libjpeg scales while it decodes, which saves most of the resizing. It also fills corrupt
    data with grey: Pillow does not report that, simplejpeg does.
    """
    shift = max(n for n in range(4) if not n or min(full_size) >> n >= size)
    width, height = (-(-side >> shift) for side in full_size)
    decode = partial(simplejpeg.decode_jpeg, data, "RGB", min_height=height, min_width=width)
    try:
        return Image.fromarray(decode())
    except ValueError as error:
        # Some phones write such parameters; the pixels are intact.
        if not str(error).startswith("Invalid SOS parameters"):
            raise
        return Image.fromarray(decode(strict=False))


def decode_other(data: bytes, image: Image.Image) -> Image.Image:
    """Return any other picture as RGB."""
    if image.format == "JPEG":
        # This call only reports corrupt data. Pillow decodes, as it handles Adobe's inverted CMYK.
        simplejpeg.decode_jpeg(data, "CMYK")
    image.load()
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableError(f"photo has 32 bits per pixel in one channel: {image.mode}")
    return image.convert("RGBA" if "transparency" in image.info else "RGB").convert("RGB")


def unusual_traits(image: Image.Image, orientation: int) -> str:
    """Return in a few words how the file differs from most photos, or an empty text."""
    mode = "16 bits" if image.mode.startswith("I;16") else MODE_NAMES.get(image.mode, image.mode)
    traits = {
        image.format or "": image.format != "JPEG",
        mode: image.mode != "RGB",
        "animated": image.format in ANIMATED and getattr(image, "is_animated", False),
        "turned by EXIF": orientation > 1,
    }
    return ", ".join(trait for trait, applies in traits.items() if applies)


Decoder = Callable[[bytes, int], Picture]


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """The result of decoding one member of an archive."""

    name: str  # without folder and suffix
    digest: bytes  # SHA-256 of the file
    picture: Picture | None
    reason: str  # why there is no picture, or empty


def decode_all(decoder: Decoder, size: int, members: Iterable[Member]) -> Iterator[DecodeResult]:
    """Yield the result of every member in order; memory does not grow with their number.

    Threads decode in parallel, because Pillow and simplejpeg release Python's lock.
    """
    threads = os.cpu_count() or 1
    pending: deque[Future[list[DecodeResult]]] = deque()
    members = iter(members)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while batch := list(islice(members, BATCH)):
                pending.append(pool.submit(decode_batch, decoder, size, batch))
                if len(pending) >= BATCHES_PER_THREAD * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C ends at once


def decode_batch(decoder: Decoder, size: int, members: list[Member]) -> list[DecodeResult]:
    """Return the results of a few members."""
    return [decode_member(decoder, size, *member) for member in members]


def decode_member(decoder: Decoder, size: int, path: str, data: bytes) -> DecodeResult:
    """Return the picture of one member, or the reason why it has none."""
    name, digest = PurePosixPath(path).stem, hashlib.sha256(data).digest()
    try:
        return DecodeResult(name, digest, decoder(data, size), "")
    except UnusableError as error:
        return DecodeResult(name, digest, None, str(error))
