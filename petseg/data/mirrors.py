"""Fetch one archive from the first mirror that has it: a folder or an http(s) address."""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urljoin

import requests
from requests import codes
from tqdm import tqdm
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from petseg import files, progress
from petseg.errors import UserError

CHUNK = 1 << 20  # bytes
GZIP = b"\x1f\x8b"  # how a .gz begins
TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}  # HTTP answers that may be others in a while


class UnreachableError(UserError):
    """No mirror has the file; the text names each mirror and its reason."""


class PermanentError(Exception):
    """This mirror will not do, now or later; the text is the reason in a few words."""


class TransientError(Exception):
    """This mirror may do when asked again; the text is the reason in a few words."""


@dataclass(frozen=True)
class Patience:
    """When a mirror is given up."""

    timeout: float = 30.0  # seconds to connect, and to send `least` bytes
    least: int = 1 << 15  # bytes
    pauses: tuple[float, ...] = (1, 2, 4, 8, 16)  # seconds before asking again
    progress: int = 1 << 20  # bytes that earn all the pauses anew


PATIENCE = Patience()


@dataclass(frozen=True)
class Fetched:
    """Where a file came from and its SHA-256."""

    mirror: str
    sha256: str


@dataclass
class PartialFile:
    """What has been fetched of a file, on disk, with what must hold to go on with it."""

    path: Path
    address: str = ""
    version: str = ""  # the server's strong ETag or its date, for If-Range
    total: int | None = None  # bytes of the whole file, as announced
    answers: int = 0  # that it was put together from

    @property
    def note(self) -> Path:
        """The file beside it that remembers the rest."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """The bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    def remember(self) -> None:
        """Write the note."""
        facts = asdict(self)
        del facts["path"]
        files.write_json(self.note, facts)

    def clear(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.address, self.version, self.total, self.answers = "", "", None, 0


def reopen(path: Path) -> PartialFile:
    """Return what an earlier run has left of a file; without its note it is not trusted."""
    note = PartialFile(path).note
    if note.exists():
        return PartialFile(path, **files.read_json(note))
    path.unlink(missing_ok=True)
    return PartialFile(path)


class Session(requests.Session):
    """Never follows a redirect from https to http, nor more than a few."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = 5
        self.headers["Accept-Encoding"] = "identity"  # the archive's own bytes

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer redirects to."""
        target = super().get_redirect_target(resp)
        if target and (resp.url[:6], urljoin(resp.url, target)[:5]) == ("https:", "http:"):
            raise PermanentError("redirects from https to http")
        return target


def fetch(
    name: str,
    mirrors: Iterable[str],
    sha256: str | None,
    target: Path,
    downloads: Path,
    patience: Patience = PATIENCE,
) -> Fetched:
    """Put a file at `target`, verified; nothing wrong is ever left there.

    What comes over the network lies in `downloads`: a part stays there whatever happens and
    is gone on with, a verified file is never fetched again.

    Args:
        name: the file's name within every mirror, a .gz.
        mirrors: folders or http(s) addresses, tried in order.
        sha256: what it must be in hexadecimal; None takes it unchecked.
        target: the file to write, moved into place when whole.
        downloads: a folder on the same disk, so that the file lies there once.
        patience: when to give a mirror up.

    Raises:
        UnreachableError: no mirror has it, or none has the right one.
        UserError: the disk is full.
    """
    downloads.mkdir(parents=True, exist_ok=True)
    kept = downloads / f"{sha256}-{name}"
    if sha256 and kept.exists() and files.sha256(kept) == sha256:
        link(kept, target)
        return Fetched(str(kept), sha256)
    reasons = []
    for mirror in mirrors:
        address = f"{mirror.rstrip('/')}/{name}"
        try:
            if not mirror.startswith(("http://", "https://")):
                return Fetched(mirror, copy(Path(address).expanduser(), sha256, target))
            key = sha256 or hashlib.sha256(address.encode()).hexdigest()
            part = reopen(downloads / f"{key}-{name}.partial")
            found = download(address, sha256, part, patience)
            if sha256:
                part.path.replace(kept)
                link(kept, target)
            else:
                shutil.move(part.path, target)
            part.clear()
            return Fetched(mirror, found)
        except (PermanentError, TransientError) as error:
            reasons.append(f"{mirror} ({error})")
    raise UnreachableError(
        f"{name} could not be fetched from {', '.join(reasons) or 'an empty list of mirrors'}"
    )


def link(kept: Path, target: Path) -> None:
    """Give a file a second name; a disk that has no such names holds it twice."""
    target.unlink(missing_ok=True)
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)


def copy(source: Path, sha256: str | None, target: Path) -> str:
    """Copy from a folder and verify; a copy, for DVC makes its files read-only and links them."""
    partial = target.with_name(target.name + ".partial")
    try:
        with (
            source.open("rb") as file,
            partial.open("wb") as written,
            progress.bar(source.name, source.stat().st_size, "B") as bar,
        ):
            while chunk := file.read(CHUNK):
                written.write(chunk)
                bar.update(len(chunk))
        found = files.sha256(partial)
        check(sha256, found)
        partial.replace(target)
    except OSError as error:
        raise PermanentError(error.strerror or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    return found


def check(expected: str | None, found: str) -> None:
    """Refuse a file whose checksum is not the expected one."""
    if expected not in (None, found):
        raise PermanentError(f"its SHA-256 is {found}, expected {expected}")


def download(address: str, sha256: str | None, part: PartialFile, patience: Patience) -> str:
    """Complete the part and verify it; return its SHA-256."""
    # answers may be of different files: what they made is fetched once more, in one piece
    for pauses in (patience.pauses, ()):
        complete_file(address, sha256, part, replace(patience, pauses=pauses))
        found = files.sha256(part.path)
        if sha256 in (None, found):
            return found
        answers = part.answers
        part.clear()
        if answers == 1:
            break
    check(sha256, found)
    return found


def complete_file(address: str, sha256: str | None, part: PartialFile, patience: Patience) -> None:
    """Ask for what is missing until it is all there, waiting longer when too little comes."""
    most, pauses = part.size, iter(patience.pauses)
    with Session() as session:
        while part.total is None or part.size != part.total:
            try:
                request_range(session, address, sha256, part, patience)
            except TransientError as error:
                if part.size >= most + patience.progress:
                    most, pauses = part.size, iter(patience.pauses)
                pause = next(pauses, None)
                if pause is None:
                    raise
                tqdm.write(f"{address}: {error}; asking again in {pause:g} s")
                time.sleep(pause)


def request_range(
    session: Session, address: str, sha256: str | None, part: PartialFile, patience: Patience
) -> None:
    """Send one request for what is missing and append the answer to the part."""
    if not (sha256 or part.version):
        part.clear()  # nothing would tell that the rest is of another file
    have = part.size
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and part.version and part.address == address:
        headers["If-Range"] = part.version
    with (
        translated_errors(part, patience),
        session.get(address, headers=headers, stream=True, timeout=patience.timeout) as answer,
    ):
        if answer.status_code == codes.requested_range_not_satisfiable and have:
            if not sha256:
                part.clear()
                raise PermanentError("has less than it announces")
            part.total = have  # announced too long, if the checksum agrees
            return
        if answer.status_code in TRANSIENT_STATUS:
            raise TransientError(f"HTTP {answer.status_code}")
        if answer.status_code not in (codes.ok, codes.partial_content):
            raise PermanentError(f"HTTP {answer.status_code}")
        first = answer.raw.read1(CHUNK, decode_content=False)
        begin_part(answer, first, address, part)
        append_body(answer, first, part, patience)
        if part.total is None:
            part.total = part.size
        elif part.size != part.total:
            raise TransientError(f"cut after {part.size:,} of {part.total:,} bytes")


def begin_part(answer: requests.Response, first: bytes, address: str, part: PartialFile) -> None:
    """Check that an answer goes on with the part, or is a whole file to begin anew with."""
    start, total = content_range(answer)
    version = version_of(answer)
    if start == 0 and not first.startswith(GZIP[: len(first)]):
        kind = answer.headers.get("Content-Type", "something else")
        raise PermanentError(f"answers with {kind}, not with a .gz")
    if start == 0:
        part.clear()
    elif (
        start != part.size
        or part.total not in (None, total)
        or (part.address == address and part.version != version)
    ):
        part.clear()
        raise TransientError("the file has changed")
    missing, free = (total or 0) - part.size, shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise UserError(
            f"{part.path.parent}: {missing / 1e6:,.0f} MB are to come, {free / 1e6:,.0f} MB are free; "
            "make room on this disk and run again"
        )
    part.address, part.version, part.total = address, version, total
    part.answers += 1
    part.remember()


def content_range(answer: requests.Response) -> tuple[int, int | None]:
    """Return an answer's first byte within the file, and the file's size if it says so."""
    if answer.status_code == codes.ok:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if not found:
        raise PermanentError("answers with a part and does not say which")
    return int(found[1]), None if found[2] == "*" else int(found[2])


def version_of(answer: requests.Response) -> str:
    """Return what tells this content from a later one; a weak ETag does not."""
    tag: str = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


def append_body(
    answer: requests.Response, chunk: bytes, part: PartialFile, patience: Patience
) -> None:
    """Write an answer's bytes, of which the first chunk is at hand, to the end of the part."""
    with (
        part.path.open("ab") as file,
        progress.bar(part.address.rpartition("/")[2], part.total, "B", file.tell()) as bar,
    ):
        since, came = time.monotonic(), 0
        while chunk:
            file.write(chunk)
            file.flush()  # a kill shall cost nothing
            bar.update(len(chunk))
            came += len(chunk)
            if time.monotonic() - since > patience.timeout:
                if came < patience.least:
                    raise TransientError(f"only {came:,} bytes in {patience.timeout:g} s")
                since, came = time.monotonic(), 0
            chunk = answer.raw.read1(CHUNK, decode_content=False)


@contextmanager
def translated_errors(part: PartialFile, patience: Patience) -> Iterator[None]:
    """Sort what can go wrong between a mirror and the disk."""
    try:
        yield
    except requests.TooManyRedirects as error:
        raise PermanentError("redirects in a circle") from error
    except (requests.ReadTimeout, ReadTimeoutError) as error:
        raise TransientError(f"no byte for {patience.timeout:g} s") from error
    except requests.exceptions.SSLError as error:
        raise PermanentError(f"no secure connection: {error}") from error
    except (requests.ConnectionError, HTTPError) as error:
        if isinstance(error, requests.ConnectTimeout) or is_unanswered(error):
            raise PermanentError("no connection") from error
        raise TransientError(f"connection lost after {part.size:,} bytes") from error
    except requests.RequestException as error:
        raise PermanentError(str(error)) from error
    except OSError as error:  # requests' errors are OSErrors too, and have been sorted out
        raise UserError(
            f"{part.path}: {error.strerror}; what has come is kept, mend this and run again"
        ) from error


def is_unanswered(error: Exception) -> bool:
    """Return whether there was nobody to talk to: no such host, or nobody listens."""
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)
