"""What a photo becomes with its mask: a cut-out with a soft edge, and an overlay."""

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from petseg.data import quantisation
from petseg.data.quantisation import LEVELS, MAX_LEVEL

TINT = (0, 158, 115)  # the green of the report's overlays
STRENGTH = 0.5  # share of the tint in an overlay
SOFTNESS = 0.2  # half the width of the soft edge, in probability, around the threshold


def opacity_by_level(threshold: float) -> UInt8[np.ndarray, "256"]:
    """Return how opaque a pixel of a cut-out is, 0 to 255, for each probability in 1/255.

    It rises in a straight line from threshold − `SOFTNESS` to threshold + `SOFTNESS`. So the edge
    is soft where the model is unsure, and most of the photo is fully transparent or fully opaque.
    With a threshold near 0 or 1 the edge is less soft, so that a probability of 0 is transparent,
    and one of 1 opaque.
    """
    softness = max(1 / MAX_LEVEL, min(SOFTNESS, threshold, 1 - threshold))
    distance = np.arange(LEVELS) / MAX_LEVEL - threshold
    opacity = (distance / softness + 1) / 2
    return quantisation.quantise(opacity.clip(0, 1).astype(np.float32))


def cutout(
    photo: Image.Image, levels: UInt8[np.ndarray, "height width"], threshold: float
) -> Image.Image:
    """Return an RGB photo as RGBA, transparent where the probability is below the threshold."""
    result = photo.copy()
    result.putalpha(Image.fromarray(opacity_by_level(threshold)[levels]))
    return result


def overlay(photo: Image.Image, mask: Bool[np.ndarray, "height width"]) -> Image.Image:
    """Return an RGB photo with the mask laid over it in green."""
    opacity = Image.fromarray(np.where(mask, np.uint8(round(STRENGTH * MAX_LEVEL)), np.uint8(0)))
    return Image.composite(Image.new("RGB", photo.size, TINT), photo, opacity)
