"""A real HTTP server on loopback that answers each request as a test wants it to: well, or badly."""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server has, what it does with the next requests, and what it was asked."""

    content: bytes
    moves: list["Move"] = field(default_factory=list)  # one per request, then `well`
    ranges: list[str] = field(default_factory=list)  # each request's Range, or nothing
    version: int = 1
    address: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Carries out one move per request."""

    served: Served

    def do_GET(self) -> None:
        """Answer as the script says."""
        self.served.ranges.append(self.headers.get("Range", ""))
        move = self.served.moves.pop(0) if self.served.moves else well
        self.close_connection = True
        move(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def head(self, status: int, **headers: object) -> None:
        """Send a status and headers; `Content_Length` stands for `Content-Length`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def start(self) -> int:
        """The first byte that was asked for, unless the file is another since."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.tag) == self.tag
        return int(found[1]) if found and same else 0

    @property
    def tag(self) -> str:
        """The ETag of what is served now."""
        return f'"v{self.served.version}"'


Move = Callable[[Handler], None]


def well(handler: Handler, extra: int = 0) -> None:
    """Answer whole or in part as HTTP says; `extra` bytes more are announced than there are."""
    content, start = handler.served.content, handler.start
    total = len(content) + extra
    if start >= len(content):
        handler.head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
        return
    headers = {"Content_Length": total - start, "ETag": handler.tag}
    if start:
        headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
    handler.head(206 if start else 200, **headers)
    handler.wfile.write(content[start:])


def cut(after: int, then: Move = lambda _: None) -> Move:
    """Announce the whole and send `after` bytes of what was asked for."""

    def move(handler: Handler) -> None:
        content, start = handler.served.content, handler.start
        headers = {"Content_Length": len(content) - start, "ETag": handler.tag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206 if start else 200, **headers)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        then(handler)

    return move


def hang(handler: Handler) -> None:
    """Send nothing more until the test is over."""
    handler.served.over.wait()


def trickle(handler: Handler) -> None:
    """Send a byte now and then, until the test is over."""
    while not handler.served.over.wait(0.05):
        handler.wfile.write(b"x")


def reset(handler: Handler) -> None:
    """Close the connection by a reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def ignoring_ranges(handler: Handler) -> None:
    """Send the whole whatever was asked for."""
    handler.head(200, Content_Length=len(handler.served.content))
    handler.wfile.write(handler.served.content)


def page(handler: Handler) -> None:
    """Send an HTML page as if it were the file."""
    handler.head(200, Content_Type="text/html", Content_Length=15)
    handler.wfile.write(b"<html>log in</h")


def status(code: int) -> Move:
    """Answer with a status alone."""
    return lambda handler: handler.head(code, Content_Length=0)


def to(address: str) -> Move:
    """Redirect."""
    return lambda handler: handler.head(302, Location=address, Content_Length=0)


def changing_to(content: bytes, move: Move, version: int = 2) -> Move:
    """Serve another file from this request on."""

    def changed(handler: Handler) -> None:
        handler.served.content, handler.served.version = content, version
        move(handler)

    return changed


@contextmanager
def serving(content: bytes, *moves: Move, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    """Run a server over `content`; its address is a mirror."""
    served = Served(content, list(moves))
    kind = type("Bound", (Handler,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        served.address = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield served
        finally:
            served.over.set()
            server.shutdown()
