"""The Prefect server that the command line uses: the one that is set up, or a temporary one."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)

from petseg.errors import UserError

SETUP_HINT = (
    "for the UI: `prefect server start` in another terminal, and once "
    "`prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`"
)


def server_fault(address: str | None) -> str:
    """Return why no server can be used; an empty text if there is one."""
    if not address:
        return "no Prefect server is set up"
    try:
        requests.get(f"{address}/health", timeout=5).raise_for_status()
    except requests.RequestException as error:
        return f"the Prefect server at {address} does not answer ({error})"
    return ""


@contextmanager
def use_server() -> Iterator[None]:
    """Use the server that is set up, or start a temporary one in this process."""
    fault = server_fault(PREFECT_API_URL.value())
    if not fault:
        yield
        return
    print(
        f"{fault}: this run starts a temporary one, which takes about ten seconds", file=sys.stderr
    )
    print(SETUP_HINT, file=sys.stderr)
    # This hides the messages about the temporary server's own start and stop. A log level does not:
    # Prefect sets the levels again when the flow starts.
    logging.getLogger("prefect").addFilter(lambda record: record.levelno >= logging.WARNING)
    with temporary_settings(
        {PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True}, restore_defaults=[PREFECT_API_URL]
    ):
        yield


def require_server() -> None:
    """Check that a server is set up and answers.

    Raises:
        UserError: No server is set up, or it does not answer.
    """
    if fault := server_fault(PREFECT_API_URL.value()):
        raise UserError(f"{fault}; {SETUP_HINT}")
