"""Requests byte by byte, for clients that no HTTP library would be."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message

from tests.web.server import PHOTO, Server

SECONDS = 20  # that a client waits at most for an answer


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    headers: Message
    body: bytes

    @property
    def detail(self) -> str:
        """What a problem says."""
        return str(json.loads(self.body)["detail"])


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Open a connection, and close it."""
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
        yield connection


def head(
    path: str = "/mask", method: str = "POST", host: str = "127.0.0.1", **more: object
) -> bytes:
    """Return the head of a request; `more` are headers, with _ for -."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def upload(
    photo: bytes = PHOTO, path: str = "/mask", host: str = "127.0.0.1", **more: object
) -> bytes:
    """Return a complete request with a photo."""
    return head(path, "POST", host, Content_Length=len(photo), **more) + photo


def read_answer(connection: socket.socket, method: str = "POST") -> Answer:
    """Return the next answer on a connection."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the server closes or cuts a connection."""
    received = b""
    with suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            received += part
    return received


def is_cut(connection: socket.socket) -> bool:
    """Wait until the server closes a connection; return whether it did so without an answer."""
    return not read_all(connection)
