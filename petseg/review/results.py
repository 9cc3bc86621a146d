"""The results of one commit, parsed from the files that git keeps of it.

The files come from a function from path to bytes, since the same results may be read from a commit,
the working tree or another folder. Errors name the commit.
"""

import csv
import hashlib
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from petseg import files
from petseg.data import label_edits
from petseg.data.label_edits import LabelEdit
from petseg.errors import UserError
from petseg.evaluation import metrics
from petseg.params import parse_yaml

ReadFile = Callable[[str], bytes | None]  # a file's content by its path; None if there is no file
# The names of columns in the commits before groups of photos had any name.
OLD_COLUMNS = {
    "pet_as_pet": "foreground_as_foreground",
    "pet_as_background": "foreground_as_background",
    "border_as_pet": "border_as_foreground",
    "background_as_pet": "background_as_foreground",
}
OLD_GROUPS = ("breed", "species")  # in those commits the smaller groups came first
LOCK, PIPELINE, PARAMS = "dvc.lock", "dvc.yaml", "params.yaml"


@dataclass(frozen=True, slots=True)
class TestPhoto:
    """A test photo and the numbers measured on it."""

    groups: tuple[
        str, ...
    ]  # such as its species and its breed, as `Results.group_kinds` names them
    sha256: str  # of its content; empty if not known
    counts: tuple[int, ...]  # in the order of metrics.COLUMNS
    extra: tuple[float, ...] = ()  # the first of metrics.EXTRA_COLUMNS, as many as were measured


@dataclass(frozen=True)
class Results:
    """The results of one commit; a field is empty where git has no file for it.

    Numbers that are not finite are left out.
    """

    label: str  # how the user named the commit
    commit: str  # its hash; empty for the working tree
    metrics: dict[str, float]  # the numbers of metrics.json
    group_kinds: tuple[str, ...]  # what the groups of the test photos are called, the largest first
    test: dict[str, TestPhoto]  # by name
    photos: dict[str, tuple[str, str]]  # name → (split, hash of the content), of every split
    history: files.Rows  # a row for each epoch; rows with a missing number are left out
    data: dict[str, Any]  # data.json
    label_edits: dict[str, LabelEdit]  # corrections by the name of the photo
    recipe: str
    params: dict[str, Any]  # all of params.yaml
    stages: dict[str, Any]  # from dvc.lock
    seeds: dict[str, Any]  # repetitions of the recipe with other seeds
    faults: tuple[str, ...]  # signs that the results are not of this commit's code and parameters

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


def read(label: str, commit: str, get: ReadFile) -> Results:
    """Return the results in the files that `get` returns.

    Raises:
        UserError: a file is there, but is not what it should be; the text names it.
    """
    photo_rows = rows(get, label, "reports/photos.csv", "name", "split", "sha256")
    photos = {row["name"]: (row["split"], row["sha256"]) for row in photo_rows}
    params, lock = (yaml(get, label, path) for path in (PARAMS, LOCK))
    group_kinds, test = test_photos(get, label, photos)
    recipe, stages = str(params.get("recipe", "")), lock.get("stages", {})
    return Results(
        label=label,
        commit=commit,
        metrics=finite_numbers(json_of(get, label, "reports/metrics.json")),
        group_kinds=group_kinds,
        test=test,
        photos=photos,
        history=[
            row for row in rows(get, label, "reports/history.csv", "epoch") if all_finite(row)
        ],
        data=json_of(get, label, "reports/data.json"),
        label_edits=read_label_edits(get, label, params),
        recipe=recipe,
        params=params,
        stages=stages,
        seeds=json_of(get, label, seeds_path(recipe)),
        faults=tuple(lock_mismatches(get, params, stages, yaml(get, label, PIPELINE))),
    )


def read_label_edits(get: ReadFile, label: str, params: dict[str, Any]) -> dict[str, LabelEdit]:
    """Return the corrections of labels in the table that the parameters name; none without it."""
    table = get_dotted(params, "preprocess.labels")
    content = (
        get(str(label_edits.locate(table, label_edits.FOLDER, label)))
        if isinstance(table, str)
        else None
    )
    if content is None:
        return {}
    text = content.decode("utf-8-sig", errors="replace")
    return {edit.name: edit for _, edit in label_edits.parse(text, f"{label}: {table}")}


def seeds_path(recipe: str) -> str:
    """Return the path of the file with a recipe's repetitions with other seeds."""
    return f"reports/seeds/{recipe}.json"


def json_of(get: ReadFile, label: str, path: str) -> dict[str, Any]:
    """Return a JSON file's mapping; empty without the file."""
    try:
        content = json.loads(get(path) or b"{}")
    except ValueError as error:
        raise UserError(f"{label}: {path} is not JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def yaml(get: ReadFile, label: str, path: str) -> dict[str, Any]:
    """Return a YAML file's mapping; empty without the file."""
    return parse_yaml(get(path) or b"{}", f"{label}: {path}")


def rows(get: ReadFile, label: str, path: str, *columns: str) -> files.Rows:
    """Return a CSV's rows; none without the file, or without these columns."""
    try:
        table = files.parse_csv((get(path) or b"").decode())
        return table if table and set(columns) <= set(table[0]) else []
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{label}: {path} is not CSV: {error}") from error


def finite_numbers(values: dict[str, Any]) -> dict[str, float]:
    """Return the finite numbers among the values; a bool is no number."""
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


def test_photos(
    get: ReadFile, label: str, photos: dict[str, tuple[str, str]]
) -> tuple[tuple[str, ...], dict[str, TestPhoto]]:
    """Return the kinds of groups and the test photos of per_image.csv by name.

    There are none without the columns of the counts. An older commit has only the first of
    `metrics.EXTRA_COLUMNS`, and other names of the counts.
    """
    path = "reports/per_image.csv"
    table = [
        {OLD_COLUMNS.get(column, column): cell for column, cell in row.items()}
        for row in rows(get, label, path, "name")
    ]
    header = list(table[0]) if table else []
    if not set(metrics.COLUMNS) <= set(header):
        return (), {}
    kinds = group_kinds(header)
    columns = list(itertools.takewhile(header.__contains__, metrics.EXTRA_COLUMNS))
    try:
        counts = metrics.read_counts(table).tolist()
        extras = [tuple(float(row[name]) for name in columns) for row in table]
    except (TypeError, ValueError) as error:
        raise UserError(f"{label}: {path} has a count that is no number: {error}") from error
    return kinds, {
        row["name"]: TestPhoto(
            tuple(row[kind] for kind in kinds),
            photos.get(row["name"], ("", ""))[1],
            tuple(photo_counts),
            extra,
        )
        for row, photo_counts, extra in zip(table, counts, extras, strict=True)
    }


def group_kinds(header: list[str]) -> tuple[str, ...]:
    """Return the names of the columns between the photo's name and its counts, the groups."""
    kinds = tuple(header[1 : header.index(metrics.COLUMNS[0])])
    return kinds[::-1] if kinds == OLD_GROUPS else kinds


def common_measurements(
    base: Results, head: Results, names: Collection[str]
) -> tuple[Float64[np.ndarray, "n measured"], Float64[np.ndarray, "n measured"]]:
    """Return the rows of these test photos in base and in head, as `metrics.by_photo` takes them.

    They hold the extra columns that both have, so that a newer commit is compared with an older one
    in all that the older one measured.
    """
    sides = [[side.test[name] for name in names] for side in (base, head)]
    common = min((len(photo.extra) for photos in sides for photo in photos), default=0)
    before, after = (
        np.array([[*photo.counts, *photo.extra[:common]] for photo in photos], float)
        for photos in sides
    )
    return before, after


def counts_of(results: Results, names: Collection[str]) -> Int64[np.ndarray, "n 6"]:
    """Return the counts of these test photos."""
    cells = [results.test[name].counts for name in names]
    return np.array(cells, np.int64).reshape(-1, len(metrics.COLUMNS))


def slices(results: Results) -> dict[str, list[str]]:
    """Return the names of the test photos of each group, then of each subgroup."""
    names: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for name, photo in results.test.items():
        for level, (kind, group) in enumerate(zip(results.group_kinds, photo.groups, strict=True)):
            names[level, f"{kind} {group}"].append(name)
    return {title: names[level, title] for level, title in sorted(names)}


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
    get: ReadFile, params: dict[str, Any], stages: dict[str, Any], pipeline: dict[str, Any]
) -> Iterator[str]:
    """Yield where dvc.lock does not belong to these files: code, commands, parameters, numbers.

    It needs none of the data, and so it works in a clone that has none.
    """
    defined = pipeline.get("stages", {})
    if stages and set(defined) != set(stages):
        difference = ", ".join(sorted(set(defined) ^ set(stages)))
        yield f"{PIPELINE} and {LOCK} have not the same stages ({difference})"
    stages_by_change: defaultdict[str, list[str]] = defaultdict(list)
    outs = [out for entry in stages.values() for out in entry.get("outs", [])]
    for stage, entry in stages.items():
        if stage in defined and defined[stage].get("cmd") != entry.get("cmd"):
            yield f"the command of {stage} changed after it ran"
        for key, before in entry.get("params", {}).get(PARAMS, {}).items():
            if get_dotted(params, key) != before:
                stages_by_change[key].append(stage)
        for dep in entry.get("deps", []):
            path = PurePosixPath(dep["path"])
            from_stage = any(path.is_relative_to(out["path"]) for out in outs)
            if not from_stage and differs(get(dep["path"]) or b"", dep):
                stages_by_change[dep["path"]].append(stage)
    for name, names in stages_by_change.items():
        yield f"{name} changed after {', '.join(names)} ran"
    for out in outs:
        content = get(out["path"])
        if content is not None and differs(content, out):
            yield f"{out['path']} is not what {LOCK} says"


def differs(content: bytes, entry: dict[str, Any]) -> bool:
    """Return whether a file has other content than an entry of dvc.lock names; False for a folder."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    expected = str(entry.get("md5", digest))
    return expected != digest and not expected.endswith(".dir")


def get_dotted(document: dict[str, Any], key: str) -> Any:
    """Return a value by its dotted key; None if there is none."""
    value: Any = document
    for step in key.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
