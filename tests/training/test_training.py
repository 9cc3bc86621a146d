"""The network, its step, its file: small and real, in TensorFlow."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from petseg.data.arrays import Photo, Split
from petseg.data.examples import FramedPhotos
from petseg.data.frame import Frame
from petseg.errors import UserError
from petseg.model import backend
from petseg.model.metadata import Metadata

if TYPE_CHECKING:
    import keras

    from petseg.training.checkpoint import EpochRow, State
    from petseg.training.settings import TrainParams

METADATA = Metadata(16, "squash", 0.5, "foreground", "tiny", "abc", 1, {"keras": "3"})


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.start(seed=1)


def squares(count: int) -> FramedPhotos:
    """Return photos of bright squares on dark noise, which any network learns."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 60, (count, 16, 16, 3), dtype=np.uint8)
    trimaps = np.full((count, 16, 16), 2, np.uint8)
    for row in range(count):
        y, x = rng.integers(0, 8, 2)
        photos[row, y : y + 8, x : x + 8] += 180
        trimaps[row, y : y + 8, x : x + 8] = 1
    index = [Photo(f"a_{n}", "a", "cat", 16, 16, str(n), "") for n in range(count)]
    return FramedPhotos(Split(photos, trimaps, index, Frame("squash", 16)))


def build(seed: int = 1) -> "keras.Model":
    import keras

    from petseg.model import unet

    keras.utils.set_random_seed(seed)
    return unet.build(16, 4, 2, "plain")


def train_params(**changes: Any) -> "TrainParams":
    """Return the parameters of a short training, with changes."""
    from petseg.training.settings import TrainParams

    usual: dict[str, Any] = {
        "encoder": "plain",
        "input_scale": 1,
        "base_channels": 4,
        "depth": 2,
        "precision": "float32",
        "epochs": 5,
        "patience": 0,
        "batch_size": 8,
        "loss": "bce",
        "edge_weight": 0.0,
        "learning_rate": 0.01,
        "encoder_lr_multiplier": 1,
        "lr_schedule": "none",
        "weight_decay": 0.0,
        "border": "foreground",
        "flip": True,
        "crop": 1,
        "colour": 0,
        "flip_tta": False,
        "snapshots": 1,
        "seed": 1,
    }
    return TrainParams(**usual | changes)


def history(state: "State | None" = None, **changes: Any) -> list["EpochRow"]:
    """Train on squares, resuming from a state if one is given; return the epochs."""
    from petseg.training import checkpoint, loop

    model, train, val, state = build(), squares(40), squares(8), state or checkpoint.State()
    epochs = loop.train_epochs(
        model, train, val, train_params(**changes), state, lambda _: None, lambda: False
    )
    return [row for row, _ in epochs]


def test_the_unet_joins_features_of_the_same_resolution() -> None:
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


def test_flip_tta_is_the_mean_of_the_predictions_for_photo_and_mirrored_photo(
    tmp_path: Path,
) -> None:
    from petseg.model import keras_file, unet

    photos = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    single, average = (unet.with_probabilities(build(), flip_tta=tta) for tta in (False, True))
    plain, mirrored = (np.asarray(single(x)) for x in (photos, photos[:, :, ::-1]))
    assert np.abs(plain - mirrored[:, :, ::-1]).max() > 0.01  # the network itself is not symmetric
    expected = (plain + mirrored[:, :, ::-1]) / 2
    np.testing.assert_allclose(average(photos), expected, atol=1e-6)
    keras_file.save(average, METADATA, tmp_path / "model.keras")
    loaded, _ = keras_file.load(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(photos), expected, atol=1e-6)


def test_the_strided_network_starts_at_half_the_resolution_and_has_edges_at_full_resolution() -> (
    None
):
    from petseg.model import unet

    model = unet.build(16, 4, 2, "strided")
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["encoder0_2"] == (8, 8, 4)
    assert shapes["encoder1_2"] == (4, 4, 8)
    assert shapes["skip1"] == (8, 8, 4 + 8)  # of the encoder, and doubled from below
    assert shapes["skip0"] == (16, 16, 2 + 4)  # edges of the photo, and doubled from below
    assert model.output.shape == (None, 16, 16, 1)
    # stem 3x3x3x4; 3x3x4x4 twice; 3x3x4x8, 3x3x8x8; edges 3x3x3x2+2; 3x3x12 then 12x4;
    # 3x3x6 then 6x4; 4+1; and four numbers a channel of each batch norm
    kernels = 108 + 288 + 288 + 576 + 56 + 108 + 48 + 54 + 24 + 5
    assert model.count_params() == kernels + 4 * (4 + 4 + 4 + 8 + 8 + 4 + 4)


def test_training_learns_and_the_same_seed_gives_the_same_history() -> None:
    rows = history()
    assert rows[-1].val_iou > 0.9
    assert rows == history()
    assert rows != history(seed=2)


def test_the_step_counts_pixels_under_each_border_policy() -> None:
    from petseg.training import step

    model = build()
    for variable in model.trainable_variables:
        variable.assign(
            variable * 0
        )  # logits of 0: nothing is predicted, the loss is log 2 per pixel
    photos = np.zeros((1, 16, 16, 3), np.uint8)
    trimaps = np.full((1, 16, 16), 2, np.uint8)
    trimaps[0, :4], trimaps[0, 4:6] = 1, 3  # 64 pixels of pet, 32 of border
    for border, pixels, union in (
        ("foreground", 256, 96),
        ("background", 256, 64),
        ("ignored", 224, 64),
    ):
        sums = step.make_step(model, train_params(border=border), None)(photos, trimaps).numpy()
        assert sums[1:].tolist() == [pixels, 0, union, pixels - union]
        assert sums[0] == pytest.approx(pixels * np.log(2), rel=1e-6)


@pytest.mark.parametrize("loss", ["bce", "bce_dice", "bce_dice_photo"])
def test_a_batch_without_a_pixel_that_counts_changes_no_weight(loss: str) -> None:
    from petseg.training import step

    model = build()
    groups = step.make_optimizers(model, train_params(), 2)
    before = [weight.numpy() for weight in model.trainable_variables]
    photos, trimaps = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 16, 16), np.uint8)
    settings = train_params(loss=loss, edge_weight=2.0)
    sums = step.make_step(model, settings, groups)(photos, trimaps).numpy()
    assert sums.tolist() == [0] * 5
    for old, new in zip(before, model.trainable_variables, strict=True):
        assert np.array_equal(old, new.numpy())


def test_an_epoch_sees_every_photo_once_in_its_own_order() -> None:
    from petseg.training import batches

    split = squares(10)
    split.photos[:] = np.arange(10, dtype=np.uint8)[:, None, None, None]
    settings = train_params(batch_size=4, flip=False)
    orders = [
        np.concatenate(
            [photos[:, 0, 0, 0] for photos, _ in batches.train_batches(split, settings, epoch)]
        )
        for epoch in (1, 2)
    ]
    assert [sorted(order.tolist()) for order in orders] == [list(range(10))] * 2
    assert orders[0].tolist() != orders[1].tolist()


def test_a_resumed_epoch_has_the_same_batches_as_one_without_interruption() -> None:
    from petseg.training import batches

    settings = train_params(batch_size=4, crop=0.5, colour=0.3)
    complete = list(batches.train_batches(squares(18), settings, 3))
    resumed = list(batches.train_batches(squares(18), settings, 3, skip=8))
    assert [len(photos) for photos, _ in resumed] == [4, 4, 2]
    for first, second in zip(complete[2:], resumed, strict=True):
        assert [(a == b).all() for a, b in zip(first, second, strict=True)] == [True, True]


def test_the_next_batch_is_computed_while_one_is_used_and_its_error_is_raised() -> None:
    from petseg.training import batches

    is_computed = threading.Event()

    def two_batches() -> Iterator[Any]:
        yield 1
        is_computed.set()
        yield 2
        raise OSError("the disk is gone")

    prefetched: Iterator[Any] = batches.prefetch(two_batches())
    assert next(prefetched) == 1
    assert is_computed.wait(10)
    assert next(prefetched) == 2
    with pytest.raises(OSError, match="the disk is gone"):
        next(prefetched)


@pytest.mark.parametrize(
    ("loss", "border", "pixels", "dice"),
    [
        # 2 · 0.5 · 96 / (0.5 · 512 + 96), and with the border ignored 2 · 0.5 · 64 / (0.5 · 480 + 64)
        ("bce_dice", "foreground", 512, 96 / 352),
        ("bce_dice", "ignored", 480, 64 / 304),
        # The same of the first photo alone, with 1 more above and below; the second has no pet.
        ("bce_dice_photo", "foreground", 512, (97 / 225 + 1 / 129) / 2),
        ("bce_dice_photo", "ignored", 480, (65 / 177 + 1 / 129) / 2),
    ],
)
def test_dice_is_of_the_batch_or_the_mean_of_the_photos(
    loss: str, border: str, pixels: int, dice: float
) -> None:
    from petseg.training import step

    model = build()
    for variable in model.trainable_variables:
        variable.assign(variable * 0)  # every probability is a half
    photos = np.zeros((2, 16, 16, 3), np.uint8)
    trimaps = np.full((2, 16, 16), 2, np.uint8)
    trimaps[0, :4], trimaps[0, 4:6] = 1, 3  # 64 pixels of pet, 32 of border, 512 in all
    settings = train_params(loss=loss, border=border)
    sums = step.make_step(model, settings, None)(photos, trimaps).numpy()
    assert sums[0] / pixels == pytest.approx(np.log(2) + 1 - dice, rel=1e-6)


def test_pixels_at_the_outline_weigh_more() -> None:
    import tensorflow as tf

    from petseg.training import loss

    truth = np.zeros((1, 12, 8), np.float32)
    truth[0, :6] = 1  # the upper half: rows 4 to 7 are at most two pixels from the other one
    logits = np.zeros_like(truth)
    logits[0, 11] = np.log(3)  # three quarters foreground, where it is background: -log(1/4) each
    settings = train_params(edge_weight=2.0)
    x, t, counted = (tf.constant(array) for array in (logits, truth, np.ones_like(truth)))
    value = loss.mean_loss(x, t, counted, settings).numpy()
    weights = 8 * (8 + 3 * 4)  # eight rows of eight pixels weigh 1, four weigh 3
    assert value == pytest.approx(((weights - 8) * np.log(2) + 8 * np.log(4)) / weights, rel=1e-6)


def test_pixels_that_do_not_count_make_no_outline() -> None:
    import tensorflow as tf

    from petseg.training import loss

    truth, counted = np.zeros((1, 12, 8), np.float32), np.ones((1, 12, 8), np.float32)
    truth[0, :4] = 1
    counted[0, 4:8] = 0  # between the classes: too wide for either to be near the other
    assert not loss.at_outline(tf.constant(truth), tf.constant(counted)).numpy().any()
    counted[0, 5:] = 1  # one row only: of each class the nearest row is within two pixels
    near = loss.at_outline(tf.constant(truth), tf.constant(counted)).numpy()
    assert near.any(axis=(0, 2)).tolist() == [False] * 3 + [True] * 3 + [False] * 6


def test_the_learning_rate_is_constant_or_falls_along_a_cosine() -> None:
    from petseg.training import step

    def rates(**changes: Any) -> list[float]:
        (group,) = step.make_optimizers(build(), train_params(epochs=2, **changes), 40)  # 10 steps
        values = []
        for number in range(10):
            group.optimizer.iterations.assign(number)
            values.append(float(group.optimizer.learning_rate))
        return values

    assert rates() == pytest.approx([0.01] * 10)
    falling = rates(lr_schedule="cosine")
    assert falling[0] == pytest.approx(0.01)
    assert falling[5] == pytest.approx(0.005)  # halfway
    assert falling[-1] == pytest.approx(0.01 * (1 + np.cos(0.9 * np.pi)) / 2)


def test_weight_decay_removes_a_share_of_kernels_and_nothing_of_vectors() -> None:
    from petseg.training import step

    model = build()
    settings = train_params(weight_decay=0.1, learning_rate=0.01)
    (group,) = step.make_optimizers(model, settings, 4)
    before = [weight.numpy() for weight in group.weights]
    group.optimizer.apply([np.zeros_like(weight) for weight in before], group.weights)
    for old, weight in zip(before, group.weights, strict=True):
        expected = old if weight.ndim == 1 else old * (1 - 0.01 * 0.1)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


def test_patience_ends_a_training_that_gets_no_better_even_when_resumed() -> None:
    from petseg.training.checkpoint import State

    no_progress: dict[str, Any] = {"learning_rate": 1e-12, "epochs": 9}
    state = State()
    rows = history(state, patience=2, **no_progress)
    assert [row.epoch for row in rows] == [1, 2, 3]  # the first was the best
    assert state.best_epoch.epoch == 1
    assert history(state, patience=2, **no_progress) == []  # it is finished
    first = State()
    history(first, **no_progress | {"epochs": 2})
    assert [row.epoch for row in history(first, patience=2, **no_progress)] == [3]
    assert len(history(**no_progress)) == 9


def test_bfloat16_learns_with_weights_and_logits_in_float32() -> None:
    import keras

    backend.start(1, "bfloat16")
    try:
        model = build()
        assert {layer.compute_dtype for layer in model.layers} == {"bfloat16", "float32"}
        assert {str(variable.dtype) for variable in model.weights} == {"float32"}
        assert model.output.dtype == "float32"
        assert history()[-1].val_iou > 0.9
    finally:
        keras.config.set_dtype_policy("float32")


def test_equal_weights_give_equal_bytes_and_the_file_predicts_alike(tmp_path: Path) -> None:
    from petseg.model import keras_file, unet

    model = unet.with_probabilities(build(), flip_tta=False)
    description = METADATA
    keras_file.save(model, description, tmp_path / "a.keras")
    keras_file.save(
        unet.with_probabilities(build(), flip_tta=False), description, tmp_path / "b.keras"
    )
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    loaded, loaded_description = keras_file.load(tmp_path / "a.keras")
    photos = squares(2).photos
    assert loaded_description == description
    assert (loaded.predict_on_batch(photos) == model.predict_on_batch(photos)).all()


def test_a_broken_model_file_names_the_remedy(tmp_path: Path) -> None:
    from petseg.model import keras_file

    (tmp_path / "a.keras").write_bytes(b"PK nothing")
    with pytest.raises(
        UserError, match=r"a.keras: not a model of this project .* run `dvc repro train`"
    ):
        keras_file.load(tmp_path / "a.keras")
