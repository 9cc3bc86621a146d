"""Progress with rate and time left: on a terminal alone, and gone when done."""

from typing import NoReturn

from tqdm import tqdm


def bar(title: str, total: int | None, unit: str = " photos", done: int = 0) -> "tqdm[NoReturn]":
    """Return a bar to update; `total` is None where it is unknown, bytes have the unit `B`."""
    return tqdm(
        desc=title,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=unit == "B",
        disable=None,
        leave=False,
    )
