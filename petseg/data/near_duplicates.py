"""Photos that look alike although their files differ, by a hash of their appearance."""

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8, UInt64

MAX_DIFFERING_BITS = 10  # of 128 bits: photos whose hashes differ in no more look alike
MIN_CONTRAST = 6  # mean change between a hash's neighbours, 0–255; below it the hash is only noise
Hashes = UInt64[np.ndarray, "n 2"]


def hashes(
    photos: UInt8[np.ndarray, "n height width 3"],
) -> tuple[Hashes, Float64[np.ndarray, "n"]]:
    """Return each photo's difference hash of 128 bits, and its contrast.

    The grey photo shrunk to 9×9 means; a bit says whether a cell is darker than its right
    neighbour (64), or than the one below it (64). N. Krawetz: Kind of like that, 2013.
    """
    red, green, blue = np.moveaxis(photos, 3, 0)
    # `photos.sum(axis=3)` takes twelve times as long
    cells: np.ndarray = red.astype(np.uint16) + green + blue
    area: np.ndarray = np.array(3.0)
    for axis in (1, 2):
        edges = np.arange(9) * photos.shape[axis] // 9
        cells = np.add.reduceat(cells, edges, axis=axis, dtype=np.uint32)
        # With fewer than 9 pixels, some cells are the same one.
        sides = np.maximum(np.diff(np.append(edges, photos.shape[axis])), 1)
        area = np.multiply.outer(area, sides)
    cells = cells / area
    steps = np.stack([np.diff(cells, axis=2)[:, :8], np.diff(cells, axis=1)[:, :, :8]], axis=1)
    bits = (steps > 0).reshape(len(photos), 2, 64)
    return np.packbits(bits, axis=2).view(np.uint64)[..., 0], np.abs(steps).mean(axis=(1, 2, 3))


def clusters(hashes: Hashes, contrast: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return a number for each photo, equal for photos that look alike directly or through others.

    Photos look alike if their hashes differ in at most `max_differing_bits` bits and both have a
    contrast of at least MIN_CONTRAST. The number is the row of the first of them.

    If two hashes differ in k bits, one of k + 1 bands of bits is equal in both (pigeonhole
    principle), so only hashes that are equal in a band are compared.
    """
    rows = np.flatnonzero(contrast >= MIN_CONTRAST)
    hashes, labels = hashes[rows], np.arange(len(rows))
    max_bits = max_differing_bits(hashes)
    for band in bands(max_bits + 1) if max_bits else ():
        compared = 8
        while not join_in_band(hashes, hashes & band, labels, max_bits, compared):
            compared *= 8
    numbers = np.arange(len(contrast))
    numbers[rows] = rows[labels]
    return numbers


def max_differing_bits(hashes: Hashes) -> int:
    """Return in how many bits the hashes of photos that look alike may differ in this set of photos.

    A quarter of the bits in which two of its photos differ on average, at most
    MAX_DIFFERING_BITS. In photos of one scene by a fixed camera most bits are equal, which is no
    sign of a duplicate. 0 means that the hashes cannot tell.
    """
    if len(hashes) < 2:
        return 0
    shares = np.unpackbits(hashes.view(np.uint8), axis=1).mean(axis=0)
    pairs = len(hashes) / (len(hashes) - 1)  # a photo is not compared with itself
    return min(MAX_DIFFERING_BITS, int((2 * shares * (1 - shares)).sum() * pairs / 4))


def bands(count: int) -> UInt64[np.ndarray, "count 2"]:
    """Return masks that divide the 128 bits into bands.

    The bits of a band are far apart in the photo, for those of neighbours often agree.
    """
    bits = np.arange(128) % count == np.arange(count)[:, None]
    return np.packbits(bits, axis=1).view(np.uint64)


def join_in_band(
    hashes: Hashes, keys: Hashes, labels: Int64[np.ndarray, "n"], max_bits: int, compared: int
) -> bool:
    """Join the clusters of photos that look alike and have the same key; return True if all are.

    Each photo is compared with `compared` photos of other clusters at most. So most photos of a
    large cluster are joined by a few comparisons, and later calls do not compare them again.
    """
    order = np.lexsort((labels, keys[:, 1], keys[:, 0]))
    hashes, keys, sorted_labels = hashes[order], keys[order], labels[order]
    new_key = (keys[1:] != keys[:-1]).any(axis=1)
    key_ends = run_ends(new_key)
    left = np.arange(len(order))
    right = run_ends(new_key | (sorted_labels[1:] != sorted_labels[:-1]))
    for _ in range(compared):
        comparable = right < key_ends[left]
        left, right = left[comparable], right[comparable]
        if not len(left):
            return True
        bits = np.bitwise_count(hashes[left] ^ hashes[right])
        alike = bits[:, 0] + bits[:, 1] <= max_bits
        join(labels, order[left[alike]], order[right[alike]])
        right = right + 1
    return False


def run_ends(changes: Bool[np.ndarray, "m"]) -> Int64[np.ndarray, "m+1"]:
    """Return for each row where its run of equal rows ends, given which differ from the row before."""
    ends = np.append(np.flatnonzero(changes) + 1, len(changes) + 1)
    return np.repeat(ends, np.diff(ends, prepend=0))


def join(
    labels: Int64[np.ndarray, "n"], left: Int64[np.ndarray, "k"], right: Int64[np.ndarray, "k"]
) -> None:
    """Give the rows of each pair, and all rows with their labels, the smallest of these labels.

    A label is the first row that has it.
    """
    while (labels[left] != labels[right]).any():
        low, high = np.sort([labels[left], labels[right]], axis=0)
        np.minimum.at(labels, high, low)
        while (labels[labels] != labels).any():
            labels[:] = labels[labels]
