"""The network, its step, its file: small and real, in TensorFlow."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stages import train
from stages.petseg import augment, backend
from stages.petseg.arrays import Photo, Split
from stages.petseg.errors import UserError

if TYPE_CHECKING:
    import keras

FACTS = (16, 0.5, "pet", "tiny", "abc", 1)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.start(seed=1)


def squares(count: int) -> Split:
    """Bright squares on a dark ground: anything that learns finds them."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 60, (count, 16, 16, 3), dtype=np.uint8)
    trimaps = np.full((count, 16, 16), 2, np.uint8)
    for row in range(count):
        y, x = rng.integers(0, 8, 2)
        photos[row, y : y + 8, x : x + 8] += 180
        trimaps[row, y : y + 8, x : x + 8] = 1
    return Split(
        photos, trimaps, [Photo(f"a_{n}", "a", "cat", 16, 16, str(n), "") for n in range(count)]
    )


def build(seed: int = 1) -> "keras.Model":
    import keras

    from stages.petseg import unet

    keras.utils.set_random_seed(seed)
    return unet.build(16, 4, 2)


def history(border: str = "pet", seed: int = 1) -> list[object]:
    from stages.petseg import training

    schedule = training.Schedule(5, 8, 0.01, "none", border, True, seed)  # type: ignore[arg-type]
    model, train, val, state = build(), squares(40), squares(8), training.State()
    epochs = training.run(model, train, val, schedule, state, lambda _: None, lambda: False)
    return [row for row, _ in epochs]


def test_the_unet_halves_and_doubles_and_joins_what_has_the_same_size() -> None:
    model = build()
    shapes = [
        layer.output.shape[1:]
        for layer in model.layers
        if layer.__class__.__name__ == "Concatenate"
    ]
    assert shapes == [(8, 8, 16), (16, 16, 8)]  # twice the channels of the level: up and skip
    assert model.output.shape == (None, 16, 16, 1)
    # 3x3x3x4+4, 3x3x4x4+4; 3x3x4x8+8, 3x3x8x8+8; 3x3x8x16+16, 3x3x16x16+16; up 2x2x16x8+8,
    # 3x3x16x8+8, 3x3x8x8+8; up 2x2x8x4+4, 3x3x8x4+4, 3x3x4x4+4; 4+1
    assert (
        model.count_params()
        == 112 + 148 + 296 + 584 + 1168 + 2320 + 520 + 1160 + 584 + 132 + 292 + 148 + 5
    )


def test_training_learns_and_the_same_seed_gives_the_same_history() -> None:
    rows = history()
    assert rows[-1].val_iou > 0.9  # type: ignore[attr-defined]
    assert rows == history()
    assert rows != history(seed=2)


def test_the_step_counts_pixels_under_each_border_policy() -> None:
    from stages.petseg import training

    model = build()
    for variable in model.trainable_variables:
        variable.assign(variable * 0)  # logits of 0: nothing is found, the loss is log 2 a pixel
    photos = np.zeros((1, 16, 16, 3), np.uint8)
    trimaps = np.full((1, 16, 16), 2, np.uint8)
    trimaps[0, :4], trimaps[0, 4:6] = 1, 3  # 64 pixels of pet, 32 of border
    for border, pixels, union in (("pet", 256, 96), ("background", 256, 64), ("ignored", 224, 64)):
        sums = training.make_step(model, border, None)(photos, trimaps).numpy()  # type: ignore[arg-type]
        assert sums[1:].tolist() == [pixels, 0, union, pixels - union]
        assert sums[0] == pytest.approx(pixels * np.log(2), rel=1e-6)


def test_an_epoch_sees_every_photo_once_in_its_own_order() -> None:
    from stages.petseg import training

    split = squares(10)
    split.photos[:] = np.arange(10, dtype=np.uint8)[:, None, None, None]
    schedule = training.Schedule(1, 4, 0.01, "none", "pet", False, 1)
    orders = [
        np.concatenate(
            [photos[:, 0, 0, 0] for photos, _ in training.shuffled(split, schedule, epoch)]
        )
        for epoch in (1, 2)
    ]
    assert [sorted(order.tolist()) for order in orders] == [list(range(10))] * 2
    assert orders[0].tolist() != orders[1].tolist()


def test_a_flip_moves_photo_and_mask_together() -> None:
    split = squares(64)
    photos, trimaps = split.photos.copy(), split.trimaps.copy()
    augment.flip_half(np.random.default_rng(1), photos, trimaps)
    assert ((photos[..., 0] > 100) == (trimaps == 1)).all()
    moved = (trimaps != split.trimaps).any(axis=(1, 2)).sum()
    assert 10 < moved < 54


def test_equal_weights_give_equal_bytes_and_the_file_predicts_alike(tmp_path: Path) -> None:
    from stages.petseg import model_file, unet

    model = unet.with_probabilities(build())
    facts = model_file.Facts(*FACTS)
    model_file.save(model, facts, tmp_path / "a.keras")
    model_file.save(unet.with_probabilities(build()), facts, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    loaded, found = model_file.load(tmp_path / "a.keras")
    photos = squares(2).photos
    assert found == facts
    assert (loaded.predict_on_batch(photos) == model.predict_on_batch(photos)).all()


def test_a_broken_model_file_names_the_remedy(tmp_path: Path) -> None:
    from stages.petseg import model_file

    (tmp_path / "a.keras").write_bytes(b"PK nothing")
    with pytest.raises(
        UserError, match=r"a.keras: not a model of this project .* run `dvc repro train`"
    ):
        model_file.load(tmp_path / "a.keras")


def test_a_size_that_the_depth_does_not_divide_names_both_keys() -> None:
    train.check_size(48, 4, "mine")
    with pytest.raises(
        UserError,
        match=r"recipes.mine.preprocess.image_size is 50; .*depth 4: multiples of 16, such as 48 or 64",
    ):
        train.check_size(50, 4, "mine")
