"""The demo dataset: which photos it lists, drawn and packed in the official layout."""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import files, progress
from petseg.data import archives, demo_pets
from petseg.data.archives import Entry
from petseg.data.demo_pets import BREEDS, Breed


@checked(frozen=True, config={"extra": "forbid"})
class Demo:
    """`download` in params.yaml, drawing synthetic pets."""

    source: Literal["demo"]
    seed: Annotated[int, Field(ge=0)]
    trainval: Annotated[int, Field(ge=12)]
    test: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class DemoPhoto:
    """One photo of the demo dataset as the archives hold it."""

    entry: Entry
    split: Literal["trainval", "test"]
    jpeg: bytes
    png: bytes


def draw_demo(settings: Demo, raw: Path) -> dict[str, Any]:
    """Draw the demo dataset and pack it; return what source.json says of it."""
    jobs = [
        (settings.seed, number, *listed)
        for number, listed in enumerate(entries(settings.trainval, settings.test))
    ]
    drawn = []
    with (
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool,
        progress.bar("drawing", len(jobs)) as bar,
    ):
        for photo in pool.map(draw, jobs, chunksize=8):
            drawn.append(photo)
            bar.update()
    archives.write(
        raw / archives.IMAGES, ((f"images/{photo.entry.name}.jpg", photo.jpeg) for photo in drawn)
    )
    archives.write(raw / archives.ANNOTATIONS, annotations(drawn))
    return {
        "source": "demo",
        "official": False,
        "licence": "MIT, drawn by this project",
        "from": "drawn",
        "archives": {
            name: archives.describe(raw / name, files.sha256(raw / name))
            for name in (archives.IMAGES, archives.ANNOTATIONS)
        },
    }


def entries(trainval: int, test: int) -> Iterator[tuple[Entry, Literal["trainval", "test"], Breed]]:
    """Yield what the dataset lists: the breeds in turn, numbered within each."""
    species_ids = {"cat": 1, "dog": 2}
    for number in range(trainval + test):
        kind = number % len(BREEDS)
        breed = BREEDS[kind]
        breed_id = 1 + sum(other.species == breed.species for other in BREEDS[:kind])
        name = f"{breed.name}_{number // len(BREEDS) + 1}"
        entry = Entry(name, kind + 1, species_ids[breed.species], breed_id)
        yield entry, "trainval" if number < trainval else "test", breed


def draw(job: tuple[int, int, Entry, Literal["trainval", "test"], Breed]) -> DemoPhoto:
    """Draw one photo from (seed, number, entry, split, breed); every photo has its own generator."""
    seed, number, entry, split, breed = job
    photo, mask = demo_pets.draw_photo(np.random.default_rng([seed, number]), breed)
    jpeg, png = io.BytesIO(), io.BytesIO()
    photo.save(jpeg, "JPEG", quality=88)
    mask.save(png, "PNG")
    return DemoPhoto(entry, split, jpeg.getvalue(), png.getvalue())


def annotations(drawn: list[DemoPhoto]) -> Iterator[tuple[str, bytes]]:
    """Yield the members of the annotations' archive: the lists, then the trimaps."""
    for name, splits in (
        ("list", ("trainval", "test")),
        ("trainval", ("trainval",)),
        ("test", ("test",)),
    ):
        rows = sorted(photo.entry.row for photo in drawn if photo.split in splits)
        yield f"annotations/{name}.txt", "".join(f"{row}\n" for row in rows).encode()
    for photo in drawn:
        yield f"annotations/trimaps/{photo.entry.name}.png", photo.png
