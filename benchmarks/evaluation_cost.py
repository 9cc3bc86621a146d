"""Times the parts of evaluate (predictions and numbers) and the report, and weighs the page.

    .venv/bin/python benchmarks/evaluation_cost.py --rounds 3

Run it in a checkout after `dvc repro`, whose arrays and model it reads. It writes to a temporary
folder only.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from petseg import files
from petseg.data import arrays
from petseg.evaluation import tables
from petseg.inference import segmenter
from petseg.model import backend

sys.path.insert(0, str(Path(__file__).parent.parent))

DATA = Path("data")


def timed(call: object, *arguments: object) -> float:
    """Return how long a call takes, seconds."""
    start = time.perf_counter()
    call(*arguments)  # type: ignore[operator]
    return time.perf_counter() - start


def main() -> None:
    """Time predictions, numbers and report in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    backend.start(seed=0)
    from petseg.model import keras_file

    model, metadata = keras_file.load(DATA / "model/model.keras")
    test = arrays.load(DATA / "arrays/test")
    source = files.read_json(DATA / "raw/source.json")
    seconds: dict[str, list[float]] = {"predicting": [], "numbers": [], "report": []}
    with tempfile.TemporaryDirectory() as name:
        reports, target = Path(name) / "reports", Path(name) / "probabilities.npy"
        reports.mkdir()
        (reports / "history.csv").write_bytes((DATA / "model/history.csv").read_bytes())
        folders = [DATA / "arrays", DATA / "model", name, reports]
        command = [sys.executable, "-m", "stages.report", *map(str, folders)]
        for _ in range(args.rounds):
            seconds["predicting"].append(
                timed(segmenter.predict, model, test, args.batch_size, target)
            )
            probabilities = np.load(target, mmap_mode="r", allow_pickle=False)
            inputs = (reports, DATA / "arrays", test, probabilities, metadata, source)
            seconds["numbers"].append(timed(tables.write_reports, *inputs))
            seconds["report"].append(timed(subprocess.check_call, command))
        page = (reports / "report.html").stat().st_size
    print(f"{len(test):,} photos at {test.size} pixels, medians of {args.rounds} rounds")
    for part, times in seconds.items():
        print(f"{part:<12}{statistics.median(times):6.1f} s   {min(times):.1f} to {max(times):.1f}")
    print(f"page        {page / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
