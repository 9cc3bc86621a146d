"""CVAT's export "Segmentation mask": the colours of its labels, from labelmap.txt."""

import re
from collections.abc import Collection
from pathlib import Path

from petseg.errors import UserError

LINE = re.compile(r"(?P<name>[^:]+):(?P<red>\d+),(?P<green>\d+),(?P<blue>\d+)(:.*)?")
BACKGROUND = "background"


def read_labelmap(path: Path) -> dict[str, int]:
    """Return the colour, 0xRRGGBB, of every label in a labelmap.txt.

    Raises:
        UserError: a line is not `NAME:RED,GREEN,BLUE:PARTS:ACTIONS`, or two labels have one colour.
    """
    colours: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        channels = [int(match[name]) for name in ("red", "green", "blue")] if match else []
        if not match or max(channels) > 255:
            raise UserError(
                f"{path}, line {number}: {line!r} is not NAME:RED,GREEN,BLUE:PARTS:ACTIONS "
                "with colours from 0 to 255; export the masks from CVAT again"
            )
        colour = channels[0] << 16 | channels[1] << 8 | channels[2]
        if colour in colours.values():
            raise UserError(
                f"{path}, line {number}: another label has the colour of {match['name']}; give "
                "each label its own colour in CVAT"
            )
        colours[match["name"]] = colour
    return colours


def read_text(path: Path) -> str:
    """Return the text of a labelmap.txt.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); export it from CVAT again") from error


def colours(
    path: Path, foreground: Collection[str], ignore: Collection[str]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the colours, 0xRRGGBB, of foreground, ignored pixels, and background.

    Labels that are in neither list are background, as is black.

    Args:
        path: a labelmap.txt.
        foreground: names of labels.
        ignore: names of labels.

    Raises:
        UserError: there is no such label, or the file is not a labelmap.
    """
    labels = read_labelmap(path)
    for name in (*foreground, *ignore):
        if name not in labels:
            raise UserError(
                f"download.masks.cvat: {path} has no label {name}; it has {', '.join(labels)}"
            )
    background = {labels[name] for name in labels if name not in (*foreground, *ignore)} | {0}
    lists = ([labels[name] for name in names] for names in (foreground, ignore))
    first, second = (tuple(values) for values in lists)
    return first, second, tuple(sorted(background - {*first, *second}))
