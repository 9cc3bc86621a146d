"""The key `masks` takes a word or one mapping; anything else is one line with key and remedy."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from dvc.utils.hydra import apply_overrides
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import params
from petseg.data.mask_formats import MaskFormat
from petseg.data.mask_settings import CvatMasks, Masks, mask_format
from petseg.errors import UserError


@checked(frozen=True, config={"extra": "forbid"})
class Folder:
    """A section with the key."""

    source: Literal["folder"]
    masks: Masks


@checked(frozen=True, config={"extra": "forbid"})
class Nothing:
    """A section of another kind, so that the union of sections has a tag of its own."""

    source: Literal["nothing"]


Section = Annotated[Folder | Nothing, Field(discriminator="source")]


def read_masks(masks: object) -> Any:
    """Return the key's value, read as a stage reads its section."""
    section = {"source": "folder", "masks": masks}
    return params.check(Section, "params.yaml, recipe own", "download", section).masks


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ("binary", MaskFormat("binary")),
        ("trimap", MaskFormat("trimap")),
        ({"values": {"foreground": [1, 2]}}, MaskFormat("values", (1, 2), (), (0,))),
        (
            {"values": {"foreground": [0], "ignore": [255], "background": [1, 65535]}},
            MaskFormat("values", (0,), (255,), (1, 65535)),
        ),
        ({"colours": {"foreground": ["#0000FF"]}}, MaskFormat("colours", (255,), (), (0,))),
        (
            {"colours": {"foreground": ["#800000"], "ignore": ["#ffffff"], "background": ["#000001"]}},
            MaskFormat("colours", (0x800000,), (0xFFFFFF,), (1,)),
        ),
        ({"coco": {"foreground": ["cell"], "ignore": ["debris"]}}, MaskFormat("labels")),
        ({"label_studio": {"foreground": ["Cat"]}}, MaskFormat("labels")),
    ],
)  # fmt: skip
def test_a_declared_convention_gives_the_format(masks: object, expected: MaskFormat) -> None:
    assert mask_format(read_masks(masks)) == expected


def test_names_of_labels_are_read_as_they_stand() -> None:
    masks = read_masks({"cvat": {"foreground": ["cat", "Ünïcorn 🦄"], "ignore": ["debris"]}})
    assert isinstance(masks, CvatMasks)
    assert masks.cvat.foreground == ("cat", "Ünïcorn 🦄")
    assert masks.cvat.ignore == ("debris",)


FORMS = (
    "binary, trimap, or a mapping with one of the keys values, colours, coco, cvat, label_studio"
)
WRONG: list[tuple[object, str]] = [
    ("binry", f" is 'binry'; allowed: {FORMS}"),
    (3, f" is 3; allowed: {FORMS}"),
    (None, f" is None; allowed: {FORMS}"),
    (["binary"], f" is ['binary']; allowed: {FORMS}"),
    ({}, f" is {{}}; allowed: {FORMS}"),
    ({"binary": {}}, f" is {{'binary': {{}}}}; allowed: {FORMS}"),
    ({"values": 1, "coco": 2}, f" is {{'values': 1, 'coco': 2}}; allowed: {FORMS}"),
    ({"values": 3}, ".values is 3; allowed: a mapping"),
    ({"values": {}}, ".values.foreground is missing; allowed: a list of a whole number ≥ 0 and ≤ 65535, not empty"),
    ({"values": {"foreground": []}}, ".values.foreground is []; allowed: a list of a whole number ≥ 0 and ≤ 65535, not empty"),
    ({"values": {"foreground": [1, "a"]}}, ".values.foreground.1 is 'a'; allowed: a whole number ≥ 0 and ≤ 65535"),
    ({"values": {"foreground": [65536]}}, ".values.foreground.0 is 65536; allowed: a whole number ≥ 0 and ≤ 65535"),
    ({"values": {"foreground": [True]}}, ".values.foreground.0 is True; allowed: a whole number ≥ 0 and ≤ 65535"),
    ({"values": {"foreground": [1], "ignore": 3}}, ".values.ignore is 3; allowed: a list of a whole number ≥ 0 and ≤ 65535"),
    ({"values": {"foreground": [1], "ignored": [3]}}, ".values.ignored is unknown; known: foreground, ignore, background"),
    ({"values": {"foreground": [1, 2], "ignore": [2]}}, ".values has 2 in foreground and in ignore; list it once"),
    ({"values": {"foreground": [0]}}, ".values has 0 in foreground and in background (which is [0], or black, unless it is given); list it once"),
    ({"colours": {"foreground": ["red"]}}, ".colours.foreground.0 is 'red'; allowed: a colour such as \"#ff8000\", in quotes"),
    ({"colours": {"foreground": ["#ff80000"]}}, ".colours.foreground.0 is '#ff80000'; allowed: a colour such as \"#ff8000\", in quotes"),
    ({"colours": {"foreground": [800000]}}, ".colours.foreground.0 is 800000; allowed: a colour such as \"#ff8000\", in quotes"),
    ({"colours": {"foreground": ["#FF0000"], "ignore": ["#ff0000"]}}, ".colours has #ff0000 in foreground and in ignore; list it once"),
    ({"coco": {"foreground": []}}, ".coco.foreground is []; allowed: a list of text, not empty"),
    ({"coco": {"foreground": [7]}}, ".coco.foreground.0 is 7; allowed: text"),
    ({"coco": {"foreground": ["cell"], "ignore": ["cell"]}}, ".coco has cell in foreground and in ignore; list it once"),
    ({"label_studio": {"foreground": "Cat"}}, ".label_studio.foreground is 'Cat'; allowed: a list of text, not empty"),
    ({"cvat": {"ignore": ["cat"]}}, ".cvat.foreground is missing; allowed: a list of text, not empty"),
]  # fmt: skip


@pytest.mark.parametrize(("masks", "fault"), WRONG)
def test_a_wrong_convention_is_one_line_with_the_key_and_what_is_allowed(
    masks: object, fault: str
) -> None:
    with pytest.raises(UserError) as error:
        read_masks(masks)
    assert str(error.value) == f"params.yaml, recipe own: download.masks{fault}"


@pytest.mark.parametrize(
    ("before", "override", "expected"),
    [
        ("binary", "download.masks=trimap", MaskFormat("trimap")),
        ("{values: {foreground: [7]}}", "download.masks=binary", MaskFormat("binary")),
        (
            "binary",
            "download.masks={values:{foreground:[1,2],ignore:[255]}}",
            MaskFormat("values", (1, 2), (255,)),
        ),
        (
            "binary",
            'download.masks={colours:{foreground:["#800000"]}}',
            MaskFormat("colours", (0x800000,)),
        ),
        (
            "{values: {foreground: [7]}}",
            "download.masks.values.foreground=[3]",
            MaskFormat("values", (3,)),
        ),
    ],
)
def test_dvc_can_override_the_convention(
    tmp_path: Path, before: str, override: str, expected: MaskFormat
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"download:\n  source: folder\n  masks: {before} # a comment\n")
    apply_overrides(path, [override])
    assert mask_format(read_masks(params.read_yaml(path)["download"]["masks"])) == expected
