"""The results of one commit, parsed from the files that git keeps of it.

The files come from a function from path to bytes, since the same results may be read from a commit,
the working tree or another folder. A file that is not what it should be is a fault of the results, and
what it would hold is empty.
"""

import csv
import hashlib
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from petseg import files
from petseg.data import label_edits
from petseg.data.label_edits import LabelEdit
from petseg.errors import UserError
from petseg.evaluation import metrics
from petseg.params import parse_yaml
from petseg.review import agreement
from petseg.review.agreement import LOCK, PARAMS, PIPELINE, Fault, ReadFile
from petseg.review.nested import get_dotted, mapping

Parsed = TypeVar("Parsed")
# The names of columns in the commits before groups of photos had any name.
OLD_COLUMNS = {
    "pet_as_pet": "foreground_as_foreground",
    "pet_as_background": "foreground_as_background",
    "border_as_pet": "border_as_foreground",
    "background_as_pet": "background_as_foreground",
}
OLD_GROUPS = ("breed", "species")  # in those commits the smaller groups came first


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
    faults: tuple[Fault, ...]  # signs that the results are not of this commit's code and parameters
    due: tuple[str, ...]  # the stages that would have to run again, by these faults

    @property
    def seeds_are_its_own(self) -> bool:
        """Whether the repetitions are of this commit's training, which is one of them."""
        return self.seeds.get("trained_from") == trained_from(self.stages) and any(
            finite_numbers(run["metrics"]) == self.metrics for run in self.seeds.get("runs", [])
        )

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
    """Return the results in the files that `get` returns; what is wrong with them is in `faults`."""
    faults: list[Fault] = []

    def attempt(parse: Callable[[], Parsed]) -> Parsed | None:
        """Return what is parsed; if it cannot be, add a fault and return None."""
        try:
            return parse()
        except (UserError, RecursionError) as error:  # the latter by brackets without end
            faults.append(Fault(str(error)))
            return None

    params = attempt(lambda: yaml(get, PARAMS)) or {}
    pipeline = attempt(lambda: yaml(get, PIPELINE)) or {}
    defined = {str(name): stage for name, stage in mapping(pipeline.get("stages")).items()}
    stages = attempt(lambda: agreement.lock_stages(get(LOCK))) or {}
    metrics_json = attempt(lambda: json_of(get, "reports/metrics.json")) or {}
    photos = attempt(lambda: split_photos(get)) or {}
    group_kinds, test = attempt(lambda: test_photos(get, photos)) or ((), {})
    epochs = attempt(lambda: history(get)) or []
    data = attempt(lambda: json_of(get, "reports/data.json")) or {}
    edits = attempt(lambda: read_label_edits(get, params)) or {}
    recipe = str(params.get("recipe", ""))
    seeds = attempt(lambda: read_seeds(get, recipe)) or {}
    if not faults:  # else the files that cannot be read are to be mended first
        faults += agreement.faults(get, params, stages, defined)
    return Results(
        label=label,
        commit=commit,
        metrics=finite_numbers(metrics_json),
        group_kinds=group_kinds,
        test=test,
        photos=photos,
        history=epochs,
        data=data,
        label_edits=edits,
        recipe=recipe,
        params=params,
        stages=stages,
        seeds=seeds,
        faults=tuple(faults),
        due=agreement.due(faults, defined),
    )


def split_photos(get: ReadFile) -> dict[str, tuple[str, str]]:
    """Return split and hash of the content of each photo in photos.csv by name; none without it."""
    table = complete_rows(get, "reports/photos.csv", "name", "split", "sha256")
    return {row["name"]: (row["split"], row["sha256"]) for row in table}


def history(get: ReadFile) -> files.Rows:
    """Return the rows of history.csv without those in which a number is missing."""
    return [row for row in rows(get, "reports/history.csv", "epoch") if all_finite(row)]


def read_label_edits(get: ReadFile, params: dict[str, Any]) -> dict[str, LabelEdit]:
    """Return the corrections of labels in the table that the parameters name; none without it."""
    table = get_dotted(params, "preprocess.labels")
    content = (
        get(str(label_edits.locate(table, label_edits.FOLDER, PARAMS)))
        if isinstance(table, str)
        else None
    )
    if content is None:
        return {}
    text = content.decode("utf-8-sig", errors="replace")
    return {edit.name: edit for _, edit in label_edits.parse(text, table)}


def read_seeds(get: ReadFile, recipe: str) -> dict[str, Any]:
    """Return the repetitions of a recipe with other seeds; empty without any.

    Raises:
        UserError: the file is not what `petseg seeds` writes.
    """
    path = seeds_path(recipe)
    content = json_of(get, path)
    runs = content.get("runs", [])
    if not (isinstance(runs, list) and all(map(is_run, runs))):
        raise UserError(f"{path} is not what `petseg seeds` writes")
    return content


def is_run(run: Any) -> bool:
    """Return whether an entry of a file of seeds is a training with its numbers."""
    return isinstance(run, dict) and all(
        isinstance(run.get(kind), dict) for kind in ("metrics", "slices")
    )


def seeds_path(recipe: str) -> str:
    """Return the path of the file with a recipe's repetitions with other seeds."""
    return f"reports/seeds/{recipe}.json"


def json_of(get: ReadFile, path: str) -> dict[str, Any]:
    """Return a JSON file's mapping; empty without the file."""
    content = get(path)
    if content is None:
        return {}
    try:
        document = json.loads(content)
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is not a JSON object")
    return document


def yaml(get: ReadFile, path: str) -> dict[str, Any]:
    """Return a YAML file's mapping; empty without the file."""
    content = get(path)
    try:
        return {} if content is None else parse_yaml(content, path)
    except ValueError as error:  # no UTF-8, or a value such as the date 2026-13-45
        raise UserError(f"{path} is not YAML: {error}") from error


def rows(get: ReadFile, path: str, *columns: str) -> files.Rows:
    """Return a CSV's rows; none without the file, or without these columns."""
    try:
        table = files.parse_csv((get(path) or b"").decode())
        return table if table and set(columns) <= set(table[0]) else []
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not CSV: {error}") from error


def complete_rows(get: ReadFile, path: str, *columns: str) -> files.Rows:
    """Return a CSV's rows as `rows` does.

    Raises:
        UserError: a row has more or fewer cells than the header.
    """
    table = rows(get, path, *columns)
    for number, row in enumerate(table, start=1):
        if None in row or None in row.values():
            raise UserError(f"{path}: row {number} has more or fewer cells than the header")
    return table


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
    get: ReadFile, photos: dict[str, tuple[str, str]]
) -> tuple[tuple[str, ...], dict[str, TestPhoto]]:
    """Return the kinds of groups and the test photos of per_image.csv by name.

    There are none without the columns of the counts. An older commit has only the first of
    `metrics.EXTRA_COLUMNS`, and other names of the counts.
    """
    path = "reports/per_image.csv"
    table = [
        {OLD_COLUMNS.get(column, column): cell for column, cell in row.items()}
        for row in complete_rows(get, path, "name")
    ]
    header = list(table[0]) if table else []
    if not set(metrics.COLUMNS) <= set(header):
        return (), {}
    kinds = group_kinds(header)
    columns = list(itertools.takewhile(header.__contains__, metrics.EXTRA_COLUMNS))
    try:
        counts = metrics.read_counts(table).tolist()
        extras = [tuple(float(row[name]) for name in columns) for row in table]
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path} has a count that is no number: {error}") from error
    if not np.isfinite([cell for extra in extras for cell in extra]).all():
        raise UserError(f"{path} has a number that is not finite")
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
