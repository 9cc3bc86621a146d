"""The page to try a model, the page of the endpoint's documentation, and the files of both."""

import io
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Response

from flows.web.answers import GOOD_FROM
from flows.web.limits import Limits
from flows.web.problems import ProblemError
from petseg.data import demo_pets, quantisation
from petseg.data.photos import MAX_PIXELS, SUFFIXES
from petseg.inference import cutout
from petseg.inference.segmenter import Segmenter
from petseg.prediction import outputs

PAGE = Path(__file__).parent / "page"
REPORT = Path(__file__).parents[2] / "petseg/report"
SWAGGER = resources.files("fastapi_swagger.resources")
FILES = {  # what the two pages consist of, by its path on the server
    "/": (PAGE / "index.html", "text/html"),
    "/page.css": (PAGE / "page.css", "text/css"),
    "/page.js": (PAGE / "page.js", "text/javascript"),
    "/photos.js": (PAGE / "photos.js", "text/javascript"),
    "/requests.js": (PAGE / "requests.js", "text/javascript"),
    "/style.css": (REPORT / "style.css", "text/css"),  # the report's, as the next one
    "/masks.js": (REPORT / "masks.js", "text/javascript"),
    "/docs": (PAGE / "docs.html", "text/html"),
    "/docs.js": (PAGE / "docs.js", "text/javascript"),
    "/swagger-ui.css": (SWAGGER / "swagger-ui.css", "text/css"),
    "/swagger-ui.js": (SWAGGER / "swagger-ui-bundle.js", "text/javascript"),
}
EXAMPLES_SHOW = "pet"  # the foreground of the models that the examples are for
# Drawn pets to try the model on: the breed's name, and the seed of the drawing.
EXAMPLES = (("Midnight_Bib", 15), ("spotted_hound", 22), ("Marmalade", 14))


def add_routes(app: FastAPI, segmenter: Segmenter, limits: Limits) -> None:
    """Let an app answer with the pages, their files, settings and examples."""
    content = settings(segmenter, limits)

    @app.get("/page.json", include_in_schema=False)
    async def page_settings() -> dict[str, Any]:
        return content

    @app.get("/examples/{number}.jpg", include_in_schema=False)
    def page_example(number: int) -> Response:
        if not 1 <= number <= len(EXAMPLES):
            raise ProblemError(404, f"there is no example {number}; there are 1 to {len(EXAMPLES)}")
        return Response(draw_example(*EXAMPLES[number - 1]), media_type="image/jpeg")

    for path, (file, media_type) in FILES.items():
        add_file(app, path, file.read_bytes(), media_type)


def add_file(app: FastAPI, path: str, content: bytes, media_type: str) -> None:
    """Let an app answer with a file; a browser asks again each time, and so is never out of date."""

    @app.get(path, include_in_schema=False)
    async def page_file() -> Response:
        return Response(content, media_type=media_type)


def settings(segmenter: Segmenter, limits: Limits) -> dict[str, Any]:
    """Return what the script of the page needs to know of the model and of this server."""
    metadata = segmenter.metadata
    return {
        "max_level": quantisation.MAX_LEVEL,
        "threshold": metadata.threshold,
        "min_level": quantisation.min_level(metadata.threshold),
        "softness": cutout.SOFTNESS,
        "tint": cutout.TINT,
        "tint_strength": cutout.STRENGTH,
        "good_from": GOOD_FROM,
        "max_bytes": limits.photo_bytes,
        "max_pixels": MAX_PIXELS,
        "accept": ",".join(SUFFIXES),
        "examples": example_paths() if metadata.foreground == EXAMPLES_SHOW else [],
        "foreground": metadata.foreground,
        "recipe": metadata.recipe,
        "image_size": metadata.image_size,
        "mode": metadata.mode,
        "software": outputs.software(),
        "model": segmenter.engine.sha256,
    }


def example_paths() -> list[str]:
    """Return the addresses of the drawn examples."""
    return [f"/examples/{number}.jpg" for number in range(1, len(EXAMPLES) + 1)]


@cache
def draw_example(breed_name: str, seed: int) -> bytes:
    """Return a drawn pet as JPEG."""
    (breed,) = (breed for breed in demo_pets.BREEDS if breed.name == breed_name)
    photo, _ = demo_pets.draw_photo(np.random.default_rng(seed), breed)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
