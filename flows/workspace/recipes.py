"""Recipes as a whole: each section checked, alone and together, and the active one switched."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from petseg import files, params
from petseg.errors import UserError

SWITCH = Path(".dvc/tmp/petseg-recipe.json")  # a switch that is to be taken back


def schemas() -> dict[str, object]:
    """Return each stage's parameters' dataclass."""
    # imported late: `petseg --help` shall answer at once
    from petseg.training import settings
    from stages import download, evaluate, preprocess, report

    return {
        "download": download.Params,
        "preprocess": preprocess.Params,
        "train": settings.Params,
        "evaluate": evaluate.Params,
        "report": report.Params,
    }


def check_params(recipe: str | None) -> str:
    """Check every section of a recipe, each alone and together, and the gate's limits.

    Returns:
        The recipe's name.

    Raises:
        UserError: one line that names recipe, key and allowed values.
    """
    from flows.workspace import commits
    from petseg.review import gate, results
    from petseg.training.settings import check_network

    name, sections = params.read_recipe(recipe)
    known = schemas()
    for section in sections:
        if section not in known:
            raise UserError(
                f"{params.FILE}: recipes.{name}.{section} is unknown; known: {', '.join(known)}"
            )
    checked = {
        stage: params.check(schema, name, stage, sections.get(stage))
        for stage, schema in known.items()
    }
    check_network(checked["preprocess"].image_size, checked["train"], name)
    gate.limits(
        commits.WORKING_TREE,
        results.yaml(commits.files_below(Path()), commits.WORKING_TREE, "params.yaml"),
    )
    return name


def use(recipe: str, path: Path = params.FILE) -> bool:
    """Make a recipe the active one by editing the first line alone; return whether it changed.

    Raises:
        UserError: there is no such recipe, or the first line does not name one.
    """
    name, _ = params.read_recipe(recipe)
    first, newline, rest = path.read_text().partition("\n")
    if not re.match(r"recipe:\s*\S+", first):
        raise UserError(f"{path}: the first line must be `recipe: NAME`, found {first!r}")
    edited = re.sub(r"(?<=^recipe:).*", f" {name}", first)
    if edited != first:
        files.write_text(path, edited + newline + rest)
    return edited != first


@contextmanager
def temporarily_active(recipe: str | None, back: bool) -> Iterator[None]:
    """Make a recipe the active one; with `back`, only for the time being.

    A run that is killed cannot take its switch back: the next one does (`take_back`).
    """
    before = params.active_recipe()
    if recipe and recipe != before and back:
        files.write_json(SWITCH, {"before": before, "during": recipe})
    if recipe:
        use(recipe)
    try:
        yield
    finally:
        restore_recipe()


def restore_recipe() -> bool:
    """Undo a switch that was for the time being; return whether there was one.

    Only the first line is edited, and only if it still is what the switch made it.
    """
    if not SWITCH.exists():
        return False
    switch = files.read_json(SWITCH)
    if params.active_recipe() == switch["during"]:
        use(switch["before"])
    SWITCH.unlink()
    return True
