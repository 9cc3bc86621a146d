"""Real photos given as a team's own folder: the same arrays as from the archives.

The folder with the archives is named by PETSEG_REAL_ORIGINALS; without it the test is skipped, for
the photos may not be published with the project.
"""

import os
from pathlib import Path

import pytest

from petseg import files
from petseg.data import arrays, convert, folder_source, raw, splits
from petseg.data.archives import ArchivedPhotos
from petseg.data.label_edits import NO_EDITS

REAL = os.environ.get("PETSEG_REAL_ORIGINALS", "")
SETTINGS = convert.Settings("squash", 128, 0.1, 0.2, seed=1, max_rejected=20)


def unpack(source: Path, converted: Path, own: Path) -> None:
    """Write every photo and trimap of the archives as files, and two tables about them.

    Args:
        source: the folder with the archives.
        converted: the arrays made of them, whose splits the table gets.
        own: the folder to write to.
    """
    data = ArchivedPhotos(source)
    listed = data.listed()
    names = {row.name for row in listed}
    for folder, suffix, members in (
        ("images", "jpg", data.photos(names)),
        ("masks", "png", data.masks(names)),
    ):
        (own / folder).mkdir(parents=True)
        for member in members:
            (own / folder / f"{member.name}.{suffix}").write_bytes(member.read()[0])
    files.write_csv(
        own / "groups.csv",
        ["name", "group", "subgroup"],
        [(row.name, row.group, row.subgroup) for row in listed],
    )
    rows = [
        (p.name, split) for split in splits.SPLITS for p in arrays.read_index(converted / split)
    ]
    files.write_csv(own / "splits.csv", ["name", "split"], rows)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of the arrays and the index of every split, by path."""
    return {
        f"{split}/{name}": (folder / split / name).read_bytes()
        for split in splits.SPLITS
        for name in (arrays.PHOTOS, arrays.TRIMAPS, arrays.INDEX)
    }


@pytest.mark.skipif(not REAL, reason="PETSEG_REAL_ORIGINALS names no folder with real photos")
def test_a_folder_gives_the_arrays_of_the_archives_byte_for_byte(tmp_path: Path) -> None:
    source = Path(REAL).resolve()
    for name in ("listed", "from_archives", "from_folder"):
        (tmp_path / name).mkdir()
    convert.convert(raw.open_raw(source), tmp_path / "from_archives", SETTINGS, NO_EDITS)
    unpack(source, tmp_path / "from_archives", tmp_path / "own")
    facts = folder_source.list_folder(tmp_path / "own", "trimap", tmp_path / "listed", "../own")
    files.write_json(tmp_path / "listed/source.json", facts)
    convert.convert(raw.open_raw(tmp_path / "listed"), tmp_path / "from_folder", SETTINGS, NO_EDITS)
    assert files_of(tmp_path / "from_folder") == files_of(tmp_path / "from_archives")
    assert facts["photos"] == 598
