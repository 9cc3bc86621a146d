"""The Prefect flow: a task per DVC stage, what came of it as artifacts, and a proposal."""

import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment
from prefect.schedules import Cron
from prefect.states import Completed, Failed
from pydantic import Field

from flows import artifacts
from flows.workspace import git, lock, plan, processes, proposal, recipes
from petseg import params, progress
from petseg.errors import UserError

TAIL = 15  # of a failing stage's lines stand in its state
HINT = re.compile(
    r"To track the changes with git|To enable auto staging|Use `dvc push`|\s+(git add|dvc config) "
)  # DVC's
PROGRESS = 15  # seconds between two lines of a progress bar


class Outcome(StrEnum):
    """What a run did to a stage; the values are the names of the Prefect states."""

    RAN = "Ran"
    RESTORED = "Restored"
    UNCHANGED = "Unchanged"
    FAILED = "Failed"


@dataclass(frozen=True)
class StageResult:
    """The outcome of one stage, and the wall time that it took in seconds."""

    stage: str
    outcome: Outcome
    seconds: float

    def as_row(self) -> dict[str, Any]:
        """Return the result as a row of a table."""
        return {"stage": self.stage, "outcome": self.outcome, "seconds": round(self.seconds, 1)}


@flow(name="retrain")
def retrain(
    recipe: Annotated[str | None, Field(pattern=r"^[\w-]+$")] = None,
    targets: list[str] | None = None,
    force: bool = False,
    propose: bool = False,
) -> State[Any]:
    """Run whatever changed, a task per DVC stage, and propose the result for review.

    A deployment's run first fast-forwards the checkout to its upstream.

    Args:
        recipe: Recipe of params.yaml to run; empty for the one that is active there.
        targets: Stages to run, with all that they need; empty for the whole pipeline.
        force: Run the stages even if nothing changed.
        propose: Commit a changed result to a branch retrain/... and leave the checkout as it was.
    """
    log = get_run_logger()
    try:
        with lock.exclusive(log.info):
            if recipes.restore_recipe():
                log.info("took back the recipe that a killed run had made the active one")
            if deployment.id:
                git.fast_forward(log.info)
            return run_pipeline(recipe, targets or [], force, propose)
    except UserError as error:
        return Failed(message=str(error))


def run_pipeline(recipe: str | None, targets: list[str], force: bool, propose: bool) -> State[Any]:
    """Do the flow's work in a checkout that nobody else uses."""
    log = get_run_logger()
    with ExitStack() as undone_later:
        if propose:
            undone_later.enter_context(proposal.clean_checkout(log.info))
        undone_later.enter_context(recipes.temporarily_active(recipe, back=propose))
        rows = plan.read(targets, force)
        if any(row.state != plan.StageState.UNCHANGED for row in rows):
            recipes.check_params(None)
        log.info("the plan:\n%s", plan.as_table(rows))
        artifacts.store_plan(rows)
        results = run_stages(rows, targets, force)
        artifacts.store_table("stages", [r.as_row() for r in results], "Outcome and wall time")
        if results and results[-1].outcome == Outcome.FAILED:
            return Failed(message=failure_message(results[-1].stage))
        changed = {r.stage for r in results if r.outcome != Outcome.UNCHANGED}
        artifacts.store_results(out for row in rows if row.stage in changed for out in row.outs)
        # results that an earlier run has left uncommitted are proposed, too
        proposed = proposal.propose(params.active_recipe(), rows, log.info) if propose else ""
        if not (changed or proposed):
            return Completed(name="Nothing changed", message="nothing changed")
        summary = ", ".join(f"{r.stage} {r.outcome.lower()}" for r in results)
        return Completed(message=f"{summary}; {proposed}" if proposed else summary)


def run_stages(rows: list[plan.Row], targets: list[str], force: bool) -> list[StageResult]:
    """Perform each stage of the plan as a task, in order, up to the first that fails."""
    results: list[StageResult] = []
    stale = False
    for number, planned in enumerate(rows):
        # what a stage did decides about the next ones that had no reason of their own
        ask = stale and planned.state != plan.StageState.CHANGED
        row = plan.read(targets, force)[number] if ask else planned
        started = time.monotonic()
        state = stage_task(row.stage)(row.stage, row.state, force)
        outcome = Outcome(str(state.name)) if state.is_completed() else Outcome.FAILED
        results.append(StageResult(row.stage, outcome, time.monotonic() - started))
        stale |= outcome != Outcome.UNCHANGED
        if outcome == Outcome.FAILED:
            break
    return results


def stage_task(stage: str) -> Callable[[str, plan.StageState, bool], State[Any]]:
    """Return the Prefect task of one stage; called directly, so that a cancelled run ends it."""
    made = task(name=stage, task_run_name=stage, cache_policy=NO_CACHE)(run_stage)
    return lambda *arguments: made(*arguments, return_state=True)


def run_stage(stage: str, planned: plan.StageState, force: bool) -> State[Any]:
    """Let DVC bring one stage up to date; the state says which way it did."""
    if planned == plan.StageState.UNCHANGED:
        return Completed(
            name=Outcome.UNCHANGED, message="neither its dependencies nor its outputs changed"
        )
    command = processes.dvc("--wait-for-lock", "repro", "--single-item", stage)
    command += ["--force"] * force + ["--pull"] * (
        planned == plan.StageState.MISSING and plan.has_remote()
    )
    code, said = run_logged(stage, command)
    while code and any("is busy, it is being blocked by" in line for line in said):
        lock.wait_for_dvc(get_run_logger().info)  # somebody's `dvc` came between
        code, said = run_logged(stage, command)
    return (
        Failed(message=f"failed; all that it said: {log_path(stage)}")
        if code
        else final_state(said)
    )


def run_logged(stage: str, command: list[str]) -> tuple[int, list[str]]:
    """Run a stage's command, logging each line as it comes; return its exit code and its lines."""
    log = get_run_logger()
    extra = {
        lock.MARK: str(Path.cwd()),
        lock.STAGE: stage,
        progress.LINES: str(PROGRESS),
    }
    said: list[str] = []
    with processes.running(command, log_path(stage), extra) as process:
        for line in processes.lines(process, log_path(stage)):
            said.append(line)
            if not HINT.match(line):
                log.info("%s", line)
    return process.returncode, said


def log_path(stage: str) -> Path:
    """Return the file with all that a stage said when it was last run."""
    return processes.LOGS / f"{stage}.log"


def failure_message(stage: str) -> str:
    """Return what a failed run says: which stage, and its last lines."""
    said = log_path(stage).read_text(errors="replace").splitlines()
    last = "\n".join(deque((line for line in said if line.strip()), TAIL))
    return f"stage {stage} failed; its last lines (all: {log_path(stage)}):\n{last}"


def final_state(said: list[str]) -> State[Any]:
    """Return in which way DVC brought a stage up to date, by what it said."""
    if any(line.startswith("Running stage ") for line in said):
        return Completed(name=Outcome.RAN, message="its command ran")
    if any("is cached - skipping run" in line or "Pulling data for" in line for line in said):
        return Completed(
            name=Outcome.RESTORED, message="restored from the cache, its command did not run"
        )
    return Completed(name=Outcome.UNCHANGED, message="its inputs turned out unchanged")


def keep_schedule(cron: str, timezone: str, parameters: dict[str, Any]) -> None:
    """Serve the flow on a schedule until stopped; the schedule outlives this process.

    Raises:
        UserError: the schedule cannot be read.
    """
    try:
        schedule = Cron(cron, timezone=timezone)
    except ValueError as error:
        raise UserError(f"--cron {cron!r}, --timezone {timezone!r}: {error}") from error
    retrain.serve(
        name="serve",
        schedule=schedule,
        parameters=parameters,
        pause_on_shutdown=False,
        limit=1,
    )
