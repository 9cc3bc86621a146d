"""The exported network, run by ONNX Runtime, with the metadata that lies in its file."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from jaxtyping import Float32, UInt8

from petseg.data import quantisation
from petseg.errors import UserError
from petseg.model.metadata import Metadata

FORMAT = 3  # of the metadata; a file with a higher one was exported by newer code
PROPERTY = "petseg"  # the property of the ONNX file that holds the metadata, as JSON
INPUT, OUTPUT = "photos", "probabilities"  # names in the ONNX graph
FATAL = 4  # ONNX Runtime logs nothing below this severity; what fails is raised
Refinement = Literal["none", "guided"]


@dataclass(frozen=True)
class ExportMetadata(Metadata):
    """The metadata of the model, and how its masks are made."""

    refinement: Refinement  # of the edges at the photo's own size
    foreground: str  # what the masks show, in words for people


def to_property(metadata: ExportMetadata) -> str:
    """Return the text of the ONNX file's property that holds the metadata."""
    return json.dumps({"format": FORMAT} | asdict(metadata))


def from_property(text: str, path: Path) -> ExportMetadata:
    """Return the metadata in the text of the property; `path` names the file in errors.

    Raises:
        UserError: the text is not what `to_property` wrote, or was written by newer code.
    """
    try:
        content = json.loads(text)
        version = content.pop("format")
        if version > FORMAT:
            raise UserError(
                f"{path} was exported by a newer version of petseg (format {version}, this one "
                f"reads {FORMAT}); update petseg, or export the model again with this version"
            )
        if version < 2:  # such files have no name of the foreground: it was always a pet
            content["foreground"] = "pet"
        if version < 3:  # the only mode there was
            content["mode"] = "squash"
        return ExportMetadata(**content)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(
            f"{path}: its metadata cannot be read ({error!r}); run `dvc repro export` again"
        ) from error


class OnnxEngine:
    """A network that ONNX Runtime runs on the processor; several threads may call it at once."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        """Load an exported network.

        Args:
            path: a file that the stage `export` wrote.
            threads: how many threads work on one call; 0 stands for one for each core. The result
                does not depend on it.

        Raises:
            UserError: the file is missing, is no ONNX file, was not exported by this project, or
                was exported by a newer version of it.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise UserError(
                f"{path}: no model is there; `dvc repro export` makes data/export/model.onnx; a "
                "model elsewhere needs its path (--model)"
            ) from None
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror}; a model is a file such as "
                "data/export/model.onnx"
            ) from error
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.session = open_session(content, path, threads)
        properties = self.session.get_modelmeta().custom_metadata_map
        if PROPERTY not in properties:
            raise UserError(
                f"{path} is an ONNX file, but was not exported by petseg; name one that "
                "`dvc repro export` wrote"
            )
        self.metadata = from_property(properties[PROPERTY], path)

    def probabilities(
        self, photos: UInt8[np.ndarray, "n size size 3"]
    ) -> Float32[np.ndarray, "n size size"]:
        """Return the probability of the foreground for every pixel of RGB photos, 0 to 1."""
        (result,) = self.session.run([OUTPUT], {INPUT: photos})
        return np.asarray(result)[..., 0]

    def levels(
        self, photos: UInt8[np.ndarray, "n size size 3"]
    ) -> UInt8[np.ndarray, "n size size"]:
        """Return the probability of the foreground for every pixel, in 1/255."""
        return quantisation.quantise(self.probabilities(photos))


def open_session(content: bytes, path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return a session of ONNX Runtime for the bytes of an ONNX file.

    Raises:
        UserError: ONNX Runtime cannot read them.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (
        Exception
    ) as error:  # the classes that ONNX Runtime raises have no common base of its own
        raise UserError(
            f"{path} is no ONNX file that this version of ONNX Runtime "
            f"({onnxruntime.__version__}) can run: {' '.join(str(error).split())}"
        ) from error
