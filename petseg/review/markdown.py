"""A review as one Markdown comment that shows text from data and runs none of it."""

from tabulate import tabulate

from petseg import markup
from petseg.review import headline, sections
from petseg.review.compare import Review
from petseg.review.sections import Data, Section

MAX_COMMENT = 60_000  # characters that a comment may have
MAX_FIRST = 2_500  # characters of these before what is folded
RESERVE = 1_000  # characters for the sentence that names the sections left out
FOLD = "<details><summary>Everything else</summary>"
FOLD_END = "</details>"


def markdown(review: Review, lagging: bool, folded: bool = True) -> str:
    """Return the comment: at most 60,000 characters, whatever changed.

    It begins with what a reviewer needs, in at most 2,500 characters; the rest is folded.

    Args:
        review: what moved from base to head.
        lagging: whether base has commits that head lacks.
        folded: whether to fold it, in HTML that GitHub and GitLab know; else all of it is shown.
    """
    first = [
        f"**{markup.escape_sentence(headline.headline(review))}**",
        markup.escape_sentence(sections.changed_note(review)),
        section_as_markdown(sections.main_section(review)),
        sections.other_metrics_note(review),
        markup.escape_sentence(sections.slices_note(review)),
        *map(markup.escape_sentence, sections.remarks(review, lagging)),
    ]
    first = [part for part in first if part]
    rest: list[str] = []
    while len(first) > 1 and len("\n\n".join(first)) > MAX_FIRST:
        rest.insert(0, first.pop())
    length, omitted = sum(map(len, first + rest)), []
    for section in sections.sections(review):
        part = section_as_markdown(section)
        if length + len(part) < MAX_COMMENT - RESERVE:
            rest.append(part)
            length += len(part)
        else:
            omitted.append(section.title)
    if omitted:
        rest.append(f"Left out, too long for a comment: {', '.join(omitted)}.")
    if rest and folded:
        rest = [FOLD, *rest, FOLD_END]
    return "\n\n".join(first + rest) + "\n"


def section_as_markdown(section: Section) -> str:
    """Return a section as a heading and a table that is readable in a terminal as well."""
    if not section.rows:
        return section.note
    table = tabulate(
        [
            [markup.code_span(cell) if isinstance(cell, Data) else cell for cell in row]
            for row in section.rows
        ],
        headers=section.header,
        tablefmt="github",
        disable_numparse=True,
    )
    title = f"### {section.title}" if section.title else ""
    return "\n\n".join(filter(None, [title, section.note, table]))
