"""Tiles: laid so that every pixel has context, blended so that no seam shows."""

import itertools

import numpy as np
import pytest
from jaxtyping import Float32, UInt8

from petseg.data import windows
from petseg.inference import tiles

SIZE = 32
Photos = UInt8[np.ndarray, "n size size 3"]
Probabilities = Float32[np.ndarray, "n size size"]


def red(photos: Photos) -> Probabilities:
    """Return the red of every pixel as its probability."""
    return photos[..., 0].astype(np.float32) / np.float32(255)


def noise(height: int, width: int) -> np.ndarray:
    """Return a photo of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (32, 32), (33, 31), (100, 57), (24, 200)])
@pytest.mark.parametrize("batch", [1, 5])
def test_every_pixel_gets_the_probability_of_its_own_place(
    shape: tuple[int, int], batch: int
) -> None:
    photo = noise(*shape)
    result = tiles.probabilities(red, photo, SIZE, batch)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, red(photo[None])[0], atol=1e-6)


@pytest.mark.parametrize("edge", [1, 24, 25, 40, 41, 1000])
def test_every_pixel_is_in_the_inner_part_of_a_tile(edge: int) -> None:
    starts, context = tiles.starts(edge, SIZE), SIZE // 8
    inner = {pixel for start in starts for pixel in range(start + context, start + SIZE - context)}
    assert set(range(edge)) <= inner
    assert starts[-1] + SIZE // 2 - context < edge or len(starts) == 1  # none is superfluous


def test_tiles_that_disagree_fade_into_each_other() -> None:
    answers = itertools.cycle([0, 1])

    def in_turn(photos: Photos) -> Probabilities:
        return np.stack([np.full((SIZE, SIZE), next(answers), np.float32) for _ in photos])

    result = tiles.probabilities(in_turn, noise(64, 64), SIZE)
    assert result.min() == 0
    assert result.max() == 1
    assert np.abs(np.diff(result, axis=0)).max() <= 1 / (SIZE // 4) + 1e-6
    assert np.abs(np.diff(result, axis=1)).max() <= 1 / (SIZE // 4) + 1e-6


def test_a_tiled_photo_gets_the_probabilities_of_the_whole_one() -> None:
    """As far as a tile's context, 24 pixels here, is as wide as what the network looks at."""
    import keras

    from petseg.inference import keras_engine
    from petseg.model import unet

    keras.utils.set_random_seed(1)
    tile_size, whole_size, context = 192, 512, 24
    small, large = (unet.build(size, 4, 2, "plain") for size in (tile_size, whole_size))
    large.set_weights(small.get_weights())
    engines = [unet.with_probabilities(model, flip_tta=False) for model in (small, large)]
    photo = noise(300, 437)
    tiled = tiles.probabilities(
        lambda photos: keras_engine.probabilities(engines[0], photos), photo, tile_size, batch=4
    )
    around = windows.mirrored(photo, -context, -context, whole_size)
    (whole,) = keras_engine.probabilities(engines[1], around[None])
    whole = whole[context : context + 300, context : context + 437]
    assert whole.std() > 0.01  # the network tells pixels apart
    assert np.abs(tiled - whole).max() < 1 / 255
