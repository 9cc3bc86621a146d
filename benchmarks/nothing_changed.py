"""Time `dvc repro` with nothing changed, here and in a bare DVC repo of as many `echo` stages.

    python benchmarks/nothing_changed.py [--runs 7]

The two take turns, and the ratio of their medians counts. Run `make run` first.
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

from petseg import params

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


def create_bare_repo(folder: Path) -> None:
    """Create a DVC repo of as many stages as here, of which each reads the output of the one before."""
    stages = ["stages:"]
    for number in range(len(params.read_yaml(ROOT / "dvc.yaml")["stages"])):
        deps = f"    deps: [{number - 1}.txt]\n" if number else ""
        stages.append(
            f"  s{number}:\n    cmd: echo {number} > {number}.txt\n{deps}    outs: [{number}.txt]"
        )
    (folder / "dvc.yaml").write_text("\n".join(stages) + "\n")
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "config", "core.analytics", "false")
    run(folder, "dvc", "repro")


def main() -> None:
    """Print the two medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        create_bare_repo(Path(name))
        pairs = [(run(ROOT, "dvc", "repro"), run(Path(name), "dvc", "repro")) for _ in range(runs)]
    project, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"dvc repro, nothing changed: {project:.2f} s; bare: {bare:.2f} s; "
        f"ratio {project / bare:.2f} (medians of {runs})"
    )


if __name__ == "__main__":
    main()
