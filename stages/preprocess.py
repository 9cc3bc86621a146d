"""Converts the photos to memory-mapped arrays, a list of unusable photos and a summary.

Reads: RAW, two archives or the list of a team's own photos, which are read where they lie.
Writes: ARRAYS/{train,val,test}/{photos.npy,trimaps.npy,index.csv}, ARRAYS/rejected.csv,
ARRAYS/summary.json.
"""

from petseg import command, files, params
from petseg.data import convert, raw


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__, raw="folder with the archives or the list", arrays="folder to write"
    )
    settings = params.load(convert.Settings, "preprocess")
    with files.atomic_folder(paths.arrays) as arrays_folder:
        convert.convert(raw.open_raw(paths.raw), arrays_folder, settings)


if __name__ == "__main__":
    command.exit_cleanly(main)
