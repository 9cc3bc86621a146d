"""Draw the demo dataset and pack it in the official layout."""

import io
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from petseg import files, progress
from petseg.data import archives, demo_pets
from petseg.data.archives import Entry, File
from petseg.data.demo_pets import BREEDS, Breed

ListName = Literal["trainval", "test"]


@dataclass(frozen=True)
class DemoPhoto:
    """One photo of the demo dataset as the archives hold it."""

    entry: Entry
    list_name: ListName
    jpeg: bytes  # the photo
    png: bytes  # the trimap


def draw_archives(raw: Path, *, seed: int, trainval: int, test: int) -> dict[str, Any]:
    """Draw the demo dataset and write its two archives.

    Args:
        raw: the folder to write to.
        seed: determines every pixel; equal seeds give archives of equal bytes.
        trainval: how many photos to draw for training and validation.
        test: how many photos to draw for the test split.

    Returns:
        The content of source.json.
    """
    jobs = [(seed, number, *row) for number, row in enumerate(entries(trainval, test))]
    photos = []
    with (
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool,
        progress.bar("drawing", len(jobs)) as bar,
    ):
        for photo in pool.map(draw_photo, jobs, chunksize=8):
            photos.append(photo)
            bar.update()
    archives.write(
        raw / archives.IMAGES,
        ((archives.photo_path(photo.entry.name), photo.jpeg) for photo in photos),
    )
    archives.write(raw / archives.ANNOTATIONS, annotation_members(photos))
    return {
        "source": "demo",
        "official": False,
        "licence": "MIT, drawn by this project",
        "from": "drawn",
        "archives": {
            name: archives.size_and_sha256(raw / name, files.sha256(raw / name))
            for name in (archives.IMAGES, archives.ANNOTATIONS)
        },
    }


def entries(trainval: int, test: int) -> Iterator[tuple[Entry, ListName, Breed]]:
    """Yield the dataset's entries with their list and breed: the breeds in turn, numbered each."""
    for number in range(trainval + test):
        breed_index = number % len(BREEDS)
        breed = BREEDS[breed_index]
        breed_id = 1 + sum(other.species == breed.species for other in BREEDS[:breed_index])
        name = f"{breed.name}_{number // len(BREEDS) + 1}"
        entry = Entry(name, breed_index + 1, archives.SPECIES_IDS[breed.species], breed_id)
        yield entry, "trainval" if number < trainval else "test", breed


def draw_photo(job: tuple[int, int, Entry, ListName, Breed]) -> DemoPhoto:
    """Draw one photo from (seed, number, entry, list, breed); every photo has its own generator."""
    seed, number, entry, list_name, breed = job
    photo, trimap = demo_pets.draw_photo(np.random.default_rng([seed, number]), breed)
    jpeg, png = io.BytesIO(), io.BytesIO()
    photo.save(jpeg, "JPEG", quality=88)
    trimap.save(png, "PNG")
    return DemoPhoto(entry, list_name, jpeg.getvalue(), png.getvalue())


def annotation_members(photos: list[DemoPhoto]) -> Iterator[File]:
    """Yield the members of the annotations' archive: the lists, then the trimaps."""
    contents = {"list": ("trainval", "test"), "trainval": ("trainval",), "test": ("test",)}
    for name, list_names in contents.items():
        rows = sorted(photo.entry.row for photo in photos if photo.list_name in list_names)
        yield archives.list_path(name), "".join(f"{row}\n" for row in rows).encode()
    for photo in photos:
        yield archives.trimap_path(photo.entry.name), photo.png
