"""A review as one Markdown comment that shows text from data and runs none of it."""

import re
import unicodedata

from tabulate import tabulate

from petseg.review import sections
from petseg.review.compare import Review
from petseg.review.sections import Data, Section

MAX_COMMENT = 60_000  # characters that a comment may have
MAX_TEXT = 120  # characters of a text from data

# what may mean something in Markdown: all but letters, digits, harmless signs, and those that mean
# something only when doubled (~) or at a word's end (_)
MARKUP = re.compile(r"""[^\w\s.,:;/()+=→…%±−▁-█"'^~-]|~(?=~)|(?<=~)~|(?<![^\W_])_|_(?![^\W_])""")


def markdown(found: Review, lagging: bool) -> str:
    """Return the comment: at most 60,000 characters, whatever changed."""
    parts = [
        f"**{escape_sentence(sections.headline(found))}**",
        *map(escape_sentence, sections.remarks(found, lagging)),
    ]
    left_out = []
    for section in sections.sections(found):
        part = section_as_markdown(section)
        if sum(map(len, parts)) + len(part) < MAX_COMMENT - 1000:
            parts.append(part)
        else:
            left_out.append(section.title)
    if left_out:
        parts.append(f"Left out, too long for a comment: {', '.join(left_out)}.")
    return "\n\n".join(parts) + "\n"


def section_as_markdown(section: Section) -> str:
    """Return a section as a heading and a table that a terminal shows as well."""
    table = tabulate(
        [
            [code_span(cell) if isinstance(cell, Data) else cell for cell in row]
            for row in section.rows
        ],
        headers=section.header,
        tablefmt="github",
        disable_numparse=True,
    )
    return "\n\n".join(filter(None, [f"### {section.title}", section.note, table]))


def code_span(text: str) -> str:
    """Return a text from data as Markdown that shows it and does nothing else.

    What a code span could not hold within a table (a pipe, a backtick) is written in HTML.
    """
    clean = shorten(text)
    if not clean:
        return ""
    if re.fullmatch(r"[\w ,.:;/()+=→…%▁-█-]+", clean) and "://" not in clean:
        return f"`{clean}`"
    return f"<code>{escape_entities(clean)}</code>"


def escape_sentence(text: str) -> str:
    """Return a sentence that may hold texts from data: only its own commands are marked.

    GitHub looks for mentions in what is shown: a space without width keeps it from finding any.
    """
    commands = re.split(r"(`(?:petseg|dvc|git)[\w ./$()-]*`)", text)
    return "".join(
        part
        if number % 2
        else escape_entities(part).replace("&#64;", "@\u200b").replace("&#35;", "#\u200b")
        for number, part in enumerate(commands)
    )


def shorten(text: str) -> str:
    """Return a text in one line, without control characters, and cut where it is long."""
    visible = "".join("�" if unicodedata.category(char)[0] == "C" else char for char in text)
    return visible if len(visible) <= MAX_TEXT else f"{visible[: MAX_TEXT - 1]}…"


def escape_entities(text: str) -> str:
    """Return a text in which nothing is Markdown or HTML."""
    return MARKUP.sub(lambda char: f"&#{ord(char[0])};", text)
