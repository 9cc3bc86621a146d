"""Gets the two archives of the official layout from a source: drawn here, or from mirrors.

Writes: RAW/images.tar.gz, RAW/annotations.tar.gz, RAW/source.json.
Keeps:  DOWNLOADS/SHA256-NAME, what came over the network and was verified, outside DVC's outputs.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from stages.petseg import archives, command, demo_pets, mirrors, params, progress, tables
from stages.petseg.demo_pets import DemoPhoto
from stages.petseg.errors import UserError

LICENCE = (
    "CC BY-SA 4.0 by the dataset's page, 'research purposes only' by the README in its archive; "
    "neither the photos nor figures made of them may be published again"
)


@checked(frozen=True, config={"extra": "forbid"})
class Demo:
    """`download` in params.yaml, drawing synthetic pets."""

    source: Literal["demo"]
    seed: Annotated[int, Field(ge=0)]
    trainval: Annotated[int, Field(ge=12)]
    test: Annotated[int, Field(ge=1)]


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@checked(frozen=True, config={"extra": "forbid"})
class Checksums:
    """What the archives must hash to; null takes one unchecked."""

    images: Sha256 | None
    annotations: Sha256 | None


@checked(frozen=True, config={"extra": "forbid"})
class Archives:
    """`download` in params.yaml, from mirrors of the official archives."""

    source: Literal["archives"]
    mirrors: Annotated[list[str], Field(min_length=1)]
    sha256: Checksums


Params = Annotated[Demo | Archives, Field(discriminator="source")]


def draw_demo(settings: Demo, raw: Path) -> dict[str, Any]:
    """Draw the demo dataset and pack it; return what source.json says of it."""
    jobs = [
        (settings.seed, number, *listed)
        for number, listed in enumerate(demo_pets.entries(settings.trainval, settings.test))
    ]
    drawn = []
    with (
        ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool,
        progress.bar("drawing", len(jobs)) as bar,
    ):
        for photo in pool.map(demo_pets.draw, jobs, chunksize=8):
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
            name: describe(raw / name, archives.sha256(raw / name))
            for name in (archives.IMAGES, archives.ANNOTATIONS)
        },
    }


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


def fetch_archives(settings: Archives, raw: Path, downloads: Path) -> dict[str, Any]:
    """Fetch both archives; return what source.json says of them."""
    wanted = {
        archives.IMAGES: settings.sha256.images,
        archives.ANNOTATIONS: settings.sha256.annotations,
    }
    found = {}
    for name, sha256 in wanted.items():
        fetched = fetch_one(name, settings.mirrors, sha256, raw / name, downloads)
        found[name] = describe(raw / name, fetched.sha256)
        print(f"{name}: {'verified' if sha256 else 'unchecked'}, from {fetched.mirror}", flush=True)
    return {
        "source": "archives",
        "official": {name: facts["sha256"] for name, facts in found.items()}
        == archives.OFFICIAL_SHA256,
        "licence": LICENCE,
        "from": settings.mirrors,  # not the one that had it: a second run shall not differ
        "checked": None not in wanted.values(),
        "archives": found,
    }


def fetch_one(
    name: str, places: list[str], sha256: str | None, target: Path, downloads: Path
) -> mirrors.Fetched:
    """Put one archive at `target`, from what is kept or from the first mirror."""
    try:
        return mirrors.fetch(name, places, sha256, target, downloads)
    except mirrors.UnreachableError as error:
        raise UserError(
            f"{error}. What has come is kept: run again to go on. Without a network run the demo recipe "
            "(`petseg use demo`); with local copies of images.tar.gz and annotations.tar.gz put their "
            "folder first in download.mirrors; another version of the files needs its checksums in "
            "download.sha256 (null: unchecked)"
        ) from None


def describe(archive: Path, sha256: str) -> dict[str, Any]:
    """Return what source.json says of an archive."""
    return {"bytes": archive.stat().st_size, "sha256": sha256}


def get(settings: Demo | Archives, raw: Path, downloads: Path) -> dict[str, Any]:
    """Put the archives into `raw`, an empty folder; return what source.json says."""
    if isinstance(settings, Demo):
        return draw_demo(settings, raw)
    return fetch_archives(settings, raw, downloads)


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__, raw="folder to write", downloads="folder that keeps downloads, whole and in part"
    )
    settings = params.load(Params, "download")
    with command.whole_folder(paths.raw) as raw:
        source = get(settings, raw, paths.downloads)
        tables.write_json(raw / "source.json", source)
    sizes = ", ".join(
        f"{name} {facts['bytes']:,} bytes" for name, facts in source["archives"].items()
    )
    print(f"{settings.source}: {sizes}{'' if source['official'] else ' (not the official data)'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
