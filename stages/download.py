"""Gets the photos from a source: drawn here, from mirrors, or listed in a team's own folder.

Reads: OWN, a team's own photos and masks, which stay where they are.
Writes: RAW/source.json, and RAW/images.tar.gz and RAW/annotations.tar.gz in the official layout; or,
for a team's own photos, RAW/photos.csv with their names, sizes and hashes, and the masks in
RAW/masks that were drawn from the file of an annotation tool.
Stores: DOWNLOADS/SHA256-NAME, the verified downloads, outside DVC's outputs.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import archives, demo, folder_source, mirrors
from petseg.data.mask_settings import Masks

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@checked(frozen=True, config={"extra": "forbid"})
class Demo:
    """`download` in params.yaml, for a dataset of drawn pets."""

    source: Literal["demo"]
    seed: Annotated[int, Field(ge=0)]
    trainval: Annotated[int, Field(ge=12)]
    test: Annotated[int, Field(ge=1)]


@checked(frozen=True, config={"extra": "forbid"})
class Checksums:
    """The SHA-256 of the archives; null accepts any."""

    images: Sha256 | None
    annotations: Sha256 | None


@checked(frozen=True, config={"extra": "forbid"})
class Archives:
    """`download` in params.yaml, for the official archives from mirrors."""

    source: Literal["archives"]
    mirrors: Annotated[list[str], Field(min_length=1)]
    sha256: Checksums


@checked(frozen=True, config={"extra": "forbid"})
class Folder:
    """`download` in params.yaml, for a team's own photos and masks."""

    source: Literal["folder"]
    masks: Masks


Params = Annotated[Demo | Archives | Folder, Field(discriminator="source")]


def write_raw(
    settings: Demo | Archives | Folder, own: Path, raw: Path, downloads: Path, place: str
) -> dict[str, Any]:
    """Write the archives or the list to `raw`, an empty folder; return the content of source.json.

    Args:
        settings: the source.
        own: the folder of a team's photos.
        raw: the folder to write to.
        downloads: where downloads are stored.
        place: the path from data/raw to `own`.
    """
    if isinstance(settings, Folder):
        return folder_source.list_folder(own, settings.masks, raw, place)
    if isinstance(settings, Demo):
        return demo.draw_archives(
            raw, seed=settings.seed, trainval=settings.trainval, test=settings.test
        )
    checksums = {
        archives.IMAGES: settings.sha256.images,
        archives.ANNOTATIONS: settings.sha256.annotations,
    }
    return mirrors.fetch_archives(settings.mirrors, checksums, raw, downloads)


def summary(source: dict[str, Any]) -> str:
    """Return what was written, in a line."""
    if "archives" not in source:
        return f"folder: {source['photos']:,} photos listed, none copied"
    sizes = ", ".join(
        f"{name} {facts['bytes']:,} bytes" for name, facts in source["archives"].items()
    )
    return f"{source['source']}: {sizes}{'' if source['official'] else ' (not the official data)'}"


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        own="folder with a team's own images/ and masks/",
        raw="folder to write",
        downloads="folder for complete and partial downloads",
    )
    settings = params.load(Params, "download")
    place = Path(os.path.relpath(paths.own, paths.raw)).as_posix()
    with files.atomic_folder(paths.raw) as raw:
        source = write_raw(settings, paths.own, raw, paths.downloads, place)
        files.write_json(raw / "source.json", source)
    print(summary(source))


if __name__ == "__main__":
    command.exit_cleanly(main)
