"""Measure the memory of `petseg try` over 1,000 uploads of all kinds.

    python benchmarks/serving_memory.py data/export/model.onnx

Every hundred uploads are the same, in another order: photos of up to 81 million pixels in all formats,
all kinds of answers, broken and hostile files, and clients that go away; the rest are small photos. They
are sent one after the other, then to a new server by 8 clients at once. Memory is the resident size of
the server (RSS), printed after each hundred, and its highest value as the operating system reports it.
A client that gets status 503 sends its upload again a second later.
"""

import argparse
import http.client
import io
import random
import re
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from PIL import Image
from predict_memory import draw
from serving import HOST, PHOTO_SIZE, Server, petseg_try, running

BLOCK = 100  # uploads from one measurement to the next
SIZES = {"12 megapixels": (4000, 3000), "24 megapixels": (6000, 4000)}  # width and height in pixels
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
KINDS = ("mask", "cutout", "overlay", "probability")
BOMB_SIDE = 50_000  # pixels, in headers
RETRY_SECONDS = 1
PAUSE_SECONDS = 2  # before memory is read: threads end what clients that went away had sent
FORM = "multipart/form-data; boundary=border"
OK, TOO_LARGE, UNUSABLE, WRONG, BUSY = 200, 413, 422, 400, 503


@dataclass(frozen=True)
class Upload:
    """A request with a photo or with something else."""

    name: str
    body: bytes
    status: int | None = OK  # of the answer; None if the client goes away without it
    query: str = ""
    media_type: str = "application/octet-stream"
    announced: int | None = None  # bytes of the body, if not those of `body`


@cache
def noise_photo(width: int, height: int) -> Image.Image:
    """Return gradients with noise."""
    return draw(width, height)


def encode(image: Image.Image, file_format: str = "JPEG", **options: Any) -> bytes:
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    options = {"quality": 90, "compress_level": 1, "method": 0} | options
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def photos_of_all_formats() -> Iterator[Upload]:
    """Yield photos of all formats and of large sizes."""
    for file_format in FORMATS:
        yield Upload(f"small {file_format}", encode(noise_photo(*PHOTO_SIZE), file_format))
        body = encode(noise_photo(*SIZES["12 megapixels"]), file_format)
        yield Upload(f"12 megapixels {file_format}", body)
    for file_format in ("JPEG", "PNG"):
        body = encode(noise_photo(*SIZES["24 megapixels"]), file_format)
        yield Upload(f"24 megapixels {file_format}", body)
    black = Image.new("RGB", (9000, 9000))
    yield Upload("81 megapixels of black", encode(black, "PNG"), query="?size=1000")
    body = encode(noise_photo(*SIZES["24 megapixels"]), "TIFF")
    yield Upload("24 megapixels TIFF", body, TOO_LARGE)


def queries() -> Iterator[Upload]:
    """Yield photos with every kind of answer, and queries that are wrong."""
    small = encode(noise_photo(*PHOTO_SIZE))
    for kind in KINDS:
        for rest in ("", "&format=webp", "&answer=json", "&size=200", "&threshold=0.9"):
            yield Upload(f"{kind}{rest}", small, query=f"?kind={kind}{rest}")
    large, larger = (encode(noise_photo(*size)) for size in SIZES.values())
    yield Upload("large cut-out", large, query="?kind=cutout")
    page = "?kind=probability&answer=json&size=1024"
    yield Upload("12 megapixels for the page", large, query=page)
    yield Upload("24 megapixels for the page", larger, query=page)
    for query in ("?kind=other", "?size=0", "?threshold=two", "?unknown=1"):
        yield Upload(query, small, WRONG, query)


def unusable_files_and_forms() -> Iterator[Upload]:
    """Yield files that cannot be used, and forms."""
    small = encode(noise_photo(*PHOTO_SIZE))
    for tenth in range(1, 10):
        yield Upload(f"{tenth}/10 of a JPEG", small[: tenth * len(small) // 10], UNUSABLE)
    large = encode(noise_photo(*SIZES["12 megapixels"]), "PNG")
    yield Upload("half of a large PNG", large[: len(large) // 2], UNUSABLE)
    header = struct.pack(">4sIIBBBBB", b"IHDR", BOMB_SIDE, BOMB_SIDE, 8, 2, 0, 0, 0)
    png = struct.pack(">8sI", b"\x89PNG\r\n\x1a\n", 13) + header
    yield Upload("PNG bomb", png + struct.pack(">I", zlib.crc32(header)), UNUSABLE)
    gif = struct.pack("<6sHHBBB", b"GIF89a", BOMB_SIDE, BOMB_SIDE, 0, 0, 0)
    frame = struct.pack("<cHHHHB", b",", 0, 0, BOMB_SIDE, BOMB_SIDE, 0)
    yield Upload("GIF bomb", gif + frame + b"\x02\x02D\x01\x00;", UNUSABLE)
    for text in ("", "<!doctype html><script>alert(1)</script>", "<svg/>", "\0" * 1_000_000):
        yield Upload(f"{text[:15]!r}", text.encode(), UNUSABLE)
    part = b'--border\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n%b\r\n'
    end = b"--border--\r\n"
    yield Upload("form", part % small + end, media_type=FORM)
    yield Upload("form with two files", part % small * 2 + end, WRONG, media_type=FORM)
    yield Upload("form without its end", part % small, WRONG, media_type=FORM)


def unusual_photos_and_clients() -> Iterator[Upload]:
    """Yield photos that are unusual, and clients that go away."""
    small, large = noise_photo(*PHOTO_SIZE), encode(noise_photo(*SIZES["12 megapixels"]))
    frames = [Image.new("P", (64, 64), number % 256) for number in range(1000)]
    images = {
        "1 × 1": encode(small.resize((1, 1))),
        "1 × 20,000": encode(small.resize((1, 20_000)), "PNG"),
        "CMYK": encode(small.convert("CMYK")),
        "16 bits": encode(small.convert("I;16"), "PNG"),
        "broken profile": encode(small, icc_profile=b"\0" * 60_000),
        "1,000 frames": encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    }
    for name, body in images.items():
        yield Upload(name, body)
    yield Upload("a gigabyte announced", b"", TOO_LARGE, announced=1 << 30)
    yield Upload("goes away while it uploads", large, None, announced=2 * len(large))
    yield Upload("goes away before the answer", large, None, query="?kind=cutout")


def send(port: int, upload: Upload) -> int | None:
    """Send an upload, again while the server is busy; return the status of its answer."""
    connection = http.client.HTTPConnection(HOST, port)
    connection.putrequest("POST", f"/mask{upload.query}")
    connection.putheader("Content-Type", upload.media_type)
    length = len(upload.body) if upload.announced is None else upload.announced
    connection.putheader("Content-Length", str(length))
    try:
        connection.endheaders(upload.body)
    except (BrokenPipeError, ConnectionResetError):
        assert upload.status == TOO_LARGE, upload.name  # it is refused before it is read
    if upload.status is None:
        connection.close()
        return None
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def send_until_taken(port: int, upload: Upload) -> list[str]:
    """Send an upload, again while the server is busy; return the statuses of the answers."""
    statuses = []
    while (status := send(port, upload)) == BUSY:
        statuses.append(str(BUSY))
        time.sleep(RETRY_SECONDS)
    text = str(status or "no answer")
    return [*statuses, text if status == upload.status else f"{text} for {upload.name}"]


def peak_bytes(server: Server) -> int:
    """Return the highest resident size that the process had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match
    return int(match[1]) * 1024


def measure(model: Path, uploads: list[Upload], count: int, clients: int) -> None:
    """Send uploads to a new server, and print its memory after each hundred."""
    statuses: Counter[str] = Counter()
    start = time.perf_counter()
    with running(*petseg_try(model)) as server, ThreadPoolExecutor(clients) as pool:
        server.client().post(uploads[0].body)
        memory = [server.resident_bytes()]
        for number in range(count // BLOCK):
            block = random.Random(number).sample(uploads, len(uploads))
            for texts in pool.map(partial(send_until_taken, server.port), block):
                statuses.update(texts)
            time.sleep(PAUSE_SECONDS)
            memory.append(server.resident_bytes())
        peak = peak_bytes(server)
    print(f"{count:,} uploads, {clients} at once, {time.perf_counter() - start:,.0f} s")
    print(f"  answers by status: {dict(sorted(statuses.items()))}")
    print(f"  MB at the start and after each hundred: {[round(size / 1e6) for size in memory]}")
    print(
        f"  growth from the first hundred to the last {(memory[-1] - memory[1]) / 1e6:+.0f} MB, "
        f"highest {peak / 1e6:.0f} MB",
        flush=True,
    )


def main() -> None:
    """Print the memory, its growth and its highest value."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    uploads = [
        *photos_of_all_formats(),
        *queries(),
        *unusable_files_and_forms(),
        *unusual_photos_and_clients(),
    ]
    uploads += uploads[:1] * (BLOCK - len(uploads))
    for clients in (1, args.clients):
        measure(args.model, uploads, args.uploads, clients)


if __name__ == "__main__":
    main()
