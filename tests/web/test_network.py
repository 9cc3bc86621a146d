"""The queue before the network: calls that photos share, results, cancelled photos, errors."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.web.app import create_app
from flows.web.limits import Limits, Load
from flows.web.network import BATCH, Levels, NetworkQueue, Pixels
from flows.web.service import MaskService
from petseg.inference.onnx_engine import OnnxEngine
from petseg.inference.segmenter import Segmenter
from tests.prediction.red_model import SIZE, write_red_model
from tests.web.server import PHOTO

TIMEOUT = 20  # seconds until a future is a failure
WRONG = np.zeros((SIZE + 1, SIZE + 1, 3), np.uint8)  # an input that the network refuses


class SlowEngine(OnnxEngine):
    """The real network, which waits for a signal before each call and notes the batches."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, threads=1)
        self.may_go = threading.Event()
        self.batches: list[int] = []
        self.change = threading.Condition()

    def levels(self, photos: Pixels) -> Levels:
        """Note the batch, wait, and return what the network says."""
        with self.change:
            self.batches.append(len(photos))
            self.change.notify_all()
        assert self.may_go.wait(TIMEOUT)
        return super().levels(photos)

    def wait_for_calls(self, count: int) -> None:
        """Wait until so many calls have begun."""
        with self.change:
            assert self.change.wait_for(lambda: len(self.batches) >= count, TIMEOUT)


@pytest.fixture
def engine(tmp_path: Path) -> SlowEngine:
    """A network that waits for a signal."""
    return SlowEngine(write_red_model(tmp_path / "model.onnx"))


@pytest.fixture
def queue(engine: SlowEngine) -> Iterator[NetworkQueue]:
    """A queue whose threads are all in a call of the network, with a photo each."""
    queue = NetworkQueue(engine)
    for count, _ in enumerate(queue.threads, 1):
        queue.submit(photo(0))
        engine.wait_for_calls(count)
    yield queue
    engine.may_go.set()
    queue.close()


def photo(red: int) -> Pixels:
    """Return a photo with this red everywhere: its levels."""
    return np.full((SIZE, SIZE, 3), red, np.uint8)


def test_photos_that_wait_share_calls_and_get_their_own_results(
    queue: NetworkQueue, engine: SlowEngine
) -> None:
    threads = len(queue.threads)
    reds = [number % 256 for number in range(20 * threads)]
    futures = [queue.submit(photo(red)) for red in reds]
    engine.may_go.set()
    for red, future in zip(reds, futures, strict=True):
        assert np.array_equal(future.result(TIMEOUT), np.full((SIZE, SIZE), red))
    batches = engine.batches[threads:]
    assert sum(batches) == 20 * threads
    assert max(batches) == BATCH
    assert len(batches) <= 12 * threads  # about half as many calls as photos; the last take one


def test_few_photos_are_shared_out_among_the_threads(
    queue: NetworkQueue, engine: SlowEngine
) -> None:
    futures = [queue.submit(photo(red)) for red in range(len(queue.threads))]
    engine.may_go.set()
    for future in futures:
        future.result(TIMEOUT)
    assert engine.batches == [1] * (2 * len(queue.threads))


def test_a_result_does_not_depend_on_the_others_in_the_batch(
    queue: NetworkQueue, engine: SlowEngine
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)
    futures = [queue.submit(pixels) for pixels in noise]
    engine.may_go.set()
    for pixels, future in zip(noise, futures, strict=True):
        assert np.array_equal(future.result(TIMEOUT), engine.levels(pixels[None])[0])


def test_a_cancelled_photo_is_left_out(queue: NetworkQueue, engine: SlowEngine) -> None:
    futures = [queue.submit(photo(red)) for red in range(6)]
    cancelled = futures[1::2]
    assert all(future.cancel() for future in cancelled)
    engine.may_go.set()
    for future in futures[::2]:
        future.result(TIMEOUT)
    for future in cancelled:
        with pytest.raises(CancelledError):
            future.result(TIMEOUT)
    assert sum(engine.batches) == len(queue.threads) + 3


def test_an_error_of_the_network_reaches_everybody_in_the_batch_and_the_queue_goes_on(
    queue: NetworkQueue, engine: SlowEngine
) -> None:
    futures = [queue.submit(WRONG) for _ in range(5)]
    engine.may_go.set()
    for future in futures:
        with pytest.raises(Exception, match="Got invalid dimensions for input"):
            future.result(TIMEOUT)
    assert queue.submit(photo(7)).result(TIMEOUT)[0, 0] == 7
    assert all(thread.is_alive() for thread in queue.threads)


def test_a_closed_queue_finishes_what_waits_and_ends_its_threads(
    queue: NetworkQueue, engine: SlowEngine
) -> None:
    futures = [queue.submit(photo(red)) for red in range(9)]
    engine.may_go.set()
    queue.close()
    assert [future.result(0)[0, 0] for future in futures] == list(range(9))
    assert not [thread for thread in queue.threads if thread.is_alive()]


SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "scheme": "http",
    "method": "POST",
    "path": "/mask",
    "raw_path": b"/mask",
    "query_string": b"",
    "headers": [(b"host", b"127.0.0.1")],
}
Messages = asyncio.Queue[dict[str, Any]]


@pytest.fixture
def service(engine: SlowEngine) -> Iterator[MaskService]:
    """A service whose network threads are all in a call, with a photo each."""
    service = MaskService(Segmenter(engine), Load(Limits()))
    for count, _ in enumerate(service.network.threads, 1):
        service.network.submit(photo(0))
        engine.wait_for_calls(count)
    yield service
    engine.may_go.set()
    service.close()


def request(service: MaskService, act: Callable[[Messages], Awaitable[None]]) -> int:
    """Send a photo, act once it waits for the network, and return the status of the answer.

    `act` gets the messages that the application receives.
    """
    statuses = []

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    async def run() -> None:
        messages: Messages = asyncio.Queue()
        await messages.put({"type": "http.request", "body": PHOTO, "more_body": False})
        answer = asyncio.ensure_future(create_app(service)(dict(SCOPE), messages.get, send))
        while not service.network.waiting:
            assert not answer.done()
            await asyncio.sleep(0.01)
        assert service.load.photos == 1
        await act(messages)
        await asyncio.wait_for(answer, TIMEOUT)

    asyncio.run(run())
    return int(statuses[0])


def test_a_client_that_goes_away_frees_its_place_at_once_and_its_photo_is_left_out(
    service: MaskService, engine: SlowEngine
) -> None:
    async def disconnect(messages: Messages) -> None:
        await messages.put({"type": "http.disconnect"})

    request(service, disconnect)
    assert (service.load.photos, service.load.bytes) == (0, 0)
    engine.may_go.set()
    service.close()
    assert engine.batches == [1] * len(service.network.threads)


def test_an_answer_is_not_begun_if_memory_is_short_by_then(
    service: MaskService, engine: SlowEngine
) -> None:
    async def fill_memory(_: Messages) -> None:
        service.load.bytes += service.load.limits.bytes_in_memory
        engine.may_go.set()

    assert request(service, fill_memory) == 503
    assert service.load.photos == 0
