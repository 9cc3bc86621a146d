"""The kinds and formats of outputs, and how their files are named."""

from typing import Literal, get_args

Kind = Literal["mask", "cutout", "overlay", "probability"]
Format = Literal["png", "webp"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FORMATS: tuple[Format, ...] = get_args(Format)
ENDINGS = tuple(f".{kind}.{file_format}" for kind in KINDS for file_format in FORMATS)


def file_name(name: str, kind: Kind, file_format: Format) -> str:
    """Return the name of an output: that of the photo, its kind and its format."""
    return f"{name}.{kind}.{file_format}"


def is_output(file: str) -> bool:
    """Return whether a file is named like an output, and so is no photo to predict."""
    return file.endswith(ENDINGS)
