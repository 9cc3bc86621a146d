"""The differences of two commits in parameters, data, and the stages that ran."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from petseg.data.label_edits import LabelEdit
from petseg.review.agreement import outs_by_stage
from petseg.review.nested import differences, mapping
from petseg.review.results import Results


def stages_that_ran(base: Results, head: Results) -> list[tuple[str, list[str]]]:
    """Return the stages whose entry in dvc.lock changed, each with the reasons why it ran."""
    changed = []
    for stage, after in head.stages.items():
        before = base.stages.get(stage)
        if before is None:
            changed.append((stage, ["it is new"]))
        elif before != after:
            no_reason = "the same inputs gave other outputs: another machine, or a forced run"
            changed.append((stage, inputs_changed(before, after) or [no_reason]))
    return changed


def inputs_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return which of a stage's command, parameters and dependencies differ."""
    old, new = ({dep["path"]: dep for dep in entry.get("deps", [])} for entry in (before, after))
    inputs = ["its command"] if before.get("cmd") != after.get("cmd") else []
    inputs += ["its parameters"] if before.get("params") != after.get("params") else []
    return inputs + [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]


def code_changes(base: Results, head: Results) -> list[str]:
    """Return the files that differ between the runs of both and that no stage wrote: code, tables."""
    sides = []
    for side in (base, head):
        outs = [PurePosixPath(out["path"]) for _, out in outs_by_stage(side.stages)]
        sides.append(
            {
                dep["path"]: dep
                for entry in side.stages.values()
                for dep in entry.get("deps", [])
                if not any(PurePosixPath(dep["path"]).is_relative_to(out) for out in outs)
            }
        )
    old, new = sides
    return [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]


def data_changes(base: Results, head: Results) -> list[tuple[str, str, list[str]]]:
    """Return the changes of the data: which, how much, and the photos' names; also in its source."""
    old, new = base.photos, head.photos
    if not (old and new):
        return []
    groups: dict[str, list[str]] = {}
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            groups.setdefault(f"added to {new[name][0]}", []).append(name)
        elif name not in new:
            groups.setdefault(f"removed from {old[name][0]}", []).append(name)
        else:
            if old[name][0] != new[name][0]:
                groups.setdefault(f"moved from {old[name][0]} to {new[name][0]}", []).append(name)
            if old[name][1] != new[name][1]:
                groups.setdefault(f"with other content in {new[name][0]}", []).append(name)
    rows = [(f"photos {change}", f"{len(names):,}", names) for change, names in groups.items()]
    for key, before, after in differences("", data_facts(base), data_facts(head)):
        rows.append((key, f"{shorten_hash(before)} → {shorten_hash(after)}", []))
    return rows


def data_facts(side: Results) -> dict[str, Any]:
    """Return the facts of the data's source, and how many photos are not used, by reason."""
    rejected = mapping(side.data.get("rejected"))
    counts = {"photos": rejected.get("photos", 0), **mapping(rejected.get("reasons"))}
    return {**mapping(side.data.get("source")), "not used": counts}


def label_changes(
    base: Results, head: Results
) -> list[tuple[str, LabelEdit | None, LabelEdit | None]]:
    """Return the photos whose correction differs, with that of base and that of head."""
    old, new = base.label_edits, head.label_edits
    return [
        (name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def shorten_hash(value: Any) -> str:
    """Return a value as text; of a SHA-256 only the first 12 characters."""
    text = str(value)
    return text[:12] if len(text) == 64 else text
