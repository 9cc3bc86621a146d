"""What `dvc repro` would do here, before it does it: a row per stage, with the reason in words."""

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
from ruamel.yaml import YAML

from petseg.errors import UserError
from petseg.review import changes

SHOWN = 4  # reasons per stage in a terminal; --json has them all


class StageState(StrEnum):
    """What DVC knows of a stage before a run; the values are what users and programs read."""

    CHANGED = "changed"
    WAITS = "waits for"
    UNCHANGED = "unchanged"
    MISSING = "data missing"


@dataclass(frozen=True)
class Row:
    """One stage: its state, whom it waits for (empty if nobody), why, and what it writes."""

    stage: str
    state: StageState
    waits_for: str
    because: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def words(self) -> str:
        """The state as the table shows it."""
        return f"{self.state} {self.waits_for}".strip()


@contextmanager
def locked_repo() -> Iterator[Any]:
    """Give this folder's DVC repo, locked, once no other `dvc` has it; DVC's errors become ours.

    Raises:
        UserError: this is no DVC repo, or one of its files has a fault.
    """
    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo):
            yield repo
    except DvcException as error:
        raise UserError(f"DVC: {error}") from error


def read(targets: Collection[str] = (), force: bool = False) -> list[Row]:
    """Return a row per stage in the order of their run; with targets, those and what they need.

    Only what DVC can know beforehand is said: whether a stage that waits will be restored from
    the run cache, or turns out unchanged, is a fact after the run.

    Raises:
        UserError: a target is no stage, or DVC cannot read the pipeline.
    """
    with locked_repo() as repo:
        rows: dict[str, Row] = {}
        for stage in ordered(repo, targets):
            judged = (
                (StageState.CHANGED, "", ["forced"]) if force else stage_status(repo, stage, rows)
            )
            state, waits_for, because = judged
            outs = tuple(map(str, stage.outs))
            rows[stage.addressing] = Row(stage.addressing, state, waits_for, tuple(because), outs)
    return list(rows.values())


def ordered(repo: Any, targets: Collection[str]) -> list[Any]:
    """Return the stages, each after those that it needs."""
    graph = repo.index.graph  # an edge leads from a stage to one that it needs
    stages = list(nx.dfs_postorder_nodes(graph))
    known = [stage.addressing for stage in stages]
    if unknown := sorted(set(targets) - set(known)):
        raise UserError(f"dvc.yaml has no stage {', '.join(unknown)}; known: {', '.join(known)}")
    wanted = [stage for stage in stages if stage.addressing in targets] or stages
    needed = set(wanted).union(*(nx.descendants(graph, stage) for stage in wanted))
    return [stage for stage in stages if stage in needed]


def stage_status(repo: Any, stage: Any, above: dict[str, Row]) -> tuple[StageState, str, list[str]]:
    """Return a stage's state, whom it waits for and why, given the rows of those before it."""
    makers = {s.addressing: s for s in repo.index.graph.successors(stage)}
    pending = [
        name for name, row in above.items() if name in makers and row.state != StageState.UNCHANGED
    ]
    own, gone, inputs = stage_faults(stage, makers)
    own += [f"{path} changed" for path in inputs if inputs[path] not in pending]
    stirred = [name for name in pending if above[name].state != StageState.MISSING]
    if own:
        return StageState.CHANGED, "", own
    if stirred:
        return StageState.WAITS, stirred[-1], gone
    if gone:
        return StageState.MISSING, "", gone
    if inputs:
        return (
            StageState.WAITS,
            list(inputs.values())[-1],
            [f"{path} is not here" for path in inputs],
        )
    return StageState.UNCHANGED, "", []


def stage_faults(stage: Any, makers: dict[str, Any]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return why a stage itself is stale, what of its data is gone, and its unsettled inputs.

    The last are paths by which it depends on another stage, with that stage's name.
    """
    if not any(dep.hash_info for dep in stage.deps):
        return ["it has no results in dvc.lock"], [], {}
    own, gone, inputs = [], [], {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            own += parameter_changes(stage, dep)
        elif what := dep.status():
            path = str(dep)
            if maker := maker_of(path, makers):
                inputs[path] = maker
            else:
                own.append(
                    f"{path} is missing" if "deleted" in what.values() else f"{path} changed"
                )
    for out in stage.outs:
        if what := out.status():
            if not out.exists:
                gone.append(f"{out} is not here")
            elif "not in cache" in what.values():
                own.append(f"{out} is not in DVC's cache")
            else:
                own.append(f"{out} is not what the stage wrote")
    if stage.changed_stage():
        own.insert(0, "its command in dvc.yaml changed")
    return own, gone, inputs


def maker_of(path: str, makers: dict[str, Any]) -> str:
    """Return which stage writes a path, or the folder that it lies in; empty if none does."""
    for name, stage in makers.items():
        for out in stage.outs:
            if Path(path).is_relative_to(str(out)):
                return name
    return ""


def parameter_changes(stage: Any, dep: Any) -> list[str]:
    """Return in words what changed in a stage's parameters: `recipes.demo.train.epochs 6 → 8`."""
    before = dep.hash_info.value or {}
    now = dep.read_params()
    words = []
    for key in dep.params:
        if key in before:
            moved = changes.differences(key, before[key], now.get(key, changes.UNSET))
            words += [
                f"{name} {changes.format_value(old)} → {changes.format_value(new)}"
                for name, old, new in moved
            ]
        else:
            words.append(new_section(stage, key))
    return words


def new_section(stage: Any, key: str) -> str:
    """Return what to say of a parameter that dvc.lock does not hold: mostly another recipe's."""
    lock = Path(stage.repo.root_dir) / "dvc.lock"
    params = YAML(typ="safe").load(lock)["stages"][stage.name].get("params", {})
    before = [old for section in params.values() for old in section]
    for old in before:
        known, chosen = old.split("."), key.split(".")
        if len(known) == len(chosen) == 3 and known[::2] == chosen[::2]:
            return f"recipe {known[1]} → {chosen[1]}"
    return f"{key} is new"


def as_json(rows: Sequence[Row]) -> str:
    """Return the plan for programs."""
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)


def as_table(rows: Sequence[Row]) -> str:
    """Return the plan for a terminal: stage, state, and a reason per line."""
    lines = [("stage", "state", "because")]
    for row in rows:
        reasons = list(row.because[:SHOWN]) or [""]
        if (more := len(row.because) - SHOWN) > 0:
            reasons.append(f"and {more} more (--json has all)")
        lines.append((row.stage, row.words, reasons[0]))
        lines += [("", "", reason) for reason in reasons[1:]]
    first, second = (max(len(line[column]) for line in lines) for column in (0, 1))
    return "\n".join(f"{a:{first}}  {b:{second}}  {c}".rstrip() for a, b, c in lines)


def tracked_files() -> list[str]:
    """Return the git-tracked files that a run writes: dvc.lock and the stages' numbers."""
    with locked_repo() as repo:
        outs = [out for stage in repo.index.stages for out in stage.outs if not out.use_cache]
    return ["dvc.lock", *map(str, outs)]


def check_out() -> list[str]:
    """Bring `data/` to what dvc.lock says, if the cache holds all of it; return what it lacks."""
    with locked_repo() as repo:
        outs = [out for stage in repo.index.stages for out in stage.outs if out.use_cache]
        lacking = [str(out) for out in outs if out.changed_cache()]
        if not lacking:
            repo.checkout(force=True)
    return lacking


def has_remote() -> bool:
    """Return whether a DVC remote is set up to exchange data with."""
    with locked_repo() as repo:
        return bool(repo.config["core"].get("remote"))
