"""Compare the speed of download and preprocess on a team's own folder with that on archives.

    python benchmarks/own_photos.py [--photos 5000] [--size 128] [--rounds 3]

The same small photos, 120 x 90 pixels and no two alike, and the same masks lie in a folder and in
two archives. Every round runs both stages on the folder and then on the archives, each stage in a
process of its own, whose start counts. It prints the medians of photos per second, their ratio
(at least 0.8 is wanted) and the peak memory of all processes in total (at most 600 MB is wanted),
sampled twenty times a second as PSS, where shared pages count once.
"""

import argparse
import io
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from many_photos import PREPROCESS, annotations, names, run_stage
from PIL import Image

from petseg.data import archives
from petseg.data.archives import File

PARAMS = f"recipe: own_photos\ndownload: DOWNLOAD\n{PREPROCESS}"
DOWNLOADS = {
    "folder": "{source: folder, masks: trimap}",
    "archives": "{source: archives, mirrors: [MIRROR], sha256: {images: null, annotations: null}}",
}
PER_FOLDER = 1_000  # photos in one folder of the team's


def photos(count: int) -> Iterator[File]:
    """Yield photos of 12 x 9 coloured fields."""
    for number, name in enumerate(names(count)):
        fields = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(fields).resize((120, 90)).save(buffer, "JPEG")
        yield archives.photo_path(name), buffer.getvalue()


def write_photos(folder: Path, count: int) -> None:
    """Write the archives to `folder`/mirror, and the same photos and masks to `folder`/own."""
    (folder / "mirror").mkdir()
    images, masks = folder / "mirror" / archives.IMAGES, folder / "mirror" / archives.ANNOTATIONS
    archives.write(images, photos(count))
    archives.write(masks, annotations(count))
    unpack(images, folder / "own/images", ".jpg")
    unpack(masks, folder / "own/masks", ".png")


def unpack(archive: Path, target: Path, suffix: str) -> None:
    """Write the files of an archive with a suffix to numbered folders in `target`."""
    for number, (name, data) in enumerate(
        archives.read_members(archive, lambda name: name.endswith(suffix))
    ):
        path = target / f"site{number // PER_FOLDER}" / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def measure(folder: Path, source: str, size: int) -> tuple[int, float]:
    """Run both stages on a source; return the peak memory in bytes and the seconds of both."""
    download = DOWNLOADS[source].replace("MIRROR", str(folder / "mirror"))
    params = PARAMS.replace("DOWNLOAD", download).replace("SIZE", str(size))
    with tempfile.TemporaryDirectory(dir=folder) as work:
        (Path(work) / "params.yaml").write_text(params)
        (Path(work) / "labels.csv").write_text("name,action,reason,who\n")
        runs = [
            run_stage(Path(work), "download", str(folder / "own"), "raw", "downloads"),
            run_stage(Path(work), "preprocess", "raw", "labels", "arrays"),
        ]
    peaks, seconds = zip(*runs, strict=True)
    return max(peaks), sum(seconds)


def main() -> None:
    """Print the speed and the memory of both sources, and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=5_000)
    parser.add_argument(
        "--size", type=int, default=128, help="width and height of the arrays in pixels"
    )
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_photos(Path(name), args.photos)
        rounds = [
            [measure(Path(name), source, args.size) for source in DOWNLOADS]
            for _ in range(args.rounds)
        ]
    rates = []
    for source, runs in zip(DOWNLOADS, zip(*rounds, strict=True), strict=True):
        rates.append(args.photos / statistics.median(seconds for _, seconds in runs))
        peak = max(peak for peak, _ in runs) / 1e6
        print(f"{source:8} {rates[-1]:6,.0f} photos/s, at most {peak:,.0f} MB")
    print(f"the folder is {rates[0] / rates[1]:.2f} times as fast as the archives")


if __name__ == "__main__":
    main()
