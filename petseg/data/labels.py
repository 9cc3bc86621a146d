"""The labels of a trimap, what its border band counts as, and pixels that count nowhere."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

# The values of a trimap's pixels. Ignored pixels count nowhere: not in training, not in a metric.
IGNORED, FOREGROUND, BACKGROUND, BORDER = 0, 1, 2, 3
Border = Literal["foreground", "background", "ignored"]  # what the border band counts as
CLASSES = (FOREGROUND, BORDER, BACKGROUND)  # the order of classes in counts and histograms

# the classes that are foreground and those that are background, under each border policy
FOREGROUND_AND_BACKGROUND: dict[Border, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "foreground": ((FOREGROUND, BORDER), (BACKGROUND,)),
    "background": ((FOREGROUND,), (BORDER, BACKGROUND)),
    "ignored": ((FOREGROUND,), (BACKGROUND,)),
}
# the same as positions in CLASSES
TRUTH: dict[Border, tuple[list[int], list[int]]] = {
    border: ([CLASSES.index(c) for c in foreground], [CLASSES.index(c) for c in background])
    for border, (foreground, background) in FOREGROUND_AND_BACKGROUND.items()
}


def is_foreground(trimaps: UInt8[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """Return which pixels are foreground, with the border as foreground."""
    result: Bool[np.ndarray, "*shape"] = (trimaps == FOREGROUND) | (trimaps == BORDER)
    return result
