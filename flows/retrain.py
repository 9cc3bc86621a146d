"""The Prefect flow: a task per DVC stage, artifacts that show the results, and a proposal."""

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

LAST_LINES = 15  # of a failing stage's output stand in the message of the failed run
DVC_HINT = re.compile(  # lines of advice from DVC that the log of a run leaves out
    r"To track the changes with git|To enable auto staging|Use `dvc push`|\s+(git add|dvc config) "
)
PROGRESS_SECONDS = 15  # between two lines of a progress bar


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
        recipe: Recipe of recipes/ to run; empty for params.yaml as it is.
        targets: Stages to run, with the stages that they need; empty for the whole pipeline.
        force: Run the stages even if nothing changed.
        propose: Commit a changed result to a branch retrain/... and leave the checkout as it was.
    """
    log = get_run_logger()
    try:
        with lock.exclusive(log.info):
            if recipes.restore_recipe():
                log.info("restored params.yaml, which a killed run had changed")
            if deployment.id:
                git.fast_forward(log.info)
            return run_pipeline(recipe, targets or [], force, propose)
    except UserError as error:
        return Failed(message=str(error))


def run_pipeline(recipe: str | None, targets: list[str], force: bool, propose: bool) -> State[Any]:
    """Plan, run and propose, in a checkout that no other run uses; return the flow's final state."""
    log = get_run_logger()
    with ExitStack() as cleanup:
        if propose:
            cleanup.enter_context(proposal.clean_checkout(log.info))
        cleanup.enter_context(recipes.temporarily_active(recipe, back=propose))
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
        # Results that an earlier run has left uncommitted are proposed, too.
        note = proposal.propose(params.active_recipe(), rows, log.info) if propose else ""
        if not (changed or note):
            return Completed(name="Nothing changed", message="nothing changed")
        summary = ", ".join(f"{r.stage} {r.outcome.lower()}" for r in results)
        return Completed(message=f"{summary}; {note}" if note else summary)


def run_stages(rows: list[plan.Row], targets: list[str], force: bool) -> list[StageResult]:
    """Run each stage of the plan as a task, in order, up to the first that fails."""
    results: list[StageResult] = []
    stale = False
    for number, row in enumerate(rows):
        if stale and row.state != plan.StageState.CHANGED:
            # What an earlier stage did decides about those that have no reason of their own to run.
            row = plan.read(targets, force)[number]
        started = time.monotonic()
        state = stage_task(row.stage)(row.stage, row.state, force)
        outcome = Outcome(str(state.name)) if state.is_completed() else Outcome.FAILED
        results.append(StageResult(row.stage, outcome, time.monotonic() - started))
        stale |= outcome != Outcome.UNCHANGED
        if outcome == Outcome.FAILED:
            break
    return results


def stage_task(stage: str) -> Callable[[str, plan.StageState, bool], State[Any]]:
    """Return the Prefect task of one stage, to be called directly, so that a cancelled run ends it."""
    stage_run = task(name=stage, task_run_name=stage, cache_policy=NO_CACHE)(run_stage)
    return lambda *args: stage_run(*args, return_state=True)


def run_stage(stage: str, state: plan.StageState, force: bool) -> State[Any]:
    """Let DVC bring one stage up to date; return a state with the name of the outcome."""
    if state == plan.StageState.UNCHANGED:
        return Completed(
            name=Outcome.UNCHANGED, message="neither its dependencies nor its outputs changed"
        )
    command = processes.dvc("--wait-for-lock", "repro", "--single-item", stage)
    if force:
        command.append("--force")
    if state == plan.StageState.MISSING and plan.has_remote():
        command.append("--pull")
    exit_code, lines = run_logged(stage, command)
    while exit_code and any("is busy, it is being blocked by" in line for line in lines):
        lock.wait_for_dvc(get_run_logger().info)  # The user started a `dvc` command meanwhile.
        exit_code, lines = run_logged(stage, command)
    if exit_code:
        return Failed(message=f"failed; its output is in {log_path(stage)}")
    return final_state(lines)


def run_logged(stage: str, command: list[str]) -> tuple[int, list[str]]:
    """Run a stage's command and log each line as it comes; return the exit code and all lines."""
    log = get_run_logger()
    extra = lock.stage_environment(stage) | {progress.LINES: str(PROGRESS_SECONDS)}
    lines: list[str] = []
    with processes.running(command, log_path(stage), extra) as process:
        for line in processes.lines(process, log_path(stage)):
            lines.append(line)
            if not DVC_HINT.match(line):
                log.info("%s", line)
    return process.returncode, lines


def log_path(stage: str) -> Path:
    """Return the file with the output of a stage's last run."""
    return processes.LOGS / f"{stage}.log"


def failure_message(stage: str) -> str:
    """Return the message of a run in which this stage failed, with the last lines of its output."""
    lines = log_path(stage).read_text(errors="replace").splitlines()
    last = "\n".join(deque((line for line in lines if line.strip()), LAST_LINES))
    return f"stage {stage} failed; the last lines of its output in {log_path(stage)}:\n{last}"


def final_state(lines: list[str]) -> State[Any]:
    """Return a completed state with the name of the outcome, which the lines of DVC's output tell."""
    if any(line.startswith("Running stage ") for line in lines):
        return Completed(name=Outcome.RAN, message="its command ran")
    if any("is cached - skipping run" in line or "Pulling data for" in line for line in lines):
        return Completed(
            name=Outcome.RESTORED, message="restored from the cache, its command did not run"
        )
    return Completed(
        name=Outcome.UNCHANGED, message="after the earlier stages, its inputs are unchanged"
    )


def keep_schedule(cron: str, timezone: str, parameters: dict[str, Any]) -> None:
    """Serve the flow on a schedule until this process is stopped; the server keeps the schedule.

    Args:
        cron: Cron expression, such as "0 3 * * 1" for each Monday at three.
        timezone: Name of the time zone of the schedule, such as "Europe/Berlin".
        parameters: Parameters of the flow, by name.

    Raises:
        UserError: The cron expression or the time zone is not valid.
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
