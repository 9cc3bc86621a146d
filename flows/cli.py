"""The command line `petseg`: what stands around `dvc repro`."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from stages.petseg import command, params, tables
from stages.petseg.errors import UserError

EXAMPLES = """examples:
  petseg check-params                  the active recipe, before a long run
  petseg check-params --recipe oxford  another one
  petseg use oxford                    make it the active recipe, then `dvc repro`
"""


def schemas() -> dict[str, object]:
    """Return each stage's parameters' dataclass."""
    # imported late: `petseg --help` shall answer at once
    from stages import download, evaluate, preprocess, report, train

    return {
        "download": download.Params,
        "preprocess": preprocess.Params,
        "train": train.Params,
        "evaluate": evaluate.Params,
        "report": report.Params,
    }


def check_params(recipe: str | None) -> str:
    """Check every section of a recipe, each alone and together; return the recipe's name.

    Raises:
        UserError: one line that names recipe, key and allowed values.
    """
    from stages.train import check_size

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
    check_size(checked["preprocess"].image_size, checked["train"].depth, name)
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
        tables.write_text(path, edited + newline + rest)
    return edited != first


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(
        "petseg",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check-params", help="check a recipe's parameters before anything runs"
    )
    check.add_argument("--recipe", help="which one; the active one by default")
    choose = commands.add_parser(
        "use", help="make a recipe the active one: the first line of params.yaml"
    )
    choose.add_argument("recipe", help="its name in params.yaml")
    return top


def run(arguments: Sequence[str] | None) -> None:
    """Carry out one command."""
    asked = parser().parse_args(arguments)
    if asked.command == "check-params":
        print(f"{params.FILE}: recipe {check_params(asked.recipe)} is fine")
    elif use(asked.recipe):
        print(f"{params.FILE}: the first line is now `recipe: {asked.recipe}`")
    else:
        print(f"{params.FILE}: recipe {asked.recipe} is active already")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `petseg`; a mistake ends in one line and a non-zero exit."""
    command.exit_cleanly(lambda: run(arguments))
