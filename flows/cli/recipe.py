"""The commands about the recipes of params.yaml: check-params, use."""

from typing import Annotated

from cyclopts import Parameter


def check_params(
    *,
    recipe: Annotated[
        str | None, Parameter(help="A recipe of params.yaml (default: the active recipe).")
    ] = None,
) -> None:
    """Check the parameters of a recipe before anything runs."""
    from flows.workspace import recipes
    from petseg import params

    print(f"{params.FILE}: recipe {recipes.check_params(recipe)} is fine")


def use(recipe: Annotated[str, Parameter(help="A recipe of params.yaml.")], /) -> None:
    """Make a recipe the active one: the first line of params.yaml."""
    from flows.workspace import recipes
    from petseg import params

    if recipes.use(recipe):
        print(f"{params.FILE}: the first line is now `recipe: {recipe}`")
    else:
        print(f"{params.FILE}: recipe {recipe} is active already")
