"""Which values masks have, and the line of a recipe that would declare them."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from petseg.data.mask_formats import (
    MAX_VALUE,
    bands,
    colour_name,
    colour_values,
    count_values,
    grey_values,
    has_colours,
    open_mask,
)
from petseg.data.photos import decoding_errors

Value = int | str  # a grey value or index of a palette, or a colour as "#rrggbb"
T = TypeVar("T", int, str)
MAX_DISTINCT = 4_096  # values counted in a mask; a photo taken for one has far more
MAX_PROPOSED = 32  # values in a proposal
MAX_DESCRIBED = 8  # values in a description
SMALL = 64  # the numbers of classes are below it, if 255 beside them means "ignore"
BLACK = "#000000"


def values_in_mask(data: bytes) -> Counter[Value]:
    """Return how many pixels of a mask have each value.

    After 4,096 different values the rest of the mask is not read.

    Raises:
        UnusableError: as `mask_formats.decode_labels` does, but for values that are not declared.
    """
    with decoding_errors("mask"):
        image = open_mask(data)
        counts: Counter[Value] = Counter()
        colours = has_colours(image)
        for band in bands(image):
            numbers = count_values(colour_values(band) if colours else grey_values(band))
            counts.update({colour_name(n) if colours else n: numbers[n] for n in numbers})
            if len(counts) >= MAX_DISTINCT:
                return Counter(dict(counts.most_common(MAX_DISTINCT)))
        return counts


def described(values: Counter[Value]) -> str:
    """Return the most frequent values with their share of the pixels: `0 (91.3 %), 255 (8.7 %)`."""
    total = values.total()
    items = [f"{value} ({share(n / total)})" for value, n in values.most_common(MAX_DESCRIBED)]
    others = len(values) - len(items)
    return ", ".join(items) + (f" and {others:,} more" if others else "")


def share(fraction: float) -> str:
    """Return a share in percent; one that would be rounded to 0 is called less than 0.1 %."""
    return f"{100 * fraction:.1f} %" if fraction >= 0.0005 else "< 0.1 %"


def propose(values: Counter[Value]) -> str:
    """Return the line of a recipe that declares these values, or an empty text if none fits.

    It is a guess for a person to judge. The rules, of which the first that fits is taken:
    - colours: all but black are foreground;
    - 1, 2 and 3: a trimap;
    - 0 and one other value: binary;
    - 0, 255 and the grey half-way: foreground is 255, the grey is ignored;
    - 0, 255 and numbers below 64: numbers of classes, 255 is ignored as in PASCAL VOC;
    - 0 and very many values (soft edges, or objects that are numbered): binary;
    - a few values: all but 0 are foreground.

    Without black or 0, the most frequent colour or value is taken as background.
    """
    greys = Counter({value: n for value, n in values.items() if isinstance(value, int)})
    if len(greys) < len(values):
        return propose_colours(values)
    others = sorted(set(greys) - {0})
    classes = [value for value in others if value != 255]
    if others == [1, 2, 3] and 0 not in greys:
        return "masks: trimap"
    if len(others) == 1 or greys.keys() == {0}:
        return "masks: binary"
    if greys.keys() in ({0, 127, 255}, {0, 128, 255}):
        return declaration("values", [255], ignore=classes)
    if {0, 255} < greys.keys() and classes[0] > 0 and classes[-1] < SMALL:
        return declaration("values", classes, ignore=[255])
    if 0 < len(others) <= MAX_PROPOSED and all(0 < value <= MAX_VALUE for value in others):
        return declare_all_but_one(greys, 0, "values")
    return "masks: binary" if 0 in greys else ""


def as_colour(value: Value) -> str:
    """Return a colour, or a grey value from 0 to 255, as a colour is written in params.yaml."""
    return colour_name(value * 0x010101) if isinstance(value, int) else value


def propose_colours(values: Counter[Value]) -> str:
    """Return the line that declares colours; masks without any are counted by grey values."""
    colours: Counter[str] = Counter()
    for value, count in values.items():
        if isinstance(value, int) and not 0 <= value <= 255:
            return ""
        colours[as_colour(value)] += count
    fits = 2 <= len(colours) <= MAX_PROPOSED
    return declare_all_but_one(colours, BLACK, "colours") if fits else ""


def declare_all_but_one(values: Counter[T], zero: T, kind: str) -> str:
    """Return the line that has all values as foreground but `zero`, or else the most frequent."""
    if zero in values:
        return declaration(kind, sorted(values.keys() - {zero}))
    [(background, _)] = values.most_common(1)
    return declaration(kind, sorted(values.keys() - {background}), background=[background])


def declaration(
    kind: str, foreground: list[T], ignore: Sequence[T] = (), background: Sequence[T] = ()
) -> str:
    """Return the line `masks: ...` for lists of values or colours; empty lists are left out."""
    lists = {"foreground": foreground, "ignore": ignore, "background": background}
    entries = ", ".join(f"{key}: {json.dumps(items)}" for key, items in lists.items() if items)
    return f"masks: {{{kind}: {{{entries}}}}}"
