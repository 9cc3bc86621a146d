"""Compares choices of the parameters of a training by validation IoU, over seeds.

    .venv/bin/python benchmarks/options.py data/arrays data/options --recipe oxford-best \
        --seeds 1 2 3 --try "as it is" --try "no crop: crop=1" --try "bce: loss=bce"

A choice is NAME: KEY=VALUE ... with keys of the section train. Each is trained once per seed, in
turn, by the train stage in a folder of its own. The choices are compared by the validation IoU of the
model that is written, at its threshold. Each finished training adds a line to results.csv in the
second folder and is not repeated by a later run; a killed one is resumed. The test split is not opened.
"""

import argparse
import csv
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from tabulate import tabulate

from flows import seeds
from flows.workspace import recipes
from petseg import files, params
from petseg.data import arrays, examples, labels, quantisation
from petseg.evaluation import thresholds
from petseg.inference import keras_engine
from petseg.model import keras_file
from petseg.training import batches

COLUMNS = ("choice", "seed", "val_iou", "epoch", "minutes")


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a choice and the parameters that it changes."""
    name, _, changes = text.partition(":")
    pairs = (pair.split("=", 1) for pair in changes.split())
    return name.strip(), {key: YAML(typ="safe").load(value) for key, value in pairs}


def train(
    data: Path, folder: Path, sections: dict[str, Any], changes: dict[str, Any]
) -> tuple[float, int, float]:
    """Train in a folder; return the validation IoU, the best epoch, and the minutes it took.

    Raises:
        SystemExit: a change names no parameter.
        UserError: the stage fails.
    """
    if unknown := changes.keys() - sections["train"].keys():
        sys.exit(f"unknown in train: {', '.join(unknown)}")
    document = sections | {"recipe": "tried", "train": sections["train"] | changes}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / params.FILE).open("w") as file:
        YAML().dump(document, file)
    seeds.run_stage(folder, follow, "train", str(data), "model", "train.csv", "state", "origins")
    times = files.read_csv(folder / "train.csv")
    minutes = sum(float(row["seconds"]) for row in times) / 60
    return *validated(folder / "model/model.keras", arrays.load(data / "val")), round(minutes, 1)


def validated(file: Path, val: arrays.Split) -> tuple[float, int]:
    """Return a model's IoU on a split with the border as foreground, and its epoch."""
    model, metadata = keras_file.load(file)
    counts = np.zeros((len(labels.CLASSES), quantisation.LEVELS), np.int64)
    for photos, trimaps in batches.val_batches(examples.of_split(val), 16):
        counts += thresholds.histogram(trimaps, keras_engine.levels(model, photos))
    level = quantisation.min_level(metadata.threshold)
    return round(float(thresholds.iou_by_level(counts, "foreground")[level]), 4), metadata.epoch


def read_sections(recipe: str | None) -> dict[str, Any]:
    """Return the parameters of a recipe by section; without one, those in params.yaml."""
    return recipes.compose(recipes.read(recipe)) if recipe else params.read_yaml(params.FILE)


def read_results(file: Path) -> list[dict[str, str]]:
    """Return a row for each finished training; none if the file is not there yet."""
    return files.read_csv(file) if file.exists() else []


def add_result(file: Path, columns: Sequence[str], row: Sequence[object]) -> None:
    """Append the row of a finished training, after the columns' names if it is the first."""
    is_first = not file.exists()
    with file.open("a", newline="") as table:
        writer = csv.writer(table)
        if is_first:
            writer.writerow(columns)
        writer.writerow(row)


def follow(line: str) -> None:
    """Print a line of a stage."""
    print(f"  {line}", file=sys.stderr, flush=True)


def table(rows: list[dict[str, str]]) -> str:
    """Return mean and standard deviation of every choice over its seeds."""
    summaries = []
    for name in dict.fromkeys(row["choice"] for row in rows):
        trainings = [row for row in rows if row["choice"] == name]
        values = [float(row["val_iou"]) for row in trainings]
        spread = f"{statistics.stdev(values):.4f}" if len(values) > 1 else ""
        minutes = statistics.mean(float(row["minutes"]) for row in trainings)
        mean = f"{statistics.mean(values):.4f}"
        summaries.append((name, len(trainings), mean, spread, f"{minutes:.1f}"))
    headers = ("choice", "seeds", "validation IoU", "deviation", "minutes")
    text: str = tabulate(summaries, headers, tablefmt="github", disable_numparse=True)
    return text


def main() -> None:
    """Train what is not in results.csv yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path, help="folder with train/ and val/")
    parser.add_argument("work", type=Path, help="folder for results.csv and the trainings")
    parser.add_argument(
        "--recipe", help="recipe whose parameters are changed; by default params.yaml as it is"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--try", dest="choices", action="append", type=parse, required=True)
    args = parser.parse_args()
    sections = read_sections(args.recipe)
    results = args.work / "results.csv"
    for seed in args.seeds:
        for name, changes in args.choices:
            rows = read_results(results)
            if any((row["choice"], row["seed"]) == (name, str(seed)) for row in rows):
                continue
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            folder = args.work / f"{name.replace(' ', '-')}-{seed}"
            measured = train(args.arrays.absolute(), folder, sections, {**changes, "seed": seed})
            add_result(results, COLUMNS, (name, seed, *measured))
    print(table(read_results(results)))


if __name__ == "__main__":
    main()
