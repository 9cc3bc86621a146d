"""Serve a model on a port of this machine until Ctrl-C or SIGTERM."""

import ctypes
import ipaddress
import logging
import socket
import sys
import warnings
from collections.abc import Collection
from contextlib import closing
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from flows.web.app import create_app
from flows.web.connections import BoundedProtocol
from flows.web.guard import HEADERS
from flows.web.limits import Limits, Load
from flows.web.service import MaskService
from petseg.errors import UserError
from petseg.inference.segmenter import Segmenter

BACKLOG = 128  # connections that the operating system holds until they are accepted
# Parameters of `mallopt` in glibc, and their values in bytes.
MEMORY_OPTIONS = {-3: 1 << 22, -1: 1 << 24}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def serve(
    model: Path, host: str, port: int, origins: Collection[str] = (), limits: Limits | None = None
) -> None:
    """Serve the page and the endpoint of a model.

    Args:
        model: an exported model.
        host: the address or name of the network interface to listen on.
        port: the port to listen on; 0 stands for any that is free.
        origins: further addresses under which browsers reach this server.
        limits: what is accepted; `Limits()` by default.

    Raises:
        UserError: the model cannot be loaded, or the port cannot be listened on.
    """
    # Whoever sends a broken upload is told so; the log is not for them to fill.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    return_memory()
    segmenter = Segmenter.load(model, threads=1)
    limits = limits or Limits()
    with (
        listen(host, port) as listener,
        closing(MaskService(segmenter, Load(limits))) as service,
    ):
        announce(listener, segmenter, model)
        run(create_app(service, origins), listener, limits)


def run(app: FastAPI, listener: socket.socket, limits: Limits) -> None:
    """Let an app answer what comes to a socket, until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        http=partial(BoundedProtocol, bounds=limits),  # type: ignore[arg-type]
        ws="none",
        proxy_headers=False,
        log_config=None,
        log_level="error",
        access_log=False,
        backlog=BACKLOG,
        headers=list(HEADERS.items()),
        server_header=False,
        timeout_graceful_shutdown=limits.end_seconds,
    )
    uvicorn.Server(config).run(sockets=[listener])


def return_memory() -> None:
    """Let the C library give large blocks back to the system as soon as they are free.

    By default glibc keeps about a gigabyte after some large photos (benchmarks/serving_memory.py).
    A C library without this function is left as it is.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for parameter, value in MEMORY_OPTIONS.items():
            library.mallopt(parameter, value)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UserError: the port is in use, or there is no such address on this machine.
    """
    # asyncio sends small packets at once only if the socket names its protocol; otherwise an answer
    # waits 40 ms for the client's acknowledgement.
    protocol = socket.IPPROTO_TCP
    try:
        family, *_, (address, _, *scope) = socket.getaddrinfo(host, None, proto=protocol)[0]
        listener = socket.socket(family, socket.SOCK_STREAM, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port, *scope))
        listener.listen(BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        text = getattr(error, "strerror", None) or error
        raise UserError(
            f"{host}:{port} cannot be listened on: {text}; choose another --port or --host"
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address of a socket's page."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    return f"http://{name}:{port}"


def announce(listener: socket.socket, segmenter: Segmenter, model: Path) -> None:
    """Print the address of the page, what model it is, and a warning if others can reach it."""
    address, metadata = address_of(listener), segmenter.metadata
    print(address, flush=True)
    print(
        f"model {model}, recipe {metadata.recipe}, {metadata.image_size} px; endpoint and its "
        f"documentation: {address}/docs; Ctrl-C ends it",
        file=sys.stderr,
    )
    if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        print(
            "warning: other machines can reach this server. It has no accounts and no TLS: put it "
            "behind a reverse proxy (docs/serving.md), or leave out --host",
            file=sys.stderr,
        )
