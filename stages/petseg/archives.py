"""The official layout of the dataset: its lists, and its two tar.gz read and written as streams."""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.petseg.errors import UserError

IMAGES = "images.tar.gz"
ANNOTATIONS = "annotations.tar.gz"
OFFICIAL_SHA256 = {
    IMAGES: "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    ANNOTATIONS: "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
}
PET, BACKGROUND, BORDER = 1, 2, 3  # a trimap's values


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list: `NAME CLASS-ID SPECIES BREED-ID`."""

    name: str
    class_id: int
    species_id: int  # 1 cat, 2 dog
    breed_id: int

    @property
    def breed(self) -> str:
        """The name without its number: `Maine_Coon_12` is a `Maine_Coon`."""
        return self.name.rpartition("_")[0]

    @property
    def species(self) -> Literal["cat", "dog"]:
        """The species in words."""
        return "cat" if self.species_id == 1 else "dog"

    @property
    def row(self) -> str:
        """The row as it stands in a list."""
        return f"{self.name} {self.class_id} {self.species_id} {self.breed_id}"


def parse_list(text: str, where: str) -> list[Entry]:
    """Return a list's rows in order; `where` names the file in errors.

    Raises:
        UserError: a row that is not a name and three numbers.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) != 4 or not all(field.isdigit() for field in fields[1:]):
            raise UserError(
                f"{where}, line {number}: expected NAME CLASS-ID SPECIES BREED-ID, found {line!r}"
            )
        found.append(Entry(fields[0], *map(int, fields[1:])))
    return found


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of an archive's regular files, in one pass and without unpacking.

    macOS's companions (`._NAME`) are left out.

    Raises:
        UserError: the archive is not a readable tar.gz.
    """
    try:
        with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                if member.isfile() and not Path(member.name).name.startswith("._"):
                    content = archive.extractfile(member)
                    assert content is not None  # only folders and links have none
                    yield member.name, content.read()
            while packed.read(1 << 20):  # tarfile takes a cut archive for a short one
                pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}: not a readable tar.gz ({error}); fetch it again") from error


def write(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar.gz whose bytes depend on its members alone: no times, owners or file name."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
