"""The optional tables in a team's folder: groups.csv and splits.csv."""

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from petseg.data.splits import SPLITS
from petseg.errors import UserError

GROUPS, SPLITS_TABLE = "groups.csv", "splits.csv"
GROUP_COLUMNS = ("group", "subgroup", "subject")


@dataclass(frozen=True)
class FolderTables:
    """What the tables say of the photos, by name; a photo or a value that is missing is empty."""

    groups: Mapping[str, Mapping[str, str]]
    splits: Mapping[str, str]
    unknown: list[str]  # names in a table that no photo has, with the table

    @property
    def group_kinds(self) -> tuple[str, ...]:
        """The columns by which photos are grouped, the larger groups first; empty ones are none."""
        rows = self.groups.values()
        return tuple(column for column in GROUP_COLUMNS[:2] if any(row.get(column) for row in rows))


def read_tables(folder: Path, photos: Mapping[str, str]) -> FolderTables:
    """Return the tables of a team's folder.

    Args:
        folder: a team's folder.
        photos: the path of every photo below `folder` by its name.

    Raises:
        UserError: a table has another column, a name twice, or a split that does not exist.
    """
    names = {name: name for name in photos}
    names |= {path.partition("/")[2]: name for name, path in photos.items()}
    unknown: list[str] = []
    columns, groups = read_table(folder / GROUPS, names, GROUP_COLUMNS, unknown)
    _, splits = read_table(folder / SPLITS_TABLE, names, ("split",), unknown)
    for name, row in splits.items():
        if row["split"] not in SPLITS:
            raise UserError(
                f"{folder / SPLITS_TABLE}: the split of {name} is {row['split']!r}; "
                f"allowed: {', '.join(SPLITS)}"
            )
    if "subgroup" in columns and "group" not in columns:
        raise UserError(f"{folder / GROUPS}: has a column subgroup, but none that is called group")
    return FolderTables(groups, {name: row["split"] for name, row in splits.items()}, unknown)


def read_table(
    path: Path, names: Mapping[str, str], allowed: Collection[str], unknown: list[str]
) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Return a table's columns beside the name, and its rows by the name of the photo.

    Args:
        path: a CSV; without it there are no columns and no rows.
        names: the name of the photo by what the table may call it: its name, or the file's path.
        allowed: the columns that the table may have beside `name`.
        unknown: gets the names that no photo has.

    Raises:
        UserError: the file is not such a table.
    """
    if not path.exists():
        return (), {}
    if not path.is_file():
        raise UserError(f"{path} is no file; put a table there, or remove it")
    rows: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(reader.fieldnames or ())
            wrong = [name for name in columns if name not in ("name", *allowed)]
            if "name" not in columns or wrong or len(columns) < 2:
                raise UserError(
                    f"{path}: its columns are {', '.join(columns) or 'missing'}; "
                    f"allowed: name, {', '.join(allowed)}, separated by commas"
                )
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise UserError(f"{place}: has not as many values as there are columns")
                name = names.get(row["name"])
                if name is None:
                    unknown.append(f"{row['name']} in {path.name}")
                elif name in rows:
                    raise UserError(f"{place}: {name} is there twice; list it once")
                else:
                    rows[name] = {key: row[key].strip() for key in columns if key != "name"}
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV in UTF-8: {error}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); `chmod a+r` it") from error
    return tuple(name for name in columns if name != "name"), rows
