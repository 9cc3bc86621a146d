"""Time what the flow's commands add to DVC's own, over a pipeline in which nothing changed.

    python benchmarks/flow_overhead.py [--rounds 7]

Needs a Prefect server (PREFECT_API_URL) and a pipeline that has run. Every round runs in turn:

    petseg run      against `dvc repro`: the difference of the medians counts
    petseg plan     against `dvc status`: the ratio of the medians counts
    petseg --help   its median counts
"""

import argparse
import os
import statistics
import subprocess

from nothing_changed import ROOT, run

COMMANDS = ("petseg run", "dvc repro", "petseg plan", "dvc status", "petseg --help")


def main() -> None:
    """Print the medians and what they come to."""
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
    middle = dict(zip(COMMANDS, map(statistics.median, zip(*seconds, strict=True)), strict=True))
    for command, median in middle.items():
        print(f"{command:14} {median:5.2f} s (median of {rounds})")
    print(f"run − repro: {middle['petseg run'] - middle['dvc repro']:.2f} s")
    print(f"plan ÷ status: {middle['petseg plan'] / middle['dvc status']:.2f}")


if __name__ == "__main__":
    main()
