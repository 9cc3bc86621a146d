"""Augmentation: photo and trimap are transformed together, a batch at a time."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from jaxtyping import Float, UInt8
from numpy.random import Generator

Photos = UInt8[np.ndarray, "batch size size 3"]
Trimaps = UInt8[np.ndarray, "batch size size"]


@dataclass(frozen=True, slots=True)
class Transforms:
    """What happens to each photo, a row per photo.

    A box is (top, left, bottom, right) in shares of the photo; a box whose left is greater than
    its right mirrors the photo. Colours are factors of brightness, contrast and saturation.
    """

    boxes: Float[np.ndarray, "photos 4"]
    colours: Float[np.ndarray, "photos 3"]

    def __getitem__(self, rows: slice) -> "Transforms":
        """Return the transforms of some photos."""
        return Transforms(self.boxes[rows], self.colours[rows])


def draw_transforms(
    rng: Generator, photos: int, *, flip: bool, crop: float, colour: float
) -> Transforms:
    """Return random transforms for a number of photos.

    Args:
        rng: the epoch's own generator, so that any of its batches can be computed separately.
        photos: how many photos.
        flip: mirror about half of them, left to right.
        crop: the smallest share of height and of width that a crop keeps. Each share is drawn
            evenly from `crop` to 1, and so is the place; the crop is resized to the whole. With
            1 nothing is cropped.
        colour: the largest change of brightness, contrast and saturation, as a share of them.
    """
    is_mirrored = rng.random(photos) < 0.5 if flip else np.zeros(photos, bool)
    sides = rng.uniform(crop, 1, (photos, 2))
    start = rng.random((photos, 2)) * (1 - sides)
    boxes = np.concatenate([start, start + sides], axis=1)
    boxes[is_mirrored] = boxes[is_mirrored][:, [0, 3, 2, 1]]
    return Transforms(boxes, rng.uniform(1 - colour, 1 + colour, (photos, 3)))


def apply_transforms(
    photos: Photos, trimaps: Trimaps, transforms: Transforms
) -> tuple[Photos, Trimaps]:
    """Return the transformed photos and trimaps; computed as one graph on the CPU."""
    boxes, colours = (side.astype(np.float32) for side in (transforms.boxes, transforms.colours))
    new_photos, new_trimaps = transform(photos, trimaps, boxes, colours)
    return new_photos.numpy(), new_trimaps.numpy()


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
    """Crop, mirror and colour; photos are interpolated, trimaps take the nearest pixel's class."""
    with tf.device("CPU"):  # a GPU is busy with the training step
        rows, size = tf.range(tf.shape(photos)[0]), tf.shape(photos)[1:3]
        x = tf.image.crop_and_resize(photos, boxes, rows, size)  # float32, 0 to 255
        classes = tf.image.crop_and_resize(trimaps[..., None], boxes, rows, size, "nearest")
        brightness, contrast, saturation = tf.unstack(colours[:, None, None, :, None], axis=3)
        grey = tf.image.rgb_to_grayscale(x)
        mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
        x = grey + saturation * (x - grey)
        x = brightness * (mean + contrast * (x - mean))
        return tf.saturate_cast(tf.round(x), tf.uint8), tf.cast(classes[..., 0], tf.uint8)
