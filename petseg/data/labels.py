"""The labels of a trimap, and what its border band counts as."""

from typing import Literal

PET, BACKGROUND, BORDER = 1, 2, 3  # a trimap's values
Border = Literal["pet", "background", "ignored"]
CLASSES = (PET, BORDER, BACKGROUND)

# rows of the histogram that are truly pet, and truly background, under each border policy
TRUTH: dict[Border, tuple[list[int], list[int]]] = {
    "pet": ([0, 1], [2]),
    "background": ([0], [1, 2]),
    "ignored": ([0], [2]),
}
