"""Whether a commit's numbers are those of its code and parameters, told by dvc.lock from git alone.

It needs none of the data, and so it works in a clone that has none.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from petseg.errors import UserError
from petseg.params import parse_yaml
from petseg.review.nested import differences, get_dotted, listed

ReadFile = Callable[[str], bytes | None]  # a file's content by its path; None if there is no file
Stages = dict[str, Any]  # of dvc.lock or of dvc.yaml, by name
LOCK, PIPELINE, PARAMS = "dvc.lock", "dvc.yaml", "params.yaml"
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
OTHER_CHECKSUMS = ("etag", "checksum", "files")  # of what DVC tracks outside of this repository


@dataclass(frozen=True)
class Fault:
    """A sign that the numbers of a commit are not those of its code and parameters."""

    text: str  # a clause: `train.epochs changed after train ran`
    due: tuple[str, ...] = ()  # stages that have not run since; none for a file that is broken


def faults(
    get: ReadFile, params: Mapping[str, Any], stages: Stages, defined: Stages
) -> Iterator[Fault]:
    """Yield where dvc.lock does not belong to the other files: code, commands, parameters, numbers.

    Args:
        get: reads a file of the commit.
        params: params.yaml.
        stages: those of dvc.lock, as `lock_stages` returns them.
        defined: those of dvc.yaml.
    """
    for name in sorted(defined.keys() | stages.keys()):
        if name not in stages:
            yield Fault(f"{name} is in {PIPELINE} and has not run", (name,))
        elif name not in defined:
            yield Fault(f"{name} is in {LOCK} and not in {PIPELINE}")
        else:
            yield from definition_faults(name, stages[name], defined[name])
            yield from output_faults(get, stages[name], defined[name])
    yield from changed_inputs(get, params, stages)
    yield from mixed_runs(stages)


def lock_stages(content: bytes | None) -> Stages:
    """Return the stages in the bytes of dvc.lock; None stands for a missing file.

    Raises:
        UserError: it is missing, is cut off, or is not what DVC writes; the text is a clause.
    """
    if content is None:
        raise UserError(f"{LOCK} is missing")
    if not content.endswith(b"\n"):
        raise UserError(f"{LOCK} is empty or cut off")
    stages = parse_yaml(content, LOCK).get("stages")
    if not (isinstance(stages, dict) and stages):
        raise UserError(f"{LOCK} has no stages")
    for name, entry in stages.items():
        if not is_stage(entry):
            raise UserError(f"{LOCK} has no complete record of {name}")
    return {str(name): entry for name, entry in stages.items()}


def is_stage(entry: Any) -> bool:
    """Return whether an entry of dvc.lock has the form of a stage that ran."""
    if not (isinstance(entry, dict) and "cmd" in entry):
        return False
    params = entry.get("params", {})
    if not (isinstance(params, dict) and all(isinstance(part, dict) for part in params.values())):
        return False
    lists = [entry.get(key, []) for key in ("deps", "outs")]
    return all(isinstance(part, list) and all(map(is_file, part)) for part in lists)


def is_file(entry: Any) -> bool:
    """Return whether an entry of dvc.lock names a file or folder with a checksum."""
    if not (isinstance(entry, dict) and isinstance(entry.get("path"), str)):
        return False
    if "md5" in entry:
        return bool(MD5.fullmatch(str(entry["md5"]))) and type(entry.get("size")) is int
    return any(key in entry for key in OTHER_CHECKSUMS)


def definition_faults(name: str, entry: Mapping[str, Any], stage: Any) -> Iterator[Fault]:
    """Yield where a stage ran otherwise than dvc.yaml defines it."""
    if not isinstance(stage, dict):
        yield Fault(f"{PIPELINE} does not say how {name} runs", (name,))
        return
    if stage.get("cmd") != entry["cmd"]:
        yield Fault(f"the command of {name} changed after it ran", (name,))
    if "wdir" in stage or "${" in json.dumps(stage, default=str):
        return  # DVC alone resolves these paths
    for key, noun in (("deps", "dependencies"), ("outs", "outputs")):
        defined = {path for path, _ in defined_paths(stage, key)}
        if defined != {file["path"] for file in entry.get(key, [])}:
            yield Fault(f"the {noun} of {name} changed after it ran", (name,))
    if defined_params(stage) != set(entry.get("params", {}).get(PARAMS, {})):
        yield Fault(f"the parameters that {name} reads changed after it ran", (name,))


def defined_paths(stage: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the paths of a stage in dvc.yaml with their options; metrics and plots are outputs."""
    lists = ("outs", "metrics", "plots") if key == "outs" else (key,)
    for item in (item for name in lists for item in listed(stage.get(name))):
        if isinstance(item, dict):
            yield from ((str(path), options or {}) for path, options in item.items())
        else:
            yield str(item), {}


def defined_params(stage: Mapping[str, Any]) -> set[str]:
    """Return the keys of params.yaml that a stage in dvc.yaml reads."""
    keys: set[str] = set()
    for item in listed(stage.get("params")):
        if not isinstance(item, dict):
            keys.add(str(item))
        elif PARAMS in item:
            keys.update(map(str, listed(item[PARAMS])))
    return keys


def output_faults(get: ReadFile, entry: Mapping[str, Any], stage: Any) -> Iterator[Fault]:
    """Yield the outputs of a stage that git holds, since DVC does not cache them, and that differ."""
    written = {out["path"]: out for out in entry.get("outs", [])}
    for path, options in defined_paths(stage, "outs") if isinstance(stage, dict) else ():
        if not (isinstance(options, dict) and options.get("cache") is False):
            continue
        content = get(path)
        if content is None:
            yield Fault(f"{path} is missing")
        elif differs(content, written.get(path, {})):
            yield Fault(f"{path} is not what {LOCK} says")


def changed_inputs(get: ReadFile, params: Mapping[str, Any], stages: Stages) -> Iterator[Fault]:
    """Yield the parameters and the files that changed after a stage ran which depends on them."""
    stages_by_change: defaultdict[str, list[str]] = defaultdict(list)
    outs = [out["path"] for _, out in outs_by_stage(stages)]
    for stage, entry in stages.items():
        for key, before in entry.get("params", {}).get(PARAMS, {}).items():
            for changed, *_ in differences(key, before, get_dotted(params, key)):
                stages_by_change[changed].append(stage)
        for dep in entry.get("deps", []):
            is_made = any(PurePosixPath(dep["path"]).is_relative_to(out) for out in outs)
            if not is_made and differs(get(dep["path"]) or b"", dep):
                stages_by_change[dep["path"]].append(stage)
    for change, names in stages_by_change.items():
        yield Fault(f"{change} changed after {', '.join(names)} ran", tuple(names))


def mixed_runs(stages: Stages) -> Iterator[Fault]:
    """Yield the stages that did not read what another wrote, as when two locks were merged."""
    written = {out["path"]: (stage, out) for stage, out in outs_by_stage(stages)}
    for stage, entry in stages.items():
        for dep in entry.get("deps", []):
            maker, out = written.get(dep["path"], ("", dep))
            if out.get("md5") != dep.get("md5"):
                yield Fault(f"{stage} ran on another {dep['path']} than that of {maker}", (stage,))


def outs_by_stage(stages: Stages) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each output with the name of its stage."""
    for name, entry in stages.items():
        yield from ((name, out) for out in entry.get("outs", []))


def differs(content: bytes, entry: Mapping[str, Any]) -> bool:
    """Return whether a file has other content than an entry of dvc.lock names; False for a folder."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    expected = str(entry.get("md5", digest))
    return expected != digest and not expected.endswith(".dir")


def due(side_faults: Iterable[Fault], defined: Stages) -> tuple[str, ...]:
    """Return the stages that have to run again, with those that follow them, in dvc.yaml's order."""
    stale = {name for fault in side_faults for name in fault.due}
    while followers := {
        name
        for name in defined.keys() - stale
        if any(reads(defined[name], defined[other]) for other in stale & defined.keys())
    }:
        stale |= followers
    return tuple(name for name in defined if name in stale)


def reads(stage: Any, other: Any) -> bool:
    """Return whether a stage in dvc.yaml depends on an output of another."""
    if not (isinstance(stage, dict) and isinstance(other, dict)):
        return False
    outs = [path for path, _ in defined_paths(other, "outs")]
    deps = [PurePosixPath(path) for path, _ in defined_paths(stage, "deps")]
    return any(dep.is_relative_to(out) for dep in deps for out in outs)
