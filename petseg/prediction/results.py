"""results.csv: a row for each photo, which also survives a run that is killed."""

import csv
import io
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

from petseg import files, lock
from petseg.errors import UserError
from petseg.lock import Announce, HeldError, Lock


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of one photo after its prediction; a row of results.csv."""

    photo: str  # its path or address, as it was given
    name: str  # of its outputs, without kind and suffix
    width: int = 0  # of the upright photo in pixels; 0 if refused
    height: int = 0
    foreground: float = 0.0  # share of the photo that the mask covers, 0–1
    expected_iou: float = 0.0  # 0–1, see `confidence.expected_iou`
    sha256: str = ""  # of the photo's file, first 16 digits
    model: str = ""  # SHA-256 of the model's file, first 16 digits
    reason: str = ""  # why the photo was refused, or empty


HEADER = [field.name for field in fields(Result)]


class Table:
    """The results in a folder: those of earlier runs, and those of this one as they come.

    One process at a time has a table; threads of it may call the methods at once. To be used in a
    `with` block, which frees the table at its end.
    """

    def __init__(self, path: Path, announce: Announce | None = None) -> None:
        """Read what earlier runs left at `path`, whether they ended or were killed.

        Args:
            path: of the table.
            announce: called with a line while another run has the table, which is waited for; None
                to raise an error instead.

        Raises:
            UserError: a file at `path` cannot be read, is not of `petseg predict`, or another run
                has the table.
        """
        self.path = path
        self.threads = threading.RLock()
        self.lock = take_lock(path, announce)
        try:
            self.read()
        except UserError:
            self.lock.release()
            raise

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> None:
        """Read the rows from the disk.

        Raises:
            UserError: a file cannot be read, or is not of `petseg predict`.
        """
        path = self.path
        self.unfinished = path.with_suffix(".unfinished.csv")  # rows without a header
        self.rows: dict[str, Result] = {}  # by photo
        self.photos: dict[str, str] = {}  # by the name of the outputs
        self.file: TextIO | None = None
        header, *rows = read_lines(path) or [line(HEADER)]
        if header != line(HEADER):
            raise UserError(
                f"{path} is no table of `petseg predict`; name another folder with --out"
            )
        for text in rows + read_lines(self.unfinished):
            if result := parse(text):
                self.store(result)

    def store(self, result: Result) -> None:
        """Replace the row of a photo, and that of another one whose outputs are overwritten."""
        former = self.rows.get(result.photo)
        if former and not former.reason:
            del self.photos[former.name]
        if not result.reason:
            if result.name in self.photos:
                del self.rows[self.photos[result.name]]
            self.photos[result.name] = result.photo
        self.rows[result.photo] = result

    def add(self, result: Result) -> None:
        """Store a photo's result, on the disk as well."""
        with self.threads:
            self.store(result)
            if self.file is None:
                self.file = self.unfinished.open("a", encoding="utf-8", newline="")
                self.file.write("\n")  # ends a line that a killed run may have left incomplete
            self.file.write(line(astuple(result)))
            self.file.flush()

    def of_name(self, name: str) -> Result | None:
        """Return the result of the photo that has the outputs of this name, or None."""
        with self.threads:
            photo = self.photos.get(name)
            return None if photo is None else self.rows[photo]

    def count_other_models(self, model: str) -> int:
        """Return how many photos have outputs of another model; `model` is a digest as in rows."""
        return sum(self.rows[photo].model != model for photo in self.photos.values())

    def finish(self) -> None:
        """Write all rows, sorted by photo, and remove what a killed run would have needed.

        More rows may be added later, and the table be finished again.
        """
        try:
            files.write_rows(self.path, Result, (self.rows[photo] for photo in sorted(self.rows)))
        finally:
            files.partial_path(self.path).unlink(missing_ok=True)
        self.close_unfinished()
        self.unfinished.unlink(missing_ok=True)

    def close(self) -> None:
        """Free the table for other runs; the rows that were added stay on the disk."""
        self.close_unfinished()
        self.lock.release()

    def close_unfinished(self) -> None:
        """Close the file of the rows that were added since the table was finished."""
        if self.file:
            # What a full disk has refused once is refused again when the file is closed.
            with suppress(OSError):
                self.file.close()
            self.file = None


def take_lock(path: Path, announce: Announce | None) -> Lock:
    """Return the lock of a table, a hidden file beside it.

    Raises:
        UserError: another run has it, and is not to be waited for; or it cannot be written.
    """
    lock_path = path.with_name(f".{path.stem}.lock")
    try:
        if announce is None:
            return lock.take(lock_path)
        return lock.wait(lock_path, f"another run writes {path}", announce)
    except HeldError as error:
        raise UserError(
            f"{path}: another run writes this table ({error}); wait until it has ended, or name "
            "another folder with --out"
        ) from error
    except OSError as error:
        raise UserError(
            f"{lock_path} cannot be written: {error.strerror}; name another folder with --out"
        ) from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a table, each with its end; none if there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}; name another folder with --out"
        ) from error


def line(cells: Iterable[object]) -> str:
    """Return a line of CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def parse(text: str) -> Result | None:
    """Return the result in a line of CSV, or None if the line is incomplete."""
    try:
        ((photo, name, width, height, foreground, expected_iou, sha256, model, reason),) = (
            csv.reader([text])
        )
        numbers = int(width), int(height), float(foreground), float(expected_iou)
    except (csv.Error, ValueError):
        return None
    if not (sha256 or reason):
        return None
    return Result(photo, name, *numbers, sha256, model, reason)
