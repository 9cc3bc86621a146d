"""Runs git in the current folder and turns its failures into one-line errors."""

import os
import subprocess
from collections.abc import Mapping

from petseg.errors import UserError


def git(*arguments: str, extra: Mapping[str, str] | None = None) -> str:
    """Run git and return what it prints, without the last newline.

    Args:
        arguments: The subcommand and its arguments.
        extra: Environment variables that are set in addition to those of this process.

    Raises:
        UserError: git is not installed, or it fails; the text is then git's own.
    """
    try:
        result = subprocess.run(  # noqa: S603 - there is no shell to interpret the arguments
            ["git", *arguments],  # noqa: S607 - the git that the user has on PATH
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(extra or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise UserError(f"git cannot be started ({error}); install it") from None
    if result.returncode:
        message = " ".join((result.stderr or result.stdout).split())
        raise UserError(f"git {arguments[0]}: {message}")
    return result.stdout.rstrip("\n")


def or_empty(*arguments: str) -> str:
    """Run git and return what it prints, or an empty text if it fails or is not installed."""
    try:
        return git(*arguments)
    except UserError:
        return ""
