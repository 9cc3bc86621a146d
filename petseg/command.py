"""The command line of a stage, and the exit status of every program of this project."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from petseg.errors import UserError


def paths(description: str | None, **help_texts: str) -> argparse.Namespace:
    """Return a stage's command-line arguments, one `Path` for each name in `help_texts`.

    Args:
        description: the program's description, usually the module's docstring.
        help_texts: the names of the arguments in order, and what each path is for.
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog="dvc.yaml shows the call that the pipeline makes; parameters come from params.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, text in help_texts.items():
        parser.add_argument(name, type=Path, help=text)
    return parser.parse_args()


def exit_cleanly(main: Callable[[], None]) -> None:
    """Run a program and exit with the right status.

    A `UserError` is printed in one line and exits with 1, Ctrl-C with 130, SIGTERM with 143, and
    with 141 if nobody reads the output any more.
    """
    # SIGTERM becomes an exception, so that every `finally` runs
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # what reads the output, such as `head`, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
