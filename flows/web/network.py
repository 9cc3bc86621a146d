"""The queue before the network: photos that arrive together share a call of it."""

import os
import threading
from collections import deque
from concurrent.futures import Future
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

from petseg.inference.onnx_engine import OnnxEngine

BATCH = 2  # photos in one call at most; more are slower on a core (benchmarks/serving.py --batches)
Pixels = UInt8[np.ndarray, "size size 3"]
Levels = UInt8[np.ndarray, "size size"]
Entry: TypeAlias = tuple[Pixels, "Future[Levels]"]


class NetworkQueue:
    """A thread for each core that gives waiting photos to the network, several in a call.

    A core works on its own batch: that is faster than all cores on one, and no photo's result
    depends on the others in its batch.
    """

    def __init__(self, engine: OnnxEngine) -> None:
        """Start the threads; the engine should use one thread for a call."""
        self.engine = engine
        self.waiting: deque[Entry] = deque()
        self.change = threading.Condition()
        self.is_closed = False
        self.threads = [
            threading.Thread(target=self.work, name=f"network-{number}")
            for number in range(os.cpu_count() or 1)
        ]
        for thread in self.threads:
            thread.start()

    def submit(self, pixels: Pixels) -> "Future[Levels]":
        """Return the future probabilities, in 1/255, of a photo; a cancelled one is left out."""
        future: Future[Levels] = Future()
        with self.change:
            self.waiting.append((pixels, future))
            self.change.notify()
        return future

    def work(self) -> None:
        """Call the network on the photos that wait, until the queue is closed."""
        while batch := self.next_batch():
            entries = [entry for entry in batch if entry[1].set_running_or_notify_cancel()]
            if entries:
                self.predict(entries)

    def next_batch(self) -> list[Entry]:
        """Return photos that wait, this thread's share of them; none if the queue is closed."""
        with self.change:
            self.change.wait_for(lambda: self.waiting or self.is_closed)
            share = -(-len(self.waiting) // len(self.threads))
            return [self.waiting.popleft() for _ in range(min(share, BATCH))]

    def predict(self, entries: list[Entry]) -> None:
        """Call the network once, and give each future its probabilities."""
        try:
            levels = self.engine.levels(np.stack([pixels for pixels, _ in entries]))
        except Exception as error:  # whoever waits for the future gets it
            for _, future in entries:
                future.set_exception(error)
            return
        for (_, future), photo_levels in zip(entries, levels, strict=True):
            future.set_result(photo_levels)

    def close(self) -> None:
        """End the threads, once the photos that wait are done."""
        with self.change:
            self.is_closed = True
            self.change.notify_all()
        for thread in self.threads:
            thread.join()
