"""Converts the photos to memory-mapped arrays, a list of unusable photos and a summary.

Reads: RAW, two archives or the list of a team's own photos, which are read where they lie; the
corrections of labels that `preprocess.labels` names, and the masks in LABELS.
Writes: ARRAYS/{train,val,test}/{photos.npy,trimaps.npy,index.csv}, ARRAYS/rejected.csv,
ARRAYS/summary.json, and the corrections with their masks as ARRAYS/labels.csv and ARRAYS/labels.
"""

from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import convert, label_edits, raw


@checked(frozen=True, config={"extra": "forbid"})
class Params(convert.Settings):
    """`preprocess` in params.yaml."""

    labels: str  # path of the table with corrections of labels


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        raw="folder with the archives or the list",
        labels="folder with the masks that corrections of labels name",
        arrays="folder to write",
    )
    settings = params.load(Params, "preprocess")
    edits = label_edits.read(
        label_edits.locate(settings.labels, paths.labels, params.origin()), paths.labels
    )
    with files.atomic_folder(paths.arrays) as arrays_folder:
        convert.convert(raw.open_raw(paths.raw), arrays_folder, settings, edits)


if __name__ == "__main__":
    command.exit_cleanly(main)
