"""Quantise an exported network to int8: a smaller file, and a faster one where the processor has VNNI."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from jaxtyping import UInt8
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from petseg.inference import onnx_engine


class Photos(CalibrationDataReader):  # type: ignore[misc] # it has no types
    """The photos on which the ranges of the activations are measured, one at a time."""

    def __init__(self, photos: UInt8[np.ndarray, "n size size 3"]) -> None:
        self.inputs: Iterator[dict[str, np.ndarray]] = (
            {onnx_engine.INPUT: np.asarray(photos[row : row + 1])} for row in range(len(photos))
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next photo as the network takes it, or None after the last one."""
        return next(self.inputs, None)


def write(source: Path, photos: UInt8[np.ndarray, "n size size 3"], target: Path) -> None:
    """Write the network of an ONNX file with weights and activations in 8 bits, metadata included.

    The quantisation is static and per channel: activations are unsigned, in the range that they
    have on the photos; weights are signed. Jacob et al.: Quantization and Training of Neural
    Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018.

    Args:
        source: an exported network in float32.
        photos: the photos to calibrate with, RGB.
        target: the file to write.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "quantised.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            Photos(photos),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load(quantised)
    properties = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    onnx.helper.set_model_props(model, properties)
    target.write_bytes(model.SerializeToString(deterministic=True))
