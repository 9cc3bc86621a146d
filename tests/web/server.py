"""A real `petseg try` on a free port of this machine, with a model that sees red as pet."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests

from tests.conftest import ENVIRONMENT
from tests.prediction.red_model import as_bytes, half_red, write_red_model

PHOTO = as_bytes(half_red(204, (40, 30)))  # 40 by 30 pixels; the left half has 204/255 = 0.8 of red
WITH_LIMITS = """
import sys
from pathlib import Path
from flows.web import server
from flows.web.limits import Limits
from petseg import command
command.exit_cleanly(
    lambda: server.serve(Path(sys.argv[1]), "127.0.0.1", 0, limits=Limits(**{limits!r}))
)
"""


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    address: str  # such as http://127.0.0.1:43210
    model: Path
    process: subprocess.Popen[str]
    folder: Path

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port = urlsplit(self.address).port
        assert port
        return port

    @property
    def temporary(self) -> Path:
        """The folder that the process takes for temporary files."""
        return self.folder / "tmp"

    def log(self) -> str:
        """Return what it has printed to standard error."""
        return (self.folder / "stderr.txt").read_text()

    def get(self, path: str, **options: Any) -> requests.Response:
        """Return the answer to a GET request."""
        return requests.get(f"{self.address}{path}", timeout=60, **options)

    def post(self, data: Any = PHOTO, query: str = "", **options: Any) -> requests.Response:
        """Return the answer to a photo that is the body of a request."""
        return requests.post(f"{self.address}/mask{query}", data, timeout=60, **options)

    def photos(self) -> int:
        """Return how many photos it works on or lets wait."""
        return int(self.get("/health").json()["photos"])

    def resident_bytes(self) -> int:
        """Return how much memory the process has."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """Start `petseg try` with further options, wait until it answers, and end it.

    Its model is `model.onnx` in the folder: that of tests/prediction/red_model.py, unless another
    file is there already.
    """
    model = model_in(folder)
    with running(
        folder, ["petseg", "try", "--model", str(model), "--port", "0", *options]
    ) as server:
        yield server


@contextmanager
def serving_with_limits(folder: Path, **limits: float) -> Iterator[Server]:
    """Start a server as `serving` does, with other limits than those of the command."""
    script = WITH_LIMITS.format(limits=limits)
    with running(folder, [sys.executable, "-c", script, str(model_in(folder))]) as server:
        yield server


def model_in(folder: Path) -> Path:
    """Return the model in a folder; write one if there is none."""
    model = folder / "model.onnx"
    return model if model.exists() else write_red_model(model)


@contextmanager
def running(folder: Path, command: Sequence[str], path: str = "/health") -> Iterator[Server]:
    """Start a command that prints an address, wait until it answers there, and end it.

    Args:
        folder: gets the log, and temporary files.
        command: the command.
        path: what to ask the server for, to see that it answers.
    """
    (folder / "tmp").mkdir(exist_ok=True)
    with (
        (folder / "stderr.txt").open("w") as log,
        subprocess.Popen(
            command,
            env=os.environ | ENVIRONMENT | {"TMPDIR": str(folder / "tmp")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            server = Server(address, folder / "model.onnx", process, folder)
            assert address.startswith("http://"), server.log()
            assert server.get(path).ok
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
