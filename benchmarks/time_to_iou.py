"""Times how long the recipes train until they are as good as the keras.io example in the end.

    .venv/bin/python benchmarks/time_to_iou.py data/arrays --recipes oxford-pretrained oxford-best

The example is "Image segmentation with a U-Net-like architecture" (keras.io, F. Chollet): its
Xception-style network, Adam with 1e-4, no augmentation, 15 epochs of `model.fit` on float32 arrays
in memory, here with one class. Then each recipe is trained in turn, and stopped when its validation
IoU (border as pet) reaches the example's last one. Validation counts in nobody's time.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from flows.workspace import processes
from petseg import files, params
from petseg.data import arrays
from petseg.data.arrays import Split
from petseg.data.labels import BACKGROUND

ROOT = Path(__file__).parent.parent

sys.path.insert(0, str(ROOT))

EPOCHS, BATCH = 15, 32


def network(size: int):  # noqa: ANN201 - Keras is imported late
    """Return the example's network, with one sigmoid in place of three classes' softmax."""
    import keras
    from keras import layers

    def twice(x, layer, filters):  # noqa: ANN001, ANN202
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layer(filters, 3, padding="same")(x))
        return x

    photos = keras.Input((size, size, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same")(photos)
    x = before = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters in (64, 128, 256):
        x = twice(x, layers.SeparableConv2D, filters)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        beside = layers.Conv2D(filters, 1, strides=2, padding="same")(before)
        x = before = layers.add([x, beside])
    for filters in (256, 128, 64, 32):
        x = layers.UpSampling2D(2)(twice(x, layers.Conv2DTranspose, filters))
        beside = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(before))
        x = before = layers.add([x, beside])
    return keras.Model(photos, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x))


def example(train: Split, val: Split) -> tuple[float, float]:
    """Train the example; return its last validation IoU, and the seconds of training."""
    import keras

    keras.utils.set_random_seed(0)
    model = network(train.size)
    model.compile(keras.optimizers.Adam(1e-4), loss="binary_crossentropy")
    (x, y), (shown, truth) = pairs(train), pairs(val)
    seconds, iou = 0.0, 0.0
    for epoch in range(EPOCHS):
        started = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, verbose=0)
        seconds += time.perf_counter() - started
        found = model.predict(shown, batch_size=BATCH, verbose=0) >= 0.5
        iou = np.count_nonzero(found & (truth > 0)) / np.count_nonzero(found | (truth > 0))
        say(f"example, epoch {epoch + 1}/{EPOCHS}: val_iou {iou:.4f} after {seconds:.0f} s")
    return iou, seconds


def pairs(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return photos and masks as the example has them in memory."""
    masks = (np.asarray(split.trimaps) != BACKGROUND).astype(np.float32)
    return np.asarray(split.photos).astype(np.float32), masks[..., None]


def ours(recipe: str, folder: Path, target: float) -> float | None:
    """Train a recipe until it reaches the target; return the seconds, or None if it does not."""
    _, sections = params.read_recipe(recipe)
    with tempfile.TemporaryDirectory() as name:
        with (Path(name) / params.FILE).open("w") as file:
            YAML().dump({"recipe": recipe, "recipes": {recipe: sections}}, file)
        command = [
            sys.executable,
            "-m",
            "stages.train",
            str(folder),
            "model",
            "times.csv",
            "state",
            "origins",
        ]
        log = Path(name) / "log"
        extra = {"PYTHONPATH": str(ROOT)}
        with processes.running(command, log, extra, Path(name)) as process:
            for line in processes.lines(process, log):
                if found := re.search(r"epoch +(\d+)/.* val_iou ([\d.]+)  (\d+) photos/s", line):
                    say(f"{recipe}: {line}")
                    if float(found[2]) >= target:
                        break
            else:
                return None
        rates = files.read_csv(Path(name) / "times.csv")
        photos = len(arrays.read_index(folder / "train"))
        return sum(photos / float(row["photos_per_second"]) for row in rates)


def say(line: str) -> None:
    """Tell how it goes."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Train the example, then the recipes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path, help="folder with train/ and val/")
    parser.add_argument("--recipes", nargs="+", required=True)
    asked = parser.parse_args()
    folder = asked.arrays.absolute()
    target, seconds = example(arrays.load(folder / "train"), arrays.load(folder / "val"))
    print(f"keras.io's example: validation IoU {target:.4f} after {seconds:.0f} s")
    for recipe in asked.recipes:
        found = ours(recipe, folder, target)
        told = (
            "does not reach it" if found is None else f"{found:.0f} s, {found / seconds:.3f} of it"
        )
        print(f"{recipe}: {told}", flush=True)


if __name__ == "__main__":
    main()
