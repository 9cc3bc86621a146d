"""Time how long recipes train until they reach the final validation IoU of a keras.io example.

    .venv/bin/python benchmarks/time_to_iou.py data/arrays --recipes oxford-pretrained oxford-best

The example is "Image segmentation with a U-Net-like architecture" (keras.io, F. Chollet): its
Xception-style network, Adam with 1e-4, no augmentation, 15 epochs of `model.fit` on float32 arrays
in memory, in this script with one class. Then one recipe after the other is trained, and stopped
when its validation IoU (border as foreground) reaches the example's final one. The times are those of
training, without validation.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from flows.workspace import processes, recipes
from petseg import files, params
from petseg.data import arrays
from petseg.data.arrays import Split
from petseg.data.labels import BACKGROUND

ROOT = Path(__file__).parent.parent
EPOCHS, BATCH = 15, 32


def build_network(size: int) -> Any:
    """Return the example's network, with a sigmoid of one class in place of a softmax of three."""
    import keras
    from keras import layers

    def two_convs(x: Any, layer: Any, filters: int) -> Any:
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layer(filters, 3, padding="same")(x))
        return x

    photos = keras.Input((size, size, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same")(photos)
    x = before = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters in (64, 128, 256):
        x = two_convs(x, layers.SeparableConv2D, filters)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        beside = layers.Conv2D(filters, 1, strides=2, padding="same")(before)
        x = before = layers.add([x, beside])
    for filters in (256, 128, 64, 32):
        x = layers.UpSampling2D(2)(two_convs(x, layers.Conv2DTranspose, filters))
        beside = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(before))
        x = before = layers.add([x, beside])
    return keras.Model(photos, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x))


def train_example(train: Split, val: Split) -> tuple[float, float]:
    """Train the example; return its final validation IoU, and the seconds of training."""
    import keras

    keras.utils.set_random_seed(0)
    model = build_network(train.frame.size)
    model.compile(keras.optimizers.Adam(1e-4), loss="binary_crossentropy")
    (x, y), (val_photos, val_masks) = as_floats(train), as_floats(val)
    seconds, iou = 0.0, 0.0
    for epoch in range(EPOCHS):
        started = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, verbose=0)
        seconds += time.perf_counter() - started
        predicted = model.predict(val_photos, batch_size=BATCH, verbose=0) >= 0.5
        truth = val_masks > 0
        iou = np.count_nonzero(predicted & truth) / np.count_nonzero(predicted | truth)
        log(f"example, epoch {epoch + 1}/{EPOCHS}: val_iou {iou:.4f} after {seconds:.0f} s")
    return iou, seconds


def as_floats(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return photos (n, size, size, 3), 0 to 255, and masks (n, size, size, 1), 0 or 1: float32."""
    masks = (np.asarray(split.trimaps) != BACKGROUND).astype(np.float32)
    return np.asarray(split.photos).astype(np.float32), masks[..., None]


def train_recipe(recipe: str, folder: Path, target: float) -> float | None:
    """Train a recipe until its validation IoU reaches the target.

    Returns:
        The seconds of training, or None if it ends below the target.
    """
    sections = recipes.compose(recipes.read(recipe))
    with tempfile.TemporaryDirectory() as name:
        with (Path(name) / params.FILE).open("w") as file:
            YAML().dump({"recipe": recipe, **sections}, file)
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
        log_file = Path(name) / "log"
        environment = {"PYTHONPATH": str(ROOT)}
        with processes.running(command, log_file, environment, Path(name)) as process:
            for line in processes.lines(process, log_file):
                if match := re.search(r"epoch +(\d+)/.* val_iou ([\d.]+)  (\d+) photos/s", line):
                    log(f"{recipe}: {line}")
                    if float(match[2]) >= target:
                        break
            else:
                return None
        rates = files.read_csv(Path(name) / "times.csv")
        photos = len(arrays.read_index(folder / "train"))
        return sum(photos / float(row["photos_per_second"]) for row in rates)


def log(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Train the example, then the recipes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("arrays", type=Path, help="folder with train/ and val/")
    parser.add_argument("--recipes", nargs="+", required=True)
    args = parser.parse_args()
    folder = args.arrays.absolute()
    target, seconds = train_example(arrays.load(folder / "train"), arrays.load(folder / "val"))
    print(f"keras.io's example: validation IoU {target:.4f} after {seconds:.0f} s")
    for recipe in args.recipes:
        needed = train_recipe(recipe, folder, target)
        if needed is None:
            print(f"{recipe}: does not reach that IoU", flush=True)
        else:
            print(f"{recipe}: {needed:.0f} s, {needed / seconds:.3f} of the example's", flush=True)


if __name__ == "__main__":
    main()
