"""The one kind of error that a user can mend, and how a program ends on it."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """A fault in the input; its one-line text names the file, the key and the remedy."""


def exit_cleanly(main: Callable[[], None]) -> None:
    """Run a program; a `UserError` ends it with its text and 1, Ctrl-C with 130."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
