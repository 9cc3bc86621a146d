"""The labels of a trimap, and what its border band counts as."""

from typing import Literal

PET, BACKGROUND, BORDER = 1, 2, 3  # the values of a trimap's pixels
Border = Literal["pet", "background", "ignored"]  # what the border band counts as
CLASSES = (PET, BORDER, BACKGROUND)  # the order of classes in counts and histograms

# the classes that are foreground and those that are background, under each border policy
FOREGROUND_AND_BACKGROUND: dict[Border, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "pet": ((PET, BORDER), (BACKGROUND,)),
    "background": ((PET,), (BORDER, BACKGROUND)),
    "ignored": ((PET,), (BACKGROUND,)),
}
# the same as positions in CLASSES
TRUTH: dict[Border, tuple[list[int], list[int]]] = {
    border: ([CLASSES.index(c) for c in foreground], [CLASSES.index(c) for c in background])
    for border, (foreground, background) in FOREGROUND_AND_BACKGROUND.items()
}
