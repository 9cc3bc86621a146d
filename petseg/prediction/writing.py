"""Write outputs so that each file is complete or absent, and explain what cannot be written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from petseg import files
from petseg.data.photos import UnusableError
from petseg.errors import UserError


def check_content(path: Path, content: bytes) -> None:
    """Refuse a photo if a file under the name of its output has another content.

    A run that was killed may have written an output, but not yet its row of results.csv.

    Raises:
        UnusableError: the file is something else.
    """
    if path.read_bytes() != content:
        raise UnusableError(
            f"{path} is there already, but is not of this photo as it is now, or of another model; "
            "choose another --out, or replace it with --overwrite (of another model: --redo)"
        )


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Explain why nothing can be written; a name that is too long concerns one photo only.

    Raises:
        UnusableError: the disk does not allow so long a name.
        UserError: any other reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UnusableError("the names of its outputs are too long for the disk") from error
        raise UserError(
            f"{path} cannot be written: {error.strerror}; run the same command again when it can: "
            "what is done stays"
        ) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place.

    Raises:
        UnusableError: its name is too long.
        UserError: it cannot be written; what was there before is still there.
    """
    partial = files.partial_path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                partial.unlink(missing_ok=True)
            raise
