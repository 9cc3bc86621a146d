"""Times what evaluate does beyond the network's own predictions, and the report; weighs the page.

    .venv/bin/python benchmarks/evaluation_cost.py --rounds 3

Run in a checkout in which `dvc repro` has been: its arrays, model and predictions are read, and
everything is written to a temporary folder.
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
    began = time.perf_counter()
    call(*arguments)  # type: ignore[operator]
    return time.perf_counter() - began


def main() -> None:
    """Time predictions, numbers and report in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    asked = parser.parse_args()
    backend.start(seed=0)
    from petseg.model import keras_file

    model, facts = keras_file.load(DATA / "model/model.keras")
    test = arrays.load(DATA / "arrays/test")
    source = files.read_json(DATA / "raw/source.json")
    seconds: dict[str, list[float]] = {"predicting": [], "numbers": [], "report": []}
    with tempfile.TemporaryDirectory() as name:
        reports, target = Path(name) / "reports", Path(name) / "probabilities.npy"
        reports.mkdir()
        (reports / "history.csv").write_bytes((DATA / "model/history.csv").read_bytes())
        folders = [DATA / "arrays", DATA / "model", name, reports]
        command = [sys.executable, "-m", "stages.report", *map(str, folders)]
        for _ in range(asked.rounds):
            seconds["predicting"].append(
                timed(segmenter.predict, model, test, asked.batch_size, target)
            )
            found = np.load(target, mmap_mode="r", allow_pickle=False)
            known = (reports, DATA / "arrays", test, found, facts, source)
            seconds["numbers"].append(timed(tables.write_reports, *known))
            seconds["report"].append(timed(subprocess.check_call, command))
        page = (reports / "report.html").stat().st_size
    print(f"{len(test):,} photos at {test.size} pixels, medians of {asked.rounds} rounds")
    for part, each in seconds.items():
        print(f"{part:<12}{statistics.median(each):6.1f} s   {min(each):.1f} to {max(each):.1f}")
    print(f"page        {page / 1e6:6.2f} MB")


if __name__ == "__main__":
    main()
