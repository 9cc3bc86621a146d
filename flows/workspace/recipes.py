"""Recipes: defaults.yaml and what a recipe changes of it, and params.yaml made from the two."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tabulate import tabulate

from petseg import files, params
from petseg.errors import UserError
from petseg.params import Section
from petseg.review import nested

FOLDER = Path("recipes")
DEFAULTS = FOLDER / "defaults.yaml"
NAME = re.compile(r"[A-Za-z0-9][\w-]*")
HEADER = """recipe: {name}
# Made from recipes/ by `petseg use`. Edit it freely: `petseg recipes save NAME`
# keeps your edits as a recipe.
"""
SWITCH = Path(".dvc/tmp/petseg-recipe.json")  # how to undo a temporary switch of recipes


@dataclass(frozen=True)
class Recipe:
    """One file of recipes/: its name, its sentence, and what it changes of the defaults."""

    name: str
    description: str
    changes: Section

    @property
    def path(self) -> Path:
        """The recipe's file."""
        return FOLDER / f"{self.name}.yaml"


def names() -> list[str]:
    """Return the names of all recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path != DEFAULTS)


def read(name: str) -> Recipe:
    """Return a recipe.

    Raises:
        UserError: there is no such recipe, it has no sentence, or a key that no default has.
    """
    if name not in names():
        raise UserError(f"{FOLDER / f'{name}.yaml'} does not exist; recipes: {', '.join(names())}")
    path = FOLDER / f"{name}.yaml"
    content = params.read_yaml(path)
    description = content.pop("description", None)
    if not isinstance(description, str) or not description.strip():
        raise UserError(f"{path}: description is missing: a sentence that `petseg recipes` shows")
    check_keys(path, content, params.read_yaml(DEFAULTS))
    recipe = Recipe(name, " ".join(description.split()), content)
    check_source(recipe)
    return recipe


def check_keys(path: Path, content: Any, defaults: Section, prefix: str = "") -> None:
    """Refuse keys that the defaults do not have.

    Raises:
        UserError: one line with the key and those that exist.
    """
    for key, value in content.items():
        if key not in defaults:
            raise UserError(f"{path}: {prefix}{key} is unknown; known: {', '.join(defaults)}")
        if isinstance(defaults[key], dict):
            if not isinstance(value, dict):
                raise UserError(f"{path}: {prefix}{key} is {value!r}; allowed: a mapping")
            check_keys(path, value, defaults[key], f"{prefix}{key}.")


def source_keys() -> dict[str, set[str]]:
    """Return the keys of `download` that each source takes."""
    from stages import download  # imported late, so that `petseg --help` stays quick

    variants = get_args(get_args(download.Params)[0])
    return {
        get_args(variant.__annotations__["source"])[0]: set(variant.__annotations__)
        for variant in variants
    }


def check_source(recipe: Recipe) -> None:
    """Refuse keys of `download` that belong to another source than the recipe's.

    Raises:
        UserError: one line with the key and the source that takes it.
    """
    source = merged(params.read_yaml(DEFAULTS), recipe.changes)["download"]["source"]
    keys = source_keys()
    for key in recipe.changes.get("download", {}):
        if key not in keys.get(source, {key}):
            owner = next(name for name, taken in keys.items() if key in taken)
            raise UserError(
                f"{recipe.path}: download.{key} belongs to the source {owner}; "
                f"the recipe's source is {source}"
            )


def merged(defaults: Section, overrides: Section) -> Section:
    """Return the defaults with the overrides in their places; neither is changed."""
    return defaults | {
        key: merged(defaults[key], value)
        if isinstance(value, dict) and isinstance(defaults[key], dict)
        else value
        for key, value in overrides.items()
    }


def compose(recipe: Recipe) -> Section:
    """Return every section of the recipe; of `download` the keys that its source takes."""
    document = merged(params.read_yaml(DEFAULTS), recipe.changes)
    download = document["download"]
    taken = source_keys().get(download["source"], set(download))
    document["download"] = {key: value for key, value in download.items() if key in taken}
    return document


def render(recipe: Recipe) -> str:
    """Return the text of params.yaml: the lines of the defaults with the recipe's values in them.

    Equal recipes give equal bytes.
    """
    document, defaults = compose(recipe), params.read_yaml(DEFAULTS)
    lines = []
    for section, key, block in default_blocks():
        if key is None:
            lines += block
        elif key in document[section]:
            value = document[section][key]
            unchanged = value == defaults[section][key]
            lines += block if unchanged else rendered_value(key, value, block[0])
    return HEADER.format(name=recipe.name) + "\n".join(lines).rstrip() + "\n"


def default_blocks() -> Iterator[tuple[str, str | None, list[str]]]:
    """Yield the lines of defaults.yaml by section and key; lines outside of keys have no key."""
    section, key, block = "", None, [""]
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        title, entry = re.match(r"(\w+):", line), re.match(r"  (\w+):", line)
        if title or entry or not line:
            yield section, key, block
            block = []
            section = title[1] if title else section
            key = entry[1] if entry else None
        block.append(line)
    yield section, key, block


def rendered_value(key: str, value: Any, default_line: str) -> list[str]:
    """Return the lines of a key with another value, with the comment of its default."""
    first, *others = [f"  {line}" for line in params.to_yaml({key: value}).splitlines()]
    _, mark, comment = default_line.partition(" # ")
    return [first + mark + comment, *others]


def edits() -> list[tuple[str, Any, Any]]:
    """Return what params.yaml has otherwise than its recipe: dotted key, the recipe's, its own."""
    recipe = compose(read(params.active_recipe()))
    own = params.read_yaml(params.FILE)
    return nested.differences("", recipe, {key: own[key] for key in own if key != "recipe"})


def use(name: str, discard: bool = False) -> bool:
    """Write params.yaml from a recipe; return whether the file changed.

    Args:
        name: the recipe.
        discard: drop edits that are in no recipe.

    Raises:
        UserError: there is no such recipe, it is wrong, or edits would be lost.
    """
    text = render(read(name))
    before = params.FILE.read_text(encoding="utf-8") if params.FILE.exists() else None
    if before == text:
        return False
    if before is not None and not discard:
        refuse_edits(name)
    files.write_text(params.FILE, text)
    return True


def refuse_edits(name: str) -> None:
    """Refuse to overwrite a params.yaml with edits that are in no recipe.

    Raises:
        UserError: the edits are named, and how to keep or drop them.
    """
    remedy = (
        "`petseg recipes save NAME` keeps them as a recipe, "
        f"`petseg use {name} --discard` drops them"
    )
    active = params.active_recipe()
    if active not in names():
        raise UserError(f"{params.FILE}: its recipe {active} is not in {FOLDER}/: {remedy}")
    if described := described_edits():
        raise UserError(f"{params.FILE} has edits that are in no recipe ({described}): {remedy}")


def described_edits() -> str:
    """Return the edits in words, such as `train.epochs 18 → 3`; empty if there are none."""
    return ", ".join(
        f"{key} {nested.format_value(before)} → {nested.format_value(now)}"
        for key, before, now in edits()
    )


def save(name: str, description: str = "") -> Path:
    """Keep params.yaml as a recipe of its own, and make that the active one; return its file.

    Args:
        name: the new recipe.
        description: its sentence; without one, the edits are listed.

    Raises:
        UserError: the name cannot be used, or params.yaml has a key that no default has.
    """
    if not NAME.fullmatch(name) or name == DEFAULTS.stem:
        raise UserError(f"a recipe cannot be called {name!r}; allowed: letters, digits, - and _")
    if name in names():
        raise UserError(f"{FOLDER / f'{name}.yaml'} exists; choose another name, or edit that file")
    own = params.read_yaml(params.FILE)
    base = own.pop("recipe", "")
    overrides = changed_only(own, params.read_yaml(DEFAULTS))
    if not description:
        described = described_edits() if base in names() else ""
        description = f"The recipe {base}" + (f" with {described}." if described else ".")
    recipe = Recipe(name, description, overrides)
    check_keys(params.FILE, overrides, params.read_yaml(DEFAULTS))
    check_source(recipe)
    files.write_text(recipe.path, params.to_yaml({"description": description, **overrides}))
    files.write_text(params.FILE, render(read(name)))
    return recipe.path


def changed_only(own: Section, defaults: Section) -> Section:
    """Return the values that differ from the defaults, in nested mappings."""
    different: Section = {}
    for key, value in own.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if nested := changed_only(value, default):
                different[key] = nested
        elif key not in defaults or value != default:
            different[key] = value
    return different


def overview() -> str:
    """Return a table of all recipes: which one is in use, its sentence, and what it changes."""
    active = params.active_recipe() if params.FILE.exists() else ""
    rows = []
    for name in names():
        recipe = read(name)
        different = nested.differences("", {}, recipe.changes)
        values = [f"{key} {nested.format_value(value)}" for key, _, value in different]
        rows.append(("*" if name == active else "", name, recipe.description, ", ".join(values)))
    header = ("", "recipe", "what it is", "changes of the defaults")
    table: str = tabulate(
        rows, header, tablefmt="plain", maxcolwidths=[None, None, 34, 60], disable_numparse=True
    )
    described = described_edits() if active in names() else ""
    edited = f", edited: {described}" if described else ""
    return f"{table}\n\n* in use: {active or 'none'}{edited}"


def schemas() -> dict[str, object]:
    """Return the dataclass of each stage's parameters."""
    # The stages import NumPy and more, which `petseg --help` does not need.
    from petseg.training.settings import TrainParams
    from stages import download, evaluate, export, preprocess, report

    return {
        "download": download.Params,
        "preprocess": preprocess.Params,
        "train": TrainParams,
        "export": export.Params,
        "evaluate": evaluate.Params,
        "report": report.Params,
    }


def check_params(name: str | None) -> str:
    """Check params.yaml, or what a recipe makes: each section, all together, and the gate.

    Returns:
        What was checked, in words.

    Raises:
        UserError: one line that names the key and the allowed values.
    """
    return checked(name)[0]


def checked(name: str | None) -> tuple[str, dict[str, Any]]:
    """Return what was checked, in words, and each section as its dataclass, by stage.

    Raises:
        UserError: as `check_params` does.
    """
    from petseg.data import label_edits
    from petseg.review import gate
    from petseg.training.settings import check_network

    if name is None:
        document, source = params.read_yaml(params.FILE), params.origin()
    else:
        document, source = compose(read(name)), str(FOLDER / f"{name}.yaml")
    stages = schemas()
    if missing := [stage for stage in stages if stage not in document]:
        unknown = [key for key in document if key not in {*stages, "recipe", "gate"}]
        typo = f"; {', '.join(unknown)} is unknown" if unknown else ""
        raise UserError(f"{source}: the section {missing[0]} is missing{typo}")
    sections = {
        stage: params.check(schema, source, stage, document[stage])
        for stage, schema in stages.items()
    }
    check_network(sections["preprocess"].frame, sections["train"], source)
    gate.limits(source, document)
    label_edits.locate(sections["preprocess"].labels, label_edits.FOLDER, source)
    return source, sections


@contextmanager
def temporarily_active(name: str | None, back: bool) -> Iterator[None]:
    """Make a recipe the active one; with `back`, params.yaml is restored at the end.

    A run that is killed cannot restore it: the next run does (`restore_recipe`).
    """
    if name and back:
        before, during = params.FILE.read_text(encoding="utf-8"), render(read(name))
        files.write_json(SWITCH, {"before": before, "during": during})
    if name:
        use(name)
    try:
        yield
    finally:
        restore_recipe()


def restore_recipe() -> bool:
    """Undo a temporary switch of recipes; return whether there was one.

    A params.yaml that somebody has edited since stays as it is.
    """
    if not SWITCH.exists():
        return False
    switch = files.read_json(SWITCH)
    if params.FILE.read_text(encoding="utf-8") == switch["during"]:
        files.write_text(params.FILE, switch["before"])
    SWITCH.unlink()
    return True
