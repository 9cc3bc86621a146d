"""The commands that plan and run the pipeline: plan, run, serve."""

from typing import Annotated

from cyclopts import Parameter

from petseg.errors import UserError

Stage = Annotated[
    str, Parameter(help="A stage; the stages it needs are included (default: every stage).")
]
Recipe = Annotated[
    str | None, Parameter(help="A recipe of recipes/ (default: params.yaml as it is).")
]
Force = Annotated[bool, Parameter(help="Run the stages even if nothing changed.")]
Propose = Annotated[
    bool,
    Parameter(
        help="Commit a changed result to a new branch retrain/...; your files and git's index "
        "stay as they are."
    ),
]


def plan(
    *stage: Stage,
    json: Annotated[bool, Parameter(help="Print JSON, with every reason.")] = False,
    force: Annotated[bool, Parameter(help="Show the plan of `petseg run --force`.")] = False,
) -> None:
    """Show what a run would do to each stage, and why."""
    from flows.workspace import plan

    rows = plan.read(stage, force)
    print(plan.as_json(rows) if json else plan.as_table(rows))


def run(
    *stage: Stage, recipe: Recipe = None, force: Force = False, propose: Propose = False
) -> None:
    """Run the stages that changed, with or without a Prefect server."""
    import httpx

    from flows import server
    from flows.retrain import retrain
    from flows.workspace import recipes

    if recipe:
        recipes.read(recipe)  # A wrong name is an error at once, before a server is started.
    with server.use_server():
        try:
            state = retrain(recipe, list(stage), force, propose, return_state=True)
        except httpx.HTTPError as error:
            raise UserError(
                f"the Prefect server went away: {error}; what has run is kept, run it again"
            ) from error
    if not state.is_completed():
        raise UserError(state.message or state.name)
    print(state.message)


def serve(
    *,
    cron: Annotated[str, Parameter(help='When to run, such as "0 3 * * 1".')],
    timezone: Annotated[str, Parameter(help="The time zone of --cron.", show_default=True)] = "UTC",
    recipe: Recipe = None,
    force: Force = False,
    propose: Propose = False,
) -> None:
    """Run on a schedule until stopped; this needs a Prefect server."""
    from flows import server
    from flows.retrain import keep_schedule
    from flows.workspace import recipes

    if recipe:
        recipes.read(recipe)  # A wrong name is an error at once, before a server is looked for.
    server.require_server()
    keep_schedule(cron, timezone, {"recipe": recipe, "force": force, "propose": propose})
