"""Compare the speed of `petseg try` with that of `petseg predict` and of the usual server.

    python benchmarks/serving.py data/export/model.onnx data/model/model.keras data/raw
    python benchmarks/serving.py data/export/model.onnx data/model/model.keras data/raw --batches

The last folder holds images.tar.gz and annotations.tar.gz; the photos are the first of its test list,
then of its trainval list, resized to 500 × 375 pixels. Every round runs the programs in turn, and
the ratios are those of one round.

    predict   `petseg predict FOLDER --out MASKS`, with its start and without
    try       `petseg try`: each client sends a photo, reads its mask, and sends the next one
    usual     the same clients with usual_server.py: FastAPI, and Keras called per request

The clients are threads of this process: they take their part of the cores from the server, while
`petseg predict` has all of them. Memory is the resident size of the server (RSS), after its first answer
and after its last.

`--batches` measures the network without the server instead: a thread for each core, each with a batch
of its own. The limit of a batch in flows/web/network.py rests on this.
"""

import argparse
import http.client
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import psutil
from nothing_changed import ENVIRONMENT, ROOT
from PIL import Image
from predict_speed import PETSEG, THREADS, Inputs, network, predict, unpack

HOST = "127.0.0.1"
PHOTO_SIZE = (500, 375)  # width and height in pixels
BATCHES = (1, 2, 4, 8)
POLL_SECONDS = 0.005  # between two attempts to connect to a server that starts
START_SECONDS = 120  # that a server may take to start
USUAL_SERVER = str(ROOT / "benchmarks/usual_server.py")


@dataclass(frozen=True)
class Answer:
    """What a server answered to a request."""

    status: int
    content: bytes
    seconds: float  # from the beginning of the request to the end of the answer


class Client:
    """A client with one connection, which it keeps open from request to request."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection(HOST, port)

    def get(self, path: str) -> Answer:
        """Return the answer to a GET request."""
        return self.request("GET", path)

    def post(self, photo: bytes, query: str = "") -> Answer:
        """Return the answer to a photo that is the body of a request."""
        return self.request("POST", f"/mask{query}", photo, {"Content-Type": "image/jpeg"})

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a request."""
        start = time.perf_counter()
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        content = response.read()
        return Answer(response.status, content, time.perf_counter() - start)


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    port: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]  # what it prints
    start: float  # when the process was started, on the clock of `time.perf_counter`

    def client(self) -> Client:
        """Return a new client, which is connected as soon as the server listens.

        Raises:
            RuntimeError: the server has ended, or does not listen in time.
        """
        while self.age() < START_SECONDS and self.process.poll() is None:
            client = Client(self.port)
            try:
                client.connection.connect()
            except ConnectionRefusedError:
                time.sleep(POLL_SECONDS)
            else:
                return client
        raise RuntimeError(f"no server listens on port {self.port}: {self.messages()}")

    def age(self) -> float:
        """Return the seconds since the process was started."""
        return time.perf_counter() - self.start

    def messages(self) -> str:
        """Return what the server has printed."""
        self.log.seek(0)
        return self.log.read().decode()

    def resident_bytes(self) -> int:
        """Return how much memory the process has."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def running(*command: str) -> Iterator[Server]:
    """Start a command that takes the option --port, and end it."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    start = time.perf_counter()
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield Server(port, process, log, start)
        finally:
            process.terminate()


def petseg_try(model: Path) -> tuple[str, ...]:
    """Return the command that serves an exported model."""
    return (PETSEG, "try", "--model", str(model.absolute()))


@dataclass(frozen=True)
class Measured:
    """What a server did for its clients."""

    rate: float  # photos per second
    seconds: Sequence[float]  # of each answer
    errors: int  # answers with another status than 200
    memory: tuple[int, int]  # bytes after the first answer, and after the last


def measure(
    command: Sequence[str], photos: Sequence[bytes], clients: int, time_limit: float
) -> Measured:
    """Start a server; let clients send photos for so many seconds, each one after the other."""
    with running(*command) as server:
        server.client().post(photos[0])  # Keras builds its graph
        memory_at_start = server.resident_bytes()
        start = time.perf_counter()
        end = start + time_limit

        def answers(number: int) -> list[Answer]:
            client, results = server.client(), []
            position = number * len(photos) // clients
            while time.perf_counter() < end:
                results.append(client.post(photos[position % len(photos)]))
                position += 1
            return results

        with ThreadPoolExecutor(clients) as pool:
            results = [answer for part in pool.map(answers, range(clients)) for answer in part]
        seconds = time.perf_counter() - start
        return Measured(
            len(results) / seconds,
            [answer.seconds for answer in results],
            sum(answer.status != http.HTTPStatus.OK for answer in results),
            (memory_at_start, server.resident_bytes()),
        )


def resize(folder: Path, target: Path) -> None:
    """Write the photos of a folder in `PHOTO_SIZE`, as JPEG of quality 90."""
    for path in sorted(folder.iterdir()):
        with Image.open(path) as photo:
            resized = photo.convert("RGB").resize(PHOTO_SIZE, Image.Resampling.LANCZOS)
        resized.save(target / f"{path.stem}.jpg", quality=90)


def spread(values: Iterable[float], digits: int) -> str:
    """Return the median of numbers and their range."""
    numbers = sorted(values)
    texts = (
        f"{value:.{digits}f}" for value in (statistics.median(numbers), numbers[0], numbers[-1])
    )
    return "{} ({} to {})".format(*texts)


def print_server(name: str, rounds: Sequence[Measured]) -> None:
    """Print what a server did in all rounds."""
    seconds = np.concatenate([measured.seconds for measured in rounds])
    p50, p95, longest = 1000 * np.percentile(seconds, [50, 95, 100])
    start, end = (
        spread((measured.memory[place] / 1e6 for measured in rounds), 0) for place in range(2)
    )
    print(
        f"{name:17} {spread((measured.rate for measured in rounds), 1)} photos/s\n"
        f"{'':17} p50 {p50:.0f} ms, p95 {p95:.0f} ms, at most {longest:.0f} ms; "
        f"{sum(measured.errors for measured in rounds)} errors in {len(seconds):,} answers\n"
        f"{'':17} memory at the start {start} MB, at the end {end} MB"
    )


def compare(inputs: Inputs, args: argparse.Namespace) -> None:
    """Print the speeds of the programs, and their ratios."""
    photos = [path.read_bytes() for path in inputs.paths()]
    commands = {
        "try": petseg_try(inputs.onnx_model),
        "usual": (sys.executable, USUAL_SERVER, str(inputs.keras_model)),
    }
    servers: dict[str, list[Measured]] = {name: [] for name in commands}
    folder_rates = []
    for _ in range(args.rounds):
        folder_rates.append(predict(inputs))
        for name, command in commands.items():
            servers[name].append(measure(command, photos, args.clients, args.seconds))
    print(
        f"{len(photos)} photos, {args.clients} clients for {args.seconds:g} s, {args.rounds} rounds"
    )
    rates = dict(zip(("predict", "predict, started"), zip(*folder_rates, strict=True), strict=True))
    for name, values in rates.items():
        print(f"{name:17} {spread(values, 1)} photos/s")
    for name, rounds in servers.items():
        print_server(name, rounds)
    rates["usual"] = tuple(measured.rate for measured in servers["usual"])
    for name, values in rates.items():
        pairs = zip(servers["try"], values, strict=True)
        print(f"try ÷ {name}: {spread((measured.rate / rate for measured, rate in pairs), 2)}")


def compare_batches(inputs: Inputs, rounds: int) -> None:
    """Print the speed of the network by the number of photos in a call."""
    rates: dict[int, list[float]] = {batch: [] for batch in BATCHES}
    for _ in range(rounds):
        for batch in BATCHES:
            rates[batch].append(network(inputs, batch, THREADS))
    print(f"network, {THREADS} threads, {rounds} rounds")
    for batch, values in rates.items():
        print(f"{batch} in a call: {spread(values, 1)} photos/s")


def main() -> None:
    """Compare the programs, or the batches."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("onnx_model", type=Path)
    parser.add_argument("keras_model", type=Path)
    parser.add_argument("archives", type=Path, help="folder with the two archives")
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60, help="that clients send photos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", action="store_true", help="measure the network by its batch")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        originals, resized = Path(name) / "originals", Path(name) / "resized"
        for folder in (originals, resized):
            folder.mkdir()
        unpack(args.archives, args.photos, originals)
        resize(originals, resized)
        inputs = Inputs(args.onnx_model.absolute(), args.keras_model.absolute(), resized)
        if args.batches:
            compare_batches(inputs, args.rounds)
        else:
            compare(inputs, args)


if __name__ == "__main__":
    main()
