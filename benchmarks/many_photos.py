"""Measure the memory of preprocess on a generated archive of very many small photos.

    python benchmarks/many_photos.py [--photos 100000] [--size 128]

Prints the peak memory of all its processes in total, sampled twenty times a second, for a tenth
of the photos and for all of them. Memory is measured as PSS, where shared pages count once.
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
from petseg.data.archives import File

PREPROCESS = """preprocess:
  mode: squash
  image_size: SIZE
  val_fraction: 0.1
  test_fraction: 0.1
  seed: 1
  max_rejected: 0
  labels: labels.csv
"""


def names(count: int) -> list[str]:
    """Return the names of photos of a hundred breeds."""
    return [f"Breed_{number % 100}_{number}" for number in range(count)]


def annotations(count: int) -> Iterator[File]:
    """Yield the two lists, each with half of the photos, and then the trimaps."""
    rows = [f"{name} 1 {1 + number % 2} 1\n".encode() for number, name in enumerate(names(count))]
    yield archives.list_path("trainval"), b"".join(rows[::2])
    yield archives.list_path("test"), b"".join(rows[1::2])
    values = np.repeat(np.array([1, 2, 3], np.uint8), 40)[None].repeat(90, axis=0)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    for name in names(count):
        yield archives.trimap_path(name), buffer.getvalue()


def images(count: int) -> Iterator[File]:
    """Yield the photos, every one in another colour."""
    for number, name in enumerate(names(count)):
        buffer = io.BytesIO()
        colour = (number % 256, number // 256 % 256, number // 65536)
        Image.new("RGB", (120, 90), colour).save(buffer, "JPEG")
        yield archives.photo_path(name), buffer.getvalue()


def memory(process: psutil.Process) -> int:
    """Return the bytes of memory that a process and its children use in total."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue  # it has ended in the meantime
    return total


def measure(folder: Path, count: int, size: int) -> tuple[int, float]:
    """Run preprocess on `count` photos; return its peak memory in bytes and its seconds."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    archives.write(raw / archives.ANNOTATIONS, annotations(count))
    archives.write(raw / archives.IMAGES, images(count))
    (folder / "params.yaml").write_text("recipe: many\n" + PREPROCESS.replace("SIZE", str(size)))
    (folder / "labels.csv").write_text("name,action,reason,who\n")
    return run_stage(folder, "preprocess", "raw", "labels", "arrays")


def run_stage(folder: Path, stage: str, *paths: str) -> tuple[int, float]:
    """Run a stage in a folder; return the peak memory of its processes in bytes, and its seconds."""
    start, peak = time.perf_counter(), 0
    command = [sys.executable, "-m", f"stages.{stage}", *paths]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            peak = max(peak, memory(process))
            time.sleep(0.05)
    if running.returncode:
        sys.exit(f"{stage} failed with {running.returncode}")
    return peak, time.perf_counter() - start


def main() -> None:
    """Print the peak memory for a tenth of the photos and for all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument(
        "--size", type=int, default=128, help="width and height of the arrays in pixels"
    )
    args = parser.parse_args()
    for count in (args.photos // 10, args.photos):
        with tempfile.TemporaryDirectory() as folder:
            peak, seconds = measure(Path(folder) / "run", count, args.size)
        print(f"{count:,} photos: at most {peak / 1e6:,.0f} MB in {seconds:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
