"""A real ONNX file whose results can be worked by hand, and photos for it."""

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from petseg.inference import onnx_engine

SIZE = 16  # side of the network's input in pixels
METADATA = onnx_engine.ExportMetadata(
    image_size=SIZE,
    mode="squash",
    threshold=0.5,
    border="foreground",
    recipe="red",
    data_sha256="0" * 64,
    epoch=1,
    versions={},
    refinement="none",
    foreground="pet",
)


def write_red_model(path: Path, threshold: float = 0.5) -> Path:
    """Write a model to which the red of a pixel, divided by 255, is its probability."""
    shape = ["n", SIZE, SIZE]
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["photos", "zero", "one", "last"], ["red"]),
            helper.make_node("Cast", ["red"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["number", "full"], ["probabilities"]),
        ],
        "red",
        [helper.make_tensor_value_info("photos", TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*shape, 1])],
        [
            helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("last", TensorProto.INT64, [1], [3]),
            helper.make_tensor("full", TensorProto.FLOAT, [], [255]),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="test"
    )
    metadata = onnx_engine.ExportMetadata(**vars(METADATA) | {"threshold": threshold})
    text = onnx_engine.to_property(metadata)
    helper.set_model_props(model, {onnx_engine.PROPERTY: text})
    onnx.save(model, path)
    return path


def half_red(red: int, size: tuple[int, int] = (SIZE, SIZE)) -> Image.Image:
    """Return a photo whose left half has this much red; the right half has none."""
    image = Image.new("RGB", size, (0, 90, 90))
    image.paste((red, 90, 90), (0, 0, size[0] // 2, size[1]))
    return image


def as_bytes(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def save_photo(path: Path, red: int = 204, size: tuple[int, int] = (SIZE, SIZE)) -> Path:
    """Save a half red photo as lossless PNG, whatever its name says, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_bytes(half_red(red, size)))
    return path


def noise_photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Return a photo of large blots in random colours."""
    colours = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size)
