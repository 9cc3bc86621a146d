"""Time the parts of export, evaluate and report that grow with the photos, and weigh the page.

    .venv/bin/python benchmarks/evaluation_cost.py --rounds 3

Run it in a checkout after `dvc repro`, whose data it reads; --data names another folder with the same
contents. It writes to a temporary folder only.

predicting   the exported network on the test split
full size    the masks at the photos' own size against their trimaps; a part of the numbers
numbers      all that evaluate writes
report       the stage, with its start
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from nothing_changed import ROOT

from petseg.data import arrays
from petseg.evaluation import native, parity, tables
from petseg.inference.onnx_engine import OnnxEngine

OFFICIAL_TEST_PHOTOS = 3669  # of the Oxford-IIIT Pet Dataset


def timed(call: Callable[[], object]) -> float:
    """Return how long a call takes, seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def predict(engine: OnnxEngine, test: arrays.Split, batch_size: int) -> None:
    """Predict the test split and throw the result away."""
    for _ in parity.predict({"onnx": engine.probabilities}, test, batch_size):
        pass


def main() -> None:
    """Time predictions, numbers and report in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of the data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    data: Path = args.data.absolute()
    engine = OnnxEngine(data / "export/model.onnx")
    metadata = engine.metadata
    test = arrays.load(data / "arrays/test")
    probabilities = np.load(data / "predictions/probabilities.npy", mmap_mode="r")
    raw, folder = data / "raw", data / "arrays"
    with tempfile.TemporaryDirectory() as name:
        reports = Path(name)
        shutil.copyfile(data / "model/history.csv", reports / "history.csv")
        shutil.copyfile(data / "export/parity.csv", reports / "export.csv")
        inputs = [folder, data / "model", data / "predictions", reports]
        command = [sys.executable, "-m", "stages.report", *map(str, inputs)]
        bad_iou = 0.8  # any value costs the same
        parts: dict[str, Callable[[], object]] = {
            "predicting": partial(predict, engine, test, args.batch_size),
            "full size": partial(native.overlaps, raw, test.index, probabilities, metadata),
            "numbers": partial(
                tables.write_reports, reports, raw, folder, test, probabilities, metadata, bad_iou
            ),
            "report": partial(subprocess.check_call, command, cwd=ROOT),
        }
        seconds: dict[str, list[float]] = {part: [] for part in parts}
        for _ in range(args.rounds):
            for part, call in parts.items():
                seconds[part].append(timed(call))
        page = (reports / "report.html").stat().st_size
    sides = [(photo.width, photo.height) for photo in test.index]
    width, height = np.median(sides, axis=0)
    print(
        f"{len(test):,} photos, {width:.0f} × {height:.0f} pixels in the median, "
        f"arrays of {test.frame.size} pixels, medians of {args.rounds} rounds"
    )
    for part, times in seconds.items():
        print(f"{part:<12}{statistics.median(times):6.1f} s   {min(times):.1f} to {max(times):.1f}")
    photo = statistics.median(seconds["full size"]) / len(test)
    total = photo * OFFICIAL_TEST_PHOTOS
    print(f"full size: {1000 * photo:.1f} ms a photo, {total:.0f} s for {OFFICIAL_TEST_PHOTOS:,}")
    print(f"page        {page / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
