"""Uploads that were made to do harm: each gets a mask or a sentence, and the server goes on.

Bodies that never end, or end too early, are in test_limits.py.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.prediction.red_model import as_bytes, half_red, noise_photo
from tests.web.server import PHOTO, Server

SIZE = (40, 30)  # of most photos here
SCRIPT = b"<script>alert(1)</script>"
JPEG = as_bytes(noise_photo((200, 150)), "JPEG", quality=90)
NO_PICTURE = "photo cannot be decoded: cannot identify image file"
TOO_MANY_PIXELS = "photo has too many pixels: more than 89,000,000"
Expected = tuple[int, int] | str  # the mask's width and height, or the sentence


@pytest.fixture(autouse=True)
def server_works_afterwards(server: Server) -> Iterator[None]:
    """Require that after each test the server answers, and has stored and logged nothing."""
    yield
    assert server.get("/health").json() == {"status": "ok", "photos": 0}
    mask = Image.open(io.BytesIO(server.post().content))
    assert np.array_equal(np.asarray(mask)[0] == 255, np.arange(40) < 20)
    assert list(server.temporary.iterdir()) == []
    assert len(server.log().splitlines()) == 1


def png(
    size: tuple[int, int], *chunks: tuple[bytes, bytes], bits: int = 8, colour: int = 2
) -> bytes:
    """Return a PNG file with these chunks between its header and its end."""
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), *chunks, (b"IEND", b""))
    )


def zeros(count: int) -> bytes:
    """Return many zeros, compressed; a thousandth of their size."""
    compressor = zlib.compressobj(9)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    return b"".join([*parts, compressor.flush()])


def png_with(kind: bytes, data: bytes) -> bytes:
    """Return a good PNG with a chunk before its pixels."""
    pixels = zlib.compress((b"\0" + bytes(3 * SIZE[0])) * SIZE[1])
    return png(SIZE, (kind, data), (b"IDAT", pixels))


def gif_with_frames(count: int) -> bytes:
    """Return an animation with many frames of equal content."""
    gif = as_bytes(half_red(204, SIZE).convert("P"), "GIF")
    start = 13 + 3 * 256  # the header, and a palette of 256 colours
    return gif[:start] + gif[start:-1] * count + gif[-1:]


def webp_of_size(side: int) -> bytes:
    """Return a lossless WebP whose header has another size."""
    data = bytearray(as_bytes(half_red(204, SIZE), "WEBP", lossless=True))
    bits = data.index(b"VP8L") + 9
    data[bits : bits + 4] = struct.pack("<I", (side - 1) | (side - 1) << 14)
    return bytes(data)


def jpeg_of_size(side: int) -> bytes:
    """Return a JPEG whose header has another size."""
    data = bytearray(JPEG)
    position = data.index(b"\xff\xc0") + 5
    data[position : position + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def jpeg_with_scans(count: int, before: bytes = b"") -> bytes:
    """Return a progressive JPEG that repeats its last scan; `before` stands before the copies."""
    data = as_bytes(noise_photo(SIZE), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + before + scan * count + data[-2:]


def jpeg_with_comment() -> bytes:
    """Return a photo that is a page with a script to whoever takes it for HTML."""
    return as_bytes(half_red(204, SIZE), "JPEG", comment=b"<html>" + SCRIPT + b"<!--")


def gif_with_script() -> bytes:
    """Return a picture that is also a script: a comment up to its end, then code."""
    data = bytearray(as_bytes(half_red(204, SIZE).convert("P"), "GIF"))
    return bytes(data) + b"*/=1;alert(1)//"


def with_exif(exif: bytes, file_format: str = "JPEG") -> bytes:
    """Return a photo with EXIF."""
    return as_bytes(half_red(204, SIZE), file_format, exif=exif)


def exif(tag: int, value: Any) -> bytes:
    """Return EXIF with one tag."""
    content = Image.Exif()
    content[tag] = value
    return content.tobytes()


def exif_with_entries(count: int, size: int, start: int) -> bytes:
    """Return EXIF in which many entries claim the same bytes."""
    entries = b"".join(struct.pack("<HHLL", 1000 + n, 7, size, start) for n in range(count))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + b"\0\0\0\0"


def looping_tiff() -> bytes:
    """Return a TIFF whose directory names itself as the next one."""
    data = as_bytes(half_red(204, SIZE), "TIFF")
    (first,) = struct.unpack("<L", data[4:8])
    (count,) = struct.unpack("<H", data[first : first + 2])
    end = first + 2 + 12 * count
    return data[:end] + struct.pack("<L", first) + data[end + 4 :]


def tiff_with_strips_in_the_directory() -> bytes:
    """Return a TIFF whose pixels lie where its directory lies, and so far beyond the end."""
    data = as_bytes(half_red(204, SIZE), "TIFF")
    return data[:4] + struct.pack("<L", 4) + data[8:]


def nan_tiff() -> bytes:
    """Return a TIFF of numbers that are none."""
    return as_bytes(Image.fromarray(np.full(SIZE, np.nan, np.float32)), "TIFF")


WRONG_TAG = (  # orientation 6, and a text where a number is due
    b"MM\0*\0\0\0\x08\0\x02\x01\x06\0\x02\0\0\0\x05\0\0\0\x26\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    b"\0\0\0\0xxxx\0\0"
)
UPLOADS: dict[str, tuple[Callable[[], bytes], Expected]] = {
    "PNG whose few pixels unpack to 256 MB": (
        lambda: png(SIZE, (b"IDAT", zeros(1 << 28))),
        SIZE,
    ),
    "PNG of 89 million black pixels": (
        lambda: as_bytes(Image.new("1", (10_000, 8_900))),
        (10_000, 8_900),
    ),
    "GIF with a header of 65,535 × 65,535": (
        lambda: gif_with_frames(1)[:6] + b"\xff\xff\xff\xff" + gif_with_frames(1)[10:],
        TOO_MANY_PIXELS,
    ),
    "GIF of 50 million pixels without any": (
        lambda: b"GIF89a" + struct.pack("<HHBBB", 8000, 6000, 0x80, 0, 0) + bytes(6) + b";",
        "photo cannot be decoded: ",
    ),
    "WebP with a header of 16,384 × 16,384": (lambda: webp_of_size(16_384), TOO_MANY_PIXELS),
    "WebP with a header of 9,000 × 9,000": (
        lambda: webp_of_size(9_000),
        "photo cannot be decoded: ",
    ),
    "JPEG with a header of 50,000 × 50,000": (lambda: jpeg_of_size(50_000), TOO_MANY_PIXELS),
    "PNG with a header of 50,000 × 50,000": (
        lambda: png((50_000, 50_000), (b"IDAT", zeros(1 << 20))),
        TOO_MANY_PIXELS,
    ),
    "PNG with a header of 9,000 × 9,000 and few pixels": (
        lambda: png((9_000, 9_000), (b"IDAT", zeros(1 << 20))),
        "photo cannot be decoded: ",
    ),
    "PNG with a text that unpacks to 256 MB": (
        lambda: png_with(b"zTXt", b"a\0\0" + zeros(1 << 28)),
        "photo cannot be decoded: Decompressed data too large",
    ),
    "PNG with an international text that unpacks to 256 MB": (
        lambda: png_with(b"iTXt", b"a\0\x01\0\0\0" + zeros(1 << 28)),
        "photo cannot be decoded: Decompressed data too large",
    ),
    "PNG with a profile that unpacks to 256 MB": (
        lambda: png_with(b"iCCP", b"a\0\0" + zeros(1 << 28)),
        "photo cannot be decoded: Decompressed data too large",
    ),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>", NO_PICTURE),
    "HTML": (lambda: b"<!doctype html>" + SCRIPT, NO_PICTURE),
    "PostScript, for which Pillow starts a program": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        NO_PICTURE,
    ),
    "GIF that is a script": (gif_with_script, SIZE),
    "JPEG that is a page": (jpeg_with_comment, SIZE),
    "nothing": (lambda: b"", "photo is empty; send the photo as the body, or as the file `photo`"),
    "zeros": (lambda: bytes(1 << 20), NO_PICTURE),
    "GIF with 10,000 frames": (lambda: gif_with_frames(10_000), SIZE),
    "JPEG with 64 KB of EXIF": (lambda: with_exif(exif(0x010E, "x" * 65_400)), SIZE),
    "JPEG with 5,000 entries of EXIF that claim the same 60 KB": (
        lambda: with_exif(b"Exif\0\0" + exif_with_entries(5000, 60_000, 8)),
        SIZE,
    ),
    "PNG with 60,000 entries of EXIF that claim the same 700 KB": (
        lambda: png_with(b"eXIf", exif_with_entries(60_000, 700_000, 8)),
        SIZE,
    ),
    "TIFF with 60,000 entries that claim the same 700 KB": (
        lambda: exif_with_entries(60_000, 700_000, 8),
        NO_PICTURE,
    ),
    "EXIF with the orientation 9": (lambda: with_exif(exif(0x0112, 9)), SIZE),
    "EXIF with the orientation 6": (lambda: with_exif(exif(0x0112, 6)), SIZE[::-1]),
    "EXIF with a text as a number": (
        lambda: with_exif(WRONG_TAG, "PNG"),
        "photo cannot be decoded: required argument is not an integer",
    ),
    "EXIF of noise": (lambda: with_exif(b"Exif\0\0" + bytes(range(256)) * 9), SIZE),
    "CMYK": (lambda: as_bytes(half_red(204, SIZE).convert("CMYK"), "JPEG"), SIZE),
    "16 bits": (
        lambda: as_bytes(Image.fromarray(np.full((30, 40), 40_000, np.uint16))),
        SIZE,
    ),
    "16 bits in each of three colours": (
        lambda: png(SIZE, (b"IDAT", zlib.compress((b"\0" + bytes(240)) * 30)), bits=16),
        SIZE,
    ),
    "1 × 1": (lambda: as_bytes(half_red(204, (1, 1))), (1, 1)),
    "1 × 20,000": (lambda: as_bytes(half_red(204, (1, 20_000))), (1, 20_000)),
    "20,000 × 1": (lambda: as_bytes(half_red(204, (20_000, 1))), (20_000, 1)),
    "0 × 0": (lambda: png((0, 0), (b"IDAT", zeros(0))), "photo cannot be decoded: "),
    "broken colour profile": (
        lambda: as_bytes(half_red(204, SIZE), "JPEG", icc_profile=b"broken" * 1000),
        SIZE,
    ),
    "JPEG with 10,000 scans": (
        lambda: jpeg_with_scans(10_000),
        "photo cannot be decoded: more than 100 scans",
    ),
    "JPEG with 10,000 scans after a marker without a length": (
        lambda: jpeg_with_scans(10_000, before=b"\xff\x01"),
        "photo cannot be decoded: more than 100 scans",
    ),
    "JPEG with 30,000 empty segments": (
        lambda: JPEG[:2] + b"\xff\xfe\0\x02" * 30_000 + JPEG[2:],
        "photo cannot be decoded: more than 20,000 segments",
    ),
    "TIFF whose directory leads to itself": (looping_tiff, SIZE),
    "TIFF whose directory is its header": (tiff_with_strips_in_the_directory, NO_PICTURE),
    "TIFF of numbers that are none": (
        nan_tiff,
        "photo has 32 bits per pixel in one channel: F",
    ),
}


def check(response: requests.Response, expected: Expected) -> None:
    """Require a mask of this size, or this sentence."""
    if isinstance(expected, str):
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"].startswith(expected), response.json()
        assert response.status_code == 422
        return
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert b"alert" not in response.content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        assert Image.open(io.BytesIO(response.content)).size == expected


@pytest.mark.parametrize("name", UPLOADS)
def test_a_hostile_upload_gets_a_mask_or_a_sentence(server: Server, name: str) -> None:
    create, expected = UPLOADS[name]
    check(server.post(create()), expected)


@pytest.mark.parametrize("name", ["HTML", "broken colour profile", "JPEG that is a page"])
def test_a_cut_out_of_it_as_well(server: Server, name: str) -> None:
    create, expected = UPLOADS[name]
    check(server.post(create(), "?kind=cutout"), expected)


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_jpeg_that_ends_early_is_refused(server: Server, tenth: int) -> None:
    response = server.post(JPEG[: len(JPEG) * tenth // 10])
    check(response, "photo cannot be decoded: ")


@pytest.mark.parametrize(
    ("file_name", "media_type"),
    [
        ("cat.txt", "text/html"),
        ("cat.svg", "image/svg+xml"),
        ("<img src=x onerror=alert(1)>.jpg", "image/jpeg"),
        ("../../etc/passwd", "image/jpeg"),
        ("C:\\Windows\\cat.jpg", "image/jpeg"),
        ("a" * 1000, "image/jpeg"),
        ("cat.jpg\0.png", "x" * 500),
    ],
)
def test_the_name_and_type_of_a_file_mean_nothing(
    server: Server, file_name: str, media_type: str
) -> None:
    response = server.post(None, files={"photo": (file_name, PHOTO, media_type)})
    check(response, SIZE)
    assert response.content == server.post().content
    assert "etc" not in str(response.headers)
    page = server.post(None, files={"photo": (file_name, SCRIPT, media_type)})
    check(page, NO_PICTURE)


START = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the form has no file photo"),
        (b"--x--\r\n", "the form has no file photo"),
        (b"\r\n" * 10_000, "the form has no file photo"),
        (b"--y\r\n\r\n" + PHOTO, "the form cannot be read: Invalid multipart data."),
        (bytes(range(256)) * 100, "the form cannot be read: Invalid multipart data."),
        (START + PHOTO + b"\r\n" + START + PHOTO, "the form cannot be read: Too many files."),
        (
            START.replace(b'name="photo"', b'name="other"') + PHOTO + b"\r\n--x--\r\n",
            "the form has no file photo",
        ),
        (
            START.replace(b'; filename="a"', b"") + PHOTO + b"\r\n--x--\r\n",
            "the form has no file photo",
        ),
        (
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n--y--\r\n--x--",
            'the form cannot be read: The Content-Disposition header field "name" must be provided',
        ),
        (b"--x\r\nX: " + b"x" * 100_000, "the form cannot be read: Invalid multipart data."),
        (b"--x\r\nX: y\r\n" * 10_000, "the form cannot be read: "),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 100 + b"--x--\r\n",
            "the form cannot be read: Too many fields.",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_form_of_another_kind_is_refused(server: Server, body: bytes, detail: str) -> None:
    response = server.post(body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith(detail)
    assert response.json()["detail"].endswith(
        "; send the photo as the body, or as the file `photo` of a form: curl -F photo=@cat.jpg …"
    )


@pytest.mark.parametrize(
    "media_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; charset=\xff",
        f"multipart/form-data; boundary={'x' * 5000}",
    ],
)
def test_a_form_with_a_wrong_boundary_is_refused(server: Server, media_type: str) -> None:
    headers = {"Content-Type": media_type.encode("latin-1")}
    response = server.post(START + PHOTO + b"\r\n--x--\r\n", headers=headers)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("the form ")


def test_a_form_that_ends_early_is_refused_or_cut_short(server: Server) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = server.post(START + JPEG[:3000], headers=headers)
    assert response.status_code in (400, 422)


def test_memory_stays_flat_over_uploads_of_all_kinds(server: Server) -> None:
    small = [
        create()
        for name, (create, _) in UPLOADS.items()
        if not any(word in name for word in ("MB", "million", "10,000", "9,000"))
    ]

    def send_all() -> int:
        for photo in (*small, JPEG, JPEG[:2000]):
            server.post(photo, "?kind=cutout")
            server.post(None, "?answer=json", files={"photo": photo})
        return server.resident_bytes()

    start = send_all()
    for _ in range(3):
        end = send_all()
    assert end < start + 10_000_000
