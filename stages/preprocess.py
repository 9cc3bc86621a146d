"""Converts the photos to memory-mapped arrays, a list of unusable photos and a summary.

Reads: RAW, two archives or the list of a team's own photos, which are read where they lie.
Writes: ARRAYS/{train,val,test}/{photos.npy,trimaps.npy,index.csv}, ARRAYS/rejected.csv,
ARRAYS/summary.json.
"""

from dataclasses import asdict
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import convert, raw


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`preprocess` in params.yaml."""

    image_size: Annotated[int, Field(ge=16, le=1024)]
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: Annotated[int, Field(ge=0)]
    max_rejected: Annotated[int, Field(ge=0)]


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__, raw="folder with the archives or the list", arrays="folder to write"
    )
    settings = params.load(Params, "preprocess")
    with files.atomic_folder(paths.arrays) as arrays_folder:
        convert.convert(
            raw.open_raw(paths.raw), arrays_folder, convert.Settings(**asdict(settings))
        )


if __name__ == "__main__":
    command.exit_cleanly(main)
