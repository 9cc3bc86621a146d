"""The plan of a run: what `dvc repro` would do to each stage, and why, in words."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import networkx as nx
from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo

from petseg.errors import UserError
from petseg.review import nested

MAX_REASONS = 4  # reasons per stage in a terminal; the JSON has all of them


class StageState(StrEnum):
    """What a run would do with a stage; the values are the words in the table and in the JSON.

    CHANGED: It has a reason of its own to run.
    WAITS: An earlier stage decides whether it runs.
    UNCHANGED: There is nothing to do.
    MISSING: Nothing changed, but outputs are not on disk; DVC restores them or runs the stage.
    """

    CHANGED = "changed"
    WAITS = "waits for"
    UNCHANGED = "unchanged"
    MISSING = "data missing"


@dataclass(frozen=True)
class Row:
    """The plan for one stage; the fields are the keys of the JSON."""

    stage: str
    state: StageState
    waits_for: str  # the stage that has to run first; empty if there is none
    because: tuple[str, ...]  # the reasons for the state
    outs: tuple[str, ...]  # paths of the outputs

    @property
    def status(self) -> str:
        """The state with the stage that this one waits for, as the table shows it."""
        return f"{self.state} {self.waits_for}".strip()


@contextmanager
def locked_repo() -> Iterator[Any]:
    """Yield the DVC repo of the current folder, locked; wait first while another `dvc` has the lock.

    Raises:
        UserError: This is no DVC repo, or one of its files is faulty; the text is DVC's own.
    """
    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
            yield repo
    except DvcException as error:
        raise UserError(f"DVC: {error}") from error


def read(targets: Collection[str] = (), force: bool = False) -> list[Row]:
    """Return a row per stage, in the order in which the stages would run.

    The rows hold only what DVC can know before a run. Whether a waiting stage is restored from the
    run cache, or turns out to be unchanged, is known only afterwards.

    Args:
        targets: Names of stages: only these and the stages that they need get a row. Empty for all.
        force: Plan to run every stage, even if nothing changed.

    Raises:
        UserError: A target is no stage, or DVC cannot read the pipeline.
    """
    with locked_repo() as repo:
        rows: dict[str, Row] = {}
        for stage in in_run_order(repo, targets):
            state, waits_for, because = (
                (StageState.CHANGED, "", ["forced"]) if force else stage_status(repo, stage, rows)
            )
            outs = tuple(map(str, stage.outs))
            rows[stage.addressing] = Row(stage.addressing, state, waits_for, tuple(because), outs)
    return list(rows.values())


def in_run_order(repo: Any, targets: Collection[str]) -> list[Any]:
    """Return DVC's stages, each after the stages that it needs; with targets, only what these need.

    Raises:
        UserError: A target is no stage.
    """
    graph = repo.index.graph  # an edge leads from a stage to one that it needs
    stages = list(nx.dfs_postorder_nodes(graph))
    names = [stage.addressing for stage in stages]
    if unknown := sorted(set(targets) - set(names)):
        raise UserError(f"dvc.yaml has no stage {', '.join(unknown)}; known: {', '.join(names)}")
    selected = [stage for stage in stages if stage.addressing in targets] or stages
    needed = set(selected).union(*(nx.descendants(graph, stage) for stage in selected))
    return [stage for stage in stages if stage in needed]


def stage_status(
    repo: Any, stage: Any, earlier_rows: dict[str, Row]
) -> tuple[StageState, str, list[str]]:
    """Return a stage's state, the stage that it waits for (or an empty text), and the reasons."""
    producers = {s.addressing: s for s in repo.index.graph.successors(stage)}
    pending = [
        name
        for name, row in earlier_rows.items()
        if name in producers and row.state != StageState.UNCHANGED
    ]
    reasons, missing, inputs = stage_faults(stage, producers)
    reasons += [f"{path} changed" for path, name in inputs.items() if name not in pending]
    to_run = [name for name in pending if earlier_rows[name].state != StageState.MISSING]
    if reasons:
        return StageState.CHANGED, "", reasons
    if to_run:
        return StageState.WAITS, to_run[-1], missing
    if missing:
        return StageState.MISSING, "", missing
    if inputs:
        producer = list(inputs.values())[-1]
        return StageState.WAITS, producer, [f"{path} is missing" for path in inputs]
    return StageState.UNCHANGED, "", []


def stage_faults(
    stage: Any, producers: dict[str, Any]
) -> tuple[list[str], list[str], dict[str, str]]:
    """Return how a stage's command, files and parameters differ from dvc.lock.

    Args:
        stage: DVC's stage.
        producers: The stages that this one depends on, by name.

    Returns:
        The reasons to run that do not depend on other stages; a text for each missing output; and
        the inputs that differ and are written by another stage, as that stage's name by path.
    """
    if stage.deps and not any(dep.hash_info for dep in stage.deps):
        return ["it has no results in dvc.lock"], [], {}
    reasons, missing, inputs = [], [], {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            reasons += parameter_changes(dep)
        elif status := dep.status():
            path = str(dep)
            if producer := producer_of(path, producers):
                inputs[path] = producer
            else:
                fault = "is missing" if "deleted" in status.values() else "changed"
                reasons.append(f"{path} {fault}")
    for out in stage.outs:
        if status := out.status():
            if not out.exists:
                missing.append(f"{out} is missing")
            elif "not in cache" in status.values():
                reasons.append(f"{out} is not in DVC's cache")
            else:
                reasons.append(f"{out} is not what the stage wrote")
    if stage.changed_stage():
        reasons.insert(0, "its command in dvc.yaml changed")
    return reasons, missing, inputs


def producer_of(path: str, producers: dict[str, Any]) -> str:
    """Return the name of the stage that writes a path or a folder around it; empty if none does."""
    for name, stage in producers.items():
        for out in stage.outs:
            if Path(path).is_relative_to(str(out)):
                return name
    return ""


def parameter_changes(dep: Any) -> list[str]:
    """Return a text for each changed parameter of a stage, such as `train.epochs 6 → 8`."""
    before = dep.hash_info.value or {}
    now = dep.read_params()
    texts = []
    for key in dep.params:
        if key in before:
            differences = nested.differences(key, before[key], now.get(key, nested.UNSET))
            texts += [
                f"{name} {nested.format_value(old)} → {nested.format_value(new)}"
                for name, old, new in differences
            ]
        else:
            texts.append(f"{key} is new")
    return texts


def as_json(rows: Sequence[Row]) -> str:
    """Return the plan as JSON, with every reason."""
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)


def as_table(rows: Sequence[Row]) -> str:
    """Return the plan as a table for a terminal: stage, state, and a reason per line."""
    lines = [("stage", "state", "because")]
    for row in rows:
        reasons = list(row.because[:MAX_REASONS]) or [""]
        if (more := len(row.because) - MAX_REASONS) > 0:
            reasons.append(f"and {more} more (--json has all)")
        lines.append((row.stage, row.status, reasons[0]))
        lines += [("", "", reason) for reason in reasons[1:]]
    stages, states = (max(len(line[column]) for line in lines) for column in (0, 1))  # widths
    return "\n".join(f"{a:{stages}}  {b:{states}}  {c}".rstrip() for a, b, c in lines)


def tracked_files() -> list[str]:
    """Return the git-tracked files that a run writes: dvc.lock, and outputs that DVC does not cache."""
    with locked_repo() as repo:
        outs = [out for stage in repo.index.stages for out in stage.outs if not out.use_cache]
    return ["dvc.lock", *map(str, outs)]


def check_out() -> list[str]:
    """Restore the cached outputs as dvc.lock has them, unless the cache lacks one of them.

    Files that a user has given to DVC (`dvc add`), such as photos, stay as they are.

    Returns:
        The outputs that the cache lacks; if there are any, nothing is restored.
    """
    with locked_repo() as repo:
        stages = [stage for stage in repo.index.stages if not stage.is_data_source]
        outs = [out for stage in stages for out in stage.outs if out.use_cache]
        missing = [str(out) for out in outs if out.changed_cache()]
        if not missing:
            repo.checkout(targets=[str(out) for out in outs], force=True)
    return missing


def has_remote() -> bool:
    """Return whether a default DVC remote is set up, to pull data from and push data to."""
    with locked_repo() as repo:
        return bool(repo.config["core"].get("remote"))
