"""Train on a part of the photos, and draw how the test IoU grows with their number.

    .venv/bin/python benchmarks/learning_curve.py data/arrays data/curve --recipe oxford-fast \
        --shares 0.125 0.25 0.5 1 --seeds 1 2 3 --plot docs/learning-curve.svg

A smaller part lies within every larger one, and each is trained for about as many steps, so with more
epochs, and without early stopping. Validation and test photos are the same; `preprocess.mode` may be
squash or pad. Each finished training adds a line to results.csv in the second folder and is not
repeated by a later run. The IoU has the border as foreground; its interval is a bootstrap over the
test photos, of the mean over the seeds.
"""

import argparse
import math
import shutil
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from options import add_result, read_results, read_sections, train
from tabulate import tabulate

from petseg import files
from petseg.data import arrays, examples
from petseg.data.arrays import Split
from petseg.evaluation import bootstrap, metrics
from petseg.inference import keras_engine, masks
from petseg.model import keras_file
from petseg.training import batches

COLUMNS = ("share", "photos", "epochs", "seed", "iou")
BATCH = 16


def part_of(source: Path, folder: Path, share: float) -> int:
    """Write arrays with a share of the training photos; return how many these are.

    Every share takes the first photos of one random order, in the order of the arrays.
    """
    split = arrays.load(source / "train")
    if split.frame.mode == "tiles":
        sys.exit(f"{source} has photos of their own size; preprocess.mode may be squash or pad")
    order = np.random.default_rng(0).permutation(len(split))
    rows = np.sort(order[: max(1, round(share * len(order)))])
    if not folder.exists():
        with files.atomic_folder(folder) as partial:
            (partial / "train").mkdir()
            for name, pictures in ((arrays.PHOTOS, split.photos), (arrays.TRIMAPS, split.trimaps)):
                np.save(partial / "train" / name, np.asarray(pictures)[rows])
            index = [split.index[row] for row in rows]
            files.write_rows(partial / "train" / arrays.INDEX, arrays.Photo, index)
            shutil.copy(source / "train" / arrays.FRAME, partial / "train")
            (partial / "val").symlink_to(source / "val")
    return len(rows)


def test_overlaps(file: Path, test: Split) -> np.ndarray:
    """Return each test photo's intersection and union of a model's mask and the truth, (n, 2)."""
    model, metadata = keras_file.load(file)
    counts = [
        metrics.count(trimaps, masks.mask(keras_engine.levels(model, photos), metadata.threshold))
        for photos, trimaps in batches.val_batches(examples.of_split(test), BATCH)
    ]
    cells = metrics.confusion(np.concatenate(counts), "foreground")
    return np.column_stack([cells.tp, cells.tp + cells.fp + cells.fn])


def mean_iou(sums: np.ndarray) -> np.ndarray:
    """Return the mean over the seeds of the IoU, from columns of intersection and union by turns."""
    return np.asarray((sums[:, ::2] / sums[:, 1::2]).mean(axis=1))


def summary(
    work: Path, rows: list[dict[str, str]]
) -> list[tuple[int, int, float, float, float, float]]:
    """Return photos, seeds, mean, deviation over the seeds, and the interval's ends for every share."""
    result = []
    for share in sorted({float(row["share"]) for row in rows}):
        trainings = [row for row in rows if float(row["share"]) == share]
        ious = [float(row["iou"]) for row in trainings]
        columns = np.concatenate(
            [np.load(work / f"{share:g}-{row['seed']}.npy") for row in trainings], axis=1
        ).astype(np.float64)
        resampled = bootstrap.resampled_sums(columns, np.random.default_rng(bootstrap.SEED))
        low, high = bootstrap.interval(mean_iou(resampled))
        deviation = float(np.std(ious, ddof=1)) if len(ious) > 1 else math.nan
        result.append(
            (int(trainings[0]["photos"]), len(ious), float(np.mean(ious)), deviation, low, high)
        )
    return result


def draw(points: list[tuple[int, int, float, float, float, float]], file: Path) -> None:
    """Draw the mean IoU and its interval by the number of photos, with a logarithmic axis."""
    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axis = figure.subplots()
    photos, _, means, _, low, high = (np.array(column) for column in zip(*points, strict=True))
    axis.errorbar(photos, means, [means - low, high - means], fmt="o-", capsize=3, color="#1f77b4")
    axis.set_xscale("log", base=2)
    axis.set_xticks(photos, [f"{count:,}" for count in photos])
    axis.minorticks_off()
    axis.set(xlabel="training photos", ylabel="test IoU, 95 % interval")
    axis.grid(alpha=0.3)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main() -> None:
    """Train what is not in results.csv yet, print the table, and draw the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path, help="folder with train/, val/ and test/")
    parser.add_argument("work", type=Path, help="folder for results.csv and the trainings")
    parser.add_argument(
        "--recipe", help="recipe to train with; by default the parameters in params.yaml"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.125, 0.25, 0.5, 1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--plot", type=Path, help="SVG or PNG to draw")
    args = parser.parse_args()
    if wrong := [share for share in args.shares if not 0 < share <= 1]:
        parser.error(f"--shares {wrong[0]:g}: a share is above 0 and at most 1")
    source, work = args.arrays.absolute(), args.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    sections = read_sections(args.recipe)
    results, test = work / "results.csv", arrays.load(source / "test")
    for seed in args.seeds:
        for share in args.shares:
            rows = read_results(results)
            if any((float(row["share"]), row["seed"]) == (share, str(seed)) for row in rows):
                continue
            photos = part_of(source, work / f"arrays-{share:g}", share)
            epochs = round(sections["train"]["epochs"] / share)
            folder = work / f"{share:g}-{seed}"
            changes = {"epochs": epochs, "patience": 0, "seed": seed}
            train(work / f"arrays-{share:g}", folder, sections, changes)
            overlaps = test_overlaps(folder / "model/model.keras", test)
            np.save(work / f"{share:g}-{seed}.npy", overlaps)
            iou = overlaps[:, 0].sum() / overlaps[:, 1].sum()
            add_result(results, COLUMNS, (share, photos, epochs, seed, round(float(iou), 4)))
    points = summary(work, read_results(results))
    lines = [
        (
            f"{photos:,}",
            seeds,
            f"{mean:.4f}",
            "" if seeds == 1 else f"{deviation:.4f}",
            f"{low:.4f}–{high:.4f}",
        )
        for photos, seeds, mean, deviation, low, high in points
    ]
    headers = ("training photos", "seeds", "test IoU", "deviation", "95 % interval")
    print(tabulate(lines, headers, tablefmt="github", disable_numparse=True))
    if args.plot:
        draw(points, args.plot)


if __name__ == "__main__":
    main()
