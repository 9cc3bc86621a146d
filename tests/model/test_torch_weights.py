"""PyTorch's weight files: read without PyTorch, and nothing in them is run."""

import hashlib
import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petseg.errors import UserError
from petseg.model import torch_weights


class FloatStorage:
    """Stands for torch.FloatStorage, which a pickle only names."""


class LongStorage:
    """Stands for torch.LongStorage."""


def _rebuild_tensor_v2() -> None:
    """Stand for torch._utils._rebuild_tensor_v2."""


class Call:
    """Is pickled as a call of something with arguments."""

    def __init__(self, called: Callable[..., object], *arguments: object) -> None:
        self.called, self.arguments = called, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.called, self.arguments


class Writer(pickle.Pickler):
    """Pickles as PyTorch did before 1.6: a storage by its key."""

    def persistent_id(self, found: object) -> object:
        """Return what stands for a storage."""
        return found if isinstance(found, tuple) and found[:1] == ("storage",) else None


@pytest.fixture(autouse=True)
def pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the names be found that a file of PyTorch's has, so that one can be written."""
    for module, *found in (
        ("torch", FloatStorage, LongStorage),
        ("torch._utils", _rebuild_tensor_v2),
    ):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        for each in found:
            monkeypatch.setattr(each, "__module__", module)
            monkeypatch.setattr(sys.modules[module], each.__name__, each, raising=False)


def a_file(
    tensors: dict[str, Any], storages: dict[str, np.ndarray], magic: int = torch_weights.MAGIC
) -> bytes:
    """Return a file's bytes."""
    file = io.BytesIO()
    parts: list[object] = [magic, 1001, {}, OrderedDict(tensors), list(storages)]
    for part in parts:
        Writer(file, 2).dump(part)
    for numbers in storages.values():
        file.write(len(numbers).to_bytes(8, "little") + numbers.tobytes())
    return file.getvalue()


def a_tensor(
    key: str,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    kind: type = FloatStorage,
) -> Call:
    """Return what is pickled as a tensor that lies in a storage."""
    storage = ("storage", kind, key, "cpu", 6, None)
    return Call(_rebuild_tensor_v2, storage, offset, shape, strides, False)


SIX = {"7": np.arange(6, dtype="<f4")}


def test_tensors_come_out_as_they_were_laid() -> None:
    tensors = {
        "whole": a_tensor("7", 0, (2, 3), (3, 1)),
        "turned": a_tensor("7", 0, (3, 2), (1, 3)),
        "second": a_tensor("7", 3, (3,), (1,)),
        "count": a_tensor("8", 0, (), (), LongStorage),
    }
    found = torch_weights.parse(a_file(tensors, SIX | {"8": np.array([5], "<i8")}))
    assert list(found) == list(tensors)
    assert found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["second"].tolist() == [3, 4, 5]
    assert found["count"].tolist() == 5
    assert found["count"].dtype == np.int64


@pytest.mark.parametrize("called", [os.system, eval, np.load])
def test_a_file_that_calls_for_anything_else_is_refused_unrun(
    called: Callable[..., object], tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    evil = a_file({"a": Call(called, f"open({str(trace)!r}, 'w')")}, SIX)
    with pytest.raises(pickle.UnpicklingError, match=rf"it asks for \S+\.{called.__name__}"):
        torch_weights.parse(evil)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(4, (3,), (1,)), (-1, (1,), (1,)), (5, (2,), (-1,))]
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="reaches beyond"):
        torch_weights.parse(a_file({"a": a_tensor("7", offset, shape, strides)}, SIX))


def test_what_is_no_such_file_is_told_in_a_line(tmp_path: Path) -> None:
    whole = a_file({"a": a_tensor("7", 0, (6,), (1,))}, SIX)
    path = tmp_path / "w.pth"
    with pytest.raises(UserError, match=r"w.pth: No such file .*; install the project again"):
        torch_weights.read(path, "")
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"w.pth: SHA-256 is [0-9a-f]{64}, not 1234; install"):
        torch_weights.read(path, "1234")
    for broken in (b"", b"text", whole[:100], whole[:-8], a_file({}, {}, magic=1)):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"w.pth: not a PyTorch weight file of tensors alone"):
            torch_weights.read(path, hashlib.sha256(broken).hexdigest())
