"""What is wrong with a team's folder, and what would be used of it, by the rules of the stages."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from petseg import files, parallel, progress
from petseg.data import (
    annotation_labels,
    arrays,
    convert,
    examples,
    folder_leftovers,
    folder_source,
    folder_splits,
    labels,
    mask_values,
    splits,
)
from petseg.data.annotation_labels import LabelUse
from petseg.data.convert import Decoded
from petseg.data.folder import SOURCE, FolderPhotos
from petseg.data.frame import Frame
from petseg.data.label_edits import LabelEdits
from petseg.data.listing import ListedPhoto, Member
from petseg.data.mask_formats import NOT_DECLARED
from petseg.data.mask_settings import Masks
from petseg.data.mask_values import Value
from petseg.data.photos import UnusableError
from petseg.errors import UserError

TINY = 32  # pixels: a photo with a shorter side has little to learn from
BATCH = 8  # masks per task of a thread
EMPTY, FULL, SMALL = "masks without foreground", "masks of foreground alone", "tiny photos"
UNKNOWN = "names in a table that no photo has"


@dataclass
class FolderReport:
    """What there is to know of a team's folder before the work begins."""

    listed: list[ListedPhoto]
    reasons: dict[str, str] = field(default_factory=dict)  # why photos are not used, by name
    index: list[arrays.Photo] = field(default_factory=list)  # of the usable photos
    split_by_name: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)  # names to look at, by kind
    refusals: list[str] = field(default_factory=list)  # why the stages would refuse the folder
    values: Counter[Value] = field(default_factory=Counter)  # pixels of all masks by value
    is_declared: bool = False  # the recipe lists values or colours, and has all that there are
    labels: list[LabelUse] = field(default_factory=list)  # of an annotation tool
    group_kinds: tuple[str, ...] = ()  # what groups and subgroups are called; as many as there are
    others: dict[str, list[str]] = field(default_factory=dict)  # files, rows and splits, by kind

    def by_kind(self) -> dict[str, list[str]]:
        """Return `name: detail` of the photos that cannot be used, by kind of reason."""
        kinds: defaultdict[str, list[str]] = defaultdict(list)
        for name, reason in sorted(self.reasons.items()):
            kind, _, detail = reason.partition(": ")
            kinds[kind].append(f"{name}: {detail}" if detail else name)
        return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))

    def photos_in(self, split: str) -> list[arrays.Photo]:
        """Return the usable photos of a split."""
        return [row for row in self.index if self.split_by_name.get(row.name) == split]

    def examples(self, split: str, frame: Frame) -> int:
        """Return how many photos a split has, or how many tiles that cover them."""
        photos = self.photos_in(split)
        return len(examples.covering(photos, frame.size)) if frame.mode == "tiles" else len(photos)

    def by_group(self, level: int) -> dict[str, Counter[str]]:
        """Return how many usable photos of each split a group has, the largest group first.

        Args:
            level: 0 for groups, 1 for subgroups.
        """
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row in self.index:
            counts[row.groups[level]][self.split_by_name.get(row.name, "")] += 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1].total(), item[0])))


def inspect(
    folder: Path, masks: Masks, settings: convert.Settings, edits: LabelEdits, work: Path
) -> FolderReport:
    """Return what the stages would make of a team's folder; they would use the same code.

    Args:
        folder: the team's folder.
        masks: the convention of the masks.
        settings: how the photos would be converted.
        edits: the corrections of labels that would apply.
        work: an empty folder for the list and the arrays, which remain there.

    Raises:
        UserError: the folder, a table or an annotation file cannot be read at all.
    """
    content = folder_source.read_folder(folder, masks, work)
    source = folder_source.write_list(folder, content, work, str(folder.absolute()))
    files.write_json(work / SOURCE, source)
    data = FolderPhotos(work)
    listed = data.listed()
    decoded = convert.decode(data, listed, work, settings, edits)
    report = FolderReport(listed)
    report.refusals = list(refusals(report, decoded, settings, edits))
    report.index, report.reasons = decoded.index, decoded.reasons
    report.group_kinds = data.group_kinds
    is_list = data.format.kind in ("values", "colours")
    report.is_declared = is_list and not any(
        NOT_DECLARED in reason for reason in report.reasons.values()
    )
    report.values = Counter() if source["rendered"] else count_values(data, listed)
    report.labels = annotation_labels.label_uses(folder, masks, report.values)
    report.remarks = remarks(report, decoded)
    report.others = folder_leftovers.leftovers(folder, masks, content)
    report.others[UNKNOWN] = content.tables.unknown
    if any(row.split for row in listed) and report.split_by_name:
        look_alike = convert.look_alike_numbers(decoded)
        report.others |= folder_splits.divided(listed, report.split_by_name, look_alike)
    return report


def refusals(
    report: FolderReport, decoded: Decoded, settings: convert.Settings, edits: LabelEdits
) -> Iterator[str]:
    """Yield why the stages would refuse the photos; set their splits, and leave out dropped ones."""
    try:
        report.split_by_name = convert.assign_splits(report.listed, decoded, settings, edits)
        decoded.drop(edits)
        index = {
            split: [row for row in decoded.index if report.split_by_name[row.name] == split]
            for split in splits.SPLITS
        }
        convert.check_splits(index)
    except UserError as error:
        yield str(error)
    try:
        convert.check_rejected(decoded.reasons, settings.max_rejected, edits)
    except UserError as error:
        yield str(error)


def count_values(data: FolderPhotos, listed: list[ListedPhoto]) -> Counter[Value]:
    """Return how many pixels of all masks together have each value."""
    names = [row.name for row in listed if not row.reason]
    total: Counter[Value] = Counter()
    with progress.bar("values of the masks", len(names), " masks") as bar:
        for values in parallel.ordered(values_of, data.masks(names), BATCH):
            total += values
            bar.update()
    return total


def values_of(mask: Member) -> Counter[Value]:
    """Return how many pixels of a mask have each value; none of a mask that cannot be read."""
    try:
        return mask_values.values_in_mask(mask.read()[0])
    except UnusableError:
        return Counter()


def remarks(report: FolderReport, decoded: Decoded) -> dict[str, list[str]]:
    """Return the names of usable photos that a person should look at, by kind."""
    kinds: dict[str, list[str]] = {EMPTY: [], FULL: [], SMALL: []}
    masks = (mask for chunk in decoded.masks.chunks(decoded.mask_rows) for mask in chunk)
    for photo, mask in zip(report.index, masks, strict=True):
        if not labels.is_foreground(mask).any():
            kinds[EMPTY].append(photo.name)
        elif not (mask == labels.BACKGROUND).any():
            kinds[FULL].append(photo.name)
    kinds[SMALL] = [p.name for p in report.index if min(p.width, p.height) < TINY]
    return {kind: names for kind, names in kinds.items() if names}
