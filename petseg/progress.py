"""Progress with rate and time left: on a terminal, or as lines for a log that asks for them."""

import os
from typing import NoReturn

from tqdm import tqdm

LINES = "PETSEG_PROGRESS"  # set to seconds: where there is no terminal, a line each so often


def bar(title: str, total: int | None, unit: str = " photos", done: int = 0) -> "tqdm[NoReturn]":
    """Return a bar to update; `total` is None where it is unknown, bytes have the unit `B`.

    On a terminal it is gone when done. Elsewhere nothing is shown, unless `LINES` asks for it;
    what takes less than one such time then shows nothing either.
    """
    seconds = float(os.environ.get(LINES, 0))
    return tqdm(
        desc=title,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=unit == "B",
        disable=False if seconds else None,
        delay=seconds,
        mininterval=seconds or 0.1,
        maxinterval=max(10, seconds),
        leave=False,
    )
