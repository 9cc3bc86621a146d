"""Draw pictures of cells as under a microscope, with their masks, as a folder of one's own.

    python examples/cells.py data/own --photos 30

Writes FOLDER/images/NAME.jpg and FOLDER/masks/NAME.png (0 background, 255 cell). Files that are
there already are kept: choose an empty folder. docs/cells.md trains on them.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from numpy.random import Generator
from PIL import Image

from petseg import command, progress
from petseg.errors import UserError

BACKGROUND, CELL, NUCLEUS = (
    np.array(rgb) for rgb in ((232, 222, 230), (176, 128, 186), (96, 58, 130))
)
RADII = (4.0, 8.0)  # pixels, of a cell's shorter half axis
NOISE = 6.0  # standard deviation, 0–255
Plane = Float64[np.ndarray, "height width"]


@dataclass(frozen=True)
class Ellipse:
    """The outline of a cell or of a fleck; all but the angle in pixels."""

    x: float
    y: float
    long: float
    short: float
    angle: float  # radians

    def distance(self, height: int, width: int) -> tuple[tuple[slice, slice], Plane]:
        """Return the part of the picture around it, and there 0 at its centre and 1 on its outline."""
        reach = int(2 * self.long) + 2
        rows = slice(max(0, int(self.y) - reach), min(height, int(self.y) + reach))
        columns = slice(max(0, int(self.x) - reach), min(width, int(self.x) + reach))
        y, x = np.mgrid[rows, columns].astype(float)
        across, down = x - self.x, y - self.y
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along = (across * cosine + down * sine) / self.long
        aside = (down * cosine - across * sine) / self.short
        return (rows, columns), np.hypot(along, aside)


def random_ellipse(rng: Generator, width: int, height: int, radii: tuple[float, float]) -> Ellipse:
    """Return an ellipse anywhere in the picture."""
    short = rng.uniform(*radii)
    return Ellipse(
        rng.uniform(0, width),
        rng.uniform(0, height),
        short * rng.uniform(1, 1.7),
        short,
        rng.uniform(0, np.pi),
    )


def clouds(rng: Generator, width: int, height: int, cells: int) -> Plane:
    """Return smooth random values from 0 to 1, with about `cells` ups and downs on each side."""
    coarse = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(smooth, float).clip(0, 1)


def blend(
    picture: Float64[np.ndarray, "height width 3"], colour: np.ndarray, opacity: Plane
) -> None:
    """Lay a colour over a part of the picture, in place."""
    picture += opacity[..., None] * (colour - picture)


def draw(
    rng: Generator, width: int, height: int, cells: int
) -> tuple[Image.Image, Bool[np.ndarray, "height width"]]:
    """Return a picture of cells, and where they are.

    There are also flecks of dirt, which have the colour of a nucleus, but no cell around it, and
    cells out of focus, which are too pale to count.
    """
    light = 1 - 0.25 * clouds(rng, width, height, 3)[..., None]
    picture = BACKGROUND * light - 10 * clouds(rng, width, height, 40)[..., None]
    mask = np.zeros((height, width), bool)
    for _ in range(cells // 6):
        place, distance = random_ellipse(rng, width, height, (10.0, 16.0)).distance(height, width)
        blend(picture[place], CELL, 0.3 * (1 - distance).clip(0, 1))
    for _ in range(cells // 3):
        place, distance = random_ellipse(rng, width, height, (1.0, 2.5)).distance(height, width)
        blend(picture[place], NUCLEUS, 0.8 * (2 - 2 * distance).clip(0, 1))
    for _ in range(cells):
        cell = random_ellipse(rng, width, height, RADII)
        place, distance = cell.distance(height, width)
        edge = 1 / cell.short  # a pixel, in units of the distance
        blend(
            picture[place], CELL, rng.uniform(0.6, 0.9) * ((1 - distance) / edge + 0.5).clip(0, 1)
        )
        blend(picture[place], NUCLEUS, 0.8 * ((0.5 - distance) / edge + 0.5).clip(0, 1))
        mask[place] |= distance <= 1
    picture += rng.normal(0, NOISE, picture.shape)
    return Image.fromarray(picture.round().clip(0, 255).astype(np.uint8)), mask


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder for images/ and masks/, such as data/own")
    parser.add_argument("--photos", type=int, default=30, help="how many (default: 30)")
    parser.add_argument("--width", type=int, default=1024, help="pixels (default: 1024)")
    parser.add_argument("--height", type=int, default=768, help="pixels (default: 768)")
    parser.add_argument("--cells", type=int, default=250, help="in each picture (default: 250)")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds draw equal pictures")
    args = parser.parse_args()
    with progress.bar("drawing", args.photos) as bar:
        for number in range(args.photos):
            rng = np.random.default_rng([args.seed, number])
            picture, mask = draw(rng, args.width, args.height, args.cells)
            paths = [args.folder / f"{kind}/cells_{number:03}" for kind in ("images", "masks")]
            targets = [
                path.with_suffix(ending)
                for path, ending in zip(paths, (".jpg", ".png"), strict=True)
            ]
            for target in targets:
                if target.exists():
                    raise UserError(f"{target} is there already; choose an empty folder")
                target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(targets[0], quality=92)
            Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(targets[1])
            bar.update()


if __name__ == "__main__":
    command.exit_cleanly(main)
