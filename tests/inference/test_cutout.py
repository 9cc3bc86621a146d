"""How opaque the pixels of a cut-out are."""

import pytest

from petseg.inference import cutout


@pytest.mark.parametrize("threshold", [0, 0.02, 0.1, 0.5, 0.9, 1])
def test_what_is_surely_background_is_transparent_at_any_threshold(threshold: float) -> None:
    opacity = cutout.opacity_by_level(threshold).tolist()
    assert sorted(opacity) == opacity
    if threshold > 0:
        assert opacity[0] == 0
    if threshold < 1:
        assert opacity[255] == 255


def test_the_edge_is_half_opaque_at_the_threshold_and_soft_around_it() -> None:
    opacity = cutout.opacity_by_level(0.4).tolist()
    assert opacity[102] == 128  # 102/255 is the threshold
    assert (opacity[51], opacity[153]) == (0, 255)  # 0.2 below and above it
    assert 60 < opacity[76] < 66
