"""Compare the engines that can run the network: their speed, and how far their predictions differ.

    python benchmarks/engines.py data/model/model.keras data/export/model.onnx \
        data/export/model-int8.onnx data/arrays [--photos 400]

Every round runs the engines in turn on the first photos of the test split, each in a separate process
whose start is not timed; the ratios of the medians count. IoU is at the network's size, with the border
as pet; its change has the 95 % interval over photos, and both are relative to the first engine that runs.

    keras              Keras, `predict_on_batch`
    onnx               ONNX Runtime, float32
    int8               ONNX Runtime, static int8
    openvino float32   OpenVINO, where the package openvino is installed
    openvino bfloat16  the same with bfloat16 for everything inside
"""

import argparse
import importlib
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from petseg.data import arrays
from petseg.data.examples import FramedPhotos
from petseg.evaluation.parity import Comparison, Engine
from petseg.inference.onnx_engine import OnnxEngine


def keras(path: Path) -> Engine:
    """Return the Keras network."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from petseg.inference import export, keras_engine
    from petseg.model import keras_file

    model, _ = keras_file.load(path)
    return partial(keras_engine.probabilities, export.in_float32(model))


def onnx(path: Path) -> Engine:
    """Return an exported network in ONNX Runtime."""
    return OnnxEngine(path).probabilities


def openvino(path: Path, precision: str) -> Engine:
    """Return an exported network in OpenVINO."""
    core = importlib.import_module("openvino").Core()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": precision})

    def probabilities(photos: np.ndarray) -> np.ndarray:
        return np.asarray(compiled(photos)[0])[..., 0]

    return probabilities


def time_engine(engine: Engine, photos: np.ndarray, batch: int, target: Path) -> float:
    """Write the probabilities of the photos; return the photos per second."""
    engine(photos[:batch])  # the first call builds graphs and reserves memory
    start = time.perf_counter()
    probabilities = [engine(photos[row : row + batch]) for row in range(0, len(photos), batch)]
    seconds = time.perf_counter() - start
    np.save(target, np.concatenate(probabilities))
    return len(photos) / seconds


def main() -> None:
    """Time one engine in this process, or start every engine in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("keras_model", type=Path)
    parser.add_argument("onnx_model", type=Path)
    parser.add_argument("int8_model", type=Path)
    parser.add_argument("arrays", type=Path, help="folder with test/")
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="time this engine in this process")
    parser.add_argument("--target", type=Path, help="file for the probabilities of --only")
    args = parser.parse_args()
    test = arrays.load(args.arrays / "test")
    loaders: dict[str, Callable[[], Engine]] = {
        "keras": partial(keras, args.keras_model),
        "onnx": partial(onnx, args.onnx_model),
        "int8": partial(onnx, args.int8_model),
    }
    if importlib.util.find_spec("openvino"):
        loaders["openvino float32"] = partial(openvino, args.onnx_model, "f32")
        loaders["openvino bfloat16"] = partial(openvino, args.onnx_model, "bf16")
    else:
        print("openvino is not installed: skipped", file=sys.stderr)
    if args.only:
        photos, _ = FramedPhotos(test).read(slice(args.photos))
        print(time_engine(loaders[args.only](), photos, args.batch_size, args.target))
        return
    sizes = {name: args.onnx_model.stat().st_size for name in loaders}
    sizes |= {"keras": args.keras_model.stat().st_size, "int8": args.int8_model.stat().st_size}
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    with tempfile.TemporaryDirectory() as folder:
        targets = {name: Path(folder) / f"{name}.npy" for name in loaders}
        for _ in range(args.rounds):
            for name, measured in rates.items():
                command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
                command += ["--target", str(targets[name])]
                done = subprocess.run(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    check=True,
                )
                measured.append(float(done.stdout.split()[-1]))
        probabilities = {name: np.load(path) for name, path in targets.items()}
    comparison = Comparison(list(loaders), OnnxEngine(args.onnx_model).metadata.threshold)
    comparison.add(FramedPhotos(test).read(slice(args.photos))[1], probabilities)
    medians = {name: statistics.median(measured) for name, measured in rates.items()}
    print(f"{len(probabilities['onnx'])} photos, batches of {args.batch_size}")
    for row in comparison.rows(sizes):
        measured = rates[row.engine]
        print(
            f"{row.engine:17} {medians[row.engine]:6.1f} photos/s ({min(measured):.1f} to "
            f"{max(measured):.1f}), {medians[row.engine] / medians['onnx']:.2f} of onnx; "
            f"{row.bytes / 1e6:.1f} MB\n"
            f"{'':17} IoU {row.iou:.4f}, change {row.iou_change:+.4f} ({row.low:+.4f} to "
            f"{row.high:+.4f}), largest difference of a probability {row.largest_difference:.5f}"
        )


if __name__ == "__main__":
    main()
