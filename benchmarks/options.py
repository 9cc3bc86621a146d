"""Compares choices of a recipe's training by validation IoU, over seeds: what earns its place.

    .venv/bin/python benchmarks/options.py data/arrays data/options --recipe oxford-best \
        --seeds 1 2 3 --try "as it is" --try "no crop: crop=1" --try "bce: loss=bce"

Every choice is NAME: KEY=VALUE … of the recipe's train section, and trained once a seed, in turn,
by the train stage itself in a folder of its own. What tells them apart is the validation IoU of the
model written, as it predicts: with its threshold, and its mirror average if it has one. Each training
done adds a line to results.csv in the second folder; what is there is not trained again, and what was
killed goes on. The test split is not opened.
"""

import argparse
import csv
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from tabulate import tabulate

from flows import seeds
from petseg import files, params
from petseg.data import arrays, labels
from petseg.evaluation import thresholds
from petseg.inference import segmenter
from petseg.model import keras_file
from petseg.training import batches

ROOT = Path(__file__).parent.parent

sys.path.insert(0, str(ROOT))

COLUMNS = ("choice", "seed", "val_iou", "epoch", "minutes")


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Return a choice's name, and what it changes."""
    name, _, changes = text.partition(":")
    pairs = (pair.split("=", 1) for pair in changes.split())
    return name.strip(), {key: YAML(typ="safe").load(value) for key, value in pairs}


def train(
    data: Path, folder: Path, sections: dict[str, Any], changes: dict[str, Any]
) -> tuple[float, int, float]:
    """Train in a folder; return the validation IoU, the epoch kept, and the minutes it took.

    Raises:
        SystemExit: a change names no parameter.
        UserError: the stage fails.
    """
    sections = json.loads(json.dumps(sections))  # a copy to edit
    if wrong := changes.keys() - sections["train"].keys():
        sys.exit(f"unknown in train: {', '.join(wrong)}")
    sections["train"].update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / params.FILE).open("w") as file:
        YAML().dump({"recipe": "tried", "recipes": {"tried": sections}}, file)
    seeds.run_stage(folder, follow, "train", str(data), "model", "train.csv", "state", "origins")
    times = files.read_csv(folder / "train.csv")
    minutes = sum(float(row["seconds"]) for row in times) / 60
    return *validated(folder / "model/model.keras", arrays.load(data / "val")), round(minutes, 1)


def validated(file: Path, val: arrays.Split) -> tuple[float, int]:
    """Return a model's IoU on a split with the border as pet, and the epoch kept."""
    model, facts = keras_file.load(file)
    counts = np.zeros((len(labels.CLASSES), thresholds.LEVELS), np.int64)
    for photos, trimaps in batches.val_batches(val, 16):
        counts += thresholds.histogram(trimaps, segmenter.probabilities(model, photos))
    level = thresholds.min_level(facts.threshold)
    return round(float(thresholds.iou_by_level(counts, "pet")[level]), 4), facts.epoch


def follow(line: str) -> None:
    """Show a line of a stage."""
    print(f"  {line}", file=sys.stderr, flush=True)


def table(rows: list[dict[str, str]]) -> str:
    """Return mean and standard deviation of every choice over its seeds."""
    found = []
    for name in dict.fromkeys(row["choice"] for row in rows):
        mine = [row for row in rows if row["choice"] == name]
        values = [float(row["val_iou"]) for row in mine]
        spread = f"{statistics.stdev(values):.4f}" if len(values) > 1 else ""
        minutes = statistics.mean(float(row["minutes"]) for row in mine)
        found.append((name, len(mine), f"{statistics.mean(values):.4f}", spread, f"{minutes:.1f}"))
    headers = ("choice", "seeds", "validation IoU", "deviation", "minutes")
    text: str = tabulate(found, headers, tablefmt="github", disable_numparse=True)
    return text


def main() -> None:
    """Train what is missing, and show the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path, help="folder with train/ and val/")
    parser.add_argument("work", type=Path, help="folder for results.csv and the trainings")
    parser.add_argument("--recipe", help="whose parameters are changed; else the active one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--try", dest="choices", action="append", type=parse, required=True)
    asked = parser.parse_args()
    _, sections = params.read_recipe(asked.recipe)
    results = asked.work / "results.csv"
    for seed in asked.seeds:
        for name, changes in asked.choices:
            rows = files.read_csv(results) if results.exists() else []
            if any((row["choice"], row["seed"]) == (name, str(seed)) for row in rows):
                continue
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            folder = asked.work / f"{name.replace(' ', '-')}-{seed}"
            found = train(asked.arrays.absolute(), folder, sections, {**changes, "seed": seed})
            with results.open("a", newline="") as file:
                writer = csv.writer(file)
                if not rows:
                    writer.writerow(COLUMNS)
                writer.writerow((name, seed, *found))
    print(table(files.read_csv(results)))


if __name__ == "__main__":
    main()
