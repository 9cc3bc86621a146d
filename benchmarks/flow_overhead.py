"""Time what the flow's commands add to those of DVC, on a pipeline in which nothing changed.

    python benchmarks/flow_overhead.py [--rounds 7]

Needs a Prefect server (PREFECT_API_URL) and a pipeline that has run. A round runs every command once:

    petseg run      compared with `dvc repro`: the difference of the medians counts
    petseg plan     compared with `dvc status`: the ratio of the medians counts
    petseg --help   its median counts
"""

import argparse
import os
import statistics
import subprocess

from nothing_changed import ROOT, run

COMMANDS = ("petseg run", "dvc repro", "petseg plan", "dvc status", "petseg --help")


def main() -> None:
    """Print the medians, their difference and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    if not os.environ.get("PREFECT_API_URL"):
        parser.error("set PREFECT_API_URL to a running server: `prefect server start`")
    seconds = [
        [run(ROOT, *command.split(), stderr=subprocess.DEVNULL) for command in COMMANDS]
        for _ in range(rounds)
    ]
    medians = dict(zip(COMMANDS, map(statistics.median, zip(*seconds, strict=True)), strict=True))
    for command, median in medians.items():
        print(f"{command:14} {median:5.2f} s (median of {rounds})")
    print(f"run − repro: {medians['petseg run'] - medians['dvc repro']:.2f} s")
    print(f"plan ÷ status: {medians['petseg plan'] / medians['dvc status']:.2f}")


if __name__ == "__main__":
    main()
