"""Texts from data or commits made safe to show in Markdown: nothing in them is a command."""

import re
import unicodedata

MAX_TEXT = 120  # characters of a text from data

# What may mean something in Markdown or HTML: all but letters, digits, harmless signs, and those
# that mean something only when doubled (~) or at a word's end (_).
MARKUP = re.compile(r"""[^\w\s.,:;/()+=→…%±−▁-█"'^~-]|~(?=~)|(?<=~)~|(?<![^\W_])_|_(?![^\W_])""")


def escape(text: str) -> str:
    """Return a text in which nothing is Markdown or HTML: such signs become HTML entities."""
    return MARKUP.sub(lambda match: f"&#{ord(match[0])};", text)


def table_cell(text: str) -> str:
    """Return a text as the cell of a Markdown table: escaped, in one line."""
    return escape(" ".join(text.split()))


def code_span(text: str) -> str:
    """Return a text as code in the cell of a Markdown table, cut to 120 characters.

    What a code span in a table could not hold (a pipe, a backtick) is written in HTML.
    """
    line = shorten(text)
    if not line:
        return ""
    if re.fullmatch(r"[\w ,.:;/()+=→…%▁-█-]+", line) and "://" not in line:
        return f"`{line}`"
    return f"<code>{escape(line)}</code>"


def escape_sentence(text: str) -> str:
    """Return an escaped sentence in which only the project's own commands are code.

    GitHub looks for mentions in the text that a reader sees: a space without width after @ and #
    keeps it from finding any.
    """
    parts = re.split(r"(`(?:petseg|dvc|git)[\w ./$()-]*`)", text)
    return "".join(
        part if number % 2 else escape(part).replace("&#64;", "@\u200b").replace("&#35;", "#\u200b")
        for number, part in enumerate(parts)
    )


def shorten(text: str) -> str:
    """Return a text in one line, without control characters, and cut to 120 characters."""
    visible = "".join("�" if unicodedata.category(char)[0] == "C" else char for char in text)
    return visible if len(visible) <= MAX_TEXT else f"{visible[: MAX_TEXT - 1]}…"
