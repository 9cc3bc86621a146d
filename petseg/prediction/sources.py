"""The photos to predict: files, folders, patterns, lists, addresses and standard input."""

import glob
import hashlib
import io
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import unquote, urlsplit

from petseg.data.photos import SUFFIXES, UnusableError
from petseg.errors import UserError
from petseg.prediction import kinds
from petseg.prediction.status import Status

STDIN = "-"
MAX_BYTES = 1 << 28  # of one photo, which is read into memory at once
ADDRESSES = ("http://", "https://")
ANSWER_SECONDS = 10  # until a server must answer, and between two parts of its answer
DOWNLOAD_SECONDS = 60  # until a download must be complete
# Characters that would break a line, and what Python makes of bytes that are not UTF-8.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f\ud800-\udfff\\/:*?"<>|]'
)  # in a file's name, on some system


@dataclass(frozen=True, slots=True)
class Source:
    """One photo to predict."""

    location: str  # a path, an address, or `-`
    name: str  # of its outputs, without kind and suffix; a relative path with `/`
    named: bool  # whether the user named this photo itself, and not a folder or a list
    content: bytes = b""  # of standard input, see `prefetched`

    @property
    def key(self) -> str:
        """What is equal for two ways to write the path of one photo: `cat.jpg` and `./cat.jpg`."""
        is_address = self.location.startswith(ADDRESSES)
        return self.location if is_address else os.path.normpath(self.location)

    @property
    def label(self) -> str:
        """The location as one line of text, whatever bytes a path has."""
        return printable(self.location)

    @property
    def printable_name(self) -> str:
        """The name of the outputs as one line of text."""
        return printable(self.name)

    @property
    def folder(self) -> Path:
        """The folder for outputs beside the photo; for an address the working directory."""
        is_file = self.location != STDIN and not self.location.startswith(ADDRESSES)
        return Path(self.location).parent if is_file else Path()

    def status(self) -> Status | None:
        """Return what the disk says of the photo's file; None if it is no file, or is missing."""
        if self.location == STDIN or self.location.startswith(ADDRESSES):
            return None
        try:
            return Status.of(Path(self.location))
        except (OSError, ValueError):
            return None

    def prefetched(self) -> "Source":
        """Return the photo with the bytes of standard input, if that is where it comes from.

        To be called in the main thread: Ctrl-C does not end a thread that waits for them.
        """
        if self.location != STDIN:
            return self
        return replace(self, content=sys.stdin.buffer.read(MAX_BYTES + 1))

    def read(self) -> bytes:
        """Return the bytes of the photo's file.

        Raises:
            UnusableError: it cannot be read or downloaded, or is too large.
        """
        if self.location == STDIN:
            return read_limited(io.BytesIO(self.content))
        if self.location.startswith(ADDRESSES):
            return download(self.location)
        try:
            with Path(self.location).open("rb") as file:
                return read_limited(file)
        except OSError as error:
            raise UnusableError(f"photo cannot be read: {error.strerror}") from error
        except ValueError as error:  # a list can hold a path with a zero byte
            raise UnusableError(f"photo cannot be read: {error}") from error


def printable(text: str) -> str:
    """Return a text with a backslash and a code for what cannot be printed in one line."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def read_limited(file: BinaryIO) -> bytes:
    """Return all bytes of a file that is not too large for a photo."""
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UnusableError(f"photo has more than {MAX_BYTES:,} bytes")
    if not data:
        raise UnusableError("photo is empty")
    return data


def download(address: str) -> bytes:
    """Return the bytes at an address, within limits of size and time.

    Raises:
        UnusableError: the server does not send them in time, or too many of them.
    """
    # This takes a tenth of a second to import, which a photo from the disk need not wait for.
    import requests
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + DOWNLOAD_SECONDS
    try:
        with requests.get(address, stream=True, timeout=ANSWER_SECONDS) as response:
            response.raise_for_status()
            content = bytearray()
            # `read1` returns what has come, so that a slow server cannot delay the look at the time.
            while part := response.raw.read1(1 << 16, decode_content=True):
                content += part
                if len(content) > MAX_BYTES:
                    raise UnusableError(f"photo has more than {MAX_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise UnusableError(f"photo is not there after {DOWNLOAD_SECONDS} s")
            return bytes(content)
    except requests.HTTPError as error:
        reason = f"{error.response.status_code} {error.response.reason}"
        raise UnusableError(f"photo cannot be downloaded: {reason}") from error
    except requests.ConnectionError as error:
        host = urlsplit(address).netloc
        raise UnusableError(f"photo cannot be downloaded: no connection to {host}") from error
    except (requests.RequestException, HTTPError) as error:
        raise UnusableError(f"photo cannot be downloaded: {type(error).__name__}") from error


def expand(inputs: Sequence[str], list_file: str | None, out: Path | None) -> list[Source]:
    """Return the photos that the inputs stand for, each once, sorted within a folder.

    Args:
        inputs: paths of photos and folders, patterns, addresses, or `-` for standard input.
        list_file: a text file with a path or an address in each line, or `-`; None for no list.
        out: the folder for the outputs, whose pictures are no photos to predict.

    Raises:
        UserError: an input or the list does not exist, or the inputs stand for no photo.
    """
    if STDIN in inputs and list_file == STDIN:
        raise UserError("standard input is a photo or a list, but not both: `-` or `--list -`")
    sources = present(inputs, out)
    if list_file is not None:
        sources = unique([*sources, *(listed(line) for line in read_list(list_file))])
    if not sources and not inputs:
        raise UserError(f"{list_file}: the list is empty; write a path or an address in each line")
    if not sources:
        raise UserError(f"{', '.join(inputs)}: no photo; photos end in {', '.join(SUFFIXES)}")
    return sources


def present(inputs: Sequence[str], out: Path | None) -> list[Source]:
    """Return the photos that the inputs stand for, as `expand` does; it may be none.

    Raises:
        UserError: an input does not exist, or cannot be read.
    """
    several = len(inputs) > 1
    try:
        return unique(source for text in inputs for source in expand_one(text, out, several))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error


def unique(sources: Iterable[Source]) -> list[Source]:
    """Return the photos, each once."""
    by_key: dict[str, Source] = {}
    for source in sources:
        by_key.setdefault(source.key, source)
    return list(by_key.values())


def expand_one(text: str, out: Path | None, several: bool) -> Iterator[Source]:
    """Yield the photos of one input; `several` keeps the outputs of several folders apart."""
    path = Path(text)
    if text == STDIN:
        yield Source(text, "stdin", named=True)
    elif text.startswith(ADDRESSES):
        yield Source(text, address_name(text), named=True)
    elif path.is_dir():
        prefix = f"{path.resolve().name}/" if several else ""
        for file in walk(path, out):
            name = output_name(file.relative_to(path).as_posix())
            yield Source(str(file), prefix + name, named=False)
    elif path.exists():
        yield Source(text, output_name(path.name), named=True)
    elif glob.has_magic(text):
        yield from matching(text)
    else:
        raise UserError(f"{text}: no such file or folder")


def walk(folder: Path, out: Path | None) -> Iterator[Path]:
    """Yield the photos in a folder and below, sorted, but for hidden ones and those in `out`."""
    excluded = out.resolve() if out else None
    for place, folders, files in os.walk(folder, onerror=reraise):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and Path(place, name).resolve() != excluded
        )
        for name in sorted(files):
            if is_photo(name):
                yield Path(place, name)


def reraise(error: OSError) -> NoReturn:
    """Raise an error of `os.walk`, which would leave out a folder that it cannot read."""
    raise error


def is_photo(name: str) -> bool:
    """Return whether a file in a folder is taken for a photo, by its name."""
    hidden = name.startswith(".")
    return name.lower().endswith(SUFFIXES) and not hidden and not kinds.is_output(name)


def matching(pattern: str) -> Iterator[Source]:
    """Yield the photos whose paths match a pattern; `**` stands for folders at any depth.

    Raises:
        UserError: it is no pattern.
    """
    parts = Path(pattern).parts
    depth = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:depth])
    try:
        paths = sorted(root.glob(str(Path(*parts[depth:]))))
    except ValueError as error:
        raise UserError(f"{pattern}: {error}") from error
    for path in paths:
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        if is_photo(path.name) and not hidden and path.is_file():
            yield Source(str(path), output_name(relative.as_posix()), named=False)


def read_list(path: str) -> Iterable[str]:
    """Return the lines of a list; `-` stands for standard input, and empty lines are left out."""
    try:
        text = sys.stdin.read() if path == STDIN else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: the list cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UserError(f"{path}: the list is not UTF-8; save it as UTF-8") from None
    return [line.strip() for line in text.removeprefix("\ufeff").split("\n") if line.strip()]


def listed(text: str) -> Source:
    """Return the photo in a line of a list; its outputs keep the folders of its path."""
    if text.startswith(ADDRESSES):
        return Source(text, output_name("/".join(address_parts(text))), named=False)
    path = Path(os.path.normpath(text))
    if ".." in path.parts:
        path = path.resolve()
    relative = path.relative_to(path.anchor)
    return Source(text, output_name(relative.as_posix()), named=False)


def output_name(path: str) -> str:
    """Return the name of a photo's outputs: its path without `.jpg`.

    Any other suffix stays, so that no two of `cat.jpg`, `cat.png` and `cat.png.jpg` share a name.
    """
    stem = path.removesuffix(".jpg")
    return path if stem.lower().endswith(SUFFIXES) else stem


def address_name(address: str) -> str:
    """Return the name of the outputs of an address that the user named: its last part."""
    return output_name(address_parts(address.partition("?")[0])[-1])


def address_parts(address: str) -> list[str]:
    """Return the host and the parts of an address as names of folders and a file.

    A query makes addresses differ that are otherwise equal, and so its hash ends the last part.
    """
    try:
        url = urlsplit(address)
    except ValueError:
        return ["photo"]  # `download` gives the reason
    host = url.netloc.rpartition("@")[2].replace(":", "-")
    parts = [UNSAFE.sub("", part).lstrip(".") for part in [host, *unquote(url.path).split("/")]]
    parts = [part for part in parts if part] or ["photo"]
    if url.query:
        parts[-1] += f"-{hashlib.sha256(os.fsencode(url.query)).hexdigest()[:8]}"
    return parts
