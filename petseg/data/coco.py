"""Masks from a JSON in COCO's format: polygons and run lengths, drawn with pycocotools."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from pycocotools import mask as run_lengths

from petseg.data.labels import BACKGROUND, FOREGROUND, IGNORED
from petseg.data.photos import MAX_PIXELS
from petseg.errors import UserError

SECTIONS = {  # and what each of their entries has
    "images": {"id", "file_name", "width", "height"},
    "annotations": {"image_id", "category_id"},
    "categories": {"id", "name"},
}
Annotation = Mapping[str, Any]


def read(path: Path) -> dict[str, Any]:
    """Return the content of a COCO file.

    Raises:
        UserError: it cannot be read, is not JSON, or has not COCO's three lists.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); `chmod a+r` it") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}; export it again") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in SECTIONS
    ):
        raise UserError(f"{path} is not in COCO's format: it needs the lists {', '.join(SECTIONS)}")
    for section, keys in SECTIONS.items():
        for number, entry in enumerate(content[section]):
            if not is_entry(entry, keys):
                raise UserError(
                    f"{path}: entry {number} of {section} has not the keys "
                    f"{', '.join(sorted(keys))} with a number or a text; export it again"
                )
    return content


def is_entry(entry: object, keys: Collection[str]) -> bool:
    """Return whether an entry of a COCO file has a number or a text for each of the keys."""
    return isinstance(entry, dict) and all(isinstance(entry.get(key), int | str) for key in keys)


def category_ids(path: Path, content: Mapping[str, Any], names: Collection[str]) -> set[int]:
    """Return the ids of categories by their names.

    Raises:
        UserError: there is no such category.
    """
    ids = {str(row["name"]): row["id"] for row in content["categories"]}
    for name in names:
        if name not in ids:
            raise UserError(
                f"download.masks.coco: {path} has no category {name}; it has {', '.join(ids)}"
            )
    return {ids[name] for name in names}


def render_masks(
    path: Path, foreground: Collection[str], ignore: Collection[str]
) -> Iterator[tuple[str, UInt8[np.ndarray, "height width"]]]:
    """Yield the file name of every image, and its mask as labels.

    Where objects overlap, foreground wins over ignored. An image without annotations is
    background, and so are objects of other categories.

    Args:
        path: a JSON in COCO's format.
        foreground: names of categories.
        ignore: names of categories.

    Raises:
        UserError: the file is not COCO's, a category does not exist, or an outline is wrong.
    """
    content = read(path)
    label_by_category = dict.fromkeys(category_ids(path, content, ignore), IGNORED)
    label_by_category |= dict.fromkeys(category_ids(path, content, foreground), FOREGROUND)
    by_image: defaultdict[int, list[Annotation]] = defaultdict(list)
    for annotation in content["annotations"]:
        if annotation["category_id"] in label_by_category:
            by_image[annotation["image_id"]].append(annotation)
    for image in content["images"]:
        name, height, width = str(image["file_name"]), image["height"], image["width"]
        if not all(isinstance(side, int) and side > 0 for side in (height, width)):
            raise UserError(f"{path}: {name} is {width!r} x {height!r} pixels; export it again")
        if height * width > MAX_PIXELS:
            raise UserError(
                f"{path}: {name} has {width} x {height} pixels; allowed: {MAX_PIXELS:,}"
            )
        labels = np.full((height, width), BACKGROUND, np.uint8)
        # IGNORED is the smallest label, so that foreground is drawn last.
        for annotation in sorted(
            by_image[image["id"]], key=lambda row: label_by_category[row["category_id"]]
        ):
            try:
                area = draw(annotation["segmentation"], height, width)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise UserError(
                    f"{path}: the segmentation of annotation {annotation.get('id')} of {name} "
                    f"is wrong ({error}); export it again, or delete it"
                ) from error
            labels[area] = label_by_category[annotation["category_id"]]
        yield name, labels


def draw(segmentation: Any, height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Return the pixels of a segmentation: a list of polygons, or run lengths.

    Raises:
        ValueError: a polygon has fewer than three points, or run lengths are of another size.
    """
    if isinstance(segmentation, list):
        for polygon in segmentation:
            if len(polygon) < 6 or len(polygon) % 2:
                raise ValueError(f"a polygon has {len(polygon)} numbers; it needs pairs, 3 or more")
        parts = run_lengths.frPyObjects(segmentation, height, width) if segmentation else []
    elif isinstance(segmentation["counts"], list):
        parts = [run_lengths.frPyObjects(segmentation, height, width)]
    else:
        parts = [segmentation]
    if any(list(part["size"]) != [height, width] for part in parts):
        raise ValueError(f"its size is not that of the image, {height} x {width}")
    if not parts:
        return np.zeros((height, width), bool)
    area: Bool[np.ndarray, "height width"] = run_lengths.decode(run_lengths.merge(parts)) > 0
    return area
