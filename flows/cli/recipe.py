"""The commands about recipes and params.yaml: check-params, use, recipes."""

from typing import Annotated

from cyclopts import App, Parameter

EXAMPLES = """Examples:
  petseg recipes                        # what there is, and which one is in use
  petseg recipes save longer            # keep the edits in params.yaml
"""
SAVE_EXAMPLES = """Examples:
  petseg recipes save longer
  petseg recipes save longer --description "Twice the epochs, for a last run."
"""

recipes = App(
    "recipes",
    help="List the recipes, or keep the edits in params.yaml as a recipe.",
    help_epilogue=EXAMPLES,
    group_commands="Commands",
)


def check_params(
    *,
    recipe: Annotated[
        str | None, Parameter(help="A recipe of recipes/ (default: params.yaml as it is).")
    ] = None,
) -> None:
    """Check every parameter before anything runs."""
    from flows.workspace import recipes

    print(f"{recipes.check_params(recipe)}: every parameter is valid")


def use(
    recipe: Annotated[str, Parameter(help="A recipe of recipes/.")],
    /,
    *,
    discard: Annotated[bool, Parameter(help="Drop edits that are in no recipe.")] = False,
) -> None:
    """Write params.yaml from a recipe."""
    from flows.workspace import recipes
    from petseg import params

    if recipes.use(recipe, discard):
        print(f"{params.FILE} is now the recipe {recipe}")
    else:
        print(f"{params.FILE} is the recipe {recipe} already")


@recipes.default
def list_recipes() -> None:
    """List the recipes: which is in use, what each is, and what it changes of the defaults."""
    from flows.workspace import recipes

    print(recipes.overview())


@recipes.command(help_epilogue=SAVE_EXAMPLES)
def save(
    name: Annotated[str, Parameter(help="The new recipe: recipes/NAME.yaml.")],
    /,
    *,
    description: Annotated[
        str, Parameter(help="What it is, in a sentence (default: the edits are listed).")
    ] = "",
) -> None:
    """Keep the edits in params.yaml as a recipe, which becomes the one in use."""
    from flows.workspace import recipes

    print(f"{recipes.save(name, description)} written; it is the recipe in use now")
