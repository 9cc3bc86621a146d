"""Archive members → decoded pictures in the archive's order, on all cores, a few in memory at a time."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from stages.petseg.archives import Member
from stages.petseg.photos import Decoded, UnusableError

BATCH = 8  # members that a thread takes at a time: handing each over alone costs time
AHEAD = 4  # batches per thread that are decoded or wait

Decoder = Callable[[bytes, int], Decoded]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one member."""

    name: str  # without folder and suffix
    digest: bytes  # SHA-256 of its bytes
    picture: Decoded | None
    fault: str  # why there is no picture, or empty


def decode_all(decoder: Decoder, size: int, members: Iterable[Member]) -> Iterator[Result]:
    """Yield each member's result in order; memory does not grow with their number.

    Threads, for Pillow and simplejpeg decode without Python's lock.
    """
    threads = os.cpu_count() or 1
    waiting: deque[Future[list[Result]]] = deque()
    members = iter(members)
    with ThreadPoolExecutor(threads) as pool:
        try:
            while batch := list(islice(members, BATCH)):
                waiting.append(pool.submit(decode_batch, decoder, size, batch))
                if len(waiting) >= AHEAD * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # on Ctrl-C at once


def decode_batch(decoder: Decoder, size: int, members: list[Member]) -> list[Result]:
    """Return the results of a few members."""
    return [decode_one(decoder, size, *member) for member in members]


def decode_one(decoder: Decoder, size: int, path: str, data: bytes) -> Result:
    """Return one member's picture, or why it has none."""
    name, digest = PurePosixPath(path).stem, hashlib.sha256(data).digest()
    try:
        return Result(name, digest, decoder(data, size), "")
    except UnusableError as error:
        return Result(name, digest, None, str(error))
