"""Gets the two archives of the official layout from a source: drawn here, or from mirrors.

Writes: RAW/images.tar.gz, RAW/annotations.tar.gz, RAW/source.json.
Keeps:  DOWNLOADS/SHA256-NAME, what came over the network and was verified, outside DVC's outputs.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import archives, demo, mirrors
from petseg.data.demo import Demo
from petseg.errors import UserError

LICENCE = (
    "CC BY-SA 4.0 by the dataset's page, 'research purposes only' by the README in its archive; "
    "neither the photos nor figures made of them may be published again"
)
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


def fetch_archives(settings: Archives, raw: Path, downloads: Path) -> dict[str, Any]:
    """Fetch both archives; return what source.json says of them."""
    wanted = {
        archives.IMAGES: settings.sha256.images,
        archives.ANNOTATIONS: settings.sha256.annotations,
    }
    found = {}
    for name, sha256 in wanted.items():
        fetched = fetch_one(name, settings.mirrors, sha256, raw / name, downloads)
        found[name] = archives.describe(raw / name, fetched.sha256)
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


def get(settings: Demo | Archives, raw: Path, downloads: Path) -> dict[str, Any]:
    """Put the archives into `raw`, an empty folder; return what source.json says."""
    if isinstance(settings, Demo):
        return demo.draw_demo(settings, raw)
    return fetch_archives(settings, raw, downloads)


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__, raw="folder to write", downloads="folder that keeps downloads, whole and in part"
    )
    settings = params.load(Params, "download")
    with files.atomic_folder(paths.raw) as raw:
        source = get(settings, raw, paths.downloads)
        files.write_json(raw / "source.json", source)
    sizes = ", ".join(
        f"{name} {facts['bytes']:,} bytes" for name, facts in source["archives"].items()
    )
    print(f"{settings.source}: {sizes}{'' if source['official'] else ' (not the official data)'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
