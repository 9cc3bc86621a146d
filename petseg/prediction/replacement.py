"""Which outputs of earlier runs are replaced."""

from enum import Flag, auto


class Replace(Flag):
    """The photos whose outputs are replaced; with `NOTHING`, a changed photo is refused."""

    NOTHING = 0
    CHANGED = auto()  # photos whose content changed since their outputs were written
    OTHER_MODEL = auto()  # photos whose outputs are of another model
    UNCHANGED = auto()  # all other photos
    EVERYTHING = CHANGED | OTHER_MODEL | UNCHANGED
