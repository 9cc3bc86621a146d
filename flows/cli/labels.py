"""The command to look at labels that may be wrong, and to correct them: labels review."""

from typing import Annotated

from cyclopts import App, Parameter

EXAMPLES = """Examples:
  petseg labels review                  # the photos of reports/suspects.csv
"""
REVIEW_EXAMPLES = """Examples:
  petseg labels review
  petseg labels review Smoke_3 Smoke_17 # photos of your choice
  petseg labels review --port 9000 --no-browser
"""

labels = App(
    "labels",
    help="Look at labels that may be wrong, and correct them.",
    help_epilogue=EXAMPLES,
    group_commands="Commands",
)


@labels.command(help_epilogue=REVIEW_EXAMPLES)
def review(
    *names: Annotated[str, Parameter(help="Photos (default: those of reports/suspects.csv).")],
    port: Annotated[int, Parameter(help="The port; 0 for any.", show_default=True)] = 8809,
    no_browser: Annotated[bool, Parameter(help="Do not open the page in a browser.")] = False,
) -> None:
    """Open a page to keep, drop or mend the labels of photos.

    It writes the table that preprocess.labels names, at once. The next run applies it.
    """
    from flows.web.labels import server

    server.serve(names, port, not no_browser)
