"""Call a function on many items in threads, with the results in order and memory bounded."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
BATCHES_PER_THREAD = 4  # that wait or are being worked on


def ordered(
    function: Callable[[Item], Result], items: Iterable[Item], batch: int = 1
) -> Iterator[Result]:
    """Yield the function's result for every item in order; memory does not grow with their number.

    A thread per core works, which pays off for functions that release Python's lock, as those of
    Pillow, simplejpeg and ONNX Runtime do.

    Args:
        function: called from several threads at once.
        items: consumed a little ahead of the results.
        batch: items per task of a thread; a task for every single small item would cost time.
    """
    threads = os.cpu_count() or 1
    pending: deque[Future[list[Result]]] = deque()
    items = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while chunk := list(islice(items, batch)):
                pending.append(pool.submit(call_on_each, function, chunk))
                if len(pending) >= BATCHES_PER_THREAD * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C ends at once


def call_on_each(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    """Return the function's results for a few items."""
    return [function(item) for item in items]
