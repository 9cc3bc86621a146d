"""Reads the tensors of a PyTorch weight file without PyTorch, and without running its pickles.

The format is that of PyTorch before 1.6 (`torch.serialization._legacy_save`): five pickles, then
for each storage its number of elements, eight bytes little-endian, and the elements.
"""

import hashlib
import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petseg.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True)
class Tensor:
    """Where the elements of a tensor are; offset and strides count elements."""

    storage: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def tensor(
    storage: tuple[str, np.dtype], offset: int, shape: Any, strides: Any, *_: object
) -> Tensor:
    """Stand in for torch._utils._rebuild_tensor_v2."""
    return Tensor(*storage, offset, tuple(shape), tuple(strides))


class Reader(pickle.Unpickler):
    """Unpickles numbers, text, containers and `Tensor`s; refuses any other class or function."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for one of the few names that such a file needs."""
        stand_ins: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): tensor,
        } | {("torch", storage): dtype for storage, dtype in DTYPES.items()}
        if (module, name) not in stand_ins:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return stand_ins[module, name]

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        """Return a storage's key and type."""
        _, dtype, key, *_ = pid
        return key, dtype


def read(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Return the file's tensors by name, in its order.

    Raises:
        UserError: it is missing, has another SHA-256, or is no weight file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; install the project again") from None
    if (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise UserError(f"{path}: SHA-256 is {digest}, not {sha256}; install the project again")
    try:
        return parse(data)
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path}: not a PyTorch weight file of tensors alone ({error})") from error


def parse(data: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a file's bytes.

    Raises:
        UnpicklingError, EOFError, ValueError, TypeError, LookupError: the bytes are not of this format.
    """
    file = io.BytesIO(data)
    magic, _, _, tensors, keys = (Reader(file).load() for _ in range(5))
    if magic != MAGIC:
        raise ValueError("another magic number")
    dtypes = {item.storage: item.dtype for item in tensors.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(data, dtypes[key], count, file.tell())
        file.seek(storages[key].nbytes, io.SEEK_CUR)
    return {name: numbers(item, storages[item.storage]) for name, item in tensors.items()}


def numbers(item: Tensor, storage: np.ndarray) -> np.ndarray:
    """Return a tensor as a copy of its elements.

    Raises:
        ValueError: it reaches beyond its storage.
    """
    last = item.offset + sum(
        (side - 1) * step for side, step in zip(item.shape, item.strides, strict=True)
    )
    if not 0 <= item.offset <= last < len(storage) or min(item.strides, default=0) < 0:
        raise ValueError("a tensor reaches beyond its storage")
    strides = [step * storage.itemsize for step in item.strides]
    view = np.lib.stride_tricks.as_strided(storage[item.offset :], item.shape, strides)
    return view.copy()
