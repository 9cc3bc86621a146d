"""The command that looks at a team's own photos before the work begins: check."""

import errno
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from petseg.data.folder_check import FolderReport

MAX_NAMES = 3  # of a kind of problem
MAX_GROUPS = 10  # and as many labels of an annotation tool
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, a limit for one file
OWN = Path("data/own")  # the folder that the stages read
RECIPE = "own"  # whose parameters count if the recipe in use has another source
Folder = Annotated[Path, Parameter(help="With images/ and masks/.", show_default=True)]
Recipe = Annotated[
    str | None, Parameter(help="Whose parameters count (default: the one in use, or own).")
]
NoEstimate = Annotated[bool, Parameter(help="Do not measure how long the training takes.")]
Html = Annotated[
    Path | None,
    Parameter(help="Also write a page of photos with their masks over them.", metavar="FILE"),
]
Names = Annotated[bool, Parameter(help="List every name, not only the first ones.")]


def check(
    folder: Folder = OWN,
    /,
    *,
    recipe: Recipe = None,
    html: Html = None,
    names: Names = False,
    no_estimate: NoEstimate = False,
) -> int:
    """Say what is wrong with a team's photos and masks, and what would be used.

    It runs the code of the stages, and writes nothing into the folder. Exits with 1 if the stages
    would refuse the folder.
    """
    from flows.workspace import recipes
    from petseg.data import blocked_files, folder_check, label_edits, pairs
    from petseg.errors import UserError

    source, sections = recipes.checked(recipe or own_recipe())
    if sections["download"].source != "folder":
        raise UserError(
            f"{source}: download.source is not folder; `petseg check --recipe {RECIPE}`"
        )
    if not blocked_files.is_utf8(str(folder.absolute())):
        raise UserError(f"{folder.absolute()}: the path is not UTF-8; rename the folder")
    if html and html.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{html} would lie in {folder}, which check does not change; name another")
    settings, limit = sections["preprocess"], None if names else MAX_NAMES
    edits = label_edits.NO_EDITS
    if folder.resolve() == OWN.resolve():  # corrections are of these photos
        edits = label_edits.read(
            label_edits.locate(settings.labels, label_edits.FOLDER, source), label_edits.FOLDER
        )
    blocked = blocked_files.blocked_files(folder)
    for kind, paths in blocked.items():
        print(f"error: {folder}: {len(paths):,} {kind}: {shortened(paths, limit)}", file=sys.stderr)
    with temporary_folder() as work:
        report = folder_check.inspect(folder, sections["download"].masks, settings, edits, work)
        if html:
            write_page(html, folder, work, report)
    for line in lines(folder, report, limit):
        print(pairs.escaped(line))
    for refusal in report.refusals:
        print(f"error: {pairs.escaped(refusal)}", file=sys.stderr)
    if report.refusals or blocked:
        return 1
    if not no_estimate:
        from petseg.training import estimate

        train, val = (report.examples(split, settings.frame) for split in ("train", "val"))
        frame = settings.frame
        measured = estimate.measure_in_process(sections["train"], frame, train, val, source)
        print(f"training by {source}: {estimate.describe(measured, settings.mode)}")
    return 0


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Provide an empty folder, which is deleted at the end.

    Raises:
        UserError: its disk is full.
    """
    from petseg.errors import UserError

    with tempfile.TemporaryDirectory(prefix="petseg-check-") as work:
        try:
            yield Path(work)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise UserError(
                f"{work} has no room ({error.strerror}); the check needs as much as data/arrays: "
                "set TMPDIR to a folder on a larger disk"
            ) from error


def write_page(html: Path, folder: Path, work: Path, report: "FolderReport") -> None:
    """Write the page of a folder.

    Args:
        html: the file to write.
        folder: the team's folder.
        work: the folder with its list.
        report: what is known of it.

    Raises:
        UserError: the file cannot be written.
    """
    from petseg.data.folder import FolderPhotos
    from petseg.errors import UserError
    from petseg.sheet import page

    errors = [f"error: {refusal}" for refusal in report.refusals]
    summary = [*lines(folder, report, MAX_NAMES), *errors]
    try:
        page.write(html, FolderPhotos(work), report, summary)
    except OSError as error:
        raise UserError(
            f"{html} cannot be written ({error.strerror}); name another file"
        ) from error
    print(f"page: {html}", file=sys.stderr)


def own_recipe() -> str | None:
    """Return the recipe own, unless the one in use takes a folder: then None."""
    from petseg import params

    source = params.read_yaml(params.FILE).get("download", {}).get("source")
    return None if source == "folder" else RECIPE


def lines(folder: Path, report: "FolderReport", limit: int | None) -> Iterator[str]:
    """Yield the report as lines for a terminal, with at most `limit` names of a kind."""
    yield f"{folder}: {len(report.index):,} of {len(report.listed):,} photos can be used"
    kinds = [
        ("left out", report.by_kind()),
        ("look at", report.remarks),
        ("look at", report.others),
    ]
    for title, names_by_kind in kinds:
        for kind, names in names_by_kind.items():
            if names:
                yield f"{title}: {len(names):,} {kind}: {shortened(names, limit)}"
    yield from label_lines(report, limit) if report.labels else value_lines(report)
    yield from split_lines(report, limit)


def value_lines(report: "FolderReport") -> Iterator[str]:
    """Yield the values of the masks, and the line of a recipe that they suggest."""
    from petseg.data import mask_values

    yield f"values of the masks: {mask_values.described(report.values) or 'none'}"
    proposal = mask_values.propose(report.values)
    if proposal and not report.is_declared:
        yield f"they suggest, in `download` of the recipe: {proposal}"


def label_lines(report: "FolderReport", limit: int | None) -> Iterator[str]:
    """Yield the labels of an annotation tool by what the recipe declares them to be."""
    from petseg.data.annotation_labels import BACKGROUND, FOREGROUND, IGNORED

    for meaning, reason in (
        (FOREGROUND, ""),
        (IGNORED, ""),
        (BACKGROUND, ", as the recipe does not name them"),
    ):
        if labels := [f"{u.name} ({u.amount})" for u in report.labels if u.meaning == meaning]:
            shown = shortened(labels, limit and MAX_GROUPS)
            yield f"labels that are {meaning}{reason}: {shown}"


def split_lines(report: "FolderReport", limit: int | None) -> Iterator[str]:
    """Yield how many usable photos each split has, and how many of each group."""
    from petseg.data import splits

    counts = {split: len(report.photos_in(split)) for split in splits.SPLITS}
    yield "splits: " + ", ".join(f"{count:,} {split}" for split, count in counts.items())
    for level, kind in enumerate(report.group_kinds):
        groups = report.by_group(level)
        for name, by_split in list(groups.items())[: limit and MAX_GROUPS]:
            numbers = ", ".join(f"{by_split[split]:,} {split}" for split in splits.SPLITS)
            yield f"{kind} {name}: {numbers}"
        if limit and len(groups) > MAX_GROUPS:
            yield f"and {len(groups) - MAX_GROUPS:,} more {kind}s (--names)"


def shortened(names: Sequence[str], limit: int | None) -> str:
    """Return the first names, and how many there are more."""
    first = names if limit is None else names[:limit]
    more = len(names) - len(first)
    return "; ".join(first) + (f"; and {more:,} more (--names)" if more else "")
