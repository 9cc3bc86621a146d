"""Time `dvc repro` with nothing changed against a bare DVC repo of five `true` stages.

    python benchmarks/nothing_changed.py [--runs 7]

Both are run in turn; the ratio of the medians is what counts. Run `make run` before.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}


def run(folder: Path, *command: str, **options: Any) -> float:
    """Run a command and return its wall time in seconds."""
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, **options
    )
    return time.perf_counter() - started


def bare(folder: Path) -> None:
    """Make a DVC repo of five stages that do nothing, each after the one before."""
    stages = ["stages:"]
    for number in range(5):
        needs = f"    deps: [{number - 1}.txt]\n" if number else ""
        stages.append(
            f"  s{number}:\n    cmd: echo {number} > {number}.txt\n{needs}    outs: [{number}.txt]"
        )
    (folder / "dvc.yaml").write_text("\n".join(stages) + "\n")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "config", "core.analytics", "false")
    run(folder, "dvc", "repro")


def main() -> None:
    """Print each side's median and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        bare(Path(name))
        pairs = [(run(ROOT, "dvc", "repro"), run(Path(name), "dvc", "repro")) for _ in range(runs)]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"dvc repro, nothing changed: {ours:.2f} s; bare: {theirs:.2f} s; ratio {ours / theirs:.2f} (medians of {runs})"
    )


if __name__ == "__main__":
    main()
