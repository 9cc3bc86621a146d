"""Kills one training again and again at random moments, and compares what comes of it.

    .venv/bin/python benchmarks/kill_training.py --kills 20 --seed 1

Trains the active recipe from data/arrays in a folder of its own, once without a kill and once
with SIGKILL at moments drawn evenly over a start and two epochs, and says whether model, history
and snapshots are the same bytes.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUTPUTS = ("model.keras", "history.csv", "snapshots.npz")
LONGEST = 25.0  # seconds until a kill


def train(folder: Path, name: str, seconds: float | None) -> bool:
    """Train into a folder; return whether it came to its end within the seconds."""
    command = [sys.executable, "-m", "stages.train", str(ROOT / "data/arrays")]
    outputs = (f"{name}/model", f"{name}/times.csv", f"{name}/state", f"{name}/origins")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, *outputs], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def main() -> None:
    """Train with and without kills and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    asked = parser.parse_args()
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "params.yaml", folder)
        started = time.perf_counter()
        assert train(folder, "whole", None)
        alone = time.perf_counter() - started
        kills, started = 0, time.perf_counter()
        while kills < asked.kills and not train(folder, "killed", moments.uniform(0, LONGEST)):
            kills += 1
        if kills == asked.kills:
            assert train(folder, "killed", None)
        together = time.perf_counter() - started
        same = all(
            (folder / "whole/model" / output).read_bytes()
            == (folder / "killed/model" / output).read_bytes()
            for output in OUTPUTS
        )
    print(
        f"{kills} kills, {together:.0f} s against {alone:.0f} s without: "
        f"{'the same bytes' if same else 'DIFFERENT'}"
    )
    sys.exit(not same)


if __name__ == "__main__":
    main()
