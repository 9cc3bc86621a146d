"""Start TensorFlow: quiet, with oneDNN's kernels, and repeatable."""

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal


def start(seed: int, precision: Literal["float32", "bfloat16"] = "float32") -> None:
    """Import TensorFlow, seed every generator, and set the precision of the layers.

    oneDNN's kernels are switched on: TensorFlow leaves them off on processors without AVX-512,
    where they train a U-Net 1.7 times as fast (21 against 12 photos/s on Zen 3).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_unless_it_fails():
        import keras
        import tensorflow as tf

        tf.config.list_logical_devices()  # the call that logs whether there is a GPU
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy({"bfloat16": "mixed_bfloat16"}.get(precision, precision))
    tf.config.experimental.enable_op_determinism()


def device() -> str:
    """Return the name of the GPUs, or of the processor if there is none."""
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    if gpus := ", ".join(gpu.get("device_name", "GPU") for gpu in details):
        return gpus
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@contextmanager
def quiet_unless_it_fails() -> Iterator[None]:
    """Hide standard error unless the block fails: TensorFlow logs before its log level applies."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
