"""How a program is called and how it ends: paths as arguments, outputs whole, faults in one line."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from petseg.errors import UserError


def paths(description: str | None, **texts: str) -> argparse.Namespace:
    """Return a stage's arguments, a path each; `texts` says in order what each is for."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog="dvc.yaml shows the call that the pipeline makes; parameters come from params.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, text in texts.items():
        parser.add_argument(name, type=Path, help=text)
    return parser.parse_args()


def exit_cleanly(main: Callable[[], None]) -> None:
    """Run a program; a `UserError` ends it with its text and 1, Ctrl-C with 130, SIGTERM with 143."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
