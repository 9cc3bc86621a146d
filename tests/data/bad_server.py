"""A real HTTP server on loopback that answers every request correctly or with a chosen fault."""

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
class ServerState:
    """The file that the server has, its answers to the next requests, and the requests so far."""

    content: bytes
    answers: list["Answer"] = field(default_factory=list)  # when used up, `answer_correctly`
    ranges: list[str] = field(default_factory=list)  # the header Range of every request, or empty
    version: int = 1  # of the content
    address: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Gives one answer per request."""

    state: ServerState

    def do_GET(self) -> None:
        """Give the next answer."""
        self.state.ranges.append(self.headers.get("Range", ""))
        answer = self.state.answers.pop(0) if self.state.answers else answer_correctly
        self.close_connection = True
        answer(self)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def send_head(self, status: int, **headers: object) -> None:
        """Send a status and headers; `Content_Length` stands for `Content-Length`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    @property
    def start(self) -> int:
        """The first requested byte; 0 if the request is for another version of the file."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        is_same_version = self.headers.get("If-Range", self.tag) == self.tag
        return int(match[1]) if match and is_same_version else 0

    @property
    def tag(self) -> str:
        """The ETag of the current content."""
        return f'"v{self.state.version}"'


Answer = Callable[[Handler], None]


def answer_correctly(handler: Handler, extra: int = 0) -> None:
    """Send the file or the requested range, but announce `extra` bytes more than there are."""
    content, start = handler.state.content, handler.start
    total = len(content) + extra
    if start >= len(content):
        handler.send_head(416, Content_Range=f"bytes */{len(content)}", Content_Length=0)
        return
    headers = {"Content_Length": total - start, "ETag": handler.tag}
    if start:
        headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
    handler.send_head(206 if start else 200, **headers)
    handler.wfile.write(content[start:])


def cut(after: int, then: Answer = lambda _: None) -> Answer:
    """Announce all requested bytes, send the first `after` of them, then do `then`."""

    def answer(handler: Handler) -> None:
        content, start = handler.state.content, handler.start
        headers = {"Content_Length": len(content) - start, "ETag": handler.tag}
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send_head(206 if start else 200, **headers)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        then(handler)

    return answer


def hang(handler: Handler) -> None:
    """Send nothing more until the server is stopped."""
    handler.state.stopped.wait()


def trickle(handler: Handler) -> None:
    """Send a byte twenty times a second, until the server is stopped."""
    while not handler.state.stopped.wait(0.05):
        handler.wfile.write(b"x")


def reset(handler: Handler) -> None:
    """Reset the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def ignore_range(handler: Handler) -> None:
    """Send the complete file whatever range is requested."""
    handler.send_head(200, Content_Length=len(handler.state.content))
    handler.wfile.write(handler.state.content)


def send_page(handler: Handler) -> None:
    """Send an HTML page as if it were the file."""
    handler.send_head(200, Content_Type="text/html", Content_Length=15)
    handler.wfile.write(b"<html>log in</h")


def status(code: int) -> Answer:
    """Send a status without a body."""
    return lambda handler: handler.send_head(code, Content_Length=0)


def redirect(address: str) -> Answer:
    """Redirect to an address."""
    return lambda handler: handler.send_head(302, Location=address, Content_Length=0)


def change_content(content: bytes, then: Answer, version: int = 2) -> Answer:
    """Replace the file before the answer `then` to this request."""

    def answer(handler: Handler) -> None:
        handler.state.content, handler.state.version = content, version
        then(handler)

    return answer


@contextmanager
def serving(
    content: bytes, *answers: Answer, tls: ssl.SSLContext | None = None
) -> Iterator[ServerState]:
    """Run a server that has `content` under every path; its address can serve as a mirror."""
    state = ServerState(content, list(answers))
    handler_class = type("BoundHandler", (Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_class) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.address = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield state
        finally:
            state.stopped.set()
            server.shutdown()
