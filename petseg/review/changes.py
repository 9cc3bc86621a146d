"""What changed between two commits: parameters, data, and the stages that ran."""

import json
from collections.abc import Mapping
from typing import Any

from petseg.review.results import Results

UNSET = "unset"  # what a parameter is that was not or is no longer there


def differences(key: str, before: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """Return each value that differs between two nested mappings: its dotted key, old, new."""
    kinds = {type(side) for side in (before, now) if side != UNSET}
    if kinds == {dict}:
        old, new = ({} if side == UNSET else side for side in (before, now))
        return [
            change
            for name in dict.fromkeys([*old, *new])
            for change in differences(
                f"{key}.{name}".lstrip("."), old.get(name, UNSET), new.get(name, UNSET)
            )
        ]
    return [] if before == now else [(key, before, now)]


def format_value(value: Any) -> str:
    """Return a parameter's value as params.yaml has it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def stages_that_ran(base: Results, head: Results) -> list[tuple[str, list[str]]]:
    """Return the stages whose entry in dvc.lock changed, with what made them run."""
    changed = []
    for stage, now in head.stages.items():
        before = base.stages.get(stage)
        if before is None:
            changed.append((stage, ["it is new"]))
        elif before != now:
            same = "the same inputs gave other outputs: another machine, or a forced run"
            changed.append((stage, inputs_changed(before, now) or [same]))
    return changed


def inputs_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return which of a stage's command, parameters and dependencies differ."""
    old, new = ({dep["path"]: dep for dep in entry.get("deps", [])} for entry in (before, now))
    words = ["its command"] if before.get("cmd") != now.get("cmd") else []
    words += ["its parameters"] if before.get("params") != now.get("params") else []
    return words + [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]


def data_changes(base: Results, head: Results) -> list[tuple[str, str, list[str]]]:
    """Return what changed in the data: what, how much, and names (base's and head's hashes too)."""
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
    rows = [(f"photos {what}", f"{len(names):,}", names) for what, names in groups.items()]
    facts = [side.data.get("source", {}) | side.data.get("rejected", {}) for side in (base, head)]
    for key, before, now in differences("", *facts):
        rows.append((key, f"{shorten_hash(before)} → {shorten_hash(now)}", []))
    return rows


def shorten_hash(value: Any) -> str:
    """Return a fact in a few characters: the start of a hash."""
    text = str(value)
    return text[:12] if len(text) == 64 else text
