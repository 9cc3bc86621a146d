"""The official layout of the dataset: its lists, its paths, and its two tar.gz archives as streams."""

import codecs
import gzip
import io
import tarfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from isal import igzip_threaded
from isal.igzip_lib import IsalError
from jaxtyping import UInt8
from tqdm.utils import CallbackIOWrapper

from petseg import progress
from petseg.data.frame import Frame
from petseg.data.listing import ListedPhoto, Member
from petseg.data.photos import Picture, decode_full_trimap, decode_trimap
from petseg.errors import UserError

IMAGES = "images.tar.gz"
ANNOTATIONS = "annotations.tar.gz"
OFFICIAL_SHA256 = {
    IMAGES: "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    ANNOTATIONS: "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
}
OFFICIAL_LICENCE = (
    "CC BY-SA 4.0 by the dataset's page, 'research purposes only' by the README in its archive; "
    "neither the photos nor figures made of them may be published again"
)
MAX_BYTES = 1 << 28  # limit for one file in an archive, which is read into memory at once
File = tuple[str, bytes]  # name and content of a file in an archive
LISTS = ("trainval", "test")
Species = Literal["cat", "dog"]
SPECIES_IDS: dict[Species, int] = {"cat": 1, "dog": 2}


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
    def species(self) -> Species:
        """The species in words."""
        return "cat" if self.species_id == SPECIES_IDS["cat"] else "dog"

    @property
    def row(self) -> str:
        """The row as it stands in a list."""
        return f"{self.name} {self.class_id} {self.species_id} {self.breed_id}"


def list_path(list_name: str) -> str:
    """Return where a list lies in the archive of the annotations."""
    return f"annotations/{list_name}.txt"


def trimap_path(name: str) -> str:
    """Return where a photo's trimap lies in the archive of the annotations."""
    return f"annotations/trimaps/{name}.png"


def photo_path(name: str) -> str:
    """Return where a photo lies in the archive of the images."""
    return f"images/{name}.jpg"


def parse_list(data: bytes, source: str) -> list[Entry]:
    """Return a list's rows in order; `source` names the file in errors.

    Raises:
        UserError: a row is not `NAME CLASS-ID SPECIES BREED-ID`, or the file is not plain UTF-8
            with Unix line ends; other tools would read the extra bytes as part of a name.
    """
    entries = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            entry = parse_row(line)
        except ValueError as error:
            raise UserError(f"{source}, line {number}: {error}") from None
        if entry:
            entries.append(entry)
    return entries


def parse_row(line: bytes) -> Entry | None:
    """Return the entry in a line, or None for an empty line or a comment.

    Raises:
        ValueError: the line is none of these; the text gives the fault and the remedy.
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
    if fields[2] not in map(str, SPECIES_IDS.values()):
        allowed = ", ".join(f"{number} ({species})" for species, number in SPECIES_IDS.items())
        raise ValueError(f"species is {fields[2]}; allowed: {allowed}")
    return Entry(fields[0], *map(int, fields[1:]))


def read_members(path: Path, select: Callable[[str], bool] | None = None) -> Iterator[File]:
    """Yield (name, content) of an archive's regular files, in one pass and without unpacking.

    Skips links, devices, absolute names, names with `..` and the companion files of macOS
    (`._NAME`). Shows progress through the archive's bytes.

    Args:
        path: a tar.gz.
        select: returns whether the file of this name is to be read; by default all are.

    Raises:
        UserError: the archive is missing or not a readable tar.gz, or a selected file is too
            large or is in it twice.
    """
    seen: set[str] = set()
    try:
        with (
            path.open("rb") as file,
            progress.bar(path.name, path.stat().st_size, "B") as bar,
            igzip_threaded.open(
                CallbackIOWrapper(bar.update, file, "read"), "rb", block_size=1 << 17
            ) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isfile() or (select and not select(name)) or is_unsafe(name):
                    continue
                if name in seen or member.size > MAX_BYTES:
                    fault = "is there twice" if name in seen else f"has {member.size:,} bytes"
                    raise UserError(f"{path}: {name} {fault}; pack the archive without it")
                seen.add(name)
                content = archive.extractfile(member)
                assert content is not None  # it is None for folders and links only
                yield name, content.read()
            # tarfile does not notice that an archive is cut off; reading the rest does
            while stream.read(1 << 20):
                pass
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro download`") from None
    except (tarfile.TarError, EOFError, OSError, IsalError) as error:  # type: ignore[misc] # its stub calls the class an instance
        raise UserError(f"{path}: not a readable tar.gz ({error}); fetch it again") from error


def is_unsafe(name: str) -> bool:
    """Return whether a name leaves the archive's folder or is a companion file of macOS."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or path.name.startswith("._")


def write(path: Path, members: Iterable[File]) -> None:
    """Write a tar.gz; equal members give equal bytes, as it holds no times, owners or file name."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def size_and_sha256(path: Path, sha256: str) -> dict[str, Any]:
    """Return what source.json holds about one archive."""
    return {"bytes": path.stat().st_size, "sha256": sha256}


class ArchivedPhotos:
    """The photos and masks of two archives in the official layout."""

    place: str = IMAGES
    group_kinds: tuple[str, ...] = ("species", "breed")

    def __init__(self, raw: Path) -> None:
        self.images, self.annotations = raw / IMAGES, raw / ANNOTATIONS

    def listed(self) -> list[ListedPhoto]:
        """Return the photos of the lists; one that is listed twice cannot be used.

        Raises:
            UserError: the archive has no trainval or no test list, or one that cannot be read.
        """
        lists = self._read_lists()
        duplicates = duplicate_names(lists)
        rows: dict[str, ListedPhoto] = {}
        for list_name, entries in lists.items():
            for entry in entries:
                reason = f"listed twice: {files}" if (files := duplicates.get(entry.name)) else ""
                rows.setdefault(
                    entry.name,
                    ListedPhoto(entry.name, list_name, entry.species, entry.breed, reason=reason),
                )
        return list(rows.values())

    def _read_lists(self) -> dict[str, list[Entry]]:
        paths = {list_path(name): name for name in LISTS}
        lists = {
            paths[path]: parse_list(data, f"{self.annotations}: {path}")
            for path, data in read_members(self.annotations, paths.__contains__)
        }
        for path, name in paths.items():
            if name not in lists:
                raise UserError(
                    f"{self.annotations}: {path} is missing; is this the official layout?"
                )
        return {name: lists[name] for name in LISTS}

    def masks(self, names: Collection[str]) -> Iterator[Member]:
        """Yield the trimaps of these photos in the order of the archive."""
        return self._members(self.annotations, trimap_path, names)

    def photos(self, names: Collection[str]) -> Iterator[Member]:
        """Yield these photos in the order of the archive."""
        return self._members(self.images, photo_path, names)

    def _members(
        self, archive: Path, member_path: Callable[[str], str], names: Collection[str]
    ) -> Iterator[Member]:
        names_by_path = {member_path(name): name for name in names}
        for path, data in read_members(archive, names_by_path.__contains__):
            yield Member(names_by_path[path], f"{archive}: {path}", partial(bytes, data))

    def decode_mask(self, data: bytes, frame: Frame) -> Picture:
        """Return a trimap in its frame; raises as `photos.decode_trimap`."""
        return decode_trimap(data, frame)

    def decode_full_mask(self, data: bytes) -> UInt8[np.ndarray, "height width"]:
        """Return a trimap at its own size; raises as `photos.decode_trimap`."""
        return decode_full_trimap(data)


def duplicate_names(lists: Mapping[str, list[Entry]]) -> dict[str, str]:
    """Return the names that the lists hold more than once, with the files that hold them.

    The files are joined by " and ": `trainval.txt and test.txt`.
    """
    files: defaultdict[str, list[str]] = defaultdict(list)
    for list_name, entries in lists.items():
        for entry in entries:
            files[entry.name].append(f"{list_name}.txt")
    return {
        name: " and ".join(file_names) for name, file_names in files.items() if len(file_names) > 1
    }
