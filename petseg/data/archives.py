"""The official layout of the dataset: its lists, and its two tar.gz read and written as streams."""

import codecs
import gzip
import io
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from isal import igzip_threaded
from isal.igzip_lib import IsalError
from tqdm.utils import CallbackIOWrapper

from petseg import progress
from petseg.errors import UserError

IMAGES = "images.tar.gz"
ANNOTATIONS = "annotations.tar.gz"
OFFICIAL_SHA256 = {
    IMAGES: "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    ANNOTATIONS: "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
}
MAX_BYTES = 1 << 28  # of one file in an archive: a photo is read as a whole
Member = tuple[str, bytes]


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


def parse_list(data: bytes, where: str) -> list[Entry]:
    """Return a list's rows in order; `where` names the file in errors.

    Raises:
        UserError: a row that is not `NAME CLASS-ID SPECIES BREED-ID`, or not plain UTF-8 with
            Unix line ends: what other tools would take for a part of a name.
    """
    found = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            entry = parse_row(line)
        except ValueError as error:
            raise UserError(f"{where}, line {number}: {error}") from None
        if entry:
            found.append(entry)
    return found


def parse_row(line: bytes) -> Entry | None:
    """Return a line's row; None for an empty line and a comment.

    Raises:
        ValueError: it is none of them; the text says what is wrong, and the remedy.
    """
    if line.startswith(codecs.BOM_UTF8):
        raise ValueError("begins with a byte-order mark; save the list as UTF-8 without one")
    if b"\r" in line:
        raise ValueError("ends as on Windows (CRLF); save the list with Unix line ends")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError(f"is not UTF-8: {line!r}; save the list as UTF-8") from None
    fields = text.split()
    if not fields or fields[0].startswith("#"):
        return None
    if len(fields) != 4 or not all(field.isdecimal() for field in fields[1:]):
        raise ValueError(f"expected NAME CLASS-ID SPECIES BREED-ID, found {text!r}")
    if fields[2] not in ("1", "2"):
        raise ValueError(f"species is {fields[2]}; allowed: 1 (cat), 2 (dog)")
    return Entry(fields[0], *map(int, fields[1:]))


def listed_twice(lists: Mapping[str, list[Entry]]) -> dict[str, str]:
    """Return the names that stand in the lists more than once, and where."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for list_name, entries in lists.items():
        for entry in entries:
            places[entry.name].append(f"{list_name}.txt")
    return {name: " and ".join(found) for name, found in places.items() if len(found) > 1}


def read_members(path: Path, wanted: Callable[[str], bool] | None = None) -> Iterator[Member]:
    """Yield (name, content) of an archive's regular files, in one pass and without unpacking.

    Never touched: links, devices, absolute names, names with `..`, macOS's companions
    (`._NAME`). Shows progress through the archive's bytes.

    Args:
        path: a tar.gz.
        wanted: which names to read; all by default.

    Raises:
        UserError: the archive is not a readable tar.gz, or has a wanted file twice or too large.
    """
    seen: set[str] = set()
    try:
        with (
            path.open("rb") as file,
            progress.bar(path.name, path.stat().st_size, "B") as bar,
            igzip_threaded.open(
                CallbackIOWrapper(bar.update, file, "read"), "rb", block_size=1 << 17
            ) as packed,
            tarfile.open(fileobj=packed, mode="r|") as archive,
        ):
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isfile() or (wanted and not wanted(name)) or is_unsafe(name):
                    continue
                if name in seen or member.size > MAX_BYTES:
                    fault = "is there twice" if name in seen else f"has {member.size:,} bytes"
                    raise UserError(f"{path}: {name} {fault}; pack the archive without it")
                seen.add(name)
                content = archive.extractfile(member)
                assert content is not None  # only folders and links have none
                yield name, content.read()
            while packed.read(1 << 20):  # tarfile takes a cut archive for a short one
                pass
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro download`") from None
    except (tarfile.TarError, EOFError, OSError, IsalError) as error:  # type: ignore[misc] # its stub calls the class an instance
        raise UserError(f"{path}: not a readable tar.gz ({error}); fetch it again") from error


def is_unsafe(name: str) -> bool:
    """Return whether a member's name is none of the layout's, whatever it is."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or path.name.startswith("._")


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


def describe(archive: Path, sha256: str) -> dict[str, Any]:
    """Return what source.json says of an archive."""
    return {"bytes": archive.stat().st_size, "sha256": sha256}
