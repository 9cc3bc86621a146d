"""How far a mere reseed moves the metrics: the active recipe trained again with other seeds."""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tabulate import tabulate

from flows.workspace import commits, lock, plan, processes
from petseg import files, params, progress
from petseg.errors import UserError
from petseg.evaluation import metrics
from petseg.review import results

LOG = processes.LOGS / "seeds.log"
DATA = ("data/raw", "data/arrays")


def measure(count: int, announce: Callable[[str], None]) -> str:
    """Bring the active recipe's repetitions to `count`; return where they are, and their spread.

    The result that is here is the first, with the recipe's own seed. Each one is written to
    reports/seeds/RECIPE.json when it is done, so that what is stopped goes on where it was.

    Raises:
        UserError: the results here are not of this code and these parameters, or a stage fails.
    """
    if count < 2:
        raise UserError(f"-n is {count}: it takes at least 2 trainings to see a spread")
    with lock.exclusive(announce):
        if stale := [row.stage for row in plan.read() if row.state != plan.StageState.UNCHANGED]:
            raise UserError(
                f"the results here are not up to date ({', '.join(stale)}): run `dvc repro` first"
            )
        here = commits.read(None)
        runs = recorded_runs(here) or [as_run(here.sections["train"]["seed"], here)]
        path = Path(results.seeds_path(here.recipe))
        path.parent.mkdir(exist_ok=True)
        with progress.bar("seeds", count, " trainings", done=len(runs)) as bar:
            for seed in unused(runs):
                write(path, here, runs)
                if len(runs) >= count:
                    break
                runs = [
                    *runs,
                    repeat_training(here, seed, lambda line: bar.set_postfix_str(line[:50])),
                ]
                bar.update()
    return f"{path}: {len(runs)} trainings of {here.recipe}\n{spread(runs)}"


def spread(runs: list[dict[str, Any]]) -> str:
    """Return mean and standard deviation of every metric over the repetitions, as a table."""
    rows = [
        (name, f"{statistics.mean(values):.4f}", f"{statistics.stdev(values):.4f}")
        for name in runs[0]["metrics"]
        if (values := [run["metrics"][name] for run in runs])
    ]
    table: str = tabulate(
        rows, ("metric", "mean", "deviation"), tablefmt="plain", disable_numparse=True
    )
    return table


def recorded_runs(here: results.Results) -> list[dict[str, Any]]:
    """Return the repetitions so far; none if code, data or parameters were others."""
    same = here.seeds.get("trained_from") == results.trained_from(here.stages)
    return list(here.seeds["runs"]) if same else []


def unused(runs: list[dict[str, Any]]) -> Iterator[int]:
    """Yield the seeds that follow on those used, without an end."""
    seed = max(run["seed"] for run in runs)
    while True:
        seed += 1
        yield seed


def write(path: Path, here: results.Results, runs: list[dict[str, Any]]) -> None:
    """Write the repetitions, with what they were trained from."""
    facts = {"recipe": here.recipe, "trained_from": results.trained_from(here.stages)}
    files.write_json(path, facts | {"runs": runs})


def as_run(seed: int, found: results.Results) -> dict[str, Any]:
    """Return one repetition's numbers: the metrics, and the IoU of every slice."""
    slices = {
        key: round(metrics.dataset_iou(results.counts_of(found, names)), 4)
        for key, names in results.slices(found).items()
    }
    return {"seed": seed, "metrics": found.metrics, "slices": slices}


def repeat_training(
    here: results.Results, seed: int, follow: Callable[[str], None]
) -> dict[str, Any]:
    """Train and evaluate with a seed in a folder of its own, and return the numbers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document = {"recipe": here.recipe, "recipes": {here.recipe: here.sections}}
        document = json.loads(json.dumps(document))  # a copy to edit
        document["recipes"][here.recipe]["train"]["seed"] = seed
        with (folder / params.FILE).open("w") as file:
            YAML().dump(document, file)
        raw, arrays = (str(Path(path).absolute()) for path in DATA)
        run_stage(folder, follow, "train", arrays, "model", "train.csv", "state", "origins")
        run_stage(
            folder, follow, "evaluate", raw, arrays, "model", "predictions", "reports", "state"
        )
        return as_run(seed, results.read(f"seed {seed}", "", commits.files_below(folder)))


def run_stage(folder: Path, follow: Callable[[str], None], stage: str, *arguments: str) -> None:
    """Run a stage in a folder with its own params.yaml, handing on its lines as they come.

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
        raise UserError(f"{stage} failed: {last} (all that it said: {LOG})")
