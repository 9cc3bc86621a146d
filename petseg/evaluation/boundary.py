"""How well a mask's outline fits: boundary IoU, and the boundary F-score at a few pixels' tolerance.

Both in NumPy, for thousands of small masks at once: a mask is a byte a pixel, and shifting all of them
by a pixel costs a copy.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

WIDTH = 0.02  # of the band of boundary IoU, a share of the image's diagonal, as in the paper
TOLERANCES = (1, 2, 3)  # pixels, of the F-score
Masks = Bool[np.ndarray, "n height width"]


def band_width(height: int, width: int) -> int:
    """Return how many pixels deep the band of boundary IoU is: 2 % of the diagonal, 1 at least."""
    return max(1, round(WIDTH * float(np.hypot(height, width))))


def eroded(masks: Masks, depth: int) -> Masks:
    """Return the pixels whose square of ±depth lies in the mask; outside of the image is no mask."""
    found = np.pad(masks, ((0, 0), (depth, depth), (depth, depth)))
    for _ in range(2):  # downwards, then, turned back, to the right
        found = runs(found, 2 * depth + 1).swapaxes(1, 2)
    return found


def runs(
    masks: Bool[np.ndarray, "n height width"], length: int
) -> Bool[np.ndarray, "n less width"]:
    """Return the pixels from which on so many, downwards, are of the mask."""
    done = 1
    while done < length:
        step = min(done, length - done)
        masks, done = masks[:, :-step] & masks[:, step:], done + step
    return masks


def band(masks: Masks, depth: int) -> Masks:
    """Return the mask's pixels within `depth` of its outline, the image's frame being one."""
    return np.asarray(masks & ~eroded(masks, depth))


def band_overlap(truth: Masks, found: Masks, depth: int) -> Int64[np.ndarray, "n 2"]:
    """Return each photo's intersection and union of both bands, in pixels; their ratio is boundary IoU.

    Cheng, Girshick, Dollár, Berg and Kirillov: Boundary IoU, CVPR 2021, equation 1.
    """
    true, predicted = band(truth, depth), band(found, depth)
    both, either = true & predicted, true | predicted
    return np.stack(
        [np.count_nonzero(side, axis=(1, 2)) for side in (both, either)], axis=1
    ).astype(np.int64)


def shifted(masks: Masks, down: int, right: int) -> Masks:
    """Return the masks moved by some pixels; what comes in is no mask."""
    height, width = masks.shape[1:]
    moved = np.zeros_like(masks)
    moved[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = masks[
        :, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)
    ]
    return moved


def outline(masks: Masks) -> Masks:
    """Return the mask's pixels beside one that is not of it, up, down, left or right, in the image."""
    inside = np.ones_like(masks)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        inside &= ~shifted(~masks, down, right)  # beyond the frame nothing is outside of the mask
    return np.asarray(masks & ~inside)


def f_scores(truth: Masks, found: Masks) -> Float64[np.ndarray, "n tolerances"]:
    """Return each photo's boundary F-score, 2PR/(P+R), in 0–1, for every tolerance.

    Precision is the share of the predicted outline's pixels that have one of the true outline
    within the tolerance (Euclidean distance, pixels), recall the share of the true one's near the
    predicted. Two masks without an outline score 1, one of two 0. Martin, Fowlkes and Malik,
    TPAMI 2004; per photo as in Perazzi et al., DAVIS, CVPR 2016.
    """
    true, predicted = outline(truth), outline(found)
    near_true, near_predicted = np.zeros_like(true), np.zeros_like(predicted)
    scores, before = [], -1.0
    for tolerance in TOLERANCES:
        for down, right in ring(before, tolerance):
            near_true |= shifted(true, down, right)
            near_predicted |= shifted(predicted, down, right)
        before = tolerance
        scores.append(f_score(shares(predicted, near_true), shares(true, near_predicted)))
    neither = np.logical_not((true | predicted).any(axis=(1, 2), keepdims=True))[:, 0]
    return np.where(neither, 1.0, np.stack(scores, axis=1))


def ring(inner: float, outer: int) -> list[tuple[int, int]]:
    """Return the shifts longer than `inner` and not longer than `outer` pixels."""
    side = range(-outer, outer + 1)
    return [(y, x) for y in side for x in side if inner < np.hypot(y, x) <= outer]


def shares(outlines: Masks, near: Masks) -> Float64[np.ndarray, "n"]:
    """Return which share of each outline's pixels is near the other; 0 without any."""
    whole = np.count_nonzero(outlines, axis=(1, 2))
    return np.asarray(np.count_nonzero(outlines & near, axis=(1, 2)) / np.maximum(whole, 1))


def f_score(
    precision: Float64[np.ndarray, "n"], recall: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "n"]:
    """Return the harmonic mean; 0 where both are."""
    total = precision + recall
    return np.asarray(2 * precision * recall / np.where(total == 0, 1, total))
