"""The corrections of labels that a team keeps in git: a table, and the masks that it names."""

import csv
import io
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from petseg import files
from petseg.errors import UserError

COLUMNS = ("name", "action", "reason", "who")
FOLDER = Path("data/labels")  # the masks that tables name, and tables for one recipe
SUFFIX = ".csv"  # of a table
RECORD = "labels.csv"  # in the folder of the arrays: the corrections that they were made with


class Action(StrEnum):
    """What is done with a photo; in the table a file follows `use mask`."""

    DROP = "drop"  # it is not used at all
    KEEP = "keep"  # nothing: a person looked at it and found it right
    SWAP_SPLIT = "swap split"  # from test to train, or from train or val to test
    USE_MASK = "use mask"  # the mask in a file takes the place of its own


@dataclass(frozen=True, slots=True)
class LabelEdit:
    """What a person decided about a photo; a row of the table."""

    name: str  # of the photo
    action: Action
    mask: str  # path of the mask below the folder of masks; only of `use mask`, else empty
    reason: str
    who: str

    @property
    def action_text(self) -> str:
        """The action as it stands in the table."""
        return f"{self.action} {self.mask}".rstrip()


@dataclass(frozen=True)
class LabelEdits:
    """A table of corrections, and the folder with the masks that it names."""

    table: Path
    folder: Path
    rows: tuple[LabelEdit, ...] = ()

    def with_action(self, action: Action) -> dict[str, LabelEdit]:
        """Return the rows with this action by the name of the photo."""
        return {row.name: row for row in self.rows if row.action is action}

    @property
    def masks(self) -> dict[str, Path]:
        """The file that takes the place of a photo's mask, by the name of the photo."""
        edits = self.with_action(Action.USE_MASK)
        return {name: self.folder / edit.mask for name, edit in edits.items()}

    @property
    def counts(self) -> dict[str, int]:
        """How many photos each action changes; an action that changes none is left out."""
        changing = [action for action in Action if action is not Action.KEEP]
        numbers = {str(action): len(self.with_action(action)) for action in changing}
        return {action: number for action, number in numbers.items() if number}


NO_EDITS = LabelEdits(Path(), Path())


def read(table: Path, folder: Path) -> LabelEdits:
    """Return the corrections in a table.

    Args:
        table: a CSV with the columns name, action, reason and who.
        folder: the folder with the masks that the table names.

    Raises:
        UserError: the table is missing or not such a CSV, a row has an unknown action or a name
            that is there twice, or a mask is missing.
    """
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{table} is missing; write a file with the line {','.join(COLUMNS)}, or, if git has "
            f"it, `git checkout {table}`"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{table} is not UTF-8: {error}; save it as UTF-8") from None
    rows = []
    for line, edit in parse(text, str(table)):
        if edit.mask:
            check_mask(folder, edit.mask, f"{table}, line {line}")
        rows.append(edit)
    return LabelEdits(table, folder, tuple(rows))


def parse(text: str, source: str) -> Iterator[tuple[int, LabelEdit]]:
    """Yield the rows of a table, each with the number of its last line; `source` is for errors.

    Raises:
        UserError: it is not such a table; the text names the line and the remedy.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    lines: dict[str, int] = {}
    try:
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            raise UserError(
                f"{source}, line 1: the columns are {','.join(header) or 'missing'}; "
                f"the first line must be {','.join(COLUMNS)}"
            )
        for cells in filter(None, reader):
            place = f"{source}, line {reader.line_num}"
            edit = parse_row(cells, place)
            if edit.name in lines:
                raise UserError(
                    f"{place}: {edit.name} is on line {lines[edit.name]}, too; list it once"
                )
            lines[edit.name] = reader.line_num
            yield reader.line_num, edit
    except csv.Error as error:
        raise UserError(f"{source}, line {reader.line_num}: not a CSV: {error}") from None


def parse_row(cells: list[str], place: str) -> LabelEdit:
    """Return the correction in a row; `place` names file and line in errors.

    Raises:
        UserError: the row has too few or too many values, no name, or an unknown action.
    """
    if len(cells) != len(COLUMNS):
        raise UserError(
            f"{place}: has {len(cells)} values; write {len(COLUMNS)}, {','.join(COLUMNS)}, and "
            "quotes around a value with a comma"
        )
    name, (text, reason, who) = cells[0], map(str.strip, cells[1:])
    if not name.strip():
        raise UserError(f"{place}: has no name; write that of a photo, or delete the line")
    if text.startswith(f"{Action.USE_MASK} "):
        mask = text.removeprefix(f"{Action.USE_MASK} ")
        return LabelEdit(name, Action.USE_MASK, mask, reason, who)
    actions = {str(action): action for action in Action if action is not Action.USE_MASK}
    if text not in actions:
        raise UserError(
            f"{place}: the action of {name} is {text!r}; "
            f"allowed: {', '.join(actions)}, {Action.USE_MASK} FILE"
        )
    return LabelEdit(name, actions[text], "", reason, who)


def check_mask(folder: Path, mask: str, place: str) -> None:
    """Check that a mask is a file below the folder of masks; `place` names the row in errors.

    Raises:
        UserError: it is not.
    """
    path = folder / mask
    if not path.resolve().is_relative_to(folder.resolve()) or PurePosixPath(mask).is_absolute():
        raise UserError(
            f"{place}: the mask {mask} is outside {folder}; copy it there, and write its path "
            "below that folder"
        )
    if not path.is_file():
        raise UserError(f"{place}: the mask {path} is missing; put it there, or delete the line")


def locate(table: str, folder: Path, source: str) -> Path:
    """Return the table that a recipe names: the one beside the folder of masks, or one in it.

    DVC tracks just these, so that changes of another file would go unnoticed.

    Args:
        table: the path of the table.
        folder: the folder of masks, such as data/labels.
        source: where the table is named, for errors: `params.yaml, recipe own`.

    Raises:
        UserError: it is another file.
    """
    path, default = Path(table), folder.with_suffix(SUFFIX)
    is_inside = folder in path.parents and ".." not in path.parts and path.suffix == SUFFIX
    if path != default and not is_inside:
        raise UserError(
            f"{source}: preprocess.labels is {table}; allowed: {default}, or a {SUFFIX} "
            f"file in {folder}"
        )
    return path


def check_names(edits: LabelEdits, names: Iterable[str]) -> None:
    """Check that the data have every photo that is to be changed.

    Raises:
        UserError: they lack one; the text names it.
    """
    known = set(names)
    for edit in edits.rows:
        if edit.action is not Action.KEEP and edit.name not in known:
            raise UserError(
                f"{edits.table}: the data have no photo {edit.name}; correct the name, which has no "
                "suffix, or delete its line. If the table is for other data, move it into "
                f"{edits.folder} and name it in their recipe as preprocess.labels"
            )


def swap_splits(edits: LabelEdits, split_by_name: Mapping[str, str]) -> dict[str, str]:
    """Return the splits, with the photos to swap moved between test and train."""
    swapped = {
        name: "train" if split_by_name[name] == "test" else "test"
        for name in edits.with_action(Action.SWAP_SPLIT)
        if name in split_by_name
    }
    return {**split_by_name, **swapped}


def write(table: Path, rows: Iterable[LabelEdit]) -> None:
    """Write a table, its rows in the order of the names."""
    ordered = sorted(rows, key=lambda row: row.name)
    files.write_csv(
        table, COLUMNS, [(row.name, row.action_text, row.reason, row.who) for row in ordered]
    )


def record(edits: LabelEdits, table: Path) -> None:
    """Write the corrections that change something to a table, with copies of the masks.

    The masks lie in the folder beside the table that has its name, as `read_record` expects.
    """
    applied = [row for row in edits.rows if row.action is not Action.KEEP]
    write(table, applied)
    for edit in edits.with_action(Action.USE_MASK).values():
        target = table.with_suffix("") / edit.mask
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(edits.folder / edit.mask, target)


def read_record(table: Path) -> LabelEdits:
    """Return the corrections that `record` wrote."""
    return read(table, table.with_suffix(""))
