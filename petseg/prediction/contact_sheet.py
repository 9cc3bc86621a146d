"""A picture with the photos of which the model is least sure, each with its mask laid over it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from petseg.data.photos import UnusableError
from petseg.inference.segmenter import Segmenter
from petseg.prediction.results import Result
from petseg.prediction.sources import Source

TILES = 12  # at most
COLUMNS = 4
SIDE = 240  # of the square in pixels into which a photo is fitted
MARGIN = 10  # pixels around a tile
CAPTION = 22  # height in pixels of the line under a photo
PAPER, INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True)
class Tile:
    """One photo of a contact sheet."""

    name: str
    expected_iou: float  # 0 to 1
    overlay: Image.Image  # of at most `SIDE` pixels a side


def read_tiles(segmenter: Segmenter, photos: Iterable[tuple[Source, Result]]) -> list[Tile]:
    """Return the tiles of photos that were predicted; one that has gone since then is left out."""
    tiles = []
    for source, result in photos:
        try:
            overlay = segmenter.predict_bytes(source.read()).overlay()
        except UnusableError:
            continue
        overlay.thumbnail((SIDE, SIDE))
        tiles.append(Tile(result.name, result.expected_iou, overlay))
    return tiles


def draw(tiles: Sequence[Tile]) -> Image.Image:
    """Return the contact sheet of the first `TILES` tiles, row by row from the upper left."""
    tiles = tiles[:TILES]
    columns = min(len(tiles), COLUMNS)
    width, height = SIDE + 2 * MARGIN, SIDE + CAPTION + 2 * MARGIN
    sheet = Image.new("RGB", (columns * width, -(-len(tiles) // COLUMNS) * height), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for number, tile in enumerate(tiles):
        left = number % COLUMNS * width + MARGIN
        top = number // COLUMNS * height + MARGIN
        place = left + (SIDE - tile.overlay.width) // 2, top + (SIDE - tile.overlay.height) // 2
        sheet.paste(tile.overlay, place)
        pen.text((left, top + SIDE + 3), caption(tile, pen, font), INK, font)
    return sheet


def caption(
    tile: Tile, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    """Return the line under a photo: its expected IoU, and as much of its name's end as fits."""
    name, start = tile.name, ""
    while pen.textlength(text := f"{tile.expected_iou:.2f}  {start}{name}", font) > SIDE:
        name, start = name[1:], "…"
    return text
