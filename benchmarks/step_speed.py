"""Times the training step against plain `model.fit`, against PyTorch, and against no data at all.

    .venv/bin/python benchmarks/step_speed.py --rounds 5
    .venv/bin/python benchmarks/step_speed.py --torch /path/to/python   # one that has torch
    .venv/bin/python benchmarks/step_speed.py --only ours resident fit

All train the same network (16 base channels, depth 4) on the same random photos of 128 pixels,
32 a batch, each in a process of its own and in turn; the ratios of the medians count.

ours            the project's batches, shuffled, mirrored, cropped and coloured, and its step
ours bfloat16   the same with `precision: bfloat16`
resident        the same step as ours on one batch that stays in memory
fit             `model.fit` on a float32 array, TensorFlow as it is installed
torch float32   PyTorch, channels-last
torch bfloat16  the same under autocast: minutes a round on a processor without AVX-512
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

ROOT = Path(__file__).parent.parent

sys.path.insert(0, str(ROOT))

SIZE, BATCH, BASE, DEPTH = 128, 32, 16, 4
WARM, STEPS = 2, 5


def data(batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random photos and trimaps for some batches."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (batches * BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    return photos, rng.integers(1, 4, photos.shape[:3], dtype=np.uint8)


def rate(step: Callable[[int], object]) -> float:
    """Return the photos per second of some steps, after the first ones."""
    for number in range(WARM):
        step(number)
    started = time.perf_counter()
    for number in range(STEPS):
        step(WARM + number)
    return STEPS * BATCH / (time.perf_counter() - started)


def with_our_step(resident: bool, precision: Literal["float32", "bfloat16"] = "float32") -> float:
    """Return the rate of the project's step, on its own batches or always on the same."""
    from petseg.data.arrays import Photo, Split
    from petseg.model import backend, unet
    from petseg.training import batches, settings, step

    backend.start(0, precision)

    photos, trimaps = data(WARM + STEPS)
    index = [Photo(str(n), "a", "cat", SIZE, SIZE, "", "") for n in range(len(photos))]
    split = Split(photos, trimaps, index)
    schedule = settings.Schedule(
        epochs=1,
        patience=0,
        batch_size=BATCH,
        loss="bce",
        learning_rate=1e-3,
        encoder_lr_multiplier=1,
        lr_schedule="none",
        border="pet",
        flip=True,
        crop=0.5,
        colour=0.3,
        seed=0,
    )
    model = unet.build(SIZE, BASE, DEPTH, "plain")
    parts = step.make_optimizers(model, schedule, len(photos))
    step = step.make_step(model, "bce", "pet", parts)
    batches = batches.prefetch(batches.train_batches(split, schedule, 1))
    if resident:
        one = next(batches)
        batches.close()
        return rate(lambda _: step(*one).numpy())
    return rate(lambda _: step(*next(batches)).numpy())


def fit() -> float:
    """Return the rate of Keras's own loop."""
    import keras

    from petseg.model import unet

    model = unet.build(SIZE, BASE, DEPTH, "plain")
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    photos, trimaps = data(WARM + STEPS)
    x, y = photos.astype(np.float32), (trimaps != 2).astype(np.float32)[..., None]
    model.fit(x[: WARM * BATCH], y[: WARM * BATCH], batch_size=BATCH, verbose=0)
    started = time.perf_counter()
    model.fit(x[WARM * BATCH :], y[WARM * BATCH :], batch_size=BATCH, verbose=0)
    return STEPS * BATCH / (time.perf_counter() - started)


def pytorch(bfloat16: bool) -> float:
    """Return the rate of the same network in PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    def double(before: int, after: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (before, after):
            layers += [nn.Conv2d(channels, after, 3, padding=1), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [BASE * 2**level for level in range(DEPTH + 1)]
            self.down = nn.ModuleList(
                double(before, after) for before, after in zip([3, *widths], widths, strict=False)
            )
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
            self.merge = nn.ModuleList(double(2 * w, w) for w in widths[:-1])
            self.out = nn.Conv2d(BASE, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            skips = []
            for level, block in enumerate(self.down):
                x = block(nn.functional.max_pool2d(x, 2) if level else x)
                skips.append(x)
            for level in reversed(range(DEPTH)):
                x = self.merge[level](torch.cat([skips[level], self.up[level](x)], 1))
            return self.out(x)

    model = UNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    photos, trimaps = data(WARM + STEPS)

    def step(number: int) -> float:
        rows = slice(number * BATCH, (number + 1) * BATCH)
        x = torch.from_numpy(photos[rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = torch.from_numpy((trimaps[rows] != 2).astype(np.float32))[:, None]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = model(x.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return rate(step)


CONTENDERS: dict[str, Callable[[], float]] = {
    "ours": lambda: with_our_step(resident=False),
    "ours bfloat16": lambda: with_our_step(resident=False, precision="bfloat16"),
    "resident": lambda: with_our_step(resident=True),
    "fit": fit,
    "torch float32": lambda: pytorch(bfloat16=False),
    "torch bfloat16": lambda: pytorch(bfloat16=True),
}


def main() -> None:
    """Time one contender, or all in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", help="a Python that has torch and numpy")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--here", choices=CONTENDERS, help="time one in this process")
    asked = parser.parse_args()
    if asked.here:
        print(CONTENDERS[asked.here]())
        return
    pythons = {name: asked.torch if "torch" in name else sys.executable for name in asked.only}
    rates: dict[str, list[float]] = {name: [] for name, python in pythons.items() if python}
    for _ in range(asked.rounds):
        for name, found in rates.items():
            command = [pythons[name], __file__, "--here", name]
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=environment
            )
            found.append(float(done.stdout.split()[-1]))
            print(f"{name}: {found[-1]:.1f} photos/s", file=sys.stderr)
    middle = {name: statistics.median(found) for name, found in rates.items()}
    for name, median in middle.items():
        print(
            f"{name:15} {median:6.1f} photos/s, {median / middle[asked.only[0]]:.2f} of the first"
        )


if __name__ == "__main__":
    main()
