"""A page with a team's photos and their masks, so that a wrong convention is seen at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from petseg import files
from petseg.data.folder_check import FolderReport
from petseg.data.labels import BORDER, FOREGROUND, IGNORED
from petseg.data.listing import RawData
from petseg.report import render
from petseg.sheet.pictures import COLOURS, LayeredPicture, layered_pictures

MAX_PHOTOS = 200  # on the page
MAX_OF_KIND = 20  # photos that have the same thing to look at
MAX_LEFT_OUT = 200  # photos in the list of those that are left out
MEANINGS = {FOREGROUND: "foreground", BORDER: "border", IGNORED: "ignored"}


@dataclass(frozen=True)
class Section:
    """Some photos of the page, under a heading."""

    title: str
    total: int  # how many photos the folder has of them
    names: list[str]


def write(path: Path, data: RawData, report: FolderReport, summary: Sequence[str]) -> None:
    """Write the page; it is one file, which needs no server and no network.

    Args:
        path: the file to write.
        data: the photos and masks.
        report: what is known of them.
        summary: the lines that stand first.

    Raises:
        UserError: a file has changed since it was listed.
    """
    parts = list(sections(report))
    pictures = layered_pictures(data, [name for part in parts for name in part.names])
    left_out = sorted(report.reasons.items())
    html = render.render(
        "sheet/sheet.html.j2",
        headline=summary[0],
        summary=summary[1:],
        sections=[(part, take(pictures, len(part.names))) for part in parts],
        limit=MAX_PHOTOS,
        key=[(meaning, css_colour(label)) for label, meaning in MEANINGS.items()],
        left_out=left_out[:MAX_LEFT_OUT],
        left_out_total=len(left_out),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, html)


def sections(report: FolderReport) -> Iterator[Section]:
    """Yield the photos to look at first, by kind, and then a sample of the others."""
    shown: set[str] = set()
    for kind, names in report.remarks.items():
        if names:
            yield Section(kind, len(names), spread(names, MAX_OF_KIND))
            shown.update(names)
    others = [row.name for row in report.index if row.name not in shown]
    room = MAX_PHOTOS - sum(min(len(names), MAX_OF_KIND) for names in report.remarks.values())
    if others:
        title = (
            "other photos, spread over the folder" if shown else "photos, spread over the folder"
        )
        yield Section(title, len(others), spread(others, room))


def spread(names: Sequence[str], count: int) -> list[str]:
    """Return at most `count` names, spread evenly."""
    if len(names) <= count:
        return list(names)
    return [names[number * len(names) // count] for number in range(count)]


def take(pictures: Iterator[LayeredPicture], count: int) -> list[LayeredPicture]:
    """Return the next pictures."""
    return [next(pictures) for _ in range(count)]


def css_colour(label: int) -> str:
    """Return the colour of a label as CSS writes it."""
    red, green, blue, opacity = COLOURS[label]
    return f"rgb({red} {green} {blue} / {opacity / 255:.2f})"
