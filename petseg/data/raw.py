"""Opens data/raw: the two archives of the official layout, or the list of a team's own photos."""

from pathlib import Path

from petseg.data.archives import ArchivedPhotos
from petseg.data.folder import LIST, FolderPhotos
from petseg.data.listing import RawData


def open_raw(raw: Path) -> RawData:
    """Return the photos and masks that `download` wrote or listed in the folder `raw`."""
    return FolderPhotos(raw) if (raw / LIST).exists() else ArchivedPhotos(raw)
