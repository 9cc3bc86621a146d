"""Draw synthetic cats and dogs with their trimaps: a dataset that needs no network.

A photo consists of a scene (`demo_scenes`), an animal made of rounded parts with fur drawn hair
by hair, sometimes an object in front of it, and the light. It is drawn at twice its final size.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from petseg.data import demo_scenes
from petseg.data.demo_scenes import Colour, Size, shade
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND

Point = tuple[float, float]
Outline = list[Point]
BORDER_WIDTH = 7  # pixels; the border band then has about the same share as in real trimaps


@dataclass(frozen=True)
class Breed:
    """The traits that all animals of a breed share; colours are RGB, 0–255."""

    name: str
    species: Literal["cat", "dog"]
    coat: Colour
    accent: Colour  # of belly, muzzle and paws, or of the pattern's marks
    pattern: Literal["solid", "stripes", "spots", "patches", "points", "saddle", "bib"]
    ears: Literal["pointed", "floppy", "round"]
    hair: float  # length of the fur; 1 is short
    bulk: float  # width of body and limbs; 1 is usual
    tail: Literal["thin", "bushy", "stub"]


BREEDS = (
    Breed("Marmalade", "cat", (214, 142, 72), (150, 82, 34), "stripes", "pointed", 1.0, 1.0, "thin"),
    Breed("Smoke", "cat", (126, 130, 140), (104, 108, 118), "solid", "pointed", 1.0, 1.1, "thin"),
    Breed("Cream_Point", "cat", (226, 208, 180), (92, 70, 60), "points", "pointed", 0.9, 0.85, "thin"),
    Breed("Midnight_Bib", "cat", (52, 50, 54), (236, 232, 226), "bib", "pointed", 1.1, 1.0, "thin"),
    Breed("Forest_Tabby", "cat", (140, 118, 92), (70, 56, 44), "stripes", "pointed", 2.2, 1.2, "bushy"),
    Breed("sandy_terrier", "dog", (196, 160, 112), (226, 204, 168), "bib", "floppy", 2.0, 0.95, "stub"),
    Breed("spotted_hound", "dog", (232, 226, 216), (72, 62, 58), "spots", "floppy", 0.7, 0.95, "thin"),
    Breed("black_retriever", "dog", (44, 42, 44), (60, 54, 52), "solid", "floppy", 1.1, 1.15, "bushy"),
    Breed("saddle_shepherd", "dog", (186, 138, 86), (58, 48, 44), "saddle", "pointed", 1.5, 1.05, "bushy"),
    Breed("white_fluff", "dog", (238, 234, 226), (222, 212, 198), "patches", "round", 2.6, 1.2, "bushy"),
)  # fmt: skip


@dataclass
class Canvas:
    """An animal's colours (RGB) and its mask (L), of equal size, to draw on."""

    colours: Image.Image
    mask: Image.Image

    def add(
        self, rng: Generator, outline: Outline, colour: Colour, breed: Breed, marks: bool = True
    ) -> None:
        """Draw one rounded part over the earlier ones, with shadows and, if `marks`, its pattern."""
        part = Image.new("L", self.mask.size)
        ImageDraw.Draw(part).polygon(outline, fill=255)
        box = part.getbbox()
        if box is None:  # the part lies outside the photo
            return
        box = enlarge_box(box, 14, part.size)
        part = part.crop(box)
        skin = Image.new("RGB", part.size, colour)
        if marks:
            draw_pattern(rng, skin, breed)
        skin = shade_as_round(skin, part)
        self.colours.paste(skin, box[:2], part)
        self.mask.paste(255, box[:2], part)


def enlarge_box(
    box: tuple[int, int, int, int], margin: int, size: Size
) -> tuple[int, int, int, int]:
    """Return a box enlarged on all sides, but not beyond the picture."""
    left, top, right, bottom = box
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(size[0], right + margin),
        min(size[1], bottom + margin),
    )


def shade_as_round(skin: Image.Image, part: Image.Image) -> Image.Image:
    """Return a part's colours lit from the upper left, as if the part were round."""
    reach = max(3, min(part.size) // 9)
    height = np.asarray(part.filter(ImageFilter.GaussianBlur(reach)), dtype=np.int16)
    slope = np.roll(height, (-reach, -reach), (0, 1)) - np.roll(height, (reach, reach), (0, 1))
    factor = 232 + slope // 3 - (255 - height) // 4  # brightness in 1/256
    shaded = np.asarray(skin, dtype=np.int32) * factor[..., None].astype(np.int32) // 256
    return Image.fromarray(np.clip(shaded, 0, 255).astype(np.uint8))


def draw_pattern(rng: Generator, skin: Image.Image, breed: Breed) -> None:
    """Draw the breed's pattern over the plain colour of a part."""
    width, height = skin.size
    draw = ImageDraw.Draw(skin)
    if breed.pattern == "stripes":
        step = max(10, width // 7)
        for x in range(0, width + step, step):
            bend = float(rng.uniform(-0.6, 0.6)) * step
            draw.line(
                [(x, 0), (x + bend, height / 2), (x, height)],
                fill=breed.accent,
                width=max(3, step // 3),
                joint="curve",
            )
    elif breed.pattern in ("spots", "patches"):
        scale = 0.07 if breed.pattern == "spots" else 0.2
        for x, y, spread in rng.random((12 if breed.pattern == "spots" else 3, 3)).tolist():
            r = max(5.0, scale * (0.5 + spread) * max(width, height))
            draw.ellipse(
                (x * width - r, y * height - r * 0.8, x * width + r, y * height + r * 0.8),
                fill=breed.accent,
            )
    elif breed.pattern == "saddle":
        draw.rectangle((0, 0, width, height * 0.45), fill=breed.accent)


def ellipse(x: float, y: float, rx: float, ry: float) -> Outline:
    """Return the outline of an ellipse in the animal's units."""
    angles = [2 * math.pi * step / 36 for step in range(36)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def limb(points: list[Point], start: float, end: float) -> Outline:
    """Return the outline of a limb with round ends along the points, from one width to another."""
    left: Outline = []
    right: Outline = []
    line = catmull_rom(points)
    for number, (x, y) in enumerate(line):
        before, after = line[max(0, number - 1)], line[min(len(line) - 1, number + 1)]
        dx, dy = after[0] - before[0], after[1] - before[1]
        length = math.hypot(dx, dy) or 1.0
        share = number / (len(line) - 1)
        half = (start + (end - start) * share) / 2 * math.sqrt(max(0.04, 1 - (2 * share - 1) ** 8))
        left.append((x - dy / length * half, y + dx / length * half))
        right.append((x + dy / length * half, y - dx / length * half))
    return left + right[::-1]


def catmull_rom(points: list[Point], steps: int = 8) -> list[Point]:
    """Return a Catmull-Rom curve through the points."""
    ends = [points[0], *points, points[-1]]
    curve: list[Point] = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(steps):
            t = step / steps
            weights = (
                -t + 2 * t**2 - t**3,
                2 - 5 * t**2 + 3 * t**3,
                t + 4 * t**2 - 3 * t**3,
                t**3 - t**2,
            )
            knots = (a, b, c, d)
            x = sum(w * knot[0] for w, knot in zip(weights, knots, strict=True)) / 2
            y = sum(w * knot[1] for w, knot in zip(weights, knots, strict=True)) / 2
            curve.append((x, y))
    return [*curve, points[-1]]


@dataclass(frozen=True)
class Placement:
    """Maps the animal's units, of which it is about 1 high, to pixels of the canvas."""

    x: float
    y: float
    scale: float  # pixels per unit
    angle: float  # radians
    mirrored: bool

    def __call__(self, outline: Outline) -> Outline:
        """Return an outline in pixels, rounded to 1/64: machines may differ in the last bit of a sine."""
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        pixels = []
        for unit_x, unit_y in outline:
            u, v = (-unit_x if self.mirrored else unit_x), unit_y - 0.5
            x = self.x + self.scale * (u * cosine - v * sine)
            y = self.y + self.scale * (u * sine + v * cosine)
            pixels.append((round(x * 64) / 64, round(y * 64) / 64))
        return pixels


class Animal:
    """An animal: its breed, its own shade, and the canvas on which its parts are drawn."""

    def __init__(self, rng: Generator, breed: Breed, canvas: Canvas, placement: Placement) -> None:
        self.rng, self.breed, self.canvas, self.placement = rng, breed, canvas, placement
        tone = float(rng.uniform(0.82, 1.15))
        self.coat, self.accent = shade(breed.coat, tone), shade(breed.accent, tone)
        self.light_coat = self.accent if breed.pattern == "bib" else shade(self.coat, 1.1)
        self.tip_colour = self.accent if breed.pattern in ("points", "bib") else self.coat
        self.width = breed.bulk * float(rng.uniform(0.92, 1.1))
        self.face = (0.0, 0.0, 1.0, 0.0)  # x and y of the head, its size, and y of the nose

    def draw_part(self, outline: Outline, colour: Colour, marks: bool = False) -> None:
        """Draw a part whose outline is given in the animal's units."""
        self.canvas.add(self.rng, self.placement(outline), colour, self.breed, marks)

    def draw_sitting(self) -> None:
        """Draw the animal sitting, seen from the front, without its face."""
        w = self.width
        self.draw_tail([(0.18, 0.9), (0.38, 0.95), (0.46, 0.78), (0.4, 0.62)])
        for side in (-1, 1):
            self.draw_part(ellipse(side * 0.19 * w, 0.8, 0.15 * w, 0.18), self.coat, marks=True)
        self.draw_part(ellipse(0, 0.62, 0.25 * w, 0.36), self.coat, marks=True)
        self.draw_part(ellipse(0, 0.55, 0.13 * w, 0.22), self.light_coat)
        for side in (-1, 1):
            x = side * 0.1 * w
            self.draw_part(
                limb([(x, 0.55), (x * 1.1, 0.75), (x, 0.97)], 0.13 * w, 0.1 * w), self.coat
            )
            self.draw_part(ellipse(x * 1.1, 0.965, 0.075 * w, 0.045), self.tip_colour)
        self.draw_head(float(self.rng.uniform(-0.05, 0.05)), 0.2, 1.0)

    def draw_standing(self) -> None:
        """Draw the animal standing, seen from the side, without its face."""
        w = self.width
        self.draw_tail([(-0.4, 0.42), (-0.56, 0.36), (-0.62, 0.2), (-0.56, 0.06)])
        for x, factor in ((-0.24, 0.75), (0.3, 0.75), (-0.34, 1.0), (0.2, 1.0)):
            step = float(self.rng.uniform(-0.05, 0.05))
            line = [(x, 0.5), (x + step, 0.74), (x + step, 0.97)]
            self.draw_part(limb(line, 0.17 * w, 0.09 * w), shade(self.coat, factor))
            self.draw_part(
                ellipse(x + step + 0.02, 0.97, 0.07 * w, 0.035), shade(self.tip_colour, factor)
            )
        self.draw_part(ellipse(-0.22, 0.46, 0.24, 0.2 * w), self.coat, marks=True)
        self.draw_part(ellipse(0.0, 0.46, 0.42, 0.185 * w), self.coat, marks=True)
        self.draw_part(
            limb([(0.24, 0.46), (0.36, 0.32), (0.44, 0.18)], 0.3 * w, 0.22 * w),
            self.coat,
            marks=True,
        )
        self.draw_head(0.46, float(self.rng.uniform(0.1, 0.22)), 0.78)

    def draw_lying(self) -> None:
        """Draw the animal lying with its paws stretched out, without its face."""
        w = self.width
        self.draw_tail([(-0.36, 0.86), (-0.55, 0.9), (-0.5, 0.98), (-0.25, 0.97)])
        self.draw_part(ellipse(-0.26, 0.74, 0.25 * w, 0.23), self.coat, marks=True)
        self.draw_part(ellipse(0.02, 0.74, 0.42, 0.2 * w), self.coat, marks=True)
        self.draw_part(ellipse(-0.22, 0.9, 0.2 * w, 0.08), shade(self.coat, 0.92))
        for y in (0.88, 0.93):
            self.draw_part(limb([(0.2, 0.82), (0.36, y), (0.56, y)], 0.14 * w, 0.09 * w), self.coat)
            self.draw_part(ellipse(0.57, y, 0.06, 0.045 * w), self.tip_colour)
        self.draw_part(ellipse(0.32, 0.7, 0.16 * w, 0.18), self.light_coat)
        self.draw_head(0.34, float(self.rng.uniform(0.42, 0.52)), 0.85)

    def draw_tail(self, line: list[Point]) -> None:
        """Draw the breed's tail along a line."""
        widths = {"thin": (0.09, 0.05), "bushy": (0.12, 0.16), "stub": (0.12, 0.08)}
        start, end = widths[self.breed.tail]
        self.draw_part(
            limb(line[:2] if self.breed.tail == "stub" else line, start, end),
            self.tip_colour if self.breed.pattern == "points" else self.coat,
        )

    def draw_head(self, x: float, y: float, size: float) -> None:
        """Draw ears, skull and muzzle around (x, y)."""
        cat = self.breed.species == "cat"
        if self.breed.ears != "floppy":
            self.draw_ears(x, y, size)
        self.draw_part(
            ellipse(x, y, 0.2 * size, 0.175 * size),
            self.coat,
            marks=self.breed.pattern in ("stripes", "patches", "spots"),
        )
        if self.breed.ears == "floppy":
            self.draw_ears(x, y, size)
        radius = 0.075 if cat else 0.115
        offset = 0.075 if cat else 0.1
        colour = (
            self.accent if self.breed.pattern in ("points", "bib", "saddle") else self.light_coat
        )
        muzzle = ellipse(x, y + offset * size, (radius + 0.015) * size, radius * size)
        self.draw_part(muzzle, colour)
        self.face = (x, y, size, y + (offset - radius * 0.55) * size)

    def draw_ears(self, x: float, y: float, size: float) -> None:
        """Draw both ears."""
        for side in (-1, 1):
            if self.breed.ears == "pointed":
                outer = [(0.185, 0.0), (0.195, -0.25), (0.04, -0.15)]
                inner = [(0.155, -0.06), (0.172, -0.2), (0.08, -0.13)]
                self.draw_part(
                    [(x + side * a * size, y + b * size) for a, b in outer], self.tip_colour
                )
                self.draw_part(
                    [(x + side * a * size, y + b * size) for a, b in inner], (206, 150, 140)
                )
            elif self.breed.ears == "round":
                self.draw_part(
                    ellipse(x + side * 0.15 * size, y - 0.13 * size, 0.085 * size, 0.085 * size),
                    self.accent,
                )
            else:
                line = [
                    (x + side * a * size, y + b * size)
                    for a, b in ((0.13, -0.13), (0.21, -0.04), (0.21, 0.14))
                ]
                ear = (
                    self.accent
                    if self.breed.pattern in ("spots", "saddle")
                    else shade(self.coat, 0.75)
                )
                self.draw_part(limb(line, 0.09 * size, 0.13 * size), ear)

    def draw_face(self) -> None:
        """Draw eyes, nose and mouth over the fur; they do not change the mask."""
        x, y, size, nose = self.face
        cat = self.breed.species == "cat"
        draw = ImageDraw.Draw(self.canvas.colours)
        iris = demo_scenes.pick_colour(
            self.rng,
            [(190, 168, 62), (112, 158, 88), (104, 150, 186)]
            if cat
            else [(92, 58, 34), (64, 44, 34)],
        )
        for side in (-1, 1):
            eye = (x + side * 0.085 * size, y - 0.025 * size)
            draw.polygon(
                self.placement(ellipse(*eye, 0.04 * size, 0.036 * size)), fill=shade(self.coat, 0.4)
            )
            draw.polygon(self.placement(ellipse(*eye, 0.033 * size, 0.03 * size)), fill=iris)
            draw.polygon(
                self.placement(ellipse(*eye, (0.011 if cat else 0.02) * size, 0.026 * size)),
                fill=(14, 12, 14),
            )
            draw.polygon(
                self.placement(
                    ellipse(eye[0] - 0.01 * size, eye[1] - 0.011 * size, 0.008 * size, 0.008 * size)
                ),
                fill=(250, 250, 250),
            )
        nose_width = (0.028 if cat else 0.042) * size
        draw.polygon(
            self.placement(ellipse(x, nose, nose_width, nose_width * 0.7)),
            fill=(196, 120, 116) if cat else (28, 24, 26),
        )
        mouth = [
            (x - 0.05 * size, nose + 0.075 * size),
            (x, nose + 0.05 * size),
            (x + 0.05 * size, nose + 0.075 * size),
        ]
        draw.line(
            [*self.placement([(x, nose)]), *self.placement([mouth[1]])],
            fill=shade(self.coat, 0.4),
            width=2,
        )
        draw.line(self.placement(mouth), fill=shade(self.coat, 0.4), width=2)


def draw_fur(rng: Generator, canvas: Canvas, breed: Breed, scale: float) -> None:
    """Draw the fur hair by hair over the animal; hairs at the edge extend the mask."""
    mask = np.asarray(canvas.mask)
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        return
    count = min(2600, rows.size // 16)
    roots = rng.integers(0, rows.size, count)
    x, y = columns[roots], rows[roots]
    sway, length, tint = rng.random((3, count))
    # The fur is parted along the middle of the animal.
    side_step = np.where(x > columns.sum() // rows.size, 0.45, -0.45)
    step = scale * 0.02 * breed.hair * (0.5 + length)
    tips = np.stack(
        [x + step * (side_step + 0.9 * (sway - 0.5)), y + step * (0.5 + 0.4 * sway)], axis=1
    )
    lines = np.concatenate([np.stack([x, y], axis=1), np.floor(tips * 64) / 64], axis=1).tolist()
    colours = np.asarray(canvas.colours)[y, x] * (0.8 + 0.42 * tint)[:, None]
    inks = map(tuple, np.minimum(colours, 255).astype(np.uint8).tolist())
    hair, outline = ImageDraw.Draw(canvas.colours), ImageDraw.Draw(canvas.mask)
    for line, ink in zip(lines, inks, strict=True):
        hair.line(line, fill=ink, width=2)
        outline.line(line, fill=255, width=2)


def draw_animal(rng: Generator, breed: Breed, size: Size) -> Canvas:
    """Return an animal at a random place of a canvas; the edge cuts a third of them."""
    width, height = size
    pose = min(3, int(rng.integers(5)))
    scale = height * float(rng.uniform(0.75, 1.15))
    x, y = width * float(rng.uniform(0.32, 0.68)), height * float(rng.uniform(0.5, 0.58))
    if pose == 3:  # a portrait: the lower part of the animal lies outside the photo
        scale = height * float(rng.uniform(1.3, 2.0))
        y = height * float(rng.uniform(0.62, 0.72)) + 0.2 * scale
    placement = Placement(
        x, y, scale, math.radians(float(rng.uniform(-9, 9))), bool(rng.random() < 0.5)
    )
    canvas = Canvas(Image.new("RGB", size), Image.new("L", size))
    animal = Animal(rng, breed, canvas, placement)
    poses = (
        animal.draw_sitting,
        animal.draw_standing,
        animal.draw_lying,
        animal.draw_sitting,
    )
    poses[pose]()
    draw_fur(rng, canvas, breed, scale)
    animal.draw_face()
    return canvas


def draw_photo(rng: Generator, breed: Breed) -> tuple[Image.Image, Image.Image]:
    """Return a photo (RGB) and its trimap (L: 1 pet, 2 background, 3 border), of equal size."""
    size = int(rng.integers(180, 241)), int(rng.integers(160, 201))
    canvas_size = 2 * size[0], 2 * size[1]
    photo = demo_scenes.background(rng, canvas_size, breed.coat)
    animal = draw_animal(rng, breed, canvas_size)
    cast_shadow(photo, animal.mask)
    photo.paste(animal.colours, mask=animal.mask)
    mask = animal.mask
    if rng.random() < 0.12:
        picture, front_mask = demo_scenes.foreground(rng, canvas_size)
        photo.paste(picture, mask=front_mask)
        mask = ImageChops.subtract(mask, front_mask)
    photo = demo_scenes.light_photo(rng, photo).resize(size, Image.Resampling.BOX)
    return demo_scenes.add_grain(rng, photo), make_trimap(
        smooth_mask(mask).resize(size, Image.Resampling.BOX)
    )


def cast_shadow(photo: Image.Image, mask: Image.Image) -> None:
    """Darken the ground beside the animal."""
    shadow = ImageChops.offset(mask, 14, 10).filter(ImageFilter.GaussianBlur(12))
    photo.paste((20, 18, 24), mask=shadow.point([v * 2 // 5 for v in range(256)]))


def smooth_mask(mask: Image.Image) -> Image.Image:
    """Return the mask as an annotator would draw it, without single hairs."""
    return mask.filter(ImageFilter.GaussianBlur(5)).point([255 * (v >= 128) for v in range(256)])


def make_trimap(mask: Image.Image) -> Image.Image:
    """Return the trimap of a mask (L, 0–255), with a band of border along the outline."""
    binary = mask.point([255 * (v >= 128) for v in range(256)])
    inner, outer = (
        binary.filter(ImageFilter.MinFilter(5)),
        binary.filter(ImageFilter.MaxFilter(BORDER_WIDTH)),
    )
    result = Image.new("L", mask.size, BACKGROUND)
    result.paste(BORDER, mask=outer)
    result.paste(FOREGROUND, mask=inner)
    return result
