"""How much the metrics differ between trainings that differ in their seed alone."""

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from flows.workspace import commits, lock, plan, processes
from petseg import files, params, progress
from petseg.errors import UserError
from petseg.evaluation import metrics
from petseg.review import paired_bootstrap, results
from petseg.review.results import Results

LOG = processes.LOGS / "seeds.log"
DATA = ("data/raw", "data/arrays")
Run = dict[str, Any]  # one training: its seed, its metrics, and the IoU of every slice


def measure(count: int, announce: Callable[[str], None]) -> str:
    """Train with further seeds until there are `count` trainings; return a summary.

    The results in the working tree are the first training, with the recipe's own seed. Every
    finished training is written to reports/seeds/RECIPE.json, so that a later call continues there.

    Args:
        count: how many trainings there are to be in all, at least 2.
        announce: called with a line whenever another run in this checkout is waited for.

    Raises:
        UserError: the results are not up to date, or a stage fails.
    """
    if count < 2:
        raise UserError(f"-n is {count}: a spread needs at least 2 trainings")
    with lock.exclusive(announce):
        if stale := [row.stage for row in plan.read() if row.state != plan.StageState.UNCHANGED]:
            raise UserError(
                f"the results here are not up to date ({', '.join(stale)}): run `dvc repro` first"
            )
        current = commits.read(None)
        recorded = recorded_runs(current)
        runs = recorded or [as_run(current.sections["train"]["seed"], current)]
        path = Path(results.seeds_path(current.recipe))
        path.parent.mkdir(exist_ok=True)
        if current.seeds and not recorded:
            announce(f"{path} is of other code, data or parameters: new trainings will replace it")
        with progress.bar("seeds", count, " trainings", initial=len(runs)) as bar:
            for seed in unused_seeds(runs):
                if len(runs) >= count:
                    break
                run = train_with_seed(current, seed, lambda line: bar.set_postfix_str(line[:50]))
                runs = [*runs, run]
                write(path, current, runs)
                bar.update()
    return f"{path}: {len(runs)} trainings of {current.recipe}\n{spread_table(runs)}"


def spread_table(runs: list[Run]) -> str:
    """Return mean and standard deviation of every metric over the trainings."""
    rows = [
        (name, f"{statistics.mean(values):.4f}", f"{statistics.stdev(values):.4f}")
        for name in runs[0]["metrics"]
        if (values := [run["metrics"][name] for run in runs])
    ]
    header = ("metric", "mean", "deviation")
    table: str = tabulate(rows, header, tablefmt="plain", disable_numparse=True)
    return table


def recorded_runs(current: Results) -> list[Run]:
    """Return the trainings so far; none if code, data or parameters have changed since."""
    is_same = current.seeds.get("trained_from") == results.trained_from(current.stages)
    return list(current.seeds["runs"]) if is_same else []


def unused_seeds(runs: list[Run]) -> Iterator[int]:
    """Yield the seeds that follow the highest one used, without end."""
    seed = max(run["seed"] for run in runs)
    while True:
        seed += 1
        yield seed


def write(path: Path, current: Results, runs: list[Run]) -> None:
    """Write the trainings, with a digest of the code, data and parameters that they share."""
    trained_from = results.trained_from(current.stages)
    files.write_json(path, {"recipe": current.recipe, "trained_from": trained_from, "runs": runs})


def as_run(seed: int, measured: Results) -> Run:
    """Return the numbers of one training: its metrics, and the IoU of every slice."""
    slices = {
        key: round(metrics.dataset_iou(results.counts_of(measured, names)), 4)
        for key, names in results.slices(measured).items()
    }
    return {"seed": seed, "metrics": measured.metrics, "slices": slices}


def train_with_seed(current: Results, seed: int, follow: Callable[[str], None]) -> Run:
    """Train and evaluate with another seed in a temporary folder; return the numbers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train = current.sections["train"] | {"seed": seed}
        document = {"recipe": current.recipe, **current.sections, "train": train}
        files.write_text(folder / params.FILE, params.to_yaml(document))
        raw, arrays = (str(Path(path).absolute()) for path in DATA)
        run_stage(folder, follow, "train", arrays, "model", "train.csv", "state", "origins")
        run_stage(folder, follow, "export", arrays, "model", "export", "predictions")
        folders = ("model", "export", "predictions", "reports")
        run_stage(folder, follow, "evaluate", raw, arrays, *folders)
        measured = results.read(f"seed {seed}", "", commits.files_below(folder))
        return as_run(seed, measured) | {"photo_deviation": photo_deviation(current, measured)}


def photo_deviation(first: Results, measured: Results) -> dict[str, float]:
    """Return by how much each metric's difference of two trainings varies over other photos.

    It is the standard deviation that the paired bootstrap has; `petseg power` plans with it.
    """
    sides = results.common_measurements(first, measured, measured.test)
    samples = paired_bootstrap.differences(*sides)
    return {name: round(float(np.std(column)), 6) for name, column in samples.items()}


def run_stage(folder: Path, follow: Callable[[str], None], stage: str, *arguments: str) -> None:
    """Run a stage in a folder with its own params.yaml; `follow` is called with each of its lines.

    Raises:
        UserError: it fails; the text is its last line.
    """
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    extra = lock.stage_environment(stage) | {"PYTHONPATH": str(Path.cwd())}
    last = ""
    with processes.running(command, LOG, extra, folder) as process:
        for last in processes.lines(process, LOG):
            follow(last)
    if process.returncode:
        raise UserError(f"{stage} failed: {last} (its whole output: {LOG})")
