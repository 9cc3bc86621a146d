"""Which Prefect server a run of the command line talks to: the one set up, or a temporary one."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
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
    """Return why there is no server to talk to; empty if there is one."""
    if not address:
        return "no Prefect server is set up"
    try:
        httpx.get(f"{address}/health", timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        return f"the Prefect server at {address} does not answer ({error})"
    return ""


@contextmanager
def use_server() -> Iterator[None]:
    """Use the server that is set up; without one, a temporary one of this process."""
    why = server_fault(PREFECT_API_URL.value())
    if not why:
        yield
        return
    print(f"{why}: this run starts a temporary one, which takes about ten seconds", file=sys.stderr)
    print(SETUP_HINT, file=sys.stderr)
    # its own start and stop; a level would be set anew when the flow starts
    logging.getLogger("prefect").addFilter(lambda record: record.levelno >= logging.WARNING)
    with temporary_settings(
        {PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True}, restore_defaults=[PREFECT_API_URL]
    ):
        yield


def require_server() -> None:
    """Make sure that a server is there.

    Raises:
        UserError: none is set up, or it does not answer.
    """
    if why := server_fault(PREFECT_API_URL.value()):
        raise UserError(f"{why}; {SETUP_HINT}")
