"""A real Chromium without a window, which Playwright drives."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Request, sync_playwright

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Page:
    """One page of the browser, with what it complains of."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.complaints: list[str] = []  # exceptions, warnings of the console, use of the network
        self.page = browser.new_page()
        self.window(1100)

    def window(
        self, width: int, height: int = 900, *, dark: bool = False, scripts: bool = True
    ) -> None:
        """Show the address in a new window.

        Args:
            width: in pixels; less than 600 makes it a telephone's.
            height: in pixels.
            dark: whether the user prefers dark pages.
            scripts: whether JavaScript is switched on.
        """
        address = self.page.url
        self.page.close()
        self.page = self.browser.new_page(
            viewport={"width": width, "height": height},
            is_mobile=width < 600,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        self.page.set_default_timeout(60_000)  # in milliseconds; a busy machine is slow
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self.on_console)
        self.page.on("request", self.on_request)
        self.page.goto(address)

    def on_console(self, message: ConsoleMessage) -> None:
        """Note an error or a warning of the console."""
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(message.text)

    def on_request(self, request: Request) -> None:
        """Note a request that would leave this machine."""
        if not request.url.startswith(("file:", "data:", "about:")):
            self.complaints.append(f"requested {request.url}")

    def open(self, path: Path) -> None:
        """Show a file, and wait for it to be loaded."""
        self.page.goto(path.absolute().as_uri())

    def js(self, expression: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        return self.page.evaluate(expression)

    def until(self, expression: str) -> None:
        """Wait for an expression to be true in the page."""
        self.page.wait_for_function(expression)

    def accessible_names(self) -> set[str]:
        """Return what Chromium gives a screen reader; Playwright's own tree leaves out noscript."""
        session = self.page.context.new_cdp_session(self.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
        return {str(node.get("name", {}).get("value")) for node in nodes if not node["ignored"]}

    def screenshot(self) -> bytes:
        """Return the page from top to bottom as PNG."""
        return self.page.screenshot(full_page=True)


@contextmanager
def opened() -> Iterator[Page]:
    """Start a browser, give a page of it, and stop it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no chromium: apt-get install chromium"
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=FLAGS) as browser,
    ):
        yield Page(browser)
