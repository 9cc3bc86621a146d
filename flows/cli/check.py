"""The command that looks at a team's own photos before the work begins: check."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from petseg.data.folder_check import FolderReport

MAX_NAMES = 3  # of a kind of problem
RECIPE = "own"  # whose parameters count if the recipe in use has another source
Folder = Annotated[Path, Parameter(help="With images/ and masks/.", show_default=True)]
Recipe = Annotated[
    str | None, Parameter(help="Whose parameters count (default: the one in use, or own).")
]
NoEstimate = Annotated[bool, Parameter(help="Do not measure how long the training takes.")]
Names = Annotated[bool, Parameter(help="List every name, not only the first ones.")]


def check(
    folder: Folder = Path("data/own"),
    /,
    *,
    recipe: Recipe = None,
    names: Names = False,
    no_estimate: NoEstimate = False,
) -> int:
    """Say what is wrong with a team's photos and masks, and what would be used.

    It runs the code of the stages, and writes nothing into the folder. Exits with 1 if the stages
    would refuse the folder.
    """
    from flows.workspace import recipes
    from petseg.data import folder_check
    from petseg.errors import UserError

    source, sections = recipes.checked(recipe or own_recipe())
    if sections["download"].source != "folder":
        raise UserError(
            f"{source}: download.source is not folder; `petseg check --recipe {RECIPE}`"
        )
    settings = sections["preprocess"]
    with tempfile.TemporaryDirectory(prefix="petseg-check-") as work:
        report = folder_check.inspect(folder, sections["download"].masks, settings, Path(work))
    for line in lines(folder, report, None if names else MAX_NAMES):
        print(line)
    for refusal in report.refusals:
        print(f"error: {refusal}", file=sys.stderr)
    if report.refusals:
        return 1
    if not no_estimate:
        from petseg.training import estimate

        train, val = (report.examples(split, settings.frame) for split in ("train", "val"))
        frame = settings.frame
        measured = estimate.measure_in_process(sections["train"], frame, train, val, source)
        print(f"training by {source}: {estimate.describe(measured)}")
    return 0


def own_recipe() -> str | None:
    """Return the recipe own, unless the one in use takes a folder: then None."""
    from petseg import params

    source = params.read_yaml(params.FILE).get("download", {}).get("source")
    return None if source == "folder" else RECIPE


def lines(folder: Path, report: "FolderReport", limit: int | None) -> Iterator[str]:
    """Yield the report as lines for a terminal, with at most `limit` names of a kind."""
    from petseg.data import mask_values, splits

    yield f"{folder}: {len(report.index):,} of {len(report.listed):,} photos can be used"
    for title, kinds in (("left out", report.by_kind()), ("look at", report.remarks)):
        for kind, names in kinds.items():
            yield f"{title}: {len(names):,} {kind}: {shortened(names, limit)}"
    yield f"values of the masks: {mask_values.described(report.values) or 'none'}"
    if proposal := mask_values.propose(report.values):
        yield f"they suggest, in `download` of the recipe: {proposal}"
    counts = {split: report.names_in(split) for split in splits.SPLITS}
    yield "splits: " + ", ".join(f"{len(names):,} {split}" for split, names in counts.items())


def shortened(names: Sequence[str], limit: int | None) -> str:
    """Return the first names, and how many there are more."""
    first = names if limit is None else names[:limit]
    more = len(names) - len(first)
    return "; ".join(first) + (f"; and {more:,} more (--names)" if more else "")
