"""Gets the two archives of the official layout from a source: drawn here, or from mirrors.

Writes: RAW/images.tar.gz, RAW/annotations.tar.gz, RAW/source.json.
Stores: DOWNLOADS/SHA256-NAME, the verified downloads, outside DVC's outputs.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import archives, demo, mirrors

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


Params = Annotated[Demo | Archives, Field(discriminator="source")]


def write_archives(settings: Demo | Archives, raw: Path, downloads: Path) -> dict[str, Any]:
    """Write the archives to `raw`, an empty folder; return the content of source.json."""
    if isinstance(settings, Demo):
        return demo.draw_archives(
            raw, seed=settings.seed, trainval=settings.trainval, test=settings.test
        )
    checksums = {
        archives.IMAGES: settings.sha256.images,
        archives.ANNOTATIONS: settings.sha256.annotations,
    }
    return mirrors.fetch_archives(settings.mirrors, checksums, raw, downloads)


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__, raw="folder to write", downloads="folder for complete and partial downloads"
    )
    settings = params.load(Params, "download")
    with files.atomic_folder(paths.raw) as raw:
        source = write_archives(settings, raw, paths.downloads)
        files.write_json(raw / "source.json", source)
    sizes = ", ".join(
        f"{name} {facts['bytes']:,} bytes" for name, facts in source["archives"].items()
    )
    print(f"{settings.source}: {sizes}{'' if source['official'] else ' (not the official data)'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
