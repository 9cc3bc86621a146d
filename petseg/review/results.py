"""One commit's results as git holds them, read from any place that gives files by path."""

import csv
import hashlib
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from petseg import files
from petseg.errors import UserError
from petseg.evaluation import metrics

Read = Callable[[str], bytes | None]  # a file's bytes by its path in the project; None: not there
LOCK, PIPELINE, PARAMS = "dvc.lock", "dvc.yaml", "params.yaml"


@dataclass(frozen=True, slots=True)
class TestPhoto:
    """One test photo: what it is, its content's hash (empty if unknown), and what was measured."""

    breed: str
    species: str
    sha256: str
    counts: tuple[int, ...]  # in the order of metrics.COLUMNS
    more: tuple[float, ...] = ()  # in the order of metrics.MORE; empty where it was not measured


@dataclass(frozen=True)
class Results:
    """What git holds of one commit's results; empty where it holds nothing.

    Numbers that are not finite are left out.
    """

    label: str  # how the user named the commit
    commit: str  # its hash; empty for the working tree
    metrics: dict[str, float]  # of metrics.json, the numbers alone
    test: dict[str, TestPhoto]  # by name
    photos: dict[str, tuple[str, str]]  # name → (split, content's hash), of every split
    history: files.Rows  # an epoch each, whole ones alone
    data: dict[str, Any]  # data.json
    recipe: str
    params: dict[str, Any]  # params.yaml as a whole
    stages: dict[str, Any]  # of dvc.lock
    seeds: dict[str, Any]  # repetitions of the recipe with other seeds
    faults: tuple[str, ...]  # where the results are not of this commit's code and parameters

    @property
    def sections(self) -> dict[str, Any]:
        """The sections of params.yaml by stage.

        Before it was flat, params.yaml held every recipe, and these are the active one's.
        """
        old_form = self.params.get("recipes")
        if isinstance(old_form, dict):
            sections = old_form.get(self.recipe)
            return sections if isinstance(sections, dict) else {}
        return {key: value for key, value in self.params.items() if key not in ("recipe", "gate")}


def read(label: str, commit: str, get: Read) -> Results:
    """Return the results that are found there.

    Raises:
        UserError: a file is there, but is not what it should be; the text names it.
    """
    listed = rows(get, label, "reports/photos.csv", "name", "split", "sha256")
    photos = {row["name"]: (row["split"], row["sha256"]) for row in listed}
    params, lock = (yaml(get, label, path) for path in (PARAMS, LOCK))
    recipe, stages = str(params.get("recipe", "")), lock.get("stages", {})
    return Results(
        label=label,
        commit=commit,
        metrics=finite_numbers(json_of(get, label, "reports/metrics.json")),
        test=test_photos(get, label, photos),
        photos=photos,
        history=[
            row for row in rows(get, label, "reports/history.csv", "epoch") if all_finite(row)
        ],
        data=json_of(get, label, "reports/data.json"),
        recipe=recipe,
        params=params,
        stages=stages,
        seeds=json_of(get, label, seeds_path(recipe)),
        faults=tuple(lock_mismatches(get, params, stages, yaml(get, label, PIPELINE))),
    )


def seeds_path(recipe: str) -> str:
    """Return where a recipe's repetitions with other seeds are kept."""
    return f"reports/seeds/{recipe}.json"


def json_of(get: Read, label: str, path: str) -> dict[str, Any]:
    """Return a JSON file's mapping; empty without the file."""
    try:
        found = json.loads(get(path) or b"{}")
    except ValueError as error:
        raise UserError(f"{label}: {path} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def yaml(get: Read, label: str, path: str) -> dict[str, Any]:
    """Return a YAML file's mapping; empty without the file."""
    try:
        found = YAML(typ="safe", pure=True).load(get(path) or b"{}")
    except YAMLError as error:
        raise UserError(f"{label}: {path} is not YAML: {' '.join(str(error).split())}") from error
    return found if isinstance(found, dict) else {}


def rows(get: Read, label: str, path: str, *columns: str) -> files.Rows:
    """Return a CSV's rows; none without the file, or without these columns."""
    try:
        table = csv.DictReader(io.StringIO((get(path) or b"").decode()))
        found = list(table) if set(columns) <= set(table.fieldnames or ()) else []
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{label}: {path} is not CSV: {error}") from error
    return found


def finite_numbers(values: dict[str, Any]) -> dict[str, float]:
    """Return the numbers among the values; a bool is none, and neither is NaN."""
    return {
        name: float(value)
        for name, value in values.items()
        if type(value) in (int, float) and math.isfinite(value)
    }


def all_finite(row: dict[str, str]) -> bool:
    """Return whether every cell of a row is a finite number."""
    try:
        return all(math.isfinite(float(cell)) for cell in row.values())
    except (TypeError, ValueError):
        return False


def test_photos(get: Read, label: str, photos: dict[str, tuple[str, str]]) -> dict[str, TestPhoto]:
    """Return the test photos of per_image.csv; none if it has other columns than today's."""
    path = "reports/per_image.csv"
    found = rows(get, label, path, "name", "breed", "species", *metrics.COLUMNS)
    columns = [name for name in metrics.EXTRA_COLUMNS if found and name in found[0]]
    try:
        counts = metrics.read_counts(found).tolist()
        more = [tuple(float(row[name]) for name in columns) for row in found]
    except (TypeError, ValueError) as error:
        raise UserError(f"{label}: {path} has a count that is no number: {error}") from error
    return {
        row["name"]: TestPhoto(
            row["breed"],
            row["species"],
            photos.get(row["name"], ("", ""))[1],
            tuple(six),
            others if len(others) == len(metrics.EXTRA_COLUMNS) else (),
        )
        for row, six, others in zip(found, counts, more, strict=True)
    }


def common_measurements(
    base: Results, head: Results, names: Collection[str]
) -> tuple[Float64[np.ndarray, "n measured"], Float64[np.ndarray, "n measured"]]:
    """Return these test photos' counts of both, and what else was measured, if it was in both."""
    whole = all(side.test[name].more for side in (base, head) for name in names)
    before, after = (
        np.array([[*photo.counts, *(photo.more if whole else ())] for photo in photos], float)
        for photos in ([side.test[name] for name in names] for side in (base, head))
    )
    return before, after


def counts_of(results: Results, names: Collection[str]) -> Int64[np.ndarray, "n 6"]:
    """Return the counts of these test photos."""
    cells = [results.test[name].counts for name in names]
    return np.array(cells, np.int64).reshape(-1, len(metrics.COLUMNS))


def slices(results: Results) -> dict[str, list[str]]:
    """Return the names of the test photos of each species and each breed."""
    found: dict[str, list[str]] = {}
    for name, photo in results.test.items():
        for key in (f"species {photo.species}", f"breed {photo.breed}"):
            found.setdefault(key, []).append(name)
    return dict(sorted(found.items(), key=lambda item: (item[0].startswith("breed"), item[0])))


def trained_from(stages: dict[str, Any]) -> str:
    """Return a digest of all that a training depends on but its seed: code, data, parameters."""
    entry = stages.get("train", {})
    sections = entry.get("params", {}).get(PARAMS, {})
    settings = [
        {key: value for key, value in (section or {}).items() if key != "seed"}
        for section in sections.values()
    ]
    deps = [[dep["path"], dep.get("md5")] for dep in entry.get("deps", [])]
    text = json.dumps([deps, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lock_mismatches(
    get: Read, params: dict[str, Any], stages: dict[str, Any], pipeline: dict[str, Any]
) -> Iterator[str]:
    """Yield where dvc.lock is not of these files: code, commands, parameters, numbers.

    It needs no data: a clone without any can tell.
    """
    wanted = pipeline.get("stages", {})
    if stages and set(wanted) != set(stages):
        odd = ", ".join(sorted(set(wanted) ^ set(stages)))
        yield f"{PIPELINE} and {LOCK} have not the same stages ({odd})"
    takers: defaultdict[str, list[str]] = defaultdict(list)
    made = [out for entry in stages.values() for out in entry.get("outs", [])]
    for stage, entry in stages.items():
        if stage in wanted and wanted[stage].get("cmd") != entry.get("cmd"):
            yield f"the command of {stage} changed after it ran"
        for key, before in entry.get("params", {}).get(PARAMS, {}).items():
            if get_dotted(params, key) != before:
                yield f"{key} changed after {stage} ran"
        for dep in entry.get("deps", []):
            path = PurePosixPath(dep["path"])
            from_stage = any(path.is_relative_to(out["path"]) for out in made)
            if not from_stage and differs(get(dep["path"]) or b"", dep):
                takers[dep["path"]].append(stage)
    for name, names in takers.items():
        yield f"{name} changed after {', '.join(names)} ran"
    for out in made:
        content = get(out["path"])
        if content is not None and differs(content, out):
            yield f"{out['path']} is not what {LOCK} says"


def differs(content: bytes, entry: dict[str, Any]) -> bool:
    """Return whether a file is not the one that an entry of dvc.lock names; folders are not told."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    expected = str(entry.get("md5", digest))
    return expected != digest and not expected.endswith(".dir")


def get_dotted(document: dict[str, Any], key: str) -> Any:
    """Return a value by its dotted key; None if there is none."""
    found: Any = document
    for step in key.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found
