"""A review as one Markdown comment that shows text from data and runs none of it."""

from tabulate import tabulate

from petseg import markup
from petseg.review import headline, sections
from petseg.review.compare import Review
from petseg.review.sections import Data, Section

MAX_COMMENT = 60_000  # characters that a comment may have
RESERVE = 1_000  # characters of these for the sentence that names the sections left out


def markdown(review: Review, lagging: bool) -> str:
    """Return the comment: at most 60,000 characters, whatever changed.

    Args:
        review: what moved from base to head.
        lagging: whether base has commits that head lacks.
    """
    parts = [
        f"**{markup.escape_sentence(headline.headline(review))}**",
        *map(markup.escape_sentence, sections.remarks(review, lagging)),
    ]
    omitted = []
    for section in sections.sections(review):
        part = section_as_markdown(section)
        if sum(map(len, parts)) + len(part) < MAX_COMMENT - RESERVE:
            parts.append(part)
        else:
            omitted.append(section.title)
    if omitted:
        parts.append(f"Left out, too long for a comment: {', '.join(omitted)}.")
    return "\n\n".join(parts) + "\n"


def section_as_markdown(section: Section) -> str:
    """Return a section as a heading and a table that is readable in a terminal as well."""
    table = tabulate(
        [
            [markup.code_span(cell) if isinstance(cell, Data) else cell for cell in row]
            for row in section.rows
        ],
        headers=section.header,
        tablefmt="github",
        disable_numparse=True,
    )
    return "\n\n".join(filter(None, [f"### {section.title}", section.note, table]))
