"""Decode photos or masks in threads, in order and in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from petseg import parallel
from petseg.data.frame import Frame
from petseg.data.listing import Member
from petseg.data.photos import Picture, UnusableError

BATCH = 8  # files per task of a thread
Decoder = Callable[[bytes, Frame], Picture]


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """The result of decoding one file."""

    name: str  # of the photo
    digest: bytes  # SHA-256 of the file
    picture: Picture | None
    reason: str  # why there is no picture, or empty


def decode_all(decoder: Decoder, frame: Frame, members: Iterable[Member]) -> Iterator[DecodeResult]:
    """Yield the result of every file in order; memory does not grow with their number.

    Raises:
        UserError: a file has changed since it was listed.
    """
    batch = 1 if frame.mode == "tiles" else BATCH  # photos of their own size take more memory
    return parallel.ordered(lambda member: decode_member(decoder, frame, member), members, batch)


def decode_member(decoder: Decoder, frame: Frame, member: Member) -> DecodeResult:
    """Return the picture of one file, or the reason why it has none."""
    data, digest = member.read()
    try:
        return DecodeResult(member.name, digest, decoder(data, frame), "")
    except UnusableError as error:
        return DecodeResult(member.name, digest, None, str(error))
