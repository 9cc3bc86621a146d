"""The values of masks are counted and described, and a line that declares them is proposed."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from petseg.data.labels import FOREGROUND
from petseg.data.mask_formats import MAX_VALUE, decode_labels
from petseg.data.mask_settings import mask_format
from petseg.data.mask_values import Value, described, propose, values_in_mask
from petseg.data.photos import UnusableError
from petseg.params import check
from tests.data.test_mask_formats import colour_row, encode, grey_row, palette_row
from tests.data.test_mask_settings import Section


def test_grey_values_are_counted_as_numbers() -> None:
    assert values_in_mask(encode(grey_row(0, 255, 0, 7))) == {0: 2, 255: 1, 7: 1}
    assert values_in_mask(encode(grey_row(0, 999, dtype=np.uint16))) == {0: 1, 999: 1}
    assert values_in_mask(encode(grey_row(-5, 70_000, dtype=np.int32), "TIFF")) == {
        -5: 1,
        70_000: 1,
    }
    assert values_in_mask(encode(grey_row(0, 255).convert("1"))) == {0: 1, 255: 1}
    assert values_in_mask(encode(grey_row(0, 9).convert("RGBA"))) == {0: 1, 9: 1}
    assert values_in_mask(encode(palette_row(0, 1, 1))) == {0: 1, 1: 2}


def test_colours_are_counted_as_params_yaml_writes_them() -> None:
    values = values_in_mask(encode(colour_row(0, 0x800000, 0x800000, 0x0A0A0A)))
    assert values == {"#000000": 1, "#800000": 2, "#0a0a0a": 1}


def test_counts_of_many_rows_add_up() -> None:
    values = np.zeros((3000, 1000), np.uint8)
    values[:, :250] = 1
    assert values_in_mask(encode(Image.fromarray(values))) == {0: 2_250_000, 1: 750_000}


@pytest.mark.parametrize("mode", ["I;16", "RGB"])
def test_a_photo_taken_for_a_mask_gives_a_bounded_number_of_values(mode: str) -> None:
    numbers = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    image = Image.fromarray(noise) if mode == "RGB" else Image.fromarray(numbers)
    values = values_in_mask(encode(image))
    assert len(values) == 4096
    assert propose(values) == ("masks: binary" if mode == "I;16" else "")


def test_a_mask_that_no_convention_can_read_gets_the_reason() -> None:
    for image, kind, reason in (
        (Image.new("L", (8, 8)), "JPEG", "mask is a JPEG"),
        (Image.new("F", (8, 8)), "TIFF", "mask has floating-point numbers"),
        (Image.new("RGBA", (8, 8)), "PNG", "mask has transparent pixels"),
    ):
        with pytest.raises(UnusableError, match=reason):
            values_in_mask(encode(image, kind))
    with pytest.raises(UnusableError, match="mask cannot be decoded"):
        values_in_mask(b"not a picture")


def test_values_are_described_by_their_share_of_the_pixels() -> None:
    assert described(Counter({255: 87, 0: 913})) == "0 (91.3 %), 255 (8.7 %)"
    assert described(Counter({"#800000": 1, "#000000": 3})) == "#000000 (75.0 %), #800000 (25.0 %)"
    assert described(Counter(dict.fromkeys(range(11), 1))).endswith("7 (9.1 %) and 3 more")
    assert described(Counter({0: 99_999, 1: 1})) == "0 (100.0 %), 1 (< 0.1 %)"
    assert described(Counter()) == ""


PROPOSALS: dict[str, Counter[Value]] = {
    "masks: binary": Counter({0: 5, 255: 3}),
    "masks: trimap": Counter({1: 5, 2: 3, 3: 1}),
    "masks: {values: {foreground: [1, 2]}}": Counter({2: 1, 0: 5, 1: 3}),
    "masks: {values: {foreground: [1, 2], ignore: [255]}}": Counter({255: 1, 0: 5, 2: 3, 1: 1}),
    "masks: {values: {foreground: [255], ignore: [128]}}": Counter({0: 5, 255: 3, 128: 1}),
    "masks: {values: {foreground: [85, 170, 255]}}": Counter({0: 5, 255: 3, 85: 1, 170: 1}),
    "masks: {values: {foreground: [1], background: [2]}}": Counter({1: 5, 2: 9}),
    "masks: {values: {foreground: [2, 3, 4], background: [1]}}": Counter({1: 9, 2: 5, 3: 1, 4: 1}),
    'masks: {colours: {foreground: ["#800000"]}}': Counter({"#000000": 3, "#800000": 1}),
    'masks: {colours: {foreground: ["#008000", "#ffffff"]}}': Counter({0: 9, "#008000": 2, 255: 3}),
    'masks: {colours: {foreground: ["#800000"], background: ["#ffffff"]}}': Counter({"#ffffff": 3, "#800000": 1}),
}  # fmt: skip


@pytest.mark.parametrize("line", PROPOSALS)
def test_the_proposed_line_is_the_one_that_a_person_would_try_first(line: str) -> None:
    assert propose(PROPOSALS[line]) == line


@pytest.mark.parametrize("line", PROPOSALS)
def test_the_proposed_line_is_accepted_and_reads_every_value(line: str) -> None:
    section = YAML(typ="safe", pure=True).load(line)
    masks = check(Section, "params.yaml", "download", {"source": "folder", **section}).masks
    values = PROPOSALS[line]
    image = colour_row(*(int(v[1:], 16) if isinstance(v, str) else v * 0x010101 for v in values))
    assert FOREGROUND in decode_labels(encode(image), mask_format(masks))


@pytest.mark.parametrize("values", [{0: 9}, {255: 9}, {1: 3}, {0: 1, 65535: 1}, {0: 1, 9: 8}])
def test_zero_and_one_other_value_are_binary_even_if_one_of_them_is_missing(
    values: dict[Value, int],
) -> None:
    assert propose(Counter(values)) == "masks: binary"


def test_soft_edges_and_numbered_objects_are_binary() -> None:
    assert propose(Counter(dict.fromkeys(range(256), 1))) == "masks: binary"
    assert propose(Counter(dict.fromkeys(range(1000), 1))) == "masks: binary"
    assert propose(Counter({0: 1, -5: 1, 255: 1})) == "masks: binary"
    assert propose(Counter({0: 1, 1: 1, MAX_VALUE + 1: 1})) == "masks: binary"


@pytest.mark.parametrize(
    "values",
    [
        {},
        dict.fromkeys(range(1, 100), 1),
        {f"#{n:06x}": 1 for n in range(100)},
        {"#800000": 1, 65535: 1},
        {-1: 1, 5: 1},
        {70_000: 1, 5: 1},
        {"#ff0000": 7},
    ],
)
def test_no_line_is_proposed_where_none_fits(values: dict[Value, int]) -> None:
    assert propose(Counter(values)) == ""
