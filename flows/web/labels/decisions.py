"""What a person decides about labels, written to the table at once; the last one can be undone."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from petseg import files
from petseg.data import label_edits
from petseg.data.label_edits import Action, LabelEdit
from petseg.errors import UserError

SUFFIX = ".png"  # of a mask that is taken from the model


@dataclass(frozen=True)
class Change:
    """What a decision replaced."""

    name: str
    row: LabelEdit | None  # that the table had for the photo
    mask: Path | None  # the file that the decision wrote


class Decisions:
    """The table of corrections, read anew for each change: rows of others stay as they are."""

    def __init__(self, table: Path, folder: Path, who: str) -> None:
        """Take the table and its folder of masks; `who` decides."""
        self.table, self.folder, self.who = table, folder, who
        self.changes: list[Change] = []
        self.lock = threading.Lock()

    def rows(self) -> dict[str, LabelEdit]:
        """Return the rows of the table by the name of the photo.

        Raises:
            UserError: the table cannot be read.
        """
        return {row.name: row for row in label_edits.read(self.table, self.folder).rows}

    def decide(
        self, name: str, action: Action, reason: str, predicted_mask: Callable[[], bytes]
    ) -> LabelEdit:
        """Write a decision to the table; return its row.

        Args:
            name: the photo.
            action: what is done with it.
            reason: why; line breaks become spaces.
            predicted_mask: returns the model's mask as PNG; called for `use mask` alone, whose mask
                goes to the folder of masks.

        Raises:
            UserError: the table cannot be read.
        """
        reason = " ".join(reason.split())
        with self.lock:
            rows = self.rows()
            path = self.write_mask(name, predicted_mask()) if action is Action.USE_MASK else None
            mask = path.relative_to(self.folder).as_posix() if path else ""
            row = LabelEdit(name, action, mask, reason, self.who)
            label_edits.write(self.table, [*(rows | {name: row}).values()])
            self.changes.append(Change(name, rows.get(name), path))
        return row

    def mask(self, name: str) -> Path | None:
        """Return the mask that the table gives a photo, or None.

        Raises:
            UserError: the table cannot be read, or names a mask that is missing.
        """
        row = self.rows().get(name)
        return self.folder / row.mask if row and row.mask else None

    def write_mask(self, name: str, content: bytes) -> Path:
        """Write a mask to a new file in the folder of masks, named after the photo; return its path.

        Raises:
            UserError: the photo's name, or a link, leads out of that folder.
        """
        numbered = (self.folder / f"{name}.{number}{SUFFIX}" for number in itertools.count(2))
        paths = itertools.chain([self.folder / f"{name}{SUFFIX}"], numbered)
        path = next(path for path in paths if not path.exists())
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(
                f"{path} leads out of {self.folder}: rename the photo, or remove the link"
            )
        try:
            write_bytes(path, content)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def undo(self) -> Change | None:
        """Take the last decision back; return what it had replaced, or None if there is none.

        Raises:
            UserError: the table cannot be read.
        """
        with self.lock:
            if not self.changes:
                return None
            change, rows = self.changes[-1], self.rows()
            rows.pop(change.name, None)
            restored = [change.row] if change.row else []
            label_edits.write(self.table, [*rows.values(), *restored])
            if change.mask:
                change.mask.unlink(missing_ok=True)
            return self.changes.pop()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = files.partial_path(path)
    partial.write_bytes(content)
    partial.replace(path)
