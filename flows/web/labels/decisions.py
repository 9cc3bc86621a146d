"""What a person decides about labels, written to the table at once; the last one can be undone."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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
    mask: Path | None  # that the decision wrote
    content: bytes | None  # of that file before; None if there was none


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
        mask = mask_path(name) if action is Action.USE_MASK else ""
        row = LabelEdit(name, action, mask, " ".join(reason.split()), self.who)
        with self.lock:
            rows = self.rows()
            path = self.folder / mask if mask else None
            content = path.read_bytes() if path and path.exists() else None
            if path:
                write_bytes(path, predicted_mask())
            label_edits.write(self.table, [*(rows | {name: row}).values()])
            self.changes.append(Change(name, rows.get(name), path, content))
        return row

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
            if change.mask and change.content is not None:
                write_bytes(change.mask, change.content)
            elif change.mask:
                change.mask.unlink(missing_ok=True)
            return self.changes.pop()


def mask_path(name: str) -> str:
    """Return the path, below the folder of masks, of the mask that is taken for a photo.

    Raises:
        UserError: the photo's name would lead out of that folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"the photo's name {name} is no path below a folder; rename the photo")
    return f"{name}{SUFFIX}"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = files.partial_path(path)
    partial.write_bytes(content)
    partial.replace(path)
