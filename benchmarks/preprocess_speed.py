"""Compare the speed of preprocess with that of decoding alone and of the usual Keras loop.

    python benchmarks/preprocess_speed.py FOLDER [--rounds 5] [--size 128]

FOLDER holds images.tar.gz and annotations.tar.gz. Every round runs the five programs in turn, each
in a separate process whose start is not timed; the results are the ratios of the medians.

    preprocess   both archives → arrays: photos and trimaps read, checked, hashed, scaled, written
    decode       Pillow decodes the JPEGs from memory, with a thread per core
    decode-tar   the same, but read from the archive with gzip and tarfile, into RGB arrays
    keras        load_img(target_size) + img_to_array + np.stack over the unpacked photos
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

from petseg.data import archives, arrays, convert, raw, splits
from petseg.data.archives import File
from petseg.data.label_edits import NO_EDITS

THREADS = os.cpu_count() or 1


def members(path: Path, suffix: str) -> Iterator[File]:
    """Yield an archive's files as Python's tarfile reads them."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(suffix) and "/._" not in member.name:
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read()


def decode(photos: list[bytes]) -> None:
    """Decode some photos."""
    for data in photos:
        Image.open(io.BytesIO(data)).load()


def decode_all(folder: Path, _size: int) -> float:
    """Return the photos per second of decoding alone."""
    photos = [data for _, data in members(folder / archives.IMAGES, ".jpg")]
    shares = [photos[start::THREADS] for start in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        start = time.perf_counter()
        list(pool.map(decode, shares))
        return len(photos) / (time.perf_counter() - start)


def decode_tar(folder: Path, _size: int) -> float:
    """Return the photos per second of reading the archive and decoding into arrays."""
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        arrays = pool.map(
            lambda file: np.asarray(Image.open(io.BytesIO(file[1])).convert("RGB")).shape,
            members(folder / archives.IMAGES, ".jpg"),
        )
        return len(list(arrays)) / (time.perf_counter() - start)


def run_stage(folder: Path, size: int) -> float:
    """Return the photos per second of the stage."""
    with tempfile.TemporaryDirectory() as target:
        start = time.perf_counter()
        settings = convert.Settings("squash", size, 0.1, 0.1, seed=1, max_rejected=1000)
        convert.convert(raw.open_raw(folder), Path(target), settings, NO_EDITS)
        seconds = time.perf_counter() - start
        photos = sum(len(arrays.read_index(Path(target) / split)) for split in splits.SPLITS)
    return photos / seconds


def keras_loop(folder: Path, size: int, trimaps: bool = False) -> float:
    """Return the photos per second of the loop that tutorials use."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    load, to_array = keras.utils.load_img, keras.utils.img_to_array
    with tempfile.TemporaryDirectory() as unpacked:
        kinds = [(archives.IMAGES, ".jpg", "rgb"), (archives.ANNOTATIONS, ".png", "grayscale")]
        lists = []
        for archive, suffix, mode in kinds[: 2 if trimaps else 1]:
            paths = []
            for name, data in members(folder / archive, suffix):
                paths.append(Path(unpacked) / Path(name).name)
                paths[-1].write_bytes(data)
            lists.append((paths, mode))
        start = time.perf_counter()
        for paths, mode in lists:
            np.stack([to_array(load(p, color_mode=mode, target_size=(size, size))) for p in paths])
        return len(lists[0][0]) / (time.perf_counter() - start)


def keras_pairs(folder: Path, size: int) -> float:
    """Return the photos per second of that loop over photos and trimaps."""
    return keras_loop(folder, size, trimaps=True)


PROGRAMS: dict[str, Callable[[Path, int], float]] = {
    "preprocess": run_stage,
    "decode": decode_all,
    "decode-tar": decode_tar,
    "keras": keras_loop,
    "keras-pairs": keras_pairs,
}


def run_in_process(program: str, folder: Path, size: int) -> float:
    """Run one program in a separate process; return its photos per second."""
    command = [sys.executable, __file__, str(folder), "--size", str(size), "--only", program]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(process.stdout.splitlines()[-1])


def main() -> None:
    """Print the median speed of every program and the speed of preprocess relative to it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--size", type=int, default=128, help="width and height of the arrays in pixels"
    )
    parser.add_argument("--only", choices=PROGRAMS, help="run one program without a new process")
    args = parser.parse_args()
    if args.only:
        print(PROGRAMS[args.only](args.folder, args.size))
        return
    rates: dict[str, list[float]] = {program: [] for program in PROGRAMS}
    for _ in range(args.rounds):
        for program in PROGRAMS:
            rates[program].append(run_in_process(program, args.folder, args.size))
    medians = {program: statistics.median(values) for program, values in rates.items()}
    for program, median in medians.items():
        ratio = medians["preprocess"] / median
        print(f"{program:12} {median:6,.0f} photos/s; preprocess is {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
