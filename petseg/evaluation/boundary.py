"""How well a mask's outline fits: boundary IoU, and the boundary F-score at a few pixels' tolerance.

Both work in NumPy on thousands of small masks at once: a mask has a byte per pixel, and to shift all
masks by a pixel costs one copy.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

WIDTH = (
    0.02  # depth of the band of boundary IoU, as a share of the image's diagonal; as in the paper
)
TOLERANCES = (1, 2, 3)  # of the F-score, in pixels
Masks = Bool[np.ndarray, "n height width"]


def band_width(height: int, width: int) -> int:
    """Return how many pixels deep the band of boundary IoU is: 2 % of the diagonal, but at least 1."""
    return max(1, round(WIDTH * float(np.hypot(height, width))))


def erode(masks: Masks, depth: int) -> Masks:
    """Return the pixels around which a square of ±depth lies in the mask; beyond the image is none."""
    eroded = np.pad(masks, ((0, 0), (depth, depth), (depth, depth)))
    for _ in range(2):  # along the rows, then, transposed, along the columns, and transposed back
        eroded = run_starts(eroded, 2 * depth + 1).swapaxes(1, 2)
    return eroded


def run_starts(
    masks: Bool[np.ndarray, "n height width"], length: int
) -> Bool[np.ndarray, "n less width"]:
    """Return the pixels with which a run of `length` mask pixels begins, downwards."""
    run = 1  # length that `masks` stands for: it doubles until it is long enough
    while run < length:
        step = min(run, length - run)
        masks, run = masks[:, :-step] & masks[:, step:], run + step
    return masks


def band(masks: Masks, depth: int) -> Masks:
    """Return the mask's pixels within `depth` of its outline; the image's frame is an outline, too."""
    return np.asarray(masks & ~erode(masks, depth))


def band_overlap(truth: Masks, predictions: Masks, depth: int) -> Int64[np.ndarray, "n 2"]:
    """Return each photo's intersection and union of both bands, in pixels; their ratio is boundary IoU.

    Cheng, Girshick, Dollár, Berg and Kirillov: Boundary IoU, CVPR 2021, equation 1.
    """
    true, predicted = band(truth, depth), band(predictions, depth)
    intersection, union = true & predicted, true | predicted
    return np.stack(
        [np.count_nonzero(pixels, axis=(1, 2)) for pixels in (intersection, union)], axis=1
    ).astype(np.int64)


def shift(masks: Masks, down: int, right: int) -> Masks:
    """Return the masks shifted by some pixels; no mask comes in from beyond the image."""
    height, width = masks.shape[1:]
    result = np.zeros_like(masks)
    result[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = masks[
        :, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
    ]
    return result


def outline(masks: Masks) -> Masks:
    """Return the mask's pixels with a neighbour (up, down, left, right) that is background."""
    inside = np.ones_like(masks)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        inside &= ~shift(~masks, down, right)  # beyond the image's frame there is no background
    return np.asarray(masks & ~inside)


def f_scores(truth: Masks, predictions: Masks) -> Float64[np.ndarray, "n tolerances"]:
    """Return each photo's boundary F-score, 2PR/(P+R), in 0–1, for every tolerance.

    Precision is the share of the predicted outline's pixels that have a pixel of the true outline
    within the tolerance (Euclidean distance, pixels). Recall is the share of the true outline's
    pixels that have one of the predicted outline as near. The score is 1 if neither mask has an
    outline, and 0 if only one has. Martin, Fowlkes and Malik, TPAMI 2004; per photo as in Perazzi
    et al., DAVIS, CVPR 2016.
    """
    true, predicted = outline(truth), outline(predictions)
    near_true, near_predicted = np.zeros_like(true), np.zeros_like(predicted)
    scores, inner = [], -1.0
    for tolerance in TOLERANCES:
        for down, right in ring(inner, tolerance):
            near_true |= shift(true, down, right)
            near_predicted |= shift(predicted, down, right)
        inner = tolerance
        scores.append(f_score(shares(predicted, near_true), shares(true, near_predicted)))
    neither = np.logical_not((true | predicted).any(axis=(1, 2), keepdims=True))[:, 0]
    return np.where(neither, 1.0, np.stack(scores, axis=1))


def ring(inner: float, outer: int) -> list[tuple[int, int]]:
    """Return the shifts longer than `inner` and not longer than `outer` pixels."""
    side = range(-outer, outer + 1)
    return [(y, x) for y in side for x in side if inner < np.hypot(y, x) <= outer]


def shares(outlines: Masks, near: Masks) -> Float64[np.ndarray, "n"]:
    """Return which share of each outline's pixels is near the other one; 0 without an outline."""
    pixels = np.count_nonzero(outlines, axis=(1, 2))
    return np.asarray(np.count_nonzero(outlines & near, axis=(1, 2)) / np.maximum(pixels, 1))


def f_score(
    precision: Float64[np.ndarray, "n"], recall: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """Return the harmonic mean of precision and recall; 0 where both are 0."""
    total = precision + recall
    return np.asarray(2 * precision * recall / np.where(total == 0, 1, total))
