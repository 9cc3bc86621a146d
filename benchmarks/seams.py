"""Hold the prediction of a photo in tiles against that of the whole photo by the same network.

    python benchmarks/seams.py PHOTO [--model data/model/model.keras]

The model has to be one that was trained in tiles, by a recipe with the encoder `plain`. The photo
is mirrored at its edges for both.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from petseg import params
from petseg.data import photos, windows
from petseg.inference import tiles
from petseg.model import backend


def main() -> None:
    """Print how far the two predictions are apart."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", type=Path, default=Path("data/model/model.keras"))
    args = parser.parse_args()
    backend.start(0)
    from petseg.inference import keras_engine
    from petseg.model import keras_file, unet

    model, metadata = keras_file.load(args.model)
    train = params.read_yaml(params.FILE)["train"]
    photo = np.asarray(photos.decode_full(args.photo.read_bytes()))
    height, width = photo.shape[:2]
    context, step = metadata.image_size // 8, 2 ** train["depth"]
    side = -(-(max(height, width) + 2 * context) // step) * step
    large = unet.with_probabilities(
        unet.build(side, train["base_channels"], train["depth"], train["encoder"]),
        train["flip_tta"],
    )
    large.set_weights(model.get_weights())
    around = windows.mirrored(photo, -context, -context, side)
    (whole,) = keras_engine.probabilities(large, around[None])
    whole = whole[context : context + height, context : context + width]
    engine = partial(keras_engine.probabilities, model)
    tiled = tiles.probabilities(engine, photo, metadata.image_size, batch=16)
    difference = np.abs(tiled - whole)
    count = len(tiles.starts(height, metadata.image_size)) * len(
        tiles.starts(width, metadata.image_size)
    )
    changed = np.count_nonzero((tiled >= metadata.threshold) != (whole >= metadata.threshold))
    print(
        f"{count} tiles; 99.9 % of the "
        f"probabilities differ by less than {np.quantile(difference, 0.999):.4f}, the largest "
        f"difference is {difference.max():.4f}; {changed:,} of {difference.size:,} pixels change side"
    )


if __name__ == "__main__":
    main()
