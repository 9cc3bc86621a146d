"""What the outputs of a photo contain, pixel by pixel, and where they lie."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from petseg.data.photos import UnusableError
from petseg.errors import UserError
from petseg.inference.segmenter import Prediction, Segmenter
from petseg.prediction import outputs
from petseg.prediction.kinds import FORMATS, KINDS, Format, Kind
from petseg.prediction.outputs import Origin, Target
from petseg.prediction.sources import Source
from tests.prediction.red_model import as_bytes, half_red, noise_photo, write_red_model

ORIGIN = Origin("a" * 64, 0.5)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """A segmenter to which red is the probability."""
    return Segmenter.load(write_red_model(tmp_path_factory.mktemp("model") / "model.onnx"))


def written(prediction: Prediction, kind: Kind, file_format: Format) -> Image.Image:
    """Return an output as it is read back from its file."""
    image = Image.open(io.BytesIO(outputs.encode(prediction, kind, file_format, ORIGIN)))
    assert image.format == file_format.upper()
    return image


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("size", [(16, 16), (40, 30), (1, 1), (3, 2000)])
def test_mask_and_probability_are_lossless_and_those_of_the_segmenter(
    size: tuple[int, int], file_format: Format, segmenter: Segmenter
) -> None:
    prediction = segmenter.predict(as_bytes(noise_photo(size)))
    mask = np.asarray(written(prediction, "mask", file_format).convert("L"))
    assert mask.shape == size[::-1]
    assert np.array_equal(mask, np.where(prediction.mask(), 255, 0))
    probability = np.asarray(written(prediction, "probability", file_format).convert("L"))
    assert np.array_equal(probability, prediction.full_levels)
    assert np.array_equal(mask == 255, probability >= 128)  # 128/255 is the first above 0.5


def test_the_kinds_of_a_half_red_photo_are_as_worked_by_hand(segmenter: Segmenter) -> None:
    prediction = segmenter.predict(half_red(153))  # a probability of 0.6 at the left
    corner, other = (0, 0), (15, 15)
    values = {
        kind: [written(prediction, kind, "png").getpixel(place) for place in (corner, other)]
        for kind in KINDS
    }
    assert values == {
        "mask": [255, 0],
        "probability": [153, 0],
        # The edge goes from 0.3 to 0.7, so 0.6 is three quarters opaque: 0.75 × 255 = 191.25.
        "cutout": [(153, 90, 90, 191), (0, 90, 90, 0)],
        # Half the photo and half the green (0, 158, 115), by Pillow's 128/255.
        "overlay": [(76, 124, 103), (0, 90, 90)],
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file_format", FORMATS)
def test_an_output_names_model_and_threshold_and_is_the_same_each_time(
    kind: Kind, file_format: Format, segmenter: Segmenter
) -> None:
    prediction = segmenter.predict(half_red(204))
    image = written(prediction, kind, file_format)
    facts = image.info
    if file_format == "webp":
        facts = json.loads(image.getexif()[ExifTags.Base.ImageDescription])
    assert facts["Model"] == f"SHA-256 {'a' * 64}"
    assert facts["Threshold"] == "0.5000"
    assert facts["Software"].startswith("petseg ")
    first, second = (outputs.encode(prediction, kind, file_format, ORIGIN) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(("mode", "has_profile"), [("RGB", True), ("RGBA", True), ("L", False)])
def test_the_colour_profile_of_a_photo_survives_where_it_fits(
    mode: str, has_profile: bool, file_format: Format, segmenter: Segmenter
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = as_bytes(half_red(204).convert(mode), icc_profile=profile)
    prediction = segmenter.predict(data)
    for kind in KINDS:
        is_coloured = kind in ("cutout", "overlay")
        expected = profile if has_profile and is_coloured else None
        assert written(prediction, kind, file_format).info.get("icc_profile") == expected


def test_a_photo_too_large_for_webp_has_a_reason(segmenter: Segmenter) -> None:
    prediction = segmenter.predict(Image.new("RGB", (1, 16_384)))
    assert written(prediction, "mask", "png").size == (1, 16_384)
    with pytest.raises(UnusableError, match="WebP's 16,383; use PNG"):
        outputs.encode(prediction, "mask", "webp", ORIGIN)


def test_outputs_lie_beside_a_photo_or_in_the_folder_and_doubtful_ones_apart() -> None:
    beside = Target(None, ("mask", "cutout"), "webp", None)
    assert beside.paths(Source("in/a.jpg", "a", named=True), is_doubtful=False) == {
        "mask": Path("in/a.mask.webp"),
        "cutout": Path("in/a.cutout.webp"),
    }
    for location in ("-", "http://example.org/x/a.jpg"):
        paths = beside.paths(Source(location, "a", named=True), is_doubtful=False)
        assert paths["mask"] == Path("a.mask.webp")
    apart = Target(Path("out"), ("mask",), "png", 0.8)
    assert (apart.is_doubtful(0.7999), apart.is_doubtful(0.8)) == (True, False)
    source = Source("in/b/a.jpg", "b/a", named=False)
    assert apart.paths(source, is_doubtful=True) == {"mask": Path("out/doubtful/b/a.mask.png")}
    assert apart.paths(source, is_doubtful=False) == {"mask": Path("out/b/a.mask.png")}


def test_a_folder_that_cannot_be_made_is_an_error_and_a_new_one_stays_empty(tmp_path: Path) -> None:
    outputs.check_folder(tmp_path / "a/b")
    assert list((tmp_path / "a/b").iterdir()) == []
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UserError, match=r"cannot be written there \(.*\); name another folder"):
            outputs.check_folder(folder)
