"""The commands that judge a change: review, gate, power, seeds."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from petseg.review.compare import Review

DIFFERENCE = 0.005  # that `petseg power` plans for where the gate has no limit
Base = Annotated[str, Parameter(help="The commit, branch or tag to compare with.")]
Head = Annotated[
    str | None,
    Parameter(help="The commit, branch or tag to judge (default: the working tree)."),
]


def review(
    base: Base,
    head: Head = None,
    /,
    *,
    html: Annotated[
        Path | None,
        Parameter(help="Also write a page with curves and pictures.", metavar="FILE"),
    ] = None,
) -> None:
    """Say what changed between two commits, as Markdown."""
    from petseg.review import markdown, sections

    comparison, lacks_commits = compare_commits(base, head)
    if html:
        from flows.workspace import pictures
        from petseg.review import page

        losses = sections.largest_regressions(comparison)
        regressions = pictures.regression_pictures(comparison, losses)
        page.write(html, comparison, lacks_commits, regressions.png, regressions.without)
        print_status(f"page: {html}")
    if sys.stdout.isatty():
        print_coloured(comparison, lacks_commits)
    else:
        print(markdown.markdown(comparison, lacks_commits), end="")


def print_coloured(comparison: "Review", lacks_commits: bool) -> None:
    """Print a review for a terminal: the headline in the colour of its outcome, tables aligned."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.text import Text

    from petseg.review import headline, markdown
    from petseg.review.headline import Outcome

    colours = {Outcome.BETTER: "green", Outcome.WORSE: "red", Outcome.SAME: "default"}
    console = Console()
    colour = colours.get(headline.outcome(comparison), "yellow")
    console.print(Text(headline.headline(comparison), style=f"bold {colour}"), "\n")
    _, _, rest = markdown.markdown(comparison, lacks_commits, folded=False).partition("\n\n")
    console.print(Markdown(rest))


def gate(base: Base, head: Head = None, /) -> int:
    """Exit 0 if no metric got worse, 3 if one did, 4 if it cannot tell."""
    from flows.workspace.commits import ShallowCloneError
    from petseg.review import gate

    try:
        code, reason = gate.decide(compare_commits(base, head)[0])
    except ShallowCloneError as error:
        code, reason = gate.GateResult.CANNOT_TELL, f"cannot tell: {error}"
    print(reason)
    return code


def power(
    base: Annotated[
        str | None, Parameter(help="Compare its model with head's, to see how two models vary.")
    ] = None,
    head: Head = None,
    /,
    *,
    difference: Annotated[
        float | None,
        Parameter(help="The difference in IoU to be told (default: the gate's limit)."),
    ] = None,
) -> None:
    """Say what difference the test photos can tell, and how many would tell a smaller one."""
    from flows.workspace import commits
    from petseg.errors import UserError
    from petseg.review import gate, power

    side = commits.read(head)
    limit = gate.limits(f"{side.label}: params.yaml", side.params).get("iou", DIFFERENCE)
    wanted = limit if difference is None else difference
    if not 0 < wanted <= 1:
        raise UserError(f"--difference is {wanted:g}; allowed: above 0 and at most 1")
    evidence = power.of_results(side, commits.read(base) if base else None)
    print(power.summary(evidence))
    print(power.plan(evidence, wanted))


def compare_commits(base: str, head: str | None) -> "tuple[Review, bool]":
    """Return the review of base and head, and whether head lacks commits of base."""
    from flows.workspace import commits
    from petseg.review import compare

    base_results, head_results = commits.read(base), commits.read(head)
    return (
        compare.compare(base_results, head_results),
        commits.lacks_commits(base_results, head_results),
    )


def seeds(
    *,
    count: Annotated[
        int,
        Parameter(name="-n", help="Trainings in all, the present one included.", show_default=True),
    ] = 5,
) -> None:
    """Train the recipe with other seeds, to see how far metrics move."""
    from flows import seeds

    print(seeds.measure(count, print_status))


def print_status(line: str) -> None:
    """Print what the command is doing to stderr, so that stdout holds the result alone."""
    print(line, file=sys.stderr)
