"""A limit for the pixels of all photos that are decoded at the same time, and so for the memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIXELS_IN_WORK = 48_000_000  # photos with more pixels in all are not worked on at the same time


class PixelBudget:
    """Pixels that photos reserve while they are decoded; threads may call it at once."""

    def __init__(self, pixels: int) -> None:
        self.limit = self.free = pixels
        self.change = threading.Condition()
        self.turn = threading.Lock()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until the photo fits; one that is larger than the limit is worked on by itself."""
        share = min(pixels, self.limit)
        # A large photo that waits has the turn: otherwise small ones could overtake it for ever.
        with self.turn, self.change:
            self.change.wait_for(lambda: self.free >= share)
            self.free -= share
        try:
            yield
        finally:
            with self.change:
                self.free += share
                self.change.notify_all()
