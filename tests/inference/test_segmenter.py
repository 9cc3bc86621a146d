"""Photos of every kind in, masks at their own size out, by a real network in a real file."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import ExifTags, Image, ImageDraw, ImageOps

from petseg.errors import UserError
from petseg.inference import confidence, onnx_engine
from petseg.inference.onnx_engine import ExportMetadata, Refinement
from petseg.inference.segmenter import Segmenter

SIZE = 32  # of the network's input
WIDTH, HEIGHT = 90, 60  # of the photo
BRIGHT, DARK = (230, 200, 40), (30, 60, 90)


def write_model(path: Path, refinement: Refinement = "none", threshold: float = 0.5) -> Path:
    """Write a network with metadata whose probability of a pixel is its red divided by 255."""
    element = {"photos": onnx.TensorProto.UINT8, "probabilities": onnx.TensorProto.FLOAT}
    shapes = {"photos": 3, "probabilities": 1}
    photos, probabilities = (
        helper.make_tensor_value_info(name, element[name], ["batch", SIZE, SIZE, channels])
        for name, channels in shapes.items()
    )
    nodes = [
        helper.make_node("Cast", ["photos"], ["numbers"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Slice", ["numbers", "first", "second", "axis"], ["red"]),
        helper.make_node("Div", ["red", "white"], ["probabilities"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value), name)
        for name, value in (("first", [0]), ("second", [1]), ("axis", [3]))
    ]
    constants.append(numpy_helper.from_array(np.float32(255), "white"))
    graph = helper.make_graph(nodes, "red", [photos], [probabilities], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    metadata = ExportMetadata(
        SIZE, "squash", threshold, "foreground", "tiny", "", 1, {}, refinement, "pet"
    )
    helper.set_model_props(model, {onnx_engine.PROPERTY: onnx_engine.to_property(metadata)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a network that takes red for foreground."""
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def pets(model: Path) -> Segmenter:
    """A segmenter of that network."""
    return Segmenter.load(model)


@pytest.fixture
def photo() -> Image.Image:
    """A dark photo with a bright rectangle at its upper left."""
    image = Image.new("RGB", (WIDTH, HEIGHT), DARK)
    image.paste(BRIGHT, (0, 0, 45, 20))
    return image


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bright_part(mask: np.ndarray) -> bool:
    """Return whether a mask has the rectangle, and at most a few pixels along its edges more or less."""
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[:20, :45] = True
    return bool(mask.shape == truth.shape and np.count_nonzero(mask != truth) < 0.2 * truth.sum())


def test_the_mask_has_the_photos_size_for_a_path_bytes_an_image_and_an_array(
    pets: Segmenter, photo: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(photo, "PNG"))
    masks = [
        pets.mask(source)
        for source in (path, str(path), path.read_bytes(), photo, np.asarray(photo))
    ]
    assert masks[0].dtype == bool
    assert bright_part(masks[0])
    for mask in masks[1:]:
        assert (mask == masks[0]).all()


def test_a_photo_that_exif_turns_gives_the_mask_of_the_upright_photo(
    pets: Segmenter, photo: Image.Image
) -> None:
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        data = encode(photo, "PNG", exif=exif)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        mask = pets.mask(data)
        assert mask.shape == upright.size[::-1]
        # A file is turned after it is resized: an edge may lie a pixel off.
        expected = pets.mask(upright)
        assert np.mean(mask != expected) < 0.02
        assert (pets.mask(Image.open(io.BytesIO(data))) == expected).all()
        assert pets.cutout(data).size == upright.size
        difference = np.asarray(pets.cutout(data))[..., :3] != np.asarray(upright)
        assert not difference.any()


FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda image: encode(image, "JPEG", quality=95),
    "JPEG in CMYK": lambda image: encode(image.convert("CMYK"), "JPEG", quality=95),
    "palette": lambda image: encode(image.convert("P"), "PNG"),
    "GIF": lambda image: encode(image, "GIF"),
    "WebP": lambda image: encode(image, "WEBP", lossless=True),
    "BMP": lambda image: encode(image, "BMP"),
    "transparent": lambda image: encode(image.convert("RGBA"), "PNG"),
    "16 bits": lambda image: encode(
        Image.fromarray(np.asarray(image.getchannel("R"), np.uint16) * 257), "PNG"
    ),
    "grey": lambda image: encode(image.getchannel("R"), "PNG"),
    "black and white": lambda image: encode(image.getchannel("R").convert("1"), "PNG"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_of_picture_gives_a_mask(kind: str, pets: Segmenter, photo: Image.Image) -> None:
    assert bright_part(pets.mask(FORMATS[kind](photo)))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1", "I;16", "YCbCr"])
def test_an_image_of_pillows_may_have_any_mode(
    mode: str, pets: Segmenter, photo: Image.Image
) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.asarray(photo.getchannel("R"), np.uint16) * 257)
    elif mode in ("L", "LA", "1"):
        image = photo.getchannel("R").convert(mode)
    else:
        image = photo.convert(mode)
    assert bright_part(pets.mask(image))


def test_an_image_of_pillows_is_not_changed(pets: Segmenter, photo: Image.Image) -> None:
    before = photo.tobytes()
    pets.cutout(photo)
    pets.predict(photo).overlay()
    assert (photo.mode, photo.size, photo.tobytes()) == ("RGB", (WIDTH, HEIGHT), before)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (500, 3), (7, 7)])
def test_very_small_and_very_narrow_photos_have_a_mask(
    size: tuple[int, int], pets: Segmenter
) -> None:
    result = pets.predict(Image.new("RGB", size, BRIGHT))
    assert result.mask().shape == size[::-1]
    assert result.mask().all()
    assert (result.width, result.height) == size
    assert result.foreground == 1
    assert result.cutout().size == result.overlay().size == size


def test_probabilities_are_float32_from_0_to_1_and_the_mask_is_where_they_reach_the_threshold(
    pets: Segmenter, photo: Image.Image, tmp_path: Path
) -> None:
    probabilities = pets.probabilities(photo)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (HEIGHT, WIDTH)
    assert probabilities[0, 0] == np.float32(BRIGHT[0] / 255)
    assert probabilities[-1, -1] == np.float32(DARK[0] / 255)
    assert (pets.mask(photo) == (probabilities >= 0.5)).all()
    low = Segmenter.load(write_model(tmp_path / "low.onnx", threshold=0.1))
    assert low.mask(photo).all()  # 30 / 255 is 0.12


def test_a_cutout_has_the_photos_colours_and_a_transparent_background_with_a_soft_edge(
    pets: Segmenter, photo: Image.Image
) -> None:
    cutout = pets.cutout(photo)
    assert (cutout.mode, cutout.size) == ("RGBA", photo.size)
    assert (np.asarray(cutout)[..., :3] == np.asarray(photo)).all()
    assert cutout.getpixel((0, 0)) == (*BRIGHT, 255)
    assert cutout.getpixel((WIDTH - 1, HEIGHT - 1)) == (*DARK, 0)
    opacity = np.asarray(cutout)[..., 3]
    soft = (opacity > 0) & (opacity < 255)
    assert 0 < soft.sum() < 0.1 * soft.size
    # Half opaque or more is what is in the mask, for the middle of the edge lies at the threshold.
    assert ((opacity >= 128) == pets.mask(photo)).all()


def test_an_overlay_is_green_where_the_mask_is_and_the_photo_elsewhere(
    pets: Segmenter, photo: Image.Image
) -> None:
    result = pets.predict(photo)
    overlay, mask = np.asarray(result.overlay()), result.mask()
    assert (overlay[~mask] == np.asarray(photo)[~mask]).all()
    # 128 / 255 of (0, 158, 115) and the rest of (230, 200, 40)
    assert np.abs(overlay[0, 0] - np.array([114.5, 178.9, 77.6])).max() <= 1


def test_the_expected_iou_and_the_share_of_foreground_are_those_of_the_networks_mask(
    pets: Segmenter, photo: Image.Image
) -> None:
    result = pets.predict(photo)
    assert result.levels.shape == (SIZE, SIZE)
    expected = confidence.expected_iou(result.levels[None], 0.5)[0]
    assert result.expected_iou == pets.expected_iou(photo) == expected
    assert 0 < expected < 1
    assert result.foreground == np.mean(result.levels >= 128)
    assert result.foreground == pytest.approx(45 * 20 / (90 * 60), abs=0.03)


def test_the_number_of_threads_does_not_matter(
    model: Path, pets: Segmenter, photo: Image.Image
) -> None:
    noisy = Image.effect_noise((200, 150), 120).convert("RGB")
    for threads in (1, 2):
        other = Segmenter.load(model, threads=threads)
        for image in (photo, noisy):
            assert (other.probabilities(image) == pets.probabilities(image)).all()


def test_guided_masks_follow_the_photo(tmp_path: Path, pets: Segmenter) -> None:
    photo = Image.new("RGB", (256, 256), DARK)
    ImageDraw.Draw(photo).ellipse((50, 90, 200, 150), BRIGHT)
    truth = np.asarray(photo.getchannel("R")) == BRIGHT[0]
    guided = Segmenter.load(write_model(tmp_path / "guided.onnx", "guided"))
    errors = [np.count_nonzero(segmenter.mask(photo) != truth) for segmenter in (pets, guided)]
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("content", [b"", b"this is a text", b"\xff\xd8\xff\xe0 and no more"])
def test_a_broken_photo_is_refused_with_its_name(
    content: bytes, pets: Segmenter, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        pets.mask(path)
    assert str(refused.value).startswith(f"{path}: photo cannot be decoded")
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=r"^the photo: photo cannot be decoded"):
        pets.mask(content)


def test_a_truncated_photo_is_refused(pets: Segmenter, photo: Image.Image, tmp_path: Path) -> None:
    noisy = Image.effect_noise((200, 150), 120).convert("RGB")
    for kind in ("JPEG", "PNG", "WEBP"):
        content = encode(noisy, kind)
        with pytest.raises(UserError, match="the photo: photo cannot be decoded"):
            pets.mask(content[: len(content) // 2])


def test_a_photo_that_is_missing_or_a_folder_is_refused_with_its_name(
    pets: Segmenter, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        pets.mask(tmp_path / "nothing.jpg")
    assert str(refused.value) == f"{tmp_path}/nothing.jpg cannot be read: No such file or directory"
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        pets.mask(tmp_path)


def test_without_a_model_the_error_names_the_command_that_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^data/export/model.onnx: no model is there; `dvc repro"):
        Segmenter.load("data/export/model.onnx")
