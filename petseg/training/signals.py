"""SIGTERM and Ctrl-C that wait until the step in progress is done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether one of the signals has arrived, and which."""

    number = 0

    def is_set(self) -> bool:
        """Return whether a signal has arrived."""
        return bool(self.number)

    @property
    def exit_code(self) -> int:
        """The exit code that a shell gives it: 143 for SIGTERM, 130 for Ctrl-C."""
        return 128 + self.number


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Note the first SIGTERM or Ctrl-C instead of acting on it; a second one acts as usual."""
    request = StopRequest()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore_handlers() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        request.number = number
        restore_handlers()

    for number in handlers:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore_handlers()
