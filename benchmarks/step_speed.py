"""Time the training step, and compare it with `model.fit`, with PyTorch, and without loading data.

    .venv/bin/python benchmarks/step_speed.py --rounds 5
    .venv/bin/python benchmarks/step_speed.py --torch /path/to/python   # one that has torch
    .venv/bin/python benchmarks/step_speed.py --only ours resident fit

All train the same network (16 base channels, depth 4) on the same random photos of 128 pixels in
batches of 32. They take turns, every one in a new process; the ratios of the medians count.

ours            the project's step on its batches: shuffled, mirrored, cropped and coloured
ours bfloat16   the same with `precision: bfloat16`
resident        the same step as ours on one batch that stays in memory
fit             `model.fit` on a float32 array, with TensorFlow's default settings
torch float32   PyTorch, channels-last
torch bfloat16  the same under autocast: takes minutes a round on a processor without AVX-512
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
WARM_UP, STEPS = 2, 5  # steps that are not timed, and steps that are


def random_data(batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random photos and trimaps for a number of batches."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (batches * BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    return photos, rng.integers(1, 4, photos.shape[:3], dtype=np.uint8)


def photos_per_second(step: Callable[[int], object]) -> float:
    """Return the photos per second of the steps after the warm-up."""
    for number in range(WARM_UP):
        step(number)
    started = time.perf_counter()
    for number in range(STEPS):
        step(WARM_UP + number)
    return STEPS * BATCH / (time.perf_counter() - started)


def project_step(resident: bool, precision: Literal["float32", "bfloat16"] = "float32") -> float:
    """Return the photos per second of the project's step, on its batches or always on one batch."""
    from petseg.data.arrays import Photo, Split
    from petseg.data.examples import FramedPhotos
    from petseg.data.frame import Frame
    from petseg.model import backend

    backend.start(0, precision)
    from petseg.model import unet  # imports TensorFlow, which `backend` has to set up first
    from petseg.training import batches, step
    from petseg.training.settings import TrainParams

    photos, trimaps = random_data(WARM_UP + STEPS)
    index = [Photo(str(n), "a", "cat", SIZE, SIZE, "", "") for n in range(len(photos))]
    examples = FramedPhotos(Split(photos, trimaps, index, Frame("squash", SIZE)))
    settings = TrainParams(
        encoder="plain",
        input_scale=1,
        base_channels=BASE,
        depth=DEPTH,
        precision=precision,
        epochs=1,
        patience=0,
        batch_size=BATCH,
        loss="bce",
        edge_weight=0,
        learning_rate=1e-3,
        encoder_lr_multiplier=1,
        warmup=0,
        lr_schedule="none",
        weight_decay=0,
        border="foreground",
        flip=True,
        crop=0.5,
        colour=0.3,
        flip_tta=False,
        snapshots=1,
        seed=0,
    )
    model = unet.build(SIZE, BASE, DEPTH, "plain")
    groups = step.make_optimizers(model, settings, len(photos))
    run_step = step.make_step(model, settings, groups)
    photo_batches = batches.prefetch(batches.train_batches(examples, settings, 1))
    if resident:
        batch = next(photo_batches)
        photo_batches.close()
        return photos_per_second(lambda _: run_step(*batch).numpy())
    return photos_per_second(lambda _: run_step(*next(photo_batches)).numpy())


def fit() -> float:
    """Return the photos per second of Keras's `model.fit`."""
    import keras

    from petseg.model import unet

    model = unet.build(SIZE, BASE, DEPTH, "plain")
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    photos, trimaps = random_data(WARM_UP + STEPS)
    x, y = photos.astype(np.float32), (trimaps != 2).astype(np.float32)[..., None]
    model.fit(x[: WARM_UP * BATCH], y[: WARM_UP * BATCH], batch_size=BATCH, verbose=0)
    started = time.perf_counter()
    model.fit(x[WARM_UP * BATCH :], y[WARM_UP * BATCH :], batch_size=BATCH, verbose=0)
    return STEPS * BATCH / (time.perf_counter() - started)


def pytorch(bfloat16: bool) -> float:
    """Return the photos per second of the same network in PyTorch."""
    import torch  # type: ignore[import-not-found, unused-ignore]
    from torch import nn

    torch.manual_seed(0)

    def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    class UNet(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            widths = [BASE * 2**level for level in range(DEPTH + 1)]
            self.down = nn.ModuleList(
                double_conv(before, after)
                for before, after in zip([3, *widths], widths, strict=False)
            )
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
            self.merge = nn.ModuleList(double_conv(2 * w, w) for w in widths[:-1])
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
    photos, trimaps = random_data(WARM_UP + STEPS)

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
        return float(loss.item())

    return photos_per_second(step)


CONTENDERS: dict[str, Callable[[], float]] = {
    "ours": lambda: project_step(resident=False),
    "ours bfloat16": lambda: project_step(resident=False, precision="bfloat16"),
    "resident": lambda: project_step(resident=True),
    "fit": fit,
    "torch float32": lambda: pytorch(bfloat16=False),
    "torch bfloat16": lambda: pytorch(bfloat16=True),
}


def main() -> None:
    """Time one contender in this process, or start every contender in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", help="path to a Python that has torch and numpy")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--in-process", choices=CONTENDERS, help="time this one in this process")
    args = parser.parse_args()
    if args.in_process:
        print(CONTENDERS[args.in_process]())
        return
    pythons = {name: args.torch if "torch" in name else sys.executable for name in args.only}
    rates: dict[str, list[float]] = {name: [] for name, python in pythons.items() if python}
    for _ in range(args.rounds):
        for name, measured in rates.items():
            command = [pythons[name], __file__, "--in-process", name]
            environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=environment
            )
            measured.append(float(done.stdout.split()[-1]))
            print(f"{name}: {measured[-1]:.1f} photos/s", file=sys.stderr)
    medians = {name: statistics.median(measured) for name, measured in rates.items()}
    for name, median in medians.items():
        print(
            f"{name:15} {median:6.1f} photos/s, {median / medians[args.only[0]]:.2f} of the first"
        )


if __name__ == "__main__":
    main()
