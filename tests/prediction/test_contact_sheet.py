"""The contact sheet shows the least sure photos in order, and its size has a limit."""

from pathlib import Path

from PIL import Image

from petseg.inference.segmenter import Segmenter
from petseg.prediction import contact_sheet
from petseg.prediction.contact_sheet import CAPTION, MARGIN, SIDE, TILES, Tile
from petseg.prediction.results import Result
from petseg.prediction.sources import Source
from tests.prediction.red_model import save_photo, write_red_model

WIDTH, HEIGHT = SIDE + 2 * MARGIN, SIDE + CAPTION + 2 * MARGIN  # of a tile with its margin


def tile(red: int, name: str = "cat") -> Tile:
    """Return a tile in one colour."""
    return Tile(name, red / 255, Image.new("RGB", (SIDE, 100), (red, 0, 0)))


def red_at(sheet: Image.Image, column: int, row: int) -> int:
    """Return the red in the middle of a tile's photo."""
    pixel = sheet.getpixel((column * WIDTH + WIDTH // 2, row * HEIGHT + MARGIN + SIDE // 2))
    assert isinstance(pixel, tuple)
    return int(pixel[0])


def test_tiles_are_in_order_row_by_row_and_twelve_at_most() -> None:
    sheet = contact_sheet.draw([tile(10 * number) for number in range(TILES + 3)])
    assert sheet.size == (4 * WIDTH, 3 * HEIGHT)
    reds = [red_at(sheet, column, row) for row in range(3) for column in range(4)]
    assert reds == [10 * number for number in range(12)]


def test_few_tiles_make_a_small_sheet_and_a_long_name_stays_in_its_tile() -> None:
    sheet = contact_sheet.draw([tile(0, "n" * 300), tile(0, "")])
    assert sheet.size == (2 * WIDTH, HEIGHT)
    top = MARGIN + SIDE
    beside = sheet.crop((MARGIN + SIDE + 1, top, WIDTH + MARGIN - 1, HEIGHT))
    assert beside.getcolors() == [(beside.width * beside.height, (255, 255, 255))]
    caption = sheet.crop((MARGIN, top, MARGIN + SIDE, HEIGHT))
    assert len(caption.getcolors() or []) > 1


def test_a_tile_is_a_small_overlay_and_a_photo_that_has_gone_has_none(tmp_path: Path) -> None:
    segmenter = Segmenter.load(write_red_model(tmp_path / "model.onnx"))
    photo = save_photo(tmp_path / "wide.png", red=255, size=(1000, 500))
    sources = [Source(str(path), path.stem, False) for path in (tmp_path / "gone.png", photo)]
    results = [Result(source.location, source.name, expected_iou=0.25) for source in sources]
    (only,) = contact_sheet.read_tiles(segmenter, zip(sources, results, strict=True))
    assert (only.name, only.expected_iou, only.overlay.size) == ("wide", 0.25, (240, 120))
    # Half of the photo's red and half of the overlay's green (0, 158, 115); outside only the photo.
    assert only.overlay.getpixel((60, 60)) == (127, 124, 103)
    assert only.overlay.getpixel((180, 60)) == (0, 90, 90)
