"""Export a Keras network to ONNX; equal weights give equal bytes."""

import tempfile
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import onnx

from petseg.inference import onnx_engine
from petseg.inference.onnx_engine import ExportMetadata, Refinement
from petseg.model.metadata import Metadata

OPSET = 18  # of ONNX; the newest that tf2onnx writes
BATCH = "batch"  # the name of the dimension that may have any length


def write(
    model: keras.Model, metadata: Metadata, refinement: Refinement, foreground: str, path: Path
) -> None:
    """Write the network as an ONNX file with its metadata inside.

    The file takes photos (batch, size, size, 3), uint8 RGB, and gives probabilities
    (batch, size, size, 1), float32.

    Args:
        model: a network from photos to probabilities.
        metadata: that of the network.
        refinement: of the masks' edges at the photo's own size.
        foreground: what the masks show, in words for people.
        path: the file to write.
    """
    exported = convert(model, metadata.image_size)
    exported.graph.CopyFrom(canonical(exported.graph))
    versions = metadata.versions | {name: version(name) for name in ("tf2onnx", "onnx")}
    added = {"versions": versions, "refinement": refinement, "foreground": foreground}
    content = ExportMetadata(**asdict(metadata) | added)
    onnx.helper.set_model_props(exported, {onnx_engine.PROPERTY: onnx_engine.to_property(content)})
    onnx.checker.check_model(exported, full_check=True)
    path.write_bytes(exported.SerializeToString(deterministic=True))


def in_float32(model: keras.Model) -> keras.Model:
    """Return the network with all layers in float32, as ONNX needs it; weights are float32 anyway."""
    copy = keras.models.model_from_json(model.to_json().replace("mixed_bfloat16", "float32"))
    copy.set_weights(model.get_weights())
    return copy


def convert(model: keras.Model, size: int) -> onnx.ModelProto:
    """Return the network as tf2onnx converts it, for photos of this size in any number."""
    photos = keras.InputSpec("uint8", (None, size, size, 3), name=onnx_engine.INPUT)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Keras looks whether NumPy still has `np.object`, which tf2onnx needs, and NumPy warns.
        warnings.filterwarnings("ignore", message=".*`np.object`", category=FutureWarning)
        file = Path(folder) / "model.onnx"
        with_slices(model).export(
            file, format="onnx", verbose=False, input_signature=[photos], opset_version=OPSET
        )
        return onnx.load(file)


def with_slices(model: keras.Model) -> keras.Model:
    """Return the network, sharing its weights, with slices in place of `keras.ops.flip`.

    tf2onnx converts a flip to more nodes than a slice, and in one of two forms, by chance.
    """

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        if type(layer).__name__ == "Flip":
            return args[0][:, :, ::-1]  # `unet.mirrored` flips left to right
        return layer(*args, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def canonical(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Return the same graph with its nodes and constants ordered and named by their place in it.

    tf2onnx keeps names in sets, whose order differs from process to process. So do its order of the
    constants, the numbers in its names, and which one of several equal constants stays.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = {graph.input[0].name: onnx_engine.INPUT, graph.output[0].name: onnx_engine.OUTPUT}
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []

    def visit(value: str) -> None:
        """Append what the value is computed from, in the order of use, and then its own node."""
        if tensor := constants.pop(value, None):
            names[value] = f"constant_{len(tensors)}"
            tensors.append(tensor)
        elif node := producers.pop(value, None):
            for source in node.input:
                visit(source)
            node.name = f"{node.op_type}_{len(nodes)}"
            nodes.append(node)
            for number, output in enumerate(node.output):
                names.setdefault(output, f"{node.name}_{number}")
                producers.pop(output, None)

    visit(graph.output[0].name)
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for named in (*tensors, *graph.input, *graph.output):
        named.name = names[named.name]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    return onnx.helper.make_graph(nodes, graph.name, graph.input, graph.output, tensors)
