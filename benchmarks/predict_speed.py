"""Compare the speed of `petseg predict` with that of the usual loop and of the network alone.

    python benchmarks/predict_speed.py data/export/model.onnx data/model/model.keras data/raw

The last folder holds images.tar.gz and annotations.tar.gz; the photos are the first of its test list,
then of its trainval list. Every round runs the programs in turn, each in a separate process; the
results are the ratios of the medians. Only the start of `predict` is timed.

    predict          `petseg predict FOLDER --out MASKS`: photos at their own size, masks as PNG
    loop             Keras: load_img, resize, model.predict of one photo, resize back, save as PNG
    network, N       ONNX Runtime alone: N photos at a time on all cores; photos lie in memory
    network, threads the same with a thread per core, each with one photo at a time
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from nothing_changed import ROOT, run

from petseg.data import archives, photos
from petseg.data.archives import LISTS
from petseg.inference.onnx_engine import OnnxEngine

BATCHES = (1, 4, 8, 16)
THREADS = os.cpu_count() or 1
NETWORK_SECONDS = 3.0  # how long the network alone runs before its rate is taken
PETSEG = str(Path(sys.executable).parent / "petseg")


@dataclass(frozen=True)
class Inputs:
    """What the programs read."""

    onnx_model: Path
    keras_model: Path
    folder: Path  # of the unpacked photos

    def paths(self) -> list[Path]:
        """Return the paths of the photos."""
        return sorted(self.folder.iterdir())


def unpack(archives_folder: Path, count: int, target: Path) -> None:
    """Write the first photos of the test list, then of the trainval list, that can be decoded."""
    paths = {archives.list_path(name) for name in LISTS}
    lists = dict(archives.read_members(archives_folder / archives.ANNOTATIONS, paths.__contains__))
    entries = [
        entry
        for path in map(archives.list_path, ("test", "trainval"))
        for entry in archives.parse_list(lists[path], path)
    ]
    ranks = {archives.photo_path(entry.name): rank for rank, entry in enumerate(entries)}
    members = archives.read_members(archives_folder / archives.IMAGES, ranks.__contains__)
    decodable = [member for member in members if is_decodable(member[1])]
    for path, data in sorted(decodable, key=lambda member: ranks[member[0]])[:count]:
        (target / PurePosixPath(path).name).write_bytes(data)


def is_decodable(data: bytes) -> bool:
    """Return whether the bytes are a photo that predict accepts."""
    try:
        photos.decode_full(data)
    except photos.UnusableError:
        return False
    return True


def predict(inputs: Inputs) -> tuple[float, float]:
    """Return the photos per second of `petseg predict`, with its start and without.

    The time of the start is that of one photo, so that photo is not counted.
    """
    with tempfile.TemporaryDirectory() as masks:
        command = (PETSEG, "predict", "--model", str(inputs.onnx_model), "--out")
        paths = inputs.paths()
        start = run(ROOT, *command, f"{masks}/one", str(paths[0]), stderr=subprocess.DEVNULL)
        seconds = run(ROOT, *command, f"{masks}/all", str(inputs.folder), stderr=subprocess.DEVNULL)
    return len(paths) / seconds, (len(paths) - 1) / (seconds - start)


def loop(inputs: Inputs, count: int) -> float:
    """Return the photos per second of the loop that tutorials use, on the first `count` photos."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from PIL import Image

    from petseg.model import keras_file

    model, metadata = keras_file.load(inputs.keras_model)
    size = (metadata.image_size, metadata.image_size)
    with tempfile.TemporaryDirectory() as masks:

        def predict_one(path: Path) -> None:
            photo = keras.utils.load_img(path)
            pixels = keras.utils.img_to_array(photo.resize(size))
            probabilities = model.predict(pixels[None], verbose=0)[0, ..., 0]
            full = Image.fromarray(probabilities).resize(photo.size, Image.Resampling.BILINEAR)
            mask = np.asarray(full) >= metadata.threshold
            Image.fromarray(mask.astype(np.uint8) * 255).save(f"{masks}/{path.stem}.png")

        paths = inputs.paths()[:count]
        predict_one(paths[0])  # TensorFlow builds its graph
        start = time.perf_counter()
        for path in paths:
            predict_one(path)
        return len(paths) / (time.perf_counter() - start)


def network(inputs: Inputs, batch: int, callers: int) -> float:
    """Return the photos per second of ONNX Runtime, called by one thread or by several at once."""
    engine = OnnxEngine(inputs.onnx_model, threads=0 if callers == 1 else 1)
    frame = engine.metadata.frame
    paths = (inputs.paths() * batch)[: max(batch, THREADS)]
    pixels = np.stack([photos.decode_photo(path.read_bytes(), frame).pixels for path in paths])

    def call(number: int) -> int:
        rows = np.arange(number, number + batch) % len(pixels)
        end = time.perf_counter() + NETWORK_SECONDS
        calls = 0
        while time.perf_counter() < end:
            engine.probabilities(pixels[rows])
            calls += 1
        return calls * batch

    engine.probabilities(pixels[:batch])  # memory is reserved
    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        total = sum(pool.map(call, range(callers)))
    return total / (time.perf_counter() - start)


NETWORK: dict[str, Callable[[Inputs], float]] = {
    **{f"network, {batch}": partial(network, batch=batch, callers=1) for batch in BATCHES},
    "network, threads": partial(network, batch=1, callers=THREADS),
}


def in_process(program: str, inputs: Inputs, arguments: Iterable[object]) -> float:
    """Run a program in a separate process; return its photos per second."""
    command = [sys.executable, __file__, *map(str, arguments), "--only", program]
    command += ["--unpacked", str(inputs.folder)]
    process = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return float(process.stdout.splitlines()[-1])


def main() -> None:
    """Print the median speed of every program, and how fast predict is compared with them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("onnx_model", type=Path)
    parser.add_argument("keras_model", type=Path)
    parser.add_argument("archives", type=Path, help="folder with the two archives")
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--loop-photos", type=int, default=60, help="of these, for the usual loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="run one program without a new process")
    parser.add_argument("--unpacked", type=Path, help="folder of the photos of --only")
    args = parser.parse_args()
    models = (args.onnx_model.absolute(), args.keras_model.absolute())
    programs: dict[str, Callable[[Inputs], float]] = {
        "loop": partial(loop, count=args.loop_photos),
        **NETWORK,
    }
    if args.only:
        print(programs[args.only](Inputs(*models, args.unpacked)))
        return
    names = ("predict", "predict, started", *programs)
    rates: dict[str, list[float]] = {name: [] for name in names}
    arguments = (*models, args.archives, "--loop-photos", args.loop_photos)
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(*models, Path(folder))
        unpack(args.archives, args.photos, inputs.folder)
        for _ in range(args.rounds):
            for name, rate in zip(names, predict(inputs), strict=False):
                rates[name].append(rate)
            for name in programs:
                rates[name].append(in_process(name, inputs, arguments))
        total = len(inputs.paths())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"{total} photos, medians of {args.rounds} rounds")
    for name, median in medians.items():
        print(
            f"{name:17} {median:6.1f} photos/s   {min(rates[name]):.1f} to {max(rates[name]):.1f}"
        )
    best = max(NETWORK, key=lambda name: medians[name])
    print(f"predict ÷ loop: {medians['predict'] / medians['loop']:.2f}")
    for name in names[:2]:
        print(f"{name} ÷ {best}: {medians[name] / medians[best]:.2f}")


if __name__ == "__main__":
    main()
