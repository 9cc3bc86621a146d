"""Measure the memory of preprocess on a generated archive of very many small photos.

    python benchmarks/many_photos.py [--photos 100000] [--size 128]

Prints the largest memory that all its processes held together (PSS, pages shared are counted
once), twenty times a second, and that of a run on a tenth of the photos.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from petseg.data import archives

PARAMS = """recipe: many
recipes:
  many:
    preprocess: {image_size: SIZE, val_fraction: 0.1, seed: 1, max_rejected: 0}
"""


def names(count: int) -> list[str]:
    """Return the photos' names, of a hundred breeds."""
    return [f"Breed_{number % 100}_{number}" for number in range(count)]


def annotations(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield the lists, half to train on and half to test, and the trimaps."""
    rows = [f"{name} 1 {1 + number % 2} 1\n".encode() for number, name in enumerate(names(count))]
    yield "annotations/trainval.txt", b"".join(rows[::2])
    yield "annotations/test.txt", b"".join(rows[1::2])
    values = np.repeat(np.array([1, 2, 3], np.uint8), 40)[None].repeat(90, axis=0)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    for name in names(count):
        yield f"annotations/trimaps/{name}.png", buffer.getvalue()


def images(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield the photos, each with a colour of its own."""
    for number, name in enumerate(names(count)):
        buffer = io.BytesIO()
        colour = (number % 256, number // 256 % 256, number // 65536)
        Image.new("RGB", (120, 90), colour).save(buffer, "JPEG")
        yield f"images/{name}.jpg", buffer.getvalue()


def memory(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold together."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue  # it has ended since
    return total


def peak(folder: Path, count: int, size: int) -> tuple[int, float]:
    """Run preprocess on `count` photos; return its peak memory in bytes and its seconds."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    archives.write(raw / archives.ANNOTATIONS, annotations(count))
    archives.write(raw / archives.IMAGES, images(count))
    (folder / "params.yaml").write_text(PARAMS.replace("SIZE", str(size)))
    started, most = time.perf_counter(), 0
    command = [sys.executable, "-m", "stages.preprocess", "raw", "arrays"]
    with subprocess.Popen(command, cwd=folder) as running:
        watched = psutil.Process(running.pid)
        while running.poll() is None:
            most = max(most, memory(watched))
            time.sleep(0.05)
    if running.returncode:
        sys.exit(f"preprocess failed with {running.returncode}")
    return most, time.perf_counter() - started


def main() -> None:
    """Print the peak for a tenth of the photos and for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=128, help="of the arrays, pixels")
    asked = parser.parse_args()
    for count in (asked.photos // 10, asked.photos):
        with tempfile.TemporaryDirectory() as folder:
            most, seconds = peak(Path(folder) / "run", count, asked.size)
        print(f"{count:,} photos: at most {most / 1e6:,.0f} MB in {seconds:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
