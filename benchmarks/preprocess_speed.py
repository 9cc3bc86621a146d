"""Time preprocess against only decoding the same JPEGs, and against the usual Keras loop.

    python benchmarks/preprocess_speed.py FOLDER [--rounds 5] [--size 128]

FOLDER holds images.tar.gz and annotations.tar.gz. Every round runs the four in turn, each in a
process of its own that prints photos per second without its start; the medians' ratios count.

    preprocess   both archives → arrays: photos and trimaps read, checked, hashed, scaled, written
    decode       Pillow decodes the JPEGs, in memory before, on as many threads as cores
    decode-tar   the same, read from the archive with gzip and tarfile, into RGB arrays
    keras        load_img(target_size) + img_to_array + np.stack over the photos' unpacked files
    keras-pairs  the same over photos and trimaps
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from petseg.data import archives, convert

THREADS = os.cpu_count() or 1


def files(archive: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Yield an archive's files as plain Python reads them."""
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile() and member.name.endswith(suffix) and "/._" not in member.name:
                content = opened.extractfile(member)
                assert content is not None
                yield member.name, content.read()


def decode(data: bytes) -> None:
    """Decode one photo."""
    Image.open(io.BytesIO(data)).load()


def decode_all(folder: Path, _size: int) -> float:
    """Return the rate of only decoding."""
    photos = [data for _, data in files(folder / archives.IMAGES, ".jpg")]
    shares = [photos[start::THREADS] for start in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        started = time.perf_counter()
        list(pool.map(lambda share: [decode(data) for data in share], shares))
        return len(photos) / (time.perf_counter() - started)


def decode_tar(folder: Path, _size: int) -> float:
    """Return the rate of reading the archive and decoding into arrays."""
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        arrays = pool.map(
            lambda file: np.asarray(Image.open(io.BytesIO(file[1])).convert("RGB")).shape,
            files(folder / archives.IMAGES, ".jpg"),
        )
        return len(list(arrays)) / (time.perf_counter() - started)


def run_stage(folder: Path, size: int) -> float:
    """Return the stage's rate."""
    with tempfile.TemporaryDirectory() as target:
        started = time.perf_counter()
        convert.convert_archives(
            folder, Path(target), image_size=size, val_fraction=0.1, seed=1, max_rejected=1000
        )
        seconds = time.perf_counter() - started
        rows = [
            (Path(target) / split / "index.csv").read_text() for split in ("train", "val", "test")
        ]
    return sum(text.count("\n") - 1 for text in rows) / seconds


def keras_loop(folder: Path, size: int, trimaps: bool = False) -> float:
    """Return the rate of the loop that tutorials use."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    load, to_array = keras.utils.load_img, keras.utils.img_to_array
    with tempfile.TemporaryDirectory() as unpacked:
        kinds = [(archives.IMAGES, ".jpg", "rgb"), (archives.ANNOTATIONS, ".png", "grayscale")]
        lists = []
        for archive, suffix, mode in kinds[: 2 if trimaps else 1]:
            paths = []
            for name, data in files(folder / archive, suffix):
                paths.append(Path(unpacked) / Path(name).name)
                paths[-1].write_bytes(data)
            lists.append((paths, mode))
        started = time.perf_counter()
        for paths, mode in lists:
            np.stack([to_array(load(p, color_mode=mode, target_size=(size, size))) for p in paths])
        return len(lists[0][0]) / (time.perf_counter() - started)


def keras_pairs(folder: Path, size: int) -> float:
    """Return the loop's rate over photos and trimaps."""
    return keras_loop(folder, size, trimaps=True)


SIDES: dict[str, Callable[[Path, int], float]] = {
    "preprocess": convert,
    "decode": decode_all,
    "decode-tar": decode_tar,
    "keras": keras_loop,
    "keras-pairs": keras_pairs,
}


def apart(side: str, folder: Path, size: int) -> float:
    """Run one side in a process of its own; return its rate."""
    command = [sys.executable, __file__, str(folder), "--size", str(size), "--only", side]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Print each side's median rate and what preprocess reaches of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=128, help="of the arrays, pixels")
    parser.add_argument("--only", choices=SIDES, help="run one side here and print its rate")
    asked = parser.parse_args()
    if asked.only:
        print(SIDES[asked.only](asked.folder, asked.size))
        return
    rates: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(asked.rounds):
        for side, seen in rates.items():
            seen.append(apart(side, asked.folder, asked.size))
    ours = statistics.median(rates["preprocess"])
    for side, seen in rates.items():
        middle = statistics.median(seen)
        print(f"{side:12} {middle:6,.0f} photos/s; preprocess reaches {ours / middle:.2f} of it")


if __name__ == "__main__":
    main()
