"""Fetch one file from the first mirror that has it: a folder or an http(s) address."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm import tqdm

from stages.petseg import archives
from stages.petseg.errors import UserError

TIMEOUT = 30.0  # seconds to connect, and without a byte
CHUNK = 1 << 20  # bytes


class UnreachableError(UserError):
    """No mirror has the file; the text names each mirror and its reason."""


@dataclass(frozen=True)
class Fetched:
    """Where a file came from and its SHA-256."""

    mirror: str
    sha256: str


def fetch(name: str, mirrors: Iterable[str], sha256: str | None, target: Path) -> Fetched:
    """Write the file to `target` and verify it; nothing wrong is ever left there.

    Args:
        name: the file's name within every mirror.
        mirrors: folders or http(s) addresses, tried in order.
        sha256: what it must be in hexadecimal; None takes it unchecked.
        target: the file to write, moved into place when whole.

    Raises:
        UnreachableError: no mirror has it.
        UserError: a mirror's file has another checksum.
    """
    reasons = []
    for mirror in mirrors:
        partial = target.with_name(target.name + ".partial")
        get = download if mirror.startswith(("http://", "https://")) else copy
        try:
            get(f"{mirror.rstrip('/')}/{name}", partial)
            found = archives.sha256(partial)
            check(name, mirror, sha256, found)
            partial.replace(target)
            return Fetched(mirror, found)
        except (OSError, requests.RequestException) as error:
            reasons.append(f"{mirror} ({why(error)})")
        finally:
            partial.unlink(missing_ok=True)
    raise UnreachableError(
        f"{name} could not be fetched from {', '.join(reasons) or 'an empty list of mirrors'}"
    )


def why(error: Exception) -> str:
    """Return an error's cause in a few words."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer for {TIMEOUT:g} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return getattr(error, "strerror", None) or str(error)


def check(name: str, mirror: str, expected: str | None, found: str) -> None:
    """Refuse a file whose checksum is not the expected one."""
    if expected is not None and found != expected:
        raise UserError(
            f"{name} from {mirror} has SHA-256 {found}, expected {expected}; "
            "correct download.sha256 (null: unchecked) or take another mirror"
        )


def copy(source: str, target: Path) -> None:
    """Copy from a folder; a copy, for DVC makes its files read-only and links them."""
    shutil.copyfile(Path(source).expanduser(), target)


def download(address: str, target: Path) -> None:
    """Download with progress; shorter than announced is an error."""
    with requests.get(address, stream=True, timeout=TIMEOUT) as answer, target.open("wb") as file:
        answer.raise_for_status()
        length = int(answer.headers.get("Content-Length", 0)) or None
        title = address.rpartition("/")[2]
        with tqdm(
            desc=title, total=length, unit="B", unit_scale=True, disable=None, leave=False
        ) as bar:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if length is not None and file.tell() != length:
            raise OSError(f"cut after {file.tell():,} of {length:,} bytes")
