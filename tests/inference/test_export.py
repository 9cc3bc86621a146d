"""A real network exported to ONNX: the same probabilities and bytes, and what is refused."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from petseg.errors import UserError
from petseg.inference import onnx_engine
from petseg.inference.onnx_engine import ExportMetadata, OnnxEngine
from petseg.model import backend
from petseg.model.metadata import Metadata

if TYPE_CHECKING:
    import keras

SIZE = 16
METADATA = Metadata(SIZE, "squash", 0.4375, "foreground", "tiny", "12ab", 3, {"keras": "3"})
PHOTOS = np.random.default_rng(5).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(autouse=True, scope="module")
def tensorflow() -> None:
    backend.start(seed=1)


def network(flip_tta: bool = False, precision: str = "float32", seed: int = 1) -> "keras.Model":
    """Return a small network from photos to probabilities, with random weights."""
    import keras

    from petseg.model import unet

    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else precision)
    try:
        model = unet.build(SIZE, base_channels=4, depth=2, encoder="plain")
        return unet.with_probabilities(model, flip_tta)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of a small network, with METADATA."""
    from petseg.inference import export

    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export.write(network(), METADATA, "none", "pet", path)
    return path


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("flip_tta", [False, True])
def test_onnx_gives_the_probabilities_of_keras_for_any_number_of_photos(
    flip_tta: bool, precision: str, tmp_path: Path
) -> None:
    from petseg.inference import export, keras_engine

    original = network(flip_tta, precision)
    model = export.in_float32(original)
    export.write(model, METADATA, "none", "pet", tmp_path / "model.onnx")
    engine = OnnxEngine(tmp_path / "model.onnx")
    expected = keras_engine.probabilities(model, PHOTOS)
    assert expected.std() > 0.01  # random weights give more than one probability
    for count in (1, 2, 5):
        result = engine.probabilities(PHOTOS[:count])
        assert result.shape == (count, SIZE, SIZE)
        assert np.abs(result - expected[:count]).max() < 1e-5
    # The layers of the original compute in bfloat16, which has 8 bits of precision.
    tolerance = 1e-6 if precision == "float32" else 0.05
    before = np.asarray(original.predict_on_batch(PHOTOS), np.float32)[..., 0]
    assert np.abs(before - expected).max() < tolerance
    assert (engine.levels(PHOTOS) == np.round(engine.probabilities(PHOTOS) * 255)).all()


def test_the_mean_of_a_photo_and_its_mirror_image_mirrors_with_the_photo(tmp_path: Path) -> None:
    from petseg.inference import export

    export.write(network(flip_tta=True), METADATA, "none", "pet", tmp_path / "model.onnx")
    engine = OnnxEngine(tmp_path / "model.onnx")
    mirrored = np.ascontiguousarray(PHOTOS[:, :, ::-1])
    difference = engine.probabilities(mirrored)[:, :, ::-1] - engine.probabilities(PHOTOS)
    assert np.abs(difference).max() < 1e-5


SCRIPT = """
import sys
from pathlib import Path
from petseg.model import backend
backend.start(seed=1)
from petseg.inference import export, int8
from petseg.model import keras_file
import numpy as np
folder = Path(sys.argv[1])
model, metadata = keras_file.load(folder / "model.keras")
target = Path(sys.argv[2])
export.write(export.in_float32(model), metadata, "guided", "pet", target / "model.onnx")
photos = np.random.default_rng(5).integers(0, 256, (5, 16, 16, 3), np.uint8)
int8.write(target / "model.onnx", photos, target / "int8.onnx")
"""


def test_equal_weights_give_equal_bytes_in_another_process(tmp_path: Path) -> None:
    from petseg.model import keras_file

    keras_file.save(network(flip_tta=True), METADATA, tmp_path / "model.keras")
    digests = set()
    # tf2onnx keeps names in sets, whose order these seeds change; 2 once made another graph than 0.
    for name in ("0", "2"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tmp_path / name)]
        environment = os.environ | {"PYTHONHASHSEED": name}
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=environment)
        for file in ("model.onnx", "int8.onnx"):
            content = (tmp_path / name / file).read_bytes()
            digests.add((file, hashlib.sha256(content).hexdigest()))
    assert len(digests) == 2


def test_a_mirrored_photo_is_a_slice_and_no_sequence_is_reversed(tmp_path: Path) -> None:
    from petseg.inference import export

    export.write(network(flip_tta=True), METADATA, "none", "pet", tmp_path / "model.onnx")
    operations = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operations.count("Slice") == 2
    assert "ReverseSequence" not in operations


def test_the_file_names_its_input_output_opset_and_free_batch(exported: Path) -> None:
    model = onnx.load(exported)
    shapes = {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
        )
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "photos": (onnx.TensorProto.UINT8, ["batch", SIZE, SIZE, 3]),
        "probabilities": (onnx.TensorProto.FLOAT, ["batch", SIZE, SIZE, 1]),
    }
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    onnx.checker.check_model(model, full_check=True)


def test_the_metadata_in_the_file_are_the_models_with_the_versions_of_the_exporters(
    exported: Path,
) -> None:
    engine = OnnxEngine(exported)
    versions = engine.metadata.versions
    assert set(versions) == {"keras", "tf2onnx", "onnx"}
    assert versions["keras"] == "3"  # as in training
    assert versions["onnx"] == onnx.__version__
    same = replace(engine.metadata, versions=METADATA.versions)
    assert same == ExportMetadata(
        SIZE, "squash", 0.4375, "foreground", "tiny", "12ab", 3, {"keras": "3"}, "none", "pet"
    )
    assert engine.sha256 == hashlib.sha256(exported.read_bytes()).hexdigest()


def test_metadata_are_the_same_after_they_were_written_and_read() -> None:
    metadata = ExportMetadata(
        128, "tiles", 0.1 + 0.2, "ignored", "ünïcode", "ab", 7, {"a": "1"}, "guided", "zebra"
    )
    text = onnx_engine.to_property(metadata)
    assert onnx_engine.from_property(text, Path("model.onnx")) == metadata
    assert '"format": 3' in text


def test_a_file_from_before_the_foreground_and_the_mode_had_names_shows_squashed_pets() -> None:
    text = onnx_engine.to_property(
        ExportMetadata(128, "pad", 0.5, "pet", "demo", "ab", 7, {"a": "1"}, "none", "")
    )
    older = {
        key: value for key, value in json.loads(text).items() if key not in ("foreground", "mode")
    }
    metadata = onnx_engine.from_property(json.dumps(older | {"format": 1}), Path("model.onnx"))
    assert (metadata.foreground, metadata.mode) == ("pet", "squash")


def test_the_int8_file_runs_is_smaller_and_has_the_same_metadata(tmp_path: Path) -> None:
    from petseg.inference import export, int8
    from petseg.model import unet

    larger = tmp_path / "larger.onnx"
    model = unet.with_probabilities(unet.build(SIZE, 16, 2, "plain"), flip_tta=False)
    export.write(model, METADATA, "guided", "pet", larger)
    int8.write(larger, PHOTOS, tmp_path / "int8.onnx")
    original, quantised = OnnxEngine(larger), OnnxEngine(tmp_path / "int8.onnx")
    assert quantised.metadata == original.metadata
    result = quantised.probabilities(PHOTOS[:3])
    assert result.shape == (3, SIZE, SIZE)
    assert 0 <= result.min() <= result.max() <= 1
    difference = np.abs(result - original.probabilities(PHOTOS[:3]))
    assert 0 < difference.max() < 0.2
    assert (tmp_path / "int8.onnx").stat().st_size < 0.5 * larger.stat().st_size


def test_the_number_of_threads_does_not_matter(exported: Path) -> None:
    results = [OnnxEngine(exported, threads).probabilities(PHOTOS) for threads in (0, 1, 2)]
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()


def refusal(path: Path) -> str:
    """Return the one line with which a file is refused; it begins with the file's path."""
    with pytest.raises(UserError) as raised:
        OnnxEngine(path)
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


def write_with_property(source: Path, target: Path, properties: dict[str, str]) -> Path:
    """Write an ONNX file's network with these properties instead of its own."""
    model = onnx.load(source)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, target)
    return target


def test_a_model_that_is_not_there_names_the_command_that_makes_one(tmp_path: Path) -> None:
    text = refusal(tmp_path / "model.onnx")
    assert "no model is there; `dvc repro export` makes data/export/model.onnx" in text
    assert "a model elsewhere needs its path (--model)" in text


@pytest.mark.parametrize("content", [b"", b"this is a text\n", b"PK\x03\x04" * 100])
def test_a_file_that_is_no_onnx_is_refused_in_a_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "is no ONNX file that this version of ONNX Runtime (" in refusal(path)


def test_a_truncated_model_is_refused(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    content = exported.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "is no ONNX file" in refusal(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_someone_elses_network_is_refused(tmp_path: Path) -> None:
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"
    ]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "other", values[:1], values[1:])
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    assert "is an ONNX file, but was not exported by petseg" in refusal(tmp_path / "other.onnx")
    model.ir_version = 99  # from the future
    onnx.save(model, tmp_path / "newer.onnx")
    assert "is no ONNX file that this version" in refusal(tmp_path / "newer.onnx")


def test_a_model_of_newer_code_says_that_the_code_is_to_be_updated(
    exported: Path, tmp_path: Path
) -> None:
    newer = '{"format": 4, "image_size": 16, "something": "new"}'
    path = write_with_property(exported, tmp_path / "newer.onnx", {"petseg": newer})
    assert (
        "was exported by a newer version of petseg (format 4, this one reads 3); update petseg"
        in refusal(path)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "null",
        "{}",
        '{"format": 1}',
        '{"format": "1"}',
        '{"format": 1, "image_size": 16, "more": 1}',
    ],
)
def test_metadata_that_cannot_be_read_are_refused_with_the_remedy(
    text: str, exported: Path, tmp_path: Path
) -> None:
    path = write_with_property(exported, tmp_path / "broken.onnx", {"petseg": text})
    message = refusal(path)
    assert "its metadata cannot be read (" in message
    assert message.endswith("run `dvc repro export` again")
