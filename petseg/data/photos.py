"""The bytes of a photo or a trimap → an array of the wanted size, or a reason why not."""

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

# what Pillow may try: formats that only decode, none that runs a program
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
ANIMATED = ("GIF", "PNG", "WEBP")
MAX_PIXELS = 89_000_000  # below Pillow's own limit, which warns first and refuses at twice that
DAMAGE = (OSError, SyntaxError, ValueError)  # what Pillow and simplejpeg raise on damaged bytes
KINDS = {"L": "grey", "P": "palette", "RGBA": "alpha", "LA": "alpha", "1": "black and white"}
BATCH = 8  # members that a thread takes at a time: handing each over alone costs time
AHEAD = 4  # batches per thread that are decoded or wait


class UnusableError(Exception):
    """The file cannot be used; its text is the reason, in words for the table of rejects."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture squashed to a square, its original size in pixels, and what is odd about it."""

    pixels: UInt8[np.ndarray, "size size *channels"]
    width: int
    height: int
    odd: str = ""


def decode_photo(data: bytes, size: int) -> Decoded:
    """Return the photo as RGB, (size, size, 3), turned upright and antialiased.

    Any picture that Pillow reads will do, whatever the file is called; of an animation the
    first frame, of transparent pixels the colour, of 16 bits the upper 8.

    Raises:
        UnusableError: the bytes are not a whole picture, or have too many pixels to decode.
    """
    with damage_of("photo"):
        image = open_header(data)
        whole = (
            decode_jpeg(data, image.size, size) if plain_jpeg(image) else decode_other(data, image)
        )
        small = whole.resize((size, size), Image.Resampling.BILINEAR)
        turn = orientation(image)
        if turn != 1:
            small.getexif()[ExifTags.Base.Orientation] = turn
            small = ImageOps.exif_transpose(small)
        width, height = image.size if turn < 5 else image.size[::-1]
        return Decoded(np.asarray(small), width, height, oddities(image, turn))


def decode_trimap(data: bytes, size: int) -> Decoded:
    """Return the trimap, (size, size) of 1 pet, 2 background, 3 border, nearest neighbour.

    Raises:
        UnusableError: the bytes are not a whole picture, or hold other values.
    """
    with damage_of("trimap"):
        image = open_header(data)
        if image.mode not in ("L", "P"):
            raise UnusableError(f"trimap is not one channel of 8 bits: {image.mode}")
        values = np.asarray(image)
        if values.min() < PET or values.max() > BORDER:
            raise UnusableError(
                f"trimap has values outside 1 to 3: {values.min()} to {values.max()}"
            )
        small = image.resize((size, size), Image.Resampling.NEAREST)
        return Decoded(np.asarray(small), *image.size)


@contextmanager
def damage_of(kind: str) -> Iterator[None]:
    """Turn what the decoders raise on damaged bytes into a reason of one line."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableError(f"{kind} has too many pixels: more than {MAX_PIXELS:,}") from error
    except DAMAGE as error:
        text = " ".join(str(error).split("<")[0].split())  # without an object's address
        raise UnusableError(f"{kind} cannot be decoded: {text}") from error


def open_header(data: bytes) -> Image.Image:
    """Return the picture with only its header read."""
    Image.init()
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return image


def orientation(image: Image.Image) -> int:
    """Return EXIF's orientation, 1 to 8; without one, or with nonsense, the photo is upright."""
    turn = image.getexif().get(ExifTags.Base.Orientation)
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def plain_jpeg(image: Image.Image) -> bool:
    """Return whether this is a JPEG with colours that libjpeg turns into RGB."""
    return image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB")


def decode_jpeg(data: bytes, full: tuple[int, int], size: int) -> Image.Image:
    """Return a JPEG as RGB, at 1, 1/2, 1/4 or 1/8 of its size, never below `size`.

    libjpeg scales while it decodes, which saves most of the resizing. It also fills corrupt
    data with grey: Pillow takes that without a word, simplejpeg says so.
    """
    shift = max(n for n in range(4) if not n or min(full) >> n >= size)
    width, height = (-(-side >> shift) for side in full)
    decode = partial(simplejpeg.decode_jpeg, data, "RGB", min_height=height, min_width=width)
    try:
        return Image.fromarray(decode())
    except ValueError as error:
        if not str(error).startswith("Invalid SOS parameters"):  # a habit of some phones
            raise
        return Image.fromarray(decode(strict=False))


def decode_other(data: bytes, image: Image.Image) -> Image.Image:
    """Return any other picture as RGB."""
    if image.format == "JPEG":
        simplejpeg.decode_jpeg(data, "CMYK")  # for its errors: Pillow knows Adobe's inversion
    image.load()
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise UnusableError(f"photo has 32 bits per pixel in one channel: {image.mode}")
    return image.convert("RGBA" if "transparency" in image.info else "RGB").convert("RGB")


def oddities(image: Image.Image, turn: int) -> str:
    """Return in a few words what is not as in most photos, or nothing."""
    mode = "16 bits" if image.mode.startswith("I;16") else KINDS.get(image.mode, image.mode)
    found = {
        image.format or "": image.format != "JPEG",
        mode: image.mode != "RGB",
        "animated": image.format in ANIMATED and getattr(image, "is_animated", False),
        "turned by EXIF": turn > 1,
    }
    return ", ".join(word for word, holds in found.items() if holds)


Decoder = Callable[[bytes, int], Decoded]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one member."""

    name: str  # without folder and suffix
    digest: bytes  # SHA-256 of its bytes
    picture: Decoded | None
    fault: str  # why there is no picture, or empty


def decode_all(decoder: Decoder, size: int, members: Iterable[Member]) -> Iterator[Result]:
    """Yield each member's result in order; memory does not grow with their number.

    Threads, for Pillow and simplejpeg decode without Python's lock.
    """
    threads = os.cpu_count() or 1
    waiting: deque[Future[list[Result]]] = deque()
    members = iter(members)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while batch := list(islice(members, BATCH)):
                waiting.append(pool.submit(decode_batch, decoder, size, batch))
                if len(waiting) >= AHEAD * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # on Ctrl-C at once


def decode_batch(decoder: Decoder, size: int, members: list[Member]) -> list[Result]:
    """Return the results of a few members."""
    return [decode_one(decoder, size, *member) for member in members]


def decode_one(decoder: Decoder, size: int, path: str, data: bytes) -> Result:
    """Return one member's picture, or why it has none."""
    name, digest = PurePosixPath(path).stem, hashlib.sha256(data).digest()
    try:
        return Result(name, digest, decoder(data, size), "")
    except UnusableError as error:
        return Result(name, digest, None, str(error))
