"""How a photo of any size becomes what the network takes: squashed, padded, or left whole for tiles."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

Mode = Literal["squash", "pad", "tiles"]
Framed = UInt8[np.ndarray, "height width *channels"]  # as the arrays hold it
Content = UInt8[np.ndarray, "rows columns *channels"]  # the same without padding


@dataclass(frozen=True, slots=True)
class Frame:
    """The side of the network's square input, and how photos are brought to it.

    `squash` resizes a photo to the square, whatever its shape. `pad` resizes it until its longer
    side fits, and fills the rest of the square. `tiles` leaves it at its own size: the network is
    trained on crops of it, and predicts it in overlapping tiles.
    """

    mode: Mode
    size: int  # pixels

    def content_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height, in pixels, to which a photo of this size is resized."""
        if self.mode == "squash":
            return self.size, self.size
        if self.mode == "tiles":
            return width, height
        scale = self.size / max(width, height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def place(self, content: Content, filling: int) -> Framed:
        """Return a resized photo or mask as the arrays hold it; `filling` is the value around it."""
        if self.mode != "pad":
            return content
        frame = np.full((self.size, self.size, *content.shape[2:]), filling, np.uint8)
        frame[self._inside(*content.shape[1::-1])] = content
        return frame

    def content(self, framed: Framed, width: int, height: int) -> Content:
        """Return the part of a frame that a photo of this original size takes, without padding."""
        if self.mode != "pad":
            return framed
        return framed[self._inside(*self.content_size(width, height))]

    def row_shape(self, *channels: int) -> tuple[int, ...]:
        """Return the shape of an array's row: a frame, or a pixel where photos keep their size."""
        return channels if self.mode == "tiles" else (self.size, self.size, *channels)

    def _inside(self, width: int, height: int) -> tuple[slice, slice]:
        """Return the rows and columns in the middle of the frame that content of this size takes."""
        top, left = (self.size - height) // 2, (self.size - width) // 2
        return slice(top, top + height), slice(left, left + width)
