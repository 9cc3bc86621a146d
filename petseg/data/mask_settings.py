"""The key `masks` of a recipe: the convention by which a team's masks are read."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic.dataclasses import dataclass as checked

from petseg.data.mask_formats import MAX_VALUE, MaskFormat


def check_disjoint(lists: Mapping[str, tuple[int | str, ...]]) -> None:
    """Check that no value is listed twice.

    Raises:
        ValueError: one is; the text follows the key in the error.
    """
    owners: dict[int | str, str] = {}
    for key, values in lists.items():
        for value in values:
            if value in owners:
                default = " (which is [0], or black, unless it is given)" * (key == "background")
                raise ValueError(
                    f"has {value} in {owners[value]} and in {key}{default}; list it once"
                )
            owners[value] = key


def check_colour(text: object) -> str:
    """Return a colour in small letters.

    Raises:
        ValueError: it is not written as in HTML; the text follows the key in the error.
    """
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise ValueError(f'is {text!r}; allowed: a colour such as "#ff8000", in quotes')
    return text.lower()


Value = Annotated[int, Field(ge=0, le=MAX_VALUE)]
Colour = Annotated[str, BeforeValidator(check_colour)]


@checked(frozen=True, config={"extra": "forbid"})
class Values:
    """The grey values, or indices of a palette, that masks may have."""

    foreground: Annotated[tuple[Value, ...], Field(min_length=1)]
    ignore: tuple[Value, ...] = ()
    background: tuple[Value, ...] = (0,)

    def __post_init__(self) -> None:
        check_disjoint(vars(self))


@checked(frozen=True, config={"extra": "forbid"})
class Colours:
    """The colours that masks may have, written as "#rrggbb"."""

    foreground: Annotated[tuple[Colour, ...], Field(min_length=1)]
    ignore: tuple[Colour, ...] = ()
    background: tuple[Colour, ...] = ("#000000",)

    def __post_init__(self) -> None:
        check_disjoint(vars(self))


@checked(frozen=True, config={"extra": "forbid"})
class Names:
    """The names of categories or labels, as an annotation tool has them; any other is background."""

    foreground: Annotated[tuple[str, ...], Field(min_length=1)]
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_disjoint(vars(self))


@checked(frozen=True, config={"extra": "forbid"})
class ValuesMasks:
    """Masks of declared grey values."""

    values: Values


@checked(frozen=True, config={"extra": "forbid"})
class ColoursMasks:
    """Masks of declared colours."""

    colours: Colours


@checked(frozen=True, config={"extra": "forbid"})
class CocoMasks:
    """Polygons and run lengths in a JSON of COCO's format."""

    coco: Names


@checked(frozen=True, config={"extra": "forbid"})
class CvatMasks:
    """Masks that CVAT exported, with the colours of its labels."""

    cvat: Names


@checked(frozen=True, config={"extra": "forbid"})
class LabelStudioMasks:
    """Masks that Label Studio exported, one a label."""

    label_studio: Names


# The name of the dataclass for a mapping with just this key.
FORMS = {
    "values": "ValuesMasks",
    "colours": "ColoursMasks",
    "coco": "CocoMasks",
    "cvat": "CvatMasks",
    "label_studio": "LabelStudioMasks",
}


def masks_tag(masks: Any) -> str | None:
    """Return the tag of what `masks` is to be checked as, or None if it has none of the forms."""
    if isinstance(masks, dict) and len(masks) == 1:
        return FORMS.get(next(iter(masks)))
    return "text" if masks in ("binary", "trimap") else None


# In the errors of pydantic, a tag stands in the path to a key; petseg.params finds it by the name
# of the dataclass.
Masks = Annotated[
    Annotated[Literal["binary", "trimap"], Tag("text")]
    | Annotated[ValuesMasks, Tag("ValuesMasks")]
    | Annotated[ColoursMasks, Tag("ColoursMasks")]
    | Annotated[CocoMasks, Tag("CocoMasks")]
    | Annotated[CvatMasks, Tag("CvatMasks")]
    | Annotated[LabelStudioMasks, Tag("LabelStudioMasks")],
    Discriminator(
        masks_tag,
        custom_error_type="masks",
        custom_error_message=f"binary, trimap, or a mapping with one of the keys {', '.join(FORMS)}",
    ),
]


def mask_format(
    masks: Literal["binary", "trimap"] | ValuesMasks | ColoursMasks | CocoMasks | LabelStudioMasks,
) -> MaskFormat:
    """Return how masks are read; those drawn from COCO or Label Studio hold our own labels."""
    if isinstance(masks, ValuesMasks):
        values = masks.values
        return MaskFormat("values", values.foreground, values.ignore, values.background)
    if isinstance(masks, ColoursMasks):
        colours = masks.colours
        lists = (colours.foreground, colours.ignore, colours.background)
        return MaskFormat("colours", *(tuple(int(c[1:], 16) for c in colour) for colour in lists))
    return MaskFormat(masks if isinstance(masks, str) else "labels")
