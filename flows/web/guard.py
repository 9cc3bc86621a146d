"""What every request has to pass, and what every answer bears: hosts, origins, security headers.

A page of another site can send a form to this server without reading the answer, and a name that
such a site controls can lead to 127.0.0.1 (DNS rebinding). So a request has to name this server as
its host, and whatever changes or costs something has to come from this server's own page or from a
program, which sends no `Origin`.
"""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.web.problems import ProblemError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {  # of every answer, whether of the app or of a connection
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests of other sites."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        """Wrap an app.

        Args:
            app: what answers the requests that pass.
            origins: further addresses under which browsers reach this server, such as
                https://masks.example.org of a reverse proxy.
        """
        self.app = app
        self.origins = {origin.lower() for origin in origins}
        self.hosts = {origin.partition("://")[2] for origin in self.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            try:
                self.check(scope["method"], Headers(scope=scope))
            except ProblemError as error:
                await error.response()(scope, receive, send)
                return
            if scope["method"] == "HEAD":  # the connection leaves out the body of the answer
                scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)

    def check(self, method: str, headers: Headers) -> None:
        """Refuse a request that comes from another site's page.

        Raises:
            ProblemError: it does; status 403, or 421 for another host.
        """
        host = headers.get("host", "").lower()
        if not (host in self.hosts or is_own_host(host)):
            raise ProblemError(
                421, f"this server does not answer for the host {host}; see `--origin`"
            )
        if method in SAFE_METHODS:
            return
        origin = headers.get("origin")
        own = {f"http://{host}", f"https://{host}", *self.origins}
        is_foreign = origin is not None and origin not in own
        if is_foreign or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise ProblemError(
                403, f"pages of {origin or 'another site'} may not use this server; see `--origin`"
            )


def is_own_host(host: str) -> bool:
    """Return whether a `Host` header names this machine in a manner that no other site controls.

    These are an IP address, localhost, and this machine's name; a port may follow.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
