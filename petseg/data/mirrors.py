"""Fetch the archives from the first mirror that has them: a folder or an http(s) address."""

import hashlib
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
from requests import codes
from tqdm import tqdm
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from petseg import files, progress
from petseg.data import archives
from petseg.errors import UserError

CHUNK = 1 << 20  # bytes
GZIP = b"\x1f\x8b"  # the first bytes of every .gz
TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}  # HTTP errors that may pass with time


class UnreachableError(UserError):
    """No mirror has the file; the text names every mirror with its reason."""


class PermanentError(Exception):
    """This mirror cannot provide the file; the text is the reason in a few words."""


class TransientError(Exception):
    """This mirror may provide the file if asked again; the text is the reason in a few words."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a mirror, and when to give it up."""

    timeout: float = 30.0  # seconds to connect, and to send `min_bytes`
    min_bytes: int = 1 << 15  # a mirror that sends less than this is too slow
    pauses: tuple[float, ...] = (1, 2, 4, 8, 16)  # seconds before every further request
    reset_bytes: int = 1 << 20  # after this many new bytes the pauses begin again


RETRY_POLICY = RetryPolicy()


@dataclass(frozen=True)
class FetchResult:
    """Where a file came from, and its SHA-256."""

    mirror: str
    sha256: str


@dataclass
class PartialFile:
    """The bytes of an incomplete download on disk, and what is needed to continue it."""

    path: Path
    address: str = ""
    version: str = ""  # the server's strong ETag or its date, for the header If-Range
    total: int | None = None  # bytes of the complete file, as the server announces them
    answers: int = 0  # number of responses that the bytes come from

    @property
    def note(self) -> Path:
        """The JSON file beside it that holds the other fields."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """The number of bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    def save_note(self) -> None:
        """Write the note."""
        fields = asdict(self)
        del fields["path"]
        files.write_json(self.note, fields)

    def clear(self) -> None:
        """Delete both files and reset the fields."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.address, self.version, self.total, self.answers = "", "", None, 0


def load_partial(path: Path) -> PartialFile:
    """Return what an earlier run has left of a download; bytes without a note are deleted."""
    note = PartialFile(path).note
    if note.exists():
        return PartialFile(path, **files.read_json(note))
    path.unlink(missing_ok=True)
    return PartialFile(path)


class Session(requests.Session):
    """An HTTP session that follows five redirects at most, and none from https to http."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = 5
        self.headers["Accept-Encoding"] = "identity"  # the archive's bytes as they are

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return the address to which a response redirects, if it does."""
        target = super().get_redirect_target(resp)
        if target and (resp.url[:6], urljoin(resp.url, target)[:5]) == ("https:", "http:"):
            raise PermanentError("redirects from https to http")
        return target


def fetch_archives(
    mirrors: Sequence[str], checksums: Mapping[str, str | None], raw: Path, downloads: Path
) -> dict[str, Any]:
    """Fetch the archives and print where every one comes from.

    Args:
        mirrors: folders or http(s) addresses, tried in order.
        checksums: SHA-256 in hexadecimal by the archive's name; None accepts any.
        raw: the folder to write the archives to.
        downloads: where downloads are stored, complete or partial, on the same disk.

    Returns:
        The content of source.json.

    Raises:
        UserError: no mirror has an archive, or the disk is full.
    """
    facts = {}
    for name, sha256 in checksums.items():
        try:
            result = fetch(name, mirrors, sha256, raw / name, downloads)
        except UnreachableError as error:
            raise UserError(
                f"{error}. Partial downloads are stored: run again to continue. Without a network "
                "run the demo recipe (`petseg use demo`); if you have images.tar.gz and "
                "annotations.tar.gz, put their folder first in download.mirrors; another version "
                "of the files needs its checksums in download.sha256 (null: unchecked)"
            ) from None
        facts[name] = archives.size_and_sha256(raw / name, result.sha256)
        print(f"{name}: {'verified' if sha256 else 'unchecked'}, from {result.mirror}", flush=True)
    sha256_by_name = {name: fact["sha256"] for name, fact in facts.items()}
    return {
        "source": "archives",
        "official": sha256_by_name == archives.OFFICIAL_SHA256,
        "licence": archives.OFFICIAL_LICENCE,
        # All mirrors, not the one that had the file: the next run may use another one, and its
        # output must not differ.
        "from": mirrors,
        "checked": None not in checksums.values(),
        "archives": facts,
    }


def fetch(
    name: str,
    mirrors: Iterable[str],
    sha256: str | None,
    target: Path,
    downloads: Path,
    policy: RetryPolicy = RETRY_POLICY,
) -> FetchResult:
    """Fetch a file to `target` and verify it; a wrong file is never left there.

    Downloads are stored in `downloads`. A partial one stays there whatever happens and is
    continued by the next run; a verified one is never downloaded again.

    Args:
        name: the file's name within every mirror, a .gz.
        mirrors: folders or http(s) addresses, tried in order.
        sha256: the expected SHA-256 in hexadecimal; None accepts any.
        target: the file to write, moved into place when complete.
        downloads: a folder on the same disk, so that the file takes its space only once.
        policy: when to give up a mirror.

    Raises:
        UnreachableError: no mirror has the file, or none has it with this SHA-256.
        UserError: the disk is full.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    verified = downloads / f"{sha256}-{name}"
    if sha256 and verified.exists() and files.sha256(verified) == sha256:
        files.link_or_copy(verified, target)
        return FetchResult(str(verified), sha256)
    reasons = []
    for mirror in mirrors:
        try:
            actual = fetch_from_mirror(mirror, name, sha256, target, downloads, policy)
            return FetchResult(mirror, actual)
        except (PermanentError, TransientError) as error:
            reasons.append(f"{mirror} ({error})")
    raise UnreachableError(
        f"{name} could not be fetched from {', '.join(reasons) or 'an empty list of mirrors'}"
    )


def fetch_from_mirror(
    mirror: str,
    name: str,
    sha256: str | None,
    target: Path,
    downloads: Path,
    policy: RetryPolicy,
) -> str:
    """Fetch a file from one mirror to `target` and verify it, as `fetch` does; return its SHA-256.

    Raises:
        PermanentError, TransientError: the mirror does not have the file with this SHA-256.
        UserError: the disk is full.
    """
    address = f"{mirror.rstrip('/')}/{name}"
    if not mirror.startswith(("http://", "https://")):
        return copy(Path(address).expanduser(), sha256, target)
    key = sha256 or hashlib.sha256(address.encode()).hexdigest()
    stored = downloads / f"{key}-{name}"
    part = load_partial(files.partial_path(stored))
    actual = download(address, sha256, part, policy)
    if sha256:
        part.path.replace(stored)
        files.link_or_copy(stored, target)
    else:
        shutil.move(part.path, target)
    part.clear()
    return actual


def copy(source: Path, sha256: str | None, target: Path) -> str:
    """Copy a file from a folder, verify it and return its SHA-256.

    It is copied, not linked: DVC makes its outputs read-only, and a hard link would share that
    with the file of the mirror.
    """
    partial = files.partial_path(target)
    try:
        with (
            source.open("rb") as original,
            partial.open("wb") as duplicate,
            progress.bar(source.name, source.stat().st_size, "B") as bar,
        ):
            while chunk := original.read(CHUNK):
                duplicate.write(chunk)
                bar.update(len(chunk))
        actual = files.sha256(partial)
        check_sha256(sha256, actual)
        partial.replace(target)
    except OSError as error:
        raise PermanentError(error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    return actual


def check_sha256(expected: str | None, actual: str) -> None:
    """Check a file's SHA-256; None accepts any.

    Raises:
        PermanentError: it is not the expected one.
    """
    if expected not in (None, actual):
        raise PermanentError(f"its SHA-256 is {actual}, expected {expected}")


def download(address: str, sha256: str | None, part: PartialFile, policy: RetryPolicy) -> str:
    """Complete a partial file, verify it and return its SHA-256."""
    # Several responses may be parts of different files. If their sum is wrong, the file is
    # downloaded once more, in a single response.
    for pauses in (policy.pauses, ()):
        complete_file(address, sha256, part, replace(policy, pauses=pauses))
        actual = files.sha256(part.path)
        if sha256 in (None, actual):
            return actual
        answers = part.answers
        part.clear()
        if answers == 1:
            break
    check_sha256(sha256, actual)
    return actual


def complete_file(address: str, sha256: str | None, part: PartialFile, policy: RetryPolicy) -> None:
    """Request the missing bytes until there are none; wait longer each time if few arrive."""
    size, pauses = part.size, iter(policy.pauses)
    with Session() as session:
        while part.total is None or part.size != part.total:
            try:
                request_range(session, address, sha256, part, policy)
            except TransientError as error:
                if part.size >= size + policy.reset_bytes:
                    size, pauses = part.size, iter(policy.pauses)
                pause = next(pauses, None)
                if pause is None:
                    raise
                tqdm.write(f"{address}: {error}; trying again in {pause:g} s")
                time.sleep(pause)


def request_range(
    session: Session, address: str, sha256: str | None, part: PartialFile, policy: RetryPolicy
) -> None:
    """Send one request for the missing bytes and append the response to the partial file."""
    if not (sha256 or part.version):
        # Without either, nothing would reveal that the missing bytes are of another file.
        part.clear()
    start = part.size
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and part.version and part.address == address:
        headers["If-Range"] = part.version
    with (
        translated_errors(part, policy),
        session.get(address, headers=headers, stream=True, timeout=policy.timeout) as response,
    ):
        if response.status_code == codes.requested_range_not_satisfiable and start:
            if not sha256:
                part.clear()
                raise PermanentError("has less than it announces")
            part.total = start  # the server had announced too many bytes; the checksum decides
            return
        if response.status_code in TRANSIENT_STATUS:
            raise TransientError(f"HTTP {response.status_code}")
        if response.status_code not in (codes.ok, codes.partial_content):
            raise PermanentError(f"HTTP {response.status_code}")
        first_chunk = response.raw.read1(CHUNK, decode_content=False)
        accept_response(response, first_chunk, address, part)
        append_body(response, first_chunk, part, policy)
        if part.total is None:
            part.total = part.size
        elif part.size != part.total:
            raise TransientError(f"cut after {part.size:,} of {part.total:,} bytes")


def accept_response(
    response: requests.Response, first_chunk: bytes, address: str, part: PartialFile
) -> None:
    """Check that a response continues the partial file or is a complete .gz; note its origin.

    Raises:
        PermanentError: the response is not a .gz.
        TransientError: the file on the mirror is another one now.
        UserError: the disk has too little space.
    """
    start, total = content_range(response)
    version = content_version(response)
    if start == 0 and not first_chunk.startswith(GZIP[: len(first_chunk)]):
        content_type = response.headers.get("Content-Type", "something else")
        raise PermanentError(f"answers with {content_type}, not with a .gz")
    if start == 0:
        part.clear()
    elif (
        start != part.size
        or part.total not in (None, total)
        or (part.address == address and part.version != version)
    ):
        part.clear()
        raise TransientError("the file has changed")
    missing_bytes, free_bytes = (total or 0) - part.size, shutil.disk_usage(part.path.parent).free
    if missing_bytes > free_bytes:
        raise UserError(
            f"{part.path.parent}: {missing_bytes / 1e6:,.0f} MB are to come, {free_bytes / 1e6:,.0f} MB are free; "
            "make room on this disk and run again"
        )
    part.address, part.version, part.total = address, version, total
    part.answers += 1
    part.save_note()


def content_range(response: requests.Response) -> tuple[int, int | None]:
    """Return the position of a response's first byte in the file, and the file's size if given."""
    if response.status_code == codes.ok:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", header)
    if not match:
        raise PermanentError("answers with a part and does not say which")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def content_version(response: requests.Response) -> str:
    """Return the strong ETag or the date of a response: two versions of a file differ in it.

    A weak ETag is not used, because files of different bytes may share it (RFC 9110, 8.8.1).
    """
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def append_body(
    response: requests.Response, chunk: bytes, part: PartialFile, policy: RetryPolicy
) -> None:
    """Append the body of a response to the partial file; `chunk` is the body's beginning."""
    with (
        part.path.open("ab") as file,
        progress.bar(part.address.rpartition("/")[2], part.total, "B", file.tell()) as bar,
    ):
        start, received = time.monotonic(), 0
        while chunk:
            file.write(chunk)
            file.flush()  # so that a killed process loses nothing
            bar.update(len(chunk))
            received += len(chunk)
            if time.monotonic() - start > policy.timeout:
                if received < policy.min_bytes:
                    raise TransientError(f"only {received:,} bytes in {policy.timeout:g} s")
                start, received = time.monotonic(), 0
            chunk = response.raw.read1(CHUNK, decode_content=False)


@contextmanager
def translated_errors(part: PartialFile, policy: RetryPolicy) -> Iterator[None]:
    """Turn errors of the network and the disk into permanent, transient and user errors."""
    try:
        yield
    except requests.TooManyRedirects as error:
        raise PermanentError("redirects in a circle") from error
    except (requests.ReadTimeout, ReadTimeoutError) as error:
        raise TransientError(f"no byte for {policy.timeout:g} s") from error
    except requests.exceptions.SSLError as error:
        raise PermanentError(f"no secure connection: {error}") from error
    except (requests.ConnectionError, HTTPError) as error:
        if isinstance(error, requests.ConnectTimeout) or is_unreachable(error):
            raise PermanentError("no connection") from error
        raise TransientError(f"connection lost after {part.size:,} bytes") from error
    except requests.RequestException as error:
        raise PermanentError(str(error)) from error
    # Only the disk's errors are left: those of requests are OSErrors as well, but caught above.
    except OSError as error:
        raise UserError(
            f"{part.path}: {error.strerror}; the partial download is stored, correct this and run "
            "again"
        ) from error


def is_unreachable(error: Exception) -> bool:
    """Return whether no connection could be made: no such host, or no server on that port."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)
