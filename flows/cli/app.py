"""The command line `petseg`: what stands around `dvc repro`."""

# What a command needs is imported when it is carried out: `petseg --help` answers at once.

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petseg import command
from petseg.errors import UserError

if TYPE_CHECKING:
    from petseg.review.compare import Review

EXAMPLES = """examples:
  petseg check-params                     the active recipe, before a long run
  petseg check-params --recipe oxford     another one
  petseg use oxford                       make it the active recipe
  petseg plan                             what a run would do, and why
  petseg run                              do it, watched by Prefect
  petseg run train                        one stage, with what it needs
  petseg run --recipe oxford --propose    and commit the result to a branch
  petseg serve --cron "0 3 * * 1"         do it each Monday at three
  petseg review main                      main against the working tree, as Markdown
  petseg review v1 v2 --html review.html  two commits, and a page with pictures
  petseg gate main                        exit 0: no regression, 3: regression, 4: cannot tell
  petseg seeds -n 5                       how far a mere reseed moves the metrics
"""


def check_params(asked: argparse.Namespace) -> None:
    """Check a recipe."""
    from flows.workspace import recipes

    print(f"{recipes.check_params(asked.recipe)}: all parameters are fine")


def use(asked: argparse.Namespace) -> None:
    """Make a recipe the active one."""
    from flows.workspace import recipes
    from petseg import params

    if recipes.use(asked.recipe):
        print(f"{params.FILE} is now the recipe {asked.recipe}")
    else:
        print(f"{params.FILE} is the recipe {asked.recipe} already")


def plan(asked: argparse.Namespace) -> None:
    """Print what a run would do."""
    from flows.workspace import plan

    rows = plan.read(asked.stages, asked.force)
    print(plan.as_json(rows) if asked.json else plan.as_table(rows))


def run(asked: argparse.Namespace) -> None:
    """Run the flow here and now."""
    import httpx

    from flows import server
    from flows.retrain import retrain
    from flows.workspace import recipes

    if asked.recipe:
        recipes.read(asked.recipe)  # before a server is looked for
    with server.use_server():
        try:
            state = retrain(
                asked.recipe, asked.stages, asked.force, asked.propose, return_state=True
            )
        except httpx.HTTPError as error:
            raise UserError(
                f"the Prefect server went away: {error}; what has run is kept, run it again"
            ) from error
    if not state.is_completed():
        raise UserError(state.message or state.name)
    print(state.message)


def serve(asked: argparse.Namespace) -> None:
    """Keep a schedule, until stopped."""
    from flows import server
    from flows.retrain import keep_schedule
    from flows.workspace import recipes

    if asked.recipe:
        recipes.read(asked.recipe)  # before a server is looked for
    server.require_server()

    wanted = {"recipe": asked.recipe, "force": asked.force, "propose": asked.propose}
    keep_schedule(asked.cron, asked.timezone, wanted)


def review(asked: argparse.Namespace) -> None:
    """Print what moved between two commits."""
    from petseg.review import markdown, sections

    found, lagging = compared(asked)
    if asked.html:
        from flows.workspace import pictures
        from petseg.review import page

        shown = pictures.regression_pictures(found, sections.largest_regressions(found))
        page.write(asked.html, found, lagging, shown.png, shown.without)
        tell(f"page: {asked.html}")
    print(markdown.markdown(found, lagging), end="")


def gate(asked: argparse.Namespace) -> None:
    """Say by exit code whether head may replace base."""
    from flows.workspace.commits import ShallowCloneError
    from petseg.review import gate

    try:
        code, why = gate.decide(compared(asked)[0])
    except ShallowCloneError as error:
        code, why = gate.GateResult.CANNOT_TELL, f"cannot tell: {error}"
    print(why)
    sys.exit(code)


def compared(asked: argparse.Namespace) -> "tuple[Review, bool]":
    """Return the review of base and head, and whether head lacks commits of base."""
    from flows.workspace import commits
    from petseg.review import compare

    base, head = commits.read(asked.base), commits.read(asked.head)
    return compare.compare(base, head), commits.lacks_commits(base, head)


def seeds(asked: argparse.Namespace) -> None:
    """Repeat the recipe with other seeds."""
    from flows import seeds

    print(seeds.measure(asked.n, tell))


def tell(line: str) -> None:
    """Tell what is being waited for, beside the output."""
    print(line, file=sys.stderr)


def add_wishes(parser: argparse.ArgumentParser) -> None:
    """Add what can be wished of a run."""
    parser.add_argument("--recipe", help="recipe of params.yaml; the active one by default")
    parser.add_argument("--force", action="store_true", help="run the stages though unchanged")
    parser.add_argument(
        "--propose",
        action="store_true",
        help="commit a changed result to a branch retrain/...; files and index stay as they are",
    )


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(
        "petseg",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(do: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        name = do.__name__.replace("_", "-")
        title, *examples = EXAMPLES.splitlines()
        added = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog="\n".join([title, *(line for line in examples if f"petseg {name}" in line)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(do=do)
        return added

    check = add(check_params, "check a recipe's parameters before anything runs")
    check.add_argument("--recipe", help="which one; the active one by default")
    choose = add(use, "make a recipe the active one: the first line of params.yaml")
    choose.add_argument("recipe", help="its name in params.yaml")
    look = add(plan, "show what a run would do to each stage, and why")
    look.add_argument("--json", action="store_true", help="for programs, with every reason")
    look.add_argument("--force", action="store_true", help="as if `run --force`")
    now = add(run, "run what changed, a Prefect task per stage, with or without a server")
    add_wishes(now)
    for each in (look, now):
        each.add_argument(
            "stages",
            nargs="*",
            metavar="STAGE",
            help="with all that it needs (default: every stage)",
        )
    kept = add(serve, "run on a schedule, from this process, for a Prefect server")
    kept.add_argument("--cron", required=True, help='when, such as "0 3 * * 1"')
    kept.add_argument("--timezone", default="UTC", help="of the schedule (default: UTC)")
    add_wishes(kept)
    compare = add(review, "say what moved between two commits, as Markdown")
    compare.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page with curves and pictures, too"
    )
    judge = add(gate, "exit 0 if no metric got worse, 3 if one did, 4 if that cannot be told")
    for each in (compare, judge):
        each.add_argument("base", metavar="BASE", help="commit, branch or tag to compare to")
        each.add_argument(
            "head", metavar="HEAD", nargs="?", help="what is compared (default: the working tree)"
        )
    spread = add(seeds, "measure how far a mere reseed moves the metrics: train the recipe again")
    spread.add_argument(
        "-n", type=int, default=5, help="trainings in all, this one included (default: 5)"
    )
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `petseg`; a mistake ends in one line and a non-zero exit."""
    asked = parser().parse_args(arguments)
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reports its use as soon as it is imported
    command.exit_cleanly(lambda: asked.do(asked))
