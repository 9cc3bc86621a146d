"""Shares of the photos, so that several machines can predict a folder at the same time."""

import hashlib
import os
from collections.abc import Sequence

from petseg.errors import UserError
from petseg.prediction.sources import Source


def parse(text: str) -> tuple[int, int]:
    """Return the number and the count of a shard such as `3/64`.

    Raises:
        UserError: it is none.
    """
    number, separator, count = text.partition("/")
    if separator and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise UserError(f"--shard is {text}; expected NUMBER/COUNT, such as 3/64, from 1/64 to 64/64")


def is_in(source: Source, number: int, count: int) -> bool:
    """Return whether a photo is in shard `number` of `count`: a stable share, by its name."""
    digest = hashlib.sha256(os.fsencode(source.name)).digest()
    return int.from_bytes(digest[:8]) % count == number - 1


def select(photos: Sequence[Source], shard: str | None) -> list[Source]:
    """Return the photos of a shard such as `3/64`; without a shard, all photos.

    Raises:
        UserError: it is no shard.
    """
    if shard is None:
        return list(photos)
    number, count = parse(shard)
    return [source for source in photos if is_in(source, number, count)]


def table_name(shard: str | None) -> str:
    """Return the name of the table of results, which a shard has for itself.

    Raises:
        UserError: it is no shard.
    """
    if shard is None:
        return "results.csv"
    number, count = parse(shard)
    return f"results-{number}-of-{count}.csv"
