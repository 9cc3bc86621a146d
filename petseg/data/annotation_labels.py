"""The labels in an annotation tool's export: how many objects they have, and what they are read as."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from petseg.data import coco, cvat, label_studio, mask_values
from petseg.data.folder_source import only_file
from petseg.data.mask_formats import colour_name
from petseg.data.mask_settings import CocoMasks, CvatMasks, LabelStudioMasks, Masks, Names
from petseg.data.mask_values import Value
from petseg.data.pairs import MASKS

FOREGROUND, IGNORED, BACKGROUND = "foreground", "ignored", "background"


@dataclass(frozen=True)
class LabelUse:
    """A label or category of an annotation tool."""

    name: str
    meaning: str  # foreground, ignored, or background if the recipe does not name it
    amount: str  # how much of it there is, in words


def label_uses(folder: Path, masks: Masks, values: Mapping[Value, int]) -> list[LabelUse]:
    """Return the labels of the export in a team's folder; none without such an export.

    Args:
        folder: the team's folder.
        masks: the convention of the masks.
        values: how many pixels of all masks have each colour; only read for CVAT.

    Raises:
        UserError: the export cannot be read.
    """
    if isinstance(masks, CocoMasks):
        counts = coco_objects(only_file(folder / MASKS, ".json"))
        return declared(counted(counts, "object"), masks.coco)
    if isinstance(masks, LabelStudioMasks):
        names = masks.label_studio
        counts = brush_masks(folder / MASKS, (*names.foreground, *names.ignore))
        return declared(counted(counts, "brush mask"), names)
    if isinstance(masks, CvatMasks):
        colours = cvat.read_labelmap(only_file(folder / MASKS, "labelmap.txt"))
        return declared(pixel_shares(colours, values), masks.cvat)
    return []


def declared(amounts: Mapping[str, str], names: Names) -> list[LabelUse]:
    """Return the labels with what the recipe declares of them."""
    meanings = dict.fromkeys(names.ignore, IGNORED) | dict.fromkeys(names.foreground, FOREGROUND)
    return [
        LabelUse(name, meanings.get(name, BACKGROUND), amount) for name, amount in amounts.items()
    ]


def counted(counts: Counter[str], noun: str) -> dict[str, str]:
    """Return numbers in words, the largest first: `1 object`, `1,200 objects`."""
    return {name: f"{n:,} {noun}{'s' * (n != 1)}" for name, n in counts.most_common()}


def coco_objects(path: Path) -> Counter[str]:
    """Return how many annotations each category of a COCO file has, also those without any."""
    content = coco.read(path)
    names = {row["id"]: str(row["name"]) for row in content["categories"]}
    counts = Counter(dict.fromkeys(names.values(), 0))
    counts.update(
        names[row["category_id"]] for row in content["annotations"] if row["category_id"] in names
    )
    return counts


def brush_masks(folder: Path, names: Iterable[str]) -> Counter[str]:
    """Return how many files each label of Label Studio's export has; older annotations are none.

    A file's name ends in `-LABEL-NUMBER`, so of a label with a hyphen that is not among `names`
    only the part behind the hyphen is known.
    """
    names = list(names)
    tasks = label_studio.newest_files(label_studio.brush_files(folder))
    return Counter(
        next((name for name in names if file.has_label(name)), file.rest.rpartition("-")[2])
        for files in tasks.values()
        for file in files
    )


def pixel_shares(colours: Mapping[str, int], values: Mapping[Value, int]) -> dict[str, str]:
    """Return the share of all pixels that each label's colour has, in words."""
    pixels: Counter[str] = Counter()
    for value, count in values.items():
        pixels[mask_values.as_colour(value)] += count
    total = max(1, pixels.total())
    amounts = {name: pixels[colour_name(colour)] for name, colour in colours.items()}
    return {
        name: f"{mask_values.share(n / total)} of the pixels" if n else "no pixels"
        for name, n in amounts.items()
    }
