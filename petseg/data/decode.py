"""Decode the members of an archive in threads, in order and in bounded memory."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from petseg import parallel
from petseg.data.archives import Member
from petseg.data.photos import Picture, UnusableError

BATCH = 8  # members per task of a thread
Decoder = Callable[[bytes, int], Picture]


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """The result of decoding one member of an archive."""

    name: str  # without folder and suffix
    digest: bytes  # SHA-256 of the file
    picture: Picture | None
    reason: str  # why there is no picture, or empty


def decode_all(decoder: Decoder, size: int, members: Iterable[Member]) -> Iterator[DecodeResult]:
    """Yield the result of every member in order; memory does not grow with their number."""
    return parallel.ordered(lambda member: decode_member(decoder, size, *member), members, BATCH)


def decode_member(decoder: Decoder, size: int, path: str, data: bytes) -> DecodeResult:
    """Return the picture of one member, or the reason why it has none."""
    name, digest = PurePosixPath(path).stem, hashlib.sha256(data).digest()
    try:
        return DecodeResult(name, digest, decoder(data, size), "")
    except UnusableError as error:
        return DecodeResult(name, digest, None, str(error))
