"""The photos whose label a person is to look at, each once, in the order of suspects.csv."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from petseg import files
from petseg.errors import UserError
from petseg.evaluation.label_issues import Reason, twin_in


@dataclass(frozen=True, slots=True)
class Suspect:
    """A photo to look at."""

    name: str
    split: str
    reason: str  # why to look at it; empty if the user named it
    twin: str = ""  # the name of a photo of another split that it looks like


def read_suspects(reports: Path) -> list[Suspect]:
    """Return the photos of suspects.csv; the reasons of one that is there twice are joined.

    Raises:
        UserError: the file is missing.
    """
    suspects: dict[str, Suspect] = {}
    for row in read_rows(reports / "suspects.csv"):
        reason = ": ".join(filter(None, (row["reason"], row["detail"])))
        earlier = suspects.get(row["name"])
        reasons = f"{earlier.reason}; {reason}" if earlier else reason
        twin = twin_in(row["detail"]) if row["reason"] == Reason.DUPLICATE else ""
        suspects[row["name"]] = Suspect(row["name"], row["split"], reasons, twin)
    return list(suspects.values())


def read_named(reports: Path, names: Sequence[str]) -> list[Suspect]:
    """Return the photos with these names, also those that were dropped.

    Raises:
        UserError: a table is missing, or there is no such photo.
    """
    path, rejected = reports / "photos.csv", read_rows(reports / "rejected.csv")
    dropped = [row for row in rejected if row["reason"].startswith("dropped")]
    splits = {row["name"]: row["split"] for row in [*read_rows(path), *dropped]}
    if unknown := [name for name in names if name not in splits]:
        reasons = {row["name"]: row["reason"] for row in rejected}
        reason = reasons.get(unknown[0], f"it is not in {path}, which lists every name in use")
        raise UserError(f"{unknown[0]} cannot be shown: {reason}")
    return [Suspect(name, splits[name], "") for name in dict.fromkeys(names)]


def read_rows(path: Path) -> files.Rows:
    """Return the rows of a CSV that evaluate wrote.

    Raises:
        UserError: the file is missing.
    """
    try:
        return files.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `dvc repro evaluate`") from None
