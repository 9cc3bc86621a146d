"""Time one photo: from Python with the model in memory, and from the shell with everything it starts.

    python benchmarks/single_photo.py data/export/model.onnx photo.jpg another.jpg

In memory, it is `Segmenter.mask` on the photos in turn. From the shell, it is `petseg predict` of the
first photo. What that consists of is timed in processes of their own: Python's start and the imports,
loading the model, predicting, and encoding and writing the mask.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from nothing_changed import ROOT, run
from predict_speed import PETSEG

from petseg.inference.segmenter import Segmenter

PARTS = """
import sys, time
from pathlib import Path
import flows.cli.app, flows.cli.predict
from petseg.prediction import batch, outputs, results, sources
from petseg.inference.segmenter import Segmenter
marks = [time.time()]
segmenter = Segmenter.load(sys.argv[1])
marks.append(time.time())
prediction = segmenter.predict(sys.argv[2])
prediction.mask()
marks.append(time.time())
origin = outputs.Origin(segmenter.engine.sha256, segmenter.metadata.threshold)
Path(sys.argv[3]).write_bytes(outputs.encode(prediction, "mask", "png", origin))
marks.append(time.time())
print(*marks)
"""
NAMES = ("start and imports", "load the model", "predict", "encode and write")


def times_in_memory(model: Path, paths: list[Path], rounds: int) -> list[float]:
    """Return the seconds that `Segmenter.mask` takes for every photo in every round."""
    segmenter = Segmenter.load(model)
    segmenter.mask(paths[0])
    seconds = []
    for _ in range(rounds):
        for path in paths:
            start = time.perf_counter()
            segmenter.mask(path)
            seconds.append(time.perf_counter() - start)
    return seconds


def times_of_parts(model: Path, photo: Path, target: Path) -> list[float]:
    """Return the seconds of each of `NAMES` in a new process."""
    command = [sys.executable, "-c", PARTS, str(model), str(photo), str(target)]
    start = time.time()
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    marks = [start, *map(float, process.stdout.split())]
    return np.diff(marks).tolist()


def main() -> None:
    """Print the percentiles in memory, and the medians from the shell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    model, paths = args.model.absolute(), [path.absolute() for path in args.photo]
    milliseconds = [1000 * t for t in times_in_memory(model, paths, args.rounds)]
    median, high = np.percentile(milliseconds, [50, 95])
    print(f"in memory, {len(milliseconds)} calls: p50 {median:.1f} ms, p95 {high:.1f} ms")
    shell, parts = [], []
    with tempfile.TemporaryDirectory() as folder:
        command = (PETSEG, "predict", str(paths[0]), "--model", str(model), "--out", folder)
        for _ in range(args.rounds):
            shell.append(run(ROOT, *command, "--overwrite", stderr=subprocess.DEVNULL))
            parts.append(times_of_parts(model, paths[0], Path(folder) / "mask.png"))
    print(f"from the shell: {statistics.median(shell):.2f} s (median of {args.rounds})")
    for name, seconds in zip(NAMES, zip(*parts, strict=True), strict=True):
        print(f"  {name:18} {1000 * statistics.median(seconds):5.0f} ms")


if __name__ == "__main__":
    main()
