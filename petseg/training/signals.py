"""SIGTERM and Ctrl-C put off until what is at work has come to a good end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Which of the signals has come."""

    number = 0

    def is_set(self) -> bool:
        """Return whether one has."""
        return bool(self.number)

    @property
    def exit_code(self) -> int:
        """The shell's: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + self.number


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Within, the first of SIGTERM and Ctrl-C is only noted; a second one acts as ever."""
    asked = StopRequest()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.getsignal(each) for each in signals}

    def note(number: int, _: FrameType | None) -> None:
        asked.number = number
        put_back()

    def put_back() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in signals:
        signal.signal(each, note)
    try:
        yield asked
    finally:
        put_back()
