"""Read and write text, JSON and CSV; files and folders are moved into place when complete."""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, TextIO

Rows = list[dict[str, str]]


def partial_path(path: Path) -> Path:
    """Return the name under which a file or folder lies until it is complete."""
    return path.with_name(path.name + ".partial")


@contextmanager
def atomic_text(path: Path) -> Iterator[TextIO]:
    """Open a text file to write under a temporary name; it is moved into place when complete.

    Nothing is left of it if an exception is raised.
    """
    partial = partial_path(path)
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and move it into place."""
    with atomic_text(path) as file:
        file.write(text)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; without rows it holds only the header."""
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_rows(path: Path, row_type: type, rows: Iterable[Any]) -> None:
    """Write instances of a dataclass as a CSV file with a column for every field."""
    write_csv(path, [field.name for field in fields(row_type)], map(astuple, rows))


def read_csv(path: Path) -> Rows:
    """Return the rows of a CSV file, the values as text by column."""
    return parse_csv(path.read_bytes().decode())


def parse_csv(text: str) -> Rows:
    """Return the rows in the text of a CSV file, the values as text by column."""
    return list(csv.DictReader(io.StringIO(text)))


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, replacing `target`; copy it if the disk has no hard links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Provide an empty folder to fill; it becomes `target` only if no exception is raised."""
    partial = partial_path(target)
    shutil.rmtree(partial, ignore_errors=True)  # an earlier run may have been killed
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
