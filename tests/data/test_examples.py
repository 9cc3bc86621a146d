"""What a network is trained on when photos keep their size: windows, and what is beyond an edge."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from petseg.data import arrays, examples, windows
from petseg.data.arrays import Photo, Pictures, RowWriter, Split
from petseg.data.frame import Frame
from petseg.data.labels import IGNORED

TILES = Frame("tiles", 16)
SIZES = [(16, 16), (20, 40), (5, 9)]  # height and width


def noise(*shape: int) -> np.ndarray:
    """Return random pixels, the same ones for the same shape."""
    return np.random.default_rng(shape).integers(1, 4, shape, np.uint8)


def photo(number: int, size: tuple[int, int]) -> Photo:
    """Return a row of an index."""
    height, width = size
    return Photo(f"p{number}", "", "", width, height, str(number), "")


@pytest.fixture
def split() -> Split:
    """Return three photos of different sizes: one tile, six tiles, and less than one."""
    pictures, labels = ([noise(*size, *channels) for size in SIZES] for channels in ((3,), ()))
    ends = np.cumsum([0, *(height * width for height, width in SIZES)])
    return Split(
        Pictures(np.concatenate([picture.reshape(-1, 3) for picture in pictures]), SIZES, ends),
        Pictures(np.concatenate([trimap.ravel() for trimap in labels]), SIZES, ends),
        [photo(number, size) for number, size in enumerate(SIZES)],
        TILES,
    )


def test_pictures_of_different_sizes_are_read_back_from_one_file(tmp_path: Path) -> None:
    pictures = [noise(*size, 3) for size in SIZES]
    with RowWriter(tmp_path / "photos.npy", TILES.row_shape(3)) as writer:
        for picture in pictures:
            writer.extend(picture)
    stored = arrays.PictureFile(tmp_path / "photos.npy", TILES, SIZES)
    opened = stored.open()
    assert len(opened) == 3
    for row, picture in enumerate(pictures):
        assert np.array_equal(opened[row], picture)
    assert [len(chunk) for chunk in stored.chunks([2, 0])] == [1, 1]
    assert np.array_equal(next(stored.chunks([2, 0]))[0], pictures[2])


def test_a_file_with_pictures_of_other_sizes_is_refused(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "photos.npy", TILES.row_shape(3)) as writer:
        writer.extend(noise(4, 4, 3))
    with pytest.raises(ValueError, match="16 pixels instead of 15"):
        arrays.PictureFile(tmp_path / "photos.npy", TILES, [(3, 5)]).open()


def test_windows_cover_every_pixel_once_and_ignore_what_is_beyond_the_edges(split: Split) -> None:
    tiles = examples.of_split(split)
    assert len(tiles) == 1 + 2 * 3 + 1
    assert len(tiles.index) == 3
    photos, trimaps = tiles.read(slice(None))
    assert photos.shape == (8, 16, 16, 3)
    assert trimaps.shape == (8, 16, 16)
    assert np.array_equal(photos[0], split.photos[0])
    assert np.count_nonzero(trimaps) == sum(height * width for height, width in SIZES)
    assert np.array_equal(trimaps[1], split.trimaps[1][:16, :16])
    assert np.array_equal(trimaps[6][:4, :8], split.trimaps[1][16:, 32:])
    assert (trimaps[6][4:] == IGNORED).all()
    assert (trimaps[6][:, 8:] == IGNORED).all()


def test_each_epoch_has_as_many_windows_in_other_places_inside_the_photo(split: Split) -> None:
    tiles = examples.of_split(split)
    first, second, again = (tiles.drawn(np.random.default_rng(seed)) for seed in (1, 2, 1))
    assert len(first) == len(tiles)
    photos, trimaps = first.read(slice(None))
    assert np.array_equal(photos, again.read(slice(None))[0])
    assert not np.array_equal(photos, second.read(slice(None))[0])
    assert (trimaps[:7] != IGNORED).all()  # the two larger photos have room for whole windows


@pytest.mark.parametrize(("top", "left"), [(0, 0), (-3, 5), (2, -40), (7, 7)])
def test_a_mirrored_window_is_that_of_numpy(top: int, left: int) -> None:
    picture = noise(9, 12, 3)
    padded = np.pad(picture, ((64, 64), (64, 64), (0, 0)), mode="reflect")
    expected = padded[64 + top : 80 + top, 64 + left : 80 + left]
    assert np.array_equal(windows.mirrored(picture, top, left, 16), expected)


def test_a_window_of_a_single_pixel_has_that_pixel_everywhere() -> None:
    window = windows.mirrored(np.full((1, 1, 3), 7, np.uint8), -2, -2, 8)
    assert window.shape == (8, 8, 3)
    assert (window == 7).all()


def test_equal_arrays_give_equal_bytes_without_a_date_or_the_version_of_python(
    tmp_path: Path,
) -> None:
    pictures = noise(2, 3, 4)
    for name in ("first", "second"):
        arrays.write_npz(tmp_path / name, pictures=pictures, ones=np.ones(3))
    content = (tmp_path / "first").read_bytes()
    assert content == (tmp_path / "second").read_bytes()
    with zipfile.ZipFile(tmp_path / "first") as archive:
        versions = {(row.create_version, row.extract_version) for row in archive.infolist()}
        assert versions == {(20, 20)}
        assert {row.date_time for row in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "first", allow_pickle=False) as loaded:
        assert np.array_equal(loaded["pictures"], pictures)
        assert loaded["ones"].tolist() == [1, 1, 1]
