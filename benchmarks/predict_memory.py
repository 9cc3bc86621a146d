"""Measure the memory of `petseg predict` on photos of mixed sizes up to 24 megapixels.

    python benchmarks/predict_memory.py data/export/model.onnx [--photos 2000] [--cutouts 200]

The photos are drawn: gradients and noise, JPEG and PNG, a few files under many names. The memory is
the highest resident size of the process (RSS) that the operating system reports. Cut-outs of large
photos with noise need much time and disk, so there are fewer of them.
"""

import argparse
import itertools
import os
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from nothing_changed import ROOT
from PIL import Image
from predict_speed import PETSEG

# (width, height, suffix) of the photos, over and over again.
SIZES = [
    *[(500, 375, "jpg")] * 8,
    (640, 480, "png"),
    *[(1280, 960, "jpg")] * 4,
    (1600, 1200, "png"),
    *[(4000, 3000, "jpg")] * 3,
    (4000, 3000, "png"),
    (6000, 4000, "jpg"),
    (6000, 4000, "png"),
]


def draw(width: int, height: int) -> Image.Image:
    """Return gradients with noise."""
    y, x = np.mgrid[:height, :width]
    gradients = np.stack([255 * x // width, 255 * y // height, (x + y) // 40 % 256], axis=-1)
    noise = np.random.default_rng(0).integers(-8, 9, (height, width, 1))
    return Image.fromarray((gradients + noise).clip(0, 255).astype(np.uint8))


def create_photos(folder: Path, count: int) -> None:
    """Write every size once, and link the photos to it."""
    originals = folder / "originals"
    originals.mkdir(parents=True)
    (folder / "photos").mkdir()
    for width, height, suffix in dict.fromkeys(SIZES):
        draw(width, height).save(originals / f"{width}.{suffix}", quality=90, compress_level=1)
    for number, (width, _, suffix) in enumerate(itertools.islice(itertools.cycle(SIZES), count)):
        (folder / "photos" / f"{number}.{suffix}").hardlink_to(originals / f"{width}.{suffix}")


def peak_memory(*command: str) -> int:
    """Run a command; return the bytes of its highest resident size.

    Raises:
        CalledProcessError: it fails.
    """
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss * 1024


def main() -> None:
    """Print the peak memory for masks and for cut-outs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--cutouts", type=int, default=200)
    args = parser.parse_args()
    for kind, count in (("mask", args.photos), ("cutout", args.cutouts)):
        with tempfile.TemporaryDirectory() as name:
            # A child's peak includes the memory of the process that starts it, so this one stays small.
            with ProcessPoolExecutor(1) as pool:
                pool.submit(create_photos, Path(name), count).result()
            command = (PETSEG, "predict", f"{name}/photos", "--out", f"{name}/out", "--kind", kind)
            start = time.perf_counter()
            peak = peak_memory(*command, "--model", str(args.model.absolute()))
            seconds = time.perf_counter() - start
        print(
            f"{count:,} photos, {kind}: at most {peak / 1e6:,.0f} MB in {seconds:,.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
