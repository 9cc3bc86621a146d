"""Moves photo and trimap together, a batch at a time; what happens is drawn before, by epoch."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from jaxtyping import Float, UInt8
from numpy.random import Generator

Photos = UInt8[np.ndarray, "batch size size 3"]
Trimaps = UInt8[np.ndarray, "batch size size"]


@dataclass(frozen=True, slots=True)
class Transforms:
    """What happens to each photo, a row each.

    A box is (top, left, bottom, right) in shares of the photo; one whose left is greater than its
    right mirrors. Colours are factors of brightness, contrast and saturation.
    """

    boxes: Float[np.ndarray, "photos 4"]
    colours: Float[np.ndarray, "photos 3"]

    def __getitem__(self, rows: slice) -> "Transforms":
        """Return some photos' draws."""
        return Transforms(self.boxes[rows], self.colours[rows])


def draw_transforms(
    rng: Generator, photos: int, *, flip: bool, crop: float, colour: float
) -> Transforms:
    """Draw what happens to that many photos.

    Args:
        rng: the epoch's own generator, so that any batch of it can be made alone.
        photos: how many.
        flip: mirror about half of them, left to right.
        crop: least share of height and of width that is kept and resized to the whole; each is
            drawn evenly from there to 1, and the place, too. 1: nothing is cropped.
        colour: most that brightness, contrast and saturation are changed by, as a share of them.
    """
    mirrored = rng.random(photos) < 0.5 if flip else np.zeros(photos, bool)
    sides = rng.uniform(crop, 1, (photos, 2))
    start = rng.random((photos, 2)) * (1 - sides)
    boxes = np.concatenate([start, start + sides], axis=1)
    boxes[mirrored] = boxes[mirrored][:, [0, 3, 2, 1]]
    return Transforms(boxes, rng.uniform(1 - colour, 1 + colour, (photos, 3)))


def apply_transforms(photos: Photos, trimaps: Trimaps, draws: Transforms) -> tuple[Photos, Trimaps]:
    """Return new photos and trimaps made as drawn; on the CPU, and not in the interpreter."""
    made = transform(
        photos, trimaps, draws.boxes.astype(np.float32), draws.colours.astype(np.float32)
    )
    return made[0].numpy(), made[1].numpy()


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None, None, 3], tf.uint8),
        tf.TensorSpec([None, None, None], tf.uint8),
        tf.TensorSpec([None, 4]),
        tf.TensorSpec([None, 3]),
    ]
)
def transform(
    photos: tf.Tensor, trimaps: tf.Tensor, boxes: tf.Tensor, colours: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Crop, mirror and colour, bilinearly; the trimap takes the class of the nearest pixel."""
    with tf.device("CPU"):  # a GPU has the step to do
        each, size = tf.range(tf.shape(photos)[0]), tf.shape(photos)[1:3]
        x = tf.image.crop_and_resize(photos, boxes, each, size)  # float32, 0…255
        classes = tf.image.crop_and_resize(trimaps[..., None], boxes, each, size, "nearest")
        brightness, contrast, saturation = tf.unstack(colours[:, None, None, :, None], axis=3)
        grey = tf.image.rgb_to_grayscale(x)
        middle = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
        x = grey + saturation * (x - grey)
        x = brightness * (middle + contrast * (x - middle))
        return tf.saturate_cast(tf.round(x), tf.uint8), tf.cast(classes[..., 0], tf.uint8)
