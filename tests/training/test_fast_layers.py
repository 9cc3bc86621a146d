"""The layers of the training step compute what the usual ones do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petseg.model import backend
from tests.training.test_training import train_params


@pytest.fixture(autouse=True, scope="module")
def tensorflow() -> None:
    backend.start(seed=1)


def one_step(model: Any, like: Any, photos: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return logits in training, and the gradients of their mean square by `like`'s weights."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        logits = model(photos, training=True)
        loss = tf.reduce_mean(tf.square(logits))
    gradients = tape.gradient(loss, like.trainable_variables)
    return logits.numpy(), [gradient.numpy() for gradient in gradients]


@pytest.mark.parametrize(
    ("encoder", "suffix"), [("efficientnet_lite0", "_pointwise"), ("strided", "_fused")]
)
def test_logits_gradients_and_running_averages_are_those_of_the_model(
    encoder: Any, suffix: str
) -> None:
    from petseg.model import unet
    from petseg.training import fast_layers

    model = unet.build(64, 8, 5, encoder, 1)
    start = model.get_weights()
    faster = fast_layers.for_training(model)
    assert any(layer.name.endswith(suffix) for layer in faster.layers)
    photos = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    expected, expected_gradients = one_step(model, model, photos)
    expected_weights = model.get_weights()
    model.set_weights(start)
    logits, gradients = one_step(faster, model, photos)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)
    for one, two in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3 * np.abs(two).max())
    for one, two in zip(model.get_weights(), expected_weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_in_bfloat16_batch_norms_stay_as_they_are() -> None:
    from petseg.model import unet
    from petseg.training import fast_layers

    backend.start(seed=1, precision="bfloat16")
    try:
        model = unet.build(64, 8, 5, "strided")
        photos = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
        start = model.get_weights()
        expected, _ = one_step(model, model, photos)
        model.set_weights(start)
        faster = fast_layers.for_training(model)
        assert not any(layer.name.endswith("_fused") for layer in faster.layers)
        np.testing.assert_array_equal(one_step(faster, model, photos)[0], expected)
    finally:
        backend.start(seed=1)


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "strided"])
def test_the_model_that_is_saved_keeps_the_usual_layers(encoder: Any, tmp_path: Path) -> None:
    import keras

    from petseg.model import unet
    from petseg.training import step

    model = unet.build(32, 2, 5, encoder)
    settings = train_params(epochs=1, batch_size=2)
    train_step = step.make_step(model, settings, step.make_optimizers(model, settings, 2))
    train_step(np.zeros((2, 32, 32, 3), np.uint8), np.ones((2, 32, 32), np.uint8))
    model.save(tmp_path / "model.keras")
    saved = keras.models.load_model(tmp_path / "model.keras")
    kinds = {type(layer).__name__ for layer in saved.layers}
    assert "Lambda" not in kinds
    assert "Conv2D" in kinds
