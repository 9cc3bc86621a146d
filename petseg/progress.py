"""Progress with rate and remaining time: a bar on a terminal, or lines in a log."""

import os
from typing import NoReturn

from tqdm import tqdm

LINES = "PETSEG_PROGRESS"  # environment variable: seconds between two lines without a terminal


def bar(title: str, total: int | None, unit: str = " photos", initial: int = 0) -> "tqdm[NoReturn]":
    """Return a progress bar to update.

    A terminal shows the bar until it is closed. Without a terminal nothing is printed unless
    `LINES` is set; even then, work that is shorter than that interval prints nothing.

    Args:
        title: the text in front of the bar.
        total: how many units there are; None where this is unknown.
        unit: the unit's name; `B` stands for bytes.
        initial: how many units an earlier run has completed.
    """
    seconds = float(os.environ.get(LINES, 0))
    return tqdm(
        desc=title,
        total=total,
        initial=initial,
        unit=unit,
        unit_scale=unit == "B",
        disable=False if seconds else None,
        delay=seconds,
        mininterval=seconds or 0.1,
        maxinterval=max(10, seconds),
        leave=False,
    )
