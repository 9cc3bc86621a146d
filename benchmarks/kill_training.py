"""Kill one training many times at random moments, and compare its results with a training left alone.

    .venv/bin/python benchmarks/kill_training.py --kills 20 --seed 1

Trains the recipe in use from data/arrays in a temporary folder, once without a kill and once with
SIGKILL after times drawn evenly from 0 to 25 s, which spans a start and two epochs. Prints whether
model, history and snapshots are the same bytes, and exits with 1 if not.
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
MAX_DELAY = 25.0  # seconds until a kill


def train(folder: Path, name: str, seconds: float | None) -> bool:
    """Train into a folder; return whether it finished within the seconds."""
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
    """Train without and with kills, and compare the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the random times of the kills")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "params.yaml", folder)
        started = time.perf_counter()
        assert train(folder, "undisturbed", None)
        undisturbed_seconds = time.perf_counter() - started
        kills, started = 0, time.perf_counter()
        while kills < args.kills and not train(folder, "killed", rng.uniform(0, MAX_DELAY)):
            kills += 1
        if kills == args.kills:
            assert train(folder, "killed", None)
        killed_seconds = time.perf_counter() - started
        equal = all(
            (folder / "undisturbed/model" / output).read_bytes()
            == (folder / "killed/model" / output).read_bytes()
            for output in OUTPUTS
        )
    print(
        f"{kills} kills, {killed_seconds:.0f} s, compared with {undisturbed_seconds:.0f} s without: "
        f"{'the same bytes' if equal else 'DIFFERENT'}"
    )
    sys.exit(not equal)


if __name__ == "__main__":
    main()
