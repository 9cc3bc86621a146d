"""Label Studio's brush masks as PNG: several files a photo, whose task its JSON export names."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from petseg.data.labels import BACKGROUND, FOREGROUND, IGNORED
from petseg.data.photos import UnusableError, decoding_errors, open_header
from petseg.errors import UserError

# task-1-annotation-2-by-3-tag-Cat-0.png: `tag` is the control's name, 0 numbers equal labels
FILE = re.compile(r"task-(?P<task>\d+)-annotation-(?P<annotation>\d+)-by-(?P<rest>.*)-\d+\.png")
UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before the name of an upload


@dataclass(frozen=True)
class BrushFile:
    """One PNG of the export."""

    path: Path
    task: int
    annotation: int
    rest: str  # who drew it, the control's name, and the label, joined by hyphens

    def has_label(self, name: str) -> bool:
        """Return whether it is of this label."""
        return self.rest.endswith(f"-{name}")


def brush_files(folder: Path) -> Iterator[BrushFile]:
    """Yield the PNG files of the export in a folder, at any depth, in the order of their paths."""
    for path in sorted(folder.rglob("*.png")):
        if (match := FILE.fullmatch(path.name)) and path.is_file():
            yield BrushFile(path, int(match["task"]), int(match["annotation"]), match["rest"])


def newest_files(files: Iterable[BrushFile]) -> dict[int, list[BrushFile]]:
    """Return the files of every task, of its annotation with the highest number alone."""
    by_task: defaultdict[int, list[BrushFile]] = defaultdict(list)
    for file in files:
        by_task[file.task].append(file)
    newest = {task: max(file.annotation for file in group) for task, group in by_task.items()}
    return {
        task: [file for file in group if file.annotation == newest[task]]
        for task, group in sorted(by_task.items())
    }


def photo_names(path: Path) -> dict[int, str]:
    """Return the file name of the photo of every task in Label Studio's JSON export.

    Raises:
        UserError: it is not such a file.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
        return {int(task["id"]): photo_name(task.get("data", task)) for task in tasks}
    except (OSError, RecursionError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not Label Studio's export as JSON or JSON-MIN ({error!r}); export it again"
        ) from error


def photo_name(data: dict[str, Any]) -> str:
    """Return the file name of a task's photo: that of its address, without the prefix of uploads."""
    address = urlsplit(str(data["image"]))
    location = parse_qs(address.query).get("d", [unquote(address.path)])[0]
    return UPLOAD_PREFIX.sub("", PurePosixPath(location).name, count=1)


def render_masks(
    folder: Path, path: Path, foreground: Collection[str], ignore: Collection[str]
) -> Iterator[tuple[str, UInt8[np.ndarray, "height width"]]]:
    """Yield the file name of every task's photo, and its mask as labels.

    Of several annotations of a task the one with the highest number counts. Where labels overlap,
    foreground wins over ignored; any other label is background.

    Args:
        folder: the export of brush labels as PNG.
        path: the export of the same tasks as JSON.
        foreground: names of labels.
        ignore: names of labels.

    Raises:
        UserError: no file has one of the labels, or a file's task is not in the JSON.
    """
    photos = photo_names(path)
    exported = list(brush_files(folder))
    for name in (*foreground, *ignore):
        if not any(file.has_label(name) for file in exported):
            raise UserError(
                f"download.masks.label_studio: no file in {folder} is of the label {name}; "
                "their names end in the label and a number, such as tag-Cat-0.png"
            )
    for task, files in newest_files(exported).items():
        if task not in photos:
            raise UserError(
                f"{files[0].path}: {path} has no task {task}; export both from the same project"
            )
        yield photos[task], merge(files, foreground, ignore)


def merge(
    files: list[BrushFile], foreground: Collection[str], ignore: Collection[str]
) -> UInt8[np.ndarray, "height width"]:
    """Return the labels of the files of one annotation.

    Raises:
        UserError: a file cannot be read, or has another size than the others.
    """
    areas = {file: read_area(file.path) for file in files}
    shape = next(iter(areas.values())).shape
    labels = np.full(shape, BACKGROUND, np.uint8)
    for names, label in ((ignore, IGNORED), (foreground, FOREGROUND)):
        for file, area in areas.items():
            if area.shape != shape:
                raise UserError(f"{file.path} has another size than the task's other files")
            if any(file.has_label(name) for name in names):
                labels[area > 0] = label
    return labels


def read_area(path: Path) -> UInt8[np.ndarray, "height width"]:
    """Return the pixels of a PNG of the export; those that are not 0 have the label.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with decoding_errors("mask"):  # an error of reading, too
            image: Image.Image = open_header(path.read_bytes())
            return np.asarray(image.convert("L"))
    except UnusableError as error:
        raise UserError(f"{path}: {error}; export it again") from error
