"""What the web server accepts: the limits of one request, and those of all of them together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from flows.web.problems import ProblemError


@dataclass(frozen=True)
class Limits:
    """The limits of the web server; a client that exceeds one gets an answer or is cut off."""

    photo_bytes: int = 1 << 26  # of one photo's file
    bytes_in_memory: int = 1 << 28  # of all uploads and answers that are under way
    photos: int = 64  # that are worked on or wait, in all
    connections: int = 128  # at the same time; as many more get status 503, others are cut
    header_seconds: float = 10  # from connecting until the head of a request is complete
    silent_seconds: float = 10  # between two parts of an upload
    upload_seconds: float = 60  # for a complete upload
    work_seconds: float = 30  # from the complete upload until the answer begins
    answer_seconds: float = 60  # until the client has taken the answer
    end_seconds: int = 10  # for the requests under way when the server is to end

    @property
    def request_seconds(self) -> float:
        """How long a request may take in all before its connection is cut."""
        return self.upload_seconds + self.work_seconds + self.answer_seconds


class Load:
    """The photos and the bytes that are under way; only the event loop changes them, so without locks."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.photos = 0
        self.bytes = 0

    @contextmanager
    def one_photo(self) -> Iterator[None]:
        """Count a photo that is worked on or waits.

        Raises:
            ProblemError: there are too many already; status 503.
        """
        if self.photos >= self.limits.photos:
            raise busy(f"{self.photos} photos wait already")
        self.photos += 1
        try:
            yield
        finally:
            self.photos -= 1

    def check_memory(self) -> None:
        """Refuse a photo if all those under way, and the answers to them, hold too many bytes.

        Raises:
            ProblemError: they do; status 503.
        """
        if self.bytes > self.limits.bytes_in_memory:
            raise busy("the photos under way fill the memory that is meant for them")


class Holding:
    """The bytes in memory that one request accounts for, until the end of a `with` block."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.load.bytes -= self.bytes

    def add(self, count: int) -> None:
        """Account for further bytes."""
        self.bytes += count
        self.load.bytes += count


def busy(reason: str) -> ProblemError:
    """Return the error of a server that has too much to do at the moment; status 503."""
    return ProblemError(503, f"the server is busy: {reason}; try again in a second", retry_after=1)
