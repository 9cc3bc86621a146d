"""Time a recipe's training step, and compare it with `model.fit`, with PyTorch, and without loading data.

    .venv/bin/python benchmarks/step_speed.py --rounds 5 --recipe oxford-best
    .venv/bin/python benchmarks/step_speed.py --torch /path/to/python   # one that has torch

All train the network of the recipe with its batch size, on the same random photos. They take turns,
every one in a new process; the ratios of the medians count.

ours            the project's step on its batches: shuffled and augmented as the recipe says
ours bfloat16   the same with `precision: bfloat16`
usual layers    the same without the layers of petseg/training/fast_layers.py
resident        the same step as ours on one batch that stays in memory
fit             `model.fit` on a float32 array, with TensorFlow's default settings
torch float32   PyTorch, channels-last, layer by layer the same network, with Adam and the recipe's
                loss, without its edge_weight
torch bfloat16  the same under autocast: takes minutes a round on a processor without AVX-512

PyTorch pads on both sides where TensorFlow pads more on one, which is as much work.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch  # type: ignore[import-not-found, unused-ignore]

    from petseg.training.settings import TrainParams

ROOT = Path(__file__).parent.parent

sys.path.insert(0, str(ROOT))

WARM_UP, SECONDS = 3, 6.0  # steps that are not timed, and how long steps are timed for
BATCHES = 40  # of random photos, used again from the first on


def random_data(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random photos and trimaps for some batches."""
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (BATCHES * batch, size, size, 3), dtype=np.uint8)
    return photos, rng.integers(1, 4, photos.shape[:3], dtype=np.uint8)


def photos_per_second(step: Callable[[int], object], batch: int) -> float:
    """Return the photos per second of the steps after the warm-up."""
    for number in range(WARM_UP):
        step(number)
    started, steps = time.perf_counter(), 0
    while (seconds := time.perf_counter() - started) < SECONDS:
        step((WARM_UP + steps) % BATCHES)
        steps += 1
    return steps * batch / seconds


def load_recipe(name: str) -> tuple[int, "TrainParams"]:
    """Return the side of a recipe's photos, and its parameters of the training."""
    from flows.workspace import recipes
    from petseg.training.settings import TrainParams

    sections = recipes.compose(recipes.read(name))
    return sections["preprocess"]["image_size"], TrainParams(**sections["train"])


def project_step(recipe: str, resident: bool, usual_layers: bool = False, **changes: Any) -> float:
    """Return the photos per second of the project's step.

    Args:
        recipe: the recipe's name.
        resident: whether all steps are on one batch.
        usual_layers: whether to train with Keras's layers alone.
        changes: parameters of the training that differ from the recipe's.
    """
    from petseg.data.arrays import Photo, Split
    from petseg.data.examples import FramedPhotos
    from petseg.data.frame import Frame
    from petseg.model import backend

    size, settings = load_recipe(recipe)
    settings = replace(settings, **changes)
    backend.start(0, settings.precision)
    # These import TensorFlow, which `backend` has to set up first.
    from petseg.training import batches, fast_layers, fit, step

    if usual_layers:
        fast_layers.for_training = lambda model: model
    photos, trimaps = random_data(size, settings.batch_size)
    index = [Photo(str(n), "a", "cat", size, size, "", "") for n in range(len(photos))]
    examples = FramedPhotos(Split(photos, trimaps, index, Frame("squash", size)))
    model, _ = fit.build_networks(settings, size)
    groups = step.make_optimizers(model, settings, len(photos))
    run_step = step.make_step(model, settings, groups)

    def epochs() -> Any:
        for epoch in range(1, 1000):
            yield from batches.train_batches(examples, settings, epoch)

    photo_batches = batches.prefetch(epochs())
    if resident:
        batch = next(photo_batches)
        photo_batches.close()
        return photos_per_second(lambda _: run_step(*batch).numpy(), settings.batch_size)
    return photos_per_second(lambda _: run_step(*next(photo_batches)).numpy(), settings.batch_size)


def fit(recipe: str) -> float:
    """Return the photos per second of Keras's `model.fit`."""
    import keras

    from petseg.training.fit import build_networks

    size, settings = load_recipe(recipe)
    model, _ = build_networks(settings, size)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-6),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batch = settings.batch_size
    photos, trimaps = random_data(size, batch)
    x, y = photos.astype(np.float32), (trimaps != 2).astype(np.float32)[..., None]
    model.fit(x[: WARM_UP * batch], y[: WARM_UP * batch], batch_size=batch, verbose=0)
    started = time.perf_counter()
    model.fit(x, y, batch_size=batch, verbose=0)
    return len(x) / (time.perf_counter() - started)


def describe_network(recipe: str) -> dict[str, Any]:
    """Return what a PyTorch process needs: Keras's description of the network, sizes, loss."""
    from petseg.model import backend

    size, settings = load_recipe(recipe)
    backend.start(0)
    from petseg.training.fit import build_networks

    model, _ = build_networks(settings, size)
    return {
        "size": size,
        "batch": settings.batch_size,
        "loss": settings.loss,
        "network": json.loads(model.to_json()),
    }


def torch_layer(kind: str, config: dict[str, Any], channels: int) -> "torch.nn.Module":
    """Return PyTorch's layer for one of Keras's with one input of some channels.

    Raises:
        ValueError: there is none for this kind.
    """
    from torch import nn

    activations = {"relu": nn.ReLU(inplace=True), "relu6": nn.ReLU6(inplace=True)}
    if kind in ("Conv2D", "DepthwiseConv2D"):
        groups = channels if kind == "DepthwiseConv2D" else 1
        kernel, stride = config["kernel_size"][0], config["strides"][0]
        padding = kernel // 2 if config["padding"] == "same" else 0
        filters = config.get("filters", channels)
        conv = nn.Conv2d(
            channels, filters, kernel, stride, padding, groups=groups, bias=config["use_bias"]
        )
        activation = activations.get(config["activation"])
        return nn.Sequential(conv, activation) if activation else conv
    if kind == "SeparableConv2D":
        depthwise = torch_layer(
            "DepthwiseConv2D",
            config | {"use_bias": False, "activation": "linear", "filters": channels},
            channels,
        )
        pointwise = torch_layer("Conv2D", config | {"kernel_size": [1]}, channels)
        return nn.Sequential(depthwise, pointwise)
    if kind == "Conv2DTranspose":
        return nn.ConvTranspose2d(channels, config["filters"], 2, 2)
    simple: dict[str, Callable[[], nn.Module]] = {
        "BatchNormalization": lambda: nn.BatchNorm2d(
            channels, config["epsilon"], 1 - config["momentum"]
        ),
        "ReLU": lambda: nn.ReLU(inplace=True),
        "MaxPooling2D": lambda: nn.MaxPool2d(2),
        "UpSampling2D": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        "ZeroPadding2D": lambda: nn.ZeroPad2d(config["padding"][0][0]),
        "Rescaling": nn.Identity,
    }
    if kind not in simple:
        raise ValueError(f"no PyTorch layer for {kind}")
    return simple[kind]()


def torch_network(description: dict[str, Any]) -> "torch.nn.Module":
    """Return the network that Keras's description says, layer by layer, in PyTorch."""
    import torch
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleDict()
            self.plan: list[tuple[str, str, list[str], dict[str, Any]]] = []
            for layer in description["config"]["layers"]:
                name, kind, config = layer["name"], layer["class_name"], layer["config"]
                if kind == "InputLayer":
                    continue
                (node,) = layer["inbound_nodes"]
                (argument,) = node["args"]
                tensors = [
                    one["config"]
                    for one in (argument if isinstance(argument, list) else [argument])
                ]
                sources = [tensor["keras_history"][0] for tensor in tensors]
                if kind not in ("Add", "Concatenate"):
                    self.layers[name] = torch_layer(kind, config, tensors[0]["shape"][-1])
                self.plan.append((name, kind, sources, config))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            values = {"photos": x}
            for name, kind, sources, config in self.plan:
                inputs = [values[source] for source in sources]
                if kind == "Add":
                    x = inputs[0] + inputs[1]
                elif kind == "Concatenate":
                    x = torch.cat(inputs, 1)
                elif kind == "Rescaling":
                    x = inputs[0] * config["scale"] + config["offset"]
                else:
                    x = self.layers[name](inputs[0])
                values[name] = x
            return x

    return Network()


def pytorch(file: Path, bfloat16: bool) -> float:
    """Return the photos per second of the same network in PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    description = json.loads(file.read_text())
    batch = description["batch"]
    model = torch_network(description["network"]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-6)
    photos, trimaps = random_data(description["size"], batch)

    def step(number: int) -> float:
        rows = slice(number * batch, (number + 1) * batch)
        x = torch.from_numpy(photos[rows]).permute(0, 3, 1, 2).float()
        y = torch.from_numpy((trimaps[rows] != 2).astype(np.float32))[:, None]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = model(x.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y)
        if description["loss"] != "bce":
            p = torch.sigmoid(logits)
            axes, smooth = {"bce_dice": ((0, 1, 2, 3), 0), "bce_dice_photo": ((1, 2, 3), 1)}[
                description["loss"]
            ]
            dice = (2 * (p * y).sum(axes) + smooth) / ((p + y).sum(axes) + smooth)
            loss = loss + 1 - dice.mean()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return photos_per_second(step, batch)


OURS: dict[str, Callable[[str], float]] = {
    "ours": lambda recipe: project_step(recipe, resident=False),
    "ours bfloat16": lambda recipe: project_step(recipe, resident=False, precision="bfloat16"),
    "usual layers": lambda recipe: project_step(recipe, resident=False, usual_layers=True),
    "resident": lambda recipe: project_step(recipe, resident=True),
    "fit": fit,
}
TORCH = {"torch float32": False, "torch bfloat16": True}


def main() -> None:
    """Time one contender in this process, or start every contender in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="oxford")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", help="path to a Python that has torch and numpy")
    parser.add_argument("--only", nargs="+", choices=[*OURS, *TORCH], default=[*OURS, *TORCH])
    parser.add_argument(
        "--in-process", choices=[*OURS, *TORCH], help="time this one in this process"
    )
    parser.add_argument("--network", type=Path, help="file with the network, for PyTorch")
    args = parser.parse_args()
    if args.in_process in TORCH:
        print(pytorch(args.network, TORCH[args.in_process]))
        return
    if args.in_process:
        print(OURS[args.in_process](args.recipe))
        return
    if not args.torch and not set(args.only) & OURS.keys():
        parser.error("--torch is needed to time PyTorch")
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.json"
        if args.torch:
            network.write_text(json.dumps(describe_network(args.recipe)))
        medians = compare(args, network)
    for name, median in medians.items():
        print(
            f"{name:15} {median:6.1f} photos/s, {median / next(iter(medians.values())):.2f} of the first"
        )


def compare(args: argparse.Namespace, network: Path) -> dict[str, float]:
    """Return the median photos per second of every contender; they take turns."""
    pythons = {name: args.torch if name in TORCH else sys.executable for name in args.only}
    rates: dict[str, list[float]] = {name: [] for name, python in pythons.items() if python}
    for _ in range(args.rounds):
        for name, measured in rates.items():
            command = [pythons[name], __file__, "--in-process", name, "--recipe", args.recipe]
            done = subprocess.run(
                [*command, "--network", str(network)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            measured.append(float(done.stdout.split()[-1]))
            print(f"{name}: {measured[-1]:.1f} photos/s", file=sys.stderr)
    return {name: statistics.median(measured) for name, measured in rates.items()}


if __name__ == "__main__":
    main()
