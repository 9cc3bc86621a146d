"""Connections with limits: uvicorn's own, which are cut when a client is silent or too slow.

uvicorn waits for ever for the head of a first request, for the rest of an upload, and for a client
that does not take its answer.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.web import limits, problems
from flows.web.limits import Limits


class BoundedProtocol(H11Protocol):
    """One connection, which is cut at a deadline; the event loop calls its methods."""

    def __init__(self, *args: Any, bounds: Limits, **options: Any) -> None:
        """Set up a connection with limits."""
        super().__init__(*args, **options)
        self.bounds = bounds
        self.deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection; one too many gets an error as answer, many too many get none."""
        super().connection_made(transport)
        self.set_deadline(self.bounds.header_seconds)
        if len(self.connections) > 2 * self.bounds.connections:
            transport.abort()
        elif len(self.connections) > self.bounds.connections:
            answer = limits.busy("too many connections are open").response()
            answer.headers["Connection"] = "close"
            self.app = answer

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        super().connection_lost(exc)
        if self.deadline:
            self.deadline.cancel()

    def handle_events(self) -> None:
        """Handle what has come; the head of a request begins the time for that request."""
        request = self.cycle
        super().handle_events()
        if self.cycle is not request:
            self.set_deadline(self.bounds.request_seconds)

    def on_response_complete(self) -> None:
        """Begin the time for the next request, or for the rest of an upload that was refused."""
        request = self.cycle
        super().on_response_complete()
        if self.cycle is request:
            self.set_deadline(self.bounds.header_seconds)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem; if an answer has begun, cut the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        if self.cycle:  # the request may wait for the rest of its body, and cannot be answered
            self.cycle.disconnected = True
        answer = problems.problem_response(400, "this is no HTTP request", {"Connection": "close"})
        headers = [*self.server_state.default_headers, *answer.raw_headers]
        start = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (start, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def set_deadline(self, seconds: float) -> None:
        """Cut the connection after so many seconds, unless another deadline is set before."""
        if self.deadline:
            self.deadline.cancel()
        self.deadline = self.loop.call_later(seconds, self.transport.abort)
