"""Draw the surroundings of a synthetic pet: ground, clutter, objects in front, light and camera.

All random numbers come from the generator in the arguments. The arithmetic is integer or
IEEE-exact (Pillow's fixed-point filters, numpy's + - * /), so equal seeds give equal bytes on
any machine. Sines and powers are computed by Python's `math` and rounded.
"""

import math

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]  # RGB, 0–255
Size = tuple[int, int]  # width, height
WALL_COLOURS: list[Colour] = [(214, 205, 190), (168, 186, 196), (190, 172, 160), (120, 130, 122)]
OBJECT_COLOURS: list[Colour] = [
    (196, 62, 58),
    (52, 108, 168),
    (228, 176, 60),
    (76, 142, 96),
    (142, 92, 158),
    (230, 226, 216),
    (92, 70, 58),
]


def shade(colour: Colour, factor: float) -> Colour:
    """Return a colour multiplied by a factor (below 1 darker, above 1 lighter), clipped to 0–255."""
    red, green, blue = (max(0, min(255, round(channel * factor))) for channel in colour)
    return red, green, blue


def pick_colour(rng: Generator, colours: list[Colour]) -> Colour:
    """Return a random one of the colours with a small random change of brightness."""
    return shade(colours[int(rng.integers(len(colours)))], float(rng.uniform(0.8, 1.15)))


def smooth_noise(rng: Generator, size: Size, cells: int) -> Image.Image:
    """Return smooth grey noise (L), interpolated from `cells` random values across the width."""
    rows = max(2, cells * size[1] // size[0])
    grid = rng.integers(0, 256, (rows, cells), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def darken_unevenly(rng: Generator, image: Image.Image, strength: float, cells: int) -> Image.Image:
    """Return the image darkened by smooth noise, by a share of its brightness up to `strength`."""
    waves = smooth_noise(rng, image.size, cells).point(
        [round(255 - strength * v) for v in range(256)]
    )
    return ImageChops.multiply(image, Image.merge("RGB", [waves] * 3))


def background(rng: Generator, size: Size, coat: Colour) -> Image.Image:
    """Return a scene without an animal (RGB).

    In one scene of eight the ground has nearly the colour of the animal's coat.
    """
    draw_scene = [lawn, room, sofa, open_ground][int(rng.integers(4))]
    ground = shade(coat, float(rng.uniform(0.8, 1.2))) if rng.random() < 0.125 else None
    image = draw_scene(rng, size, ground)
    for _ in range(int(rng.integers(2, 7))):
        draw_clutter(rng, image, coat)
    return darken_unevenly(rng, darken_unevenly(rng, image, 0.22, 9), 0.08, 60)


def lawn(rng: Generator, size: Size, ground: Colour | None) -> Image.Image:
    """Return a meadow below a hedge or the sky; `ground` replaces the colour of the grass."""
    width, height = size
    green = ground or pick_colour(rng, [(96, 138, 62), (128, 150, 74), (146, 132, 78)])
    image = Image.new(
        "RGB", size, pick_colour(rng, [(176, 206, 228), (70, 104, 60), (208, 214, 212)])
    )
    draw = ImageDraw.Draw(image)
    horizon = round(height * rng.uniform(0.15, 0.5))
    draw.rectangle((0, horizon, width, height), fill=green)
    draw_blades(rng, draw, size, green, top=horizon, count=420)
    return image


def draw_blades(
    rng: Generator, draw: ImageDraw.ImageDraw, size: Size, colour: Colour, top: int, count: int
) -> None:
    """Draw blades of grass below `top`, longer towards the viewer."""
    width, height = size
    for x, depth, lean, tint in rng.random((count, 4)).tolist():
        y = top + depth * (height * 1.05 - top)
        length = height * (0.02 + 0.1 * depth)
        tip = (x * width + (lean - 0.5) * length, y - length)
        draw.line([(x * width, y), tip], fill=shade(colour, 0.65 + 0.7 * tint), width=2)


def room(rng: Generator, size: Size, ground: Colour | None) -> Image.Image:
    """Return a wall with wallpaper above a floor of boards; `ground` replaces the floor's colour."""
    width, height = size
    wall = pick_colour(rng, WALL_COLOURS)
    floor = ground or pick_colour(rng, [(150, 108, 72), (118, 86, 62), (184, 158, 128)])
    image = Image.new("RGB", size, wall)
    draw = ImageDraw.Draw(image)
    stripe = int(rng.integers(14, 44))
    for x in range(0, width, 2 * stripe):
        draw.rectangle((x, 0, x + stripe, height), fill=shade(wall, 0.94))
    edge = round(height * rng.uniform(0.4, 0.75))
    draw.rectangle((0, edge - 7, width, edge), fill=shade(wall, 1.2))
    draw.rectangle((0, edge, width, height), fill=floor)
    for board in range(-6, 20):  # the gaps run towards the middle of the horizon
        start = width * board / 12
        draw.line(
            [(width / 2 + (start - width / 2) * 0.4, edge), (start, height)],
            fill=shade(floor, 0.72),
            width=2,
        )
    return image


def sofa(rng: Generator, size: Size, ground: Colour | None) -> Image.Image:
    """Return a sofa, sometimes under a checked blanket; `ground` replaces the cloth's colour."""
    width, height = size
    cloth = ground or pick_colour(rng, [*WALL_COLOURS, *OBJECT_COLOURS])
    image = Image.new("RGB", size, shade(cloth, 0.8))
    draw = ImageDraw.Draw(image)
    seat = round(height * rng.uniform(0.5, 0.75))
    cushions = int(rng.integers(2, 4))
    for number in range(cushions):
        left, right = width * number / cushions, width * (number + 1) / cushions
        draw.rounded_rectangle((left + 3, height * 0.06, right - 3, seat), 26, fill=cloth)
    draw.rounded_rectangle((0, seat, width, height + 30), 18, fill=shade(cloth, 1.12))
    if rng.random() < 0.5:
        draw_checks(rng, draw, size)
    return image


def draw_checks(rng: Generator, draw: ImageDraw.ImageDraw, size: Size) -> None:
    """Draw the lines of a checked blanket."""
    width, height = size
    step, colour = int(rng.integers(22, 60)), pick_colour(rng, OBJECT_COLOURS)
    for x in range(0, width, step):
        draw.line([(x, 0), (x, height)], fill=colour, width=3)
    for y in range(0, height, step):
        draw.line([(0, y), (width, y)], fill=colour, width=3)


def open_ground(rng: Generator, size: Size, ground: Colour | None) -> Image.Image:
    """Return snow, sand or pavement up to a soft horizon; `ground` replaces its colour."""
    width, height = size
    floor = ground or pick_colour(rng, [(232, 236, 242), (212, 192, 156), (150, 150, 152)])
    image = Image.new("RGB", size, floor)
    draw = ImageDraw.Draw(image)
    for x, y, spread in rng.random((26, 3)).tolist():
        rx, ry = width * (0.02 + 0.1 * spread), height * 0.03
        box = (x * width - rx, y * height - ry, x * width + rx, y * height + ry)
        draw.ellipse(box, fill=shade(floor, 0.9 + 0.14 * spread))
    draw.rectangle((0, 0, width, height * rng.uniform(0.05, 0.4)), fill=shade(floor, 0.78))
    return image.filter(ImageFilter.GaussianBlur(4))


def draw_clutter(rng: Generator, image: Image.Image, coat: Colour) -> None:
    """Draw one object at a random place: a ball, a box, a cushion, a plant or a fluffy toy."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    x, y = float(rng.uniform(0, width)), float(rng.uniform(height * 0.3, height))
    r = float(rng.uniform(0.05, 0.13)) * width
    colour = pick_colour(rng, OBJECT_COLOURS)
    choice = int(rng.integers(5))
    if choice == 0:
        draw_ball(draw, x, y, r, colour)
    elif choice == 1:
        draw.rectangle((x - r, y - r, x + r, y + r * 0.8), fill=colour)
        draw.polygon(
            [
                (x - r, y - r),
                (x - r * 0.6, y - r * 1.4),
                (x + r * 1.4, y - r * 1.4),
                (x + r, y - r),
            ],
            fill=shade(colour, 1.25),
        )
    elif choice == 2:
        draw.rounded_rectangle(
            (x - r * 1.5, y - r, x + r * 1.5, y + r),
            r * 0.6,
            fill=colour,
            outline=shade(colour, 0.7),
            width=4,
        )
    elif choice == 3:
        draw_leaves(rng, draw, x, y, r * 1.6)
    else:
        draw_fluffy_toy(rng, draw, x, y, r, shade(coat, float(rng.uniform(0.8, 1.2))))


def draw_ball(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: Colour) -> None:
    """Draw a ball lit from the upper left."""
    for step in range(6):
        inner = r * (1 - step / 7)
        offset = (r - inner) * 0.45
        box = (x - inner - offset, y - inner - offset, x + inner - offset, y + inner - offset)
        draw.ellipse(box, fill=shade(colour, 0.72 + 0.1 * step))


def draw_leaves(rng: Generator, draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    """Draw a tuft of long leaves that grows from (x, y)."""
    green = pick_colour(rng, [(58, 112, 62), (92, 138, 70), (44, 88, 66)])
    for fraction, length, tint in rng.random((11, 3)).tolist():
        angle = math.pi * (0.1 + 0.8 * fraction)
        reach = r * (0.6 + 0.6 * length)
        tip = (round(x + math.cos(angle) * reach, 3), round(y - math.sin(angle) * reach, 3))
        side = r * 0.09
        middle = ((x + tip[0]) / 2, (y + tip[1]) / 2)
        outline = [
            (x, y),
            (middle[0] - side, middle[1] - side),
            tip,
            (middle[0] + side, middle[1] + side),
        ]
        draw.polygon(outline, fill=shade(green, 0.7 + 0.6 * tint))


def draw_fluffy_toy(
    rng: Generator, draw: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: Colour
) -> None:
    """Draw a woolly ball in the animal's colour, so that fur alone does not reveal the animal."""
    draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=shade(colour, 0.85))
    for fraction, radius, tint in rng.random((150, 3)).tolist():
        angle = 2 * math.pi * fraction
        dx, dy = round(math.cos(angle), 4), round(math.sin(angle) * 0.8, 4)
        start, end = (
            (x + dx * r * radius, y + dy * r * radius),
            (x + dx * r * (radius + 0.16), y + dy * r * (radius + 0.16)),
        )
        draw.line([start, end], fill=shade(colour, 0.7 + 0.55 * tint), width=2)


def foreground(rng: Generator, size: Size) -> tuple[Image.Image, Image.Image]:
    """Return an object in front of the animal: its picture (RGB) and its mask (L)."""
    width, height = size
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    colour = pick_colour(rng, OBJECT_COLOURS)
    choice = int(rng.integers(4))
    if choice == 0:
        image = Image.new("RGB", size, (84, 124, 58))
        draw_tall_grass(rng, ImageDraw.Draw(image), draw, size)
        return image, mask
    if choice == 1:  # bars
        for x in range(int(rng.integers(0, 60)), width, int(rng.integers(110, 180))):
            draw.rectangle((x, 0, x + 9, height), fill=255)
    elif choice == 2:  # a blanket that hides the lower edge
        top = height * float(rng.uniform(0.72, 0.88))
        slope = height * float(rng.uniform(-0.1, 0.1))
        draw.polygon([(0, top), (width, top + slope), (width, height), (0, height)], fill=255)
    else:  # a piece of furniture at one side
        edge = width * float(rng.uniform(0.12, 0.3))
        left = rng.random() < 0.5
        draw.rectangle(
            (0, height * 0.2, edge, height)
            if left
            else (width - edge, height * 0.2, width, height),
            fill=255,
        )
    return darken_unevenly(rng, Image.new("RGB", size, colour), 0.4, 14), mask


def draw_tall_grass(
    rng: Generator, colours: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, size: Size
) -> None:
    """Draw high grass in front of the animal, into the picture and into the mask."""
    width, height = size
    for x, length, lean, tint in rng.random((70, 4)).tolist():
        tip = (x * width + (lean - 0.5) * 60, height * (1 - 0.12 - 0.3 * length))
        line = [(x * width, height), tip]
        colours.line(line, fill=shade((104, 146, 66), 0.6 + 0.8 * tint), width=4)
        mask.line(line, fill=255, width=4)


def light_photo(rng: Generator, image: Image.Image) -> Image.Image:
    """Return the photo with random exposure, colour of the light, gamma, gradient and blur."""
    underexposed = rng.random() < 0.1
    exposure = float(rng.uniform(0.5, 0.8) if underexposed else rng.uniform(1.1, 1.45))
    warmth = float(rng.uniform(-0.12, 0.16))
    gamma = float(rng.uniform(0.8, 1.25))
    tables: list[int] = []
    for tint in (1 + warmth, 1.0, 1 - warmth):
        tables += [
            min(255, round(255 * exposure * tint * math.pow(v / 255, gamma))) for v in range(256)
        ]
    image = image.point(tables)
    image = ImageChops.multiply(image, light_gradient(rng, image.size))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.2))))
    return image


def light_gradient(rng: Generator, size: Size) -> Image.Image:
    """Return a soft gradient across the photo (RGB), as from a window or a lamp."""
    corners = rng.integers(180, 256, (2, 2), dtype=np.uint8)
    grey = Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)
    return Image.merge("RGB", [grey] * 3)


def add_grain(rng: Generator, image: Image.Image) -> Image.Image:
    """Return the photo with the noise of a camera's sensor."""
    pixels = np.asarray(image, dtype=np.int16)
    strength = int(rng.integers(1, 8))
    pixels = (
        pixels + rng.integers(-strength, strength + 1, pixels.shape[:2], dtype=np.int16)[..., None]
    )
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
