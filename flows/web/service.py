"""The way of a photo through the server: decode, wait for the network, encode the answer."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from flows.web import answers
from flows.web.answers import Answer, Options
from flows.web.limits import Load
from flows.web.network import NetworkQueue
from flows.web.problems import ProblemError
from petseg.data import photos
from petseg.data.photos import Picture
from petseg.inference.segmenter import Prediction, Segmenter
from petseg.prediction.budget import PIXELS_IN_WORK, PixelBudget

Result = TypeVar("Result")


class MaskService:
    """Answers queries about photos; the work is done in threads, so the event loop stays free."""

    def __init__(self, segmenter: Segmenter, load: Load) -> None:
        """Start the threads; `close` ends them.

        Args:
            segmenter: the model; its engine should use one thread for a call.
            load: says whether there is memory for an answer.
        """
        self.segmenter = segmenter
        self.load = load
        self.network = NetworkQueue(segmenter.engine)
        self.pool = ThreadPoolExecutor(os.cpu_count(), "photos")
        self.budget = PixelBudget(PIXELS_IN_WORK)

    async def answer(self, data: bytes, options: Options, seconds: float) -> Answer:
        """Return the answer to a query about the photo in the bytes of a file.

        If the caller is cancelled, what has not begun is left out.

        Raises:
            UnusableError: the photo cannot be used.
            ProblemError: the answer takes more than `seconds`, or memory is short.
        """
        try:
            async with asyncio.timeout(seconds):
                prediction = await self.prediction(data)
                return await self.in_thread(lambda: self.encode(prediction, options))
        except TimeoutError:
            raise ProblemError(
                503,
                f"the answer was not there after {seconds:g} s; try again, or send a smaller photo",
                retry_after=10,
            ) from None

    async def prediction(self, data: bytes) -> Prediction:
        """Return what the model says of a photo; the tiles of one photo are predicted in one thread."""
        if self.segmenter.metadata.mode == "tiles":
            return await self.in_thread(lambda: self.predict_tiles(data))
        picture = await self.in_thread(lambda: self.decode(data))
        levels = await asyncio.wrap_future(self.network.submit(picture.pixels))
        return self.segmenter.prediction(data, picture, levels)

    def predict_tiles(self, data: bytes) -> Prediction:
        """Return what the model says of a photo that it reads at its own size."""
        width, height = photos.read_size(data)
        with self.budget.reserve(width * height):
            return self.segmenter.predict_bytes(data)

    def decode(self, data: bytes) -> Picture:
        """Return the input of the network, with width and height of the upright photo."""
        width, height = photos.read_size(data)
        with self.budget.reserve(width * height):
            return self.segmenter.decode(data)

    def encode(self, prediction: Prediction, options: Options) -> Answer:
        """Return the answer that a query names."""
        self.load.check_memory()
        with self.budget.reserve(prediction.width * prediction.height):
            return answers.create(prediction, options, self.segmenter.engine.sha256)

    async def in_thread(self, function: Callable[[], Result]) -> Result:
        """Return the function's result, which a thread of the pool computes."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function)

    def close(self) -> None:
        """End the threads; photos that wait are not decoded any more."""
        self.pool.shutdown(cancel_futures=True)
        self.network.close()
