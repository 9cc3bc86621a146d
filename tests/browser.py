"""A real Chromium without a window, which Playwright drives."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Request, sync_playwright

TIMEOUT = 60  # seconds that a busy machine may take for one step
LOCAL_SCHEMES = ("file", "data", "about", "blob")  # of addresses that need no network
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Page:
    """One page of the browser, with what it complains of."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.address = "about:blank"
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
        self.page.close()
        self.page = self.browser.new_page(
            viewport={"width": width, "height": height},
            is_mobile=width < 600,
            has_touch=width < 600,
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
        )
        self.page.set_default_timeout(1000 * TIMEOUT)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self.on_console)
        self.page.on("request", self.on_request)
        # Without a listener, a dialogue that opens at once is lost before Playwright waits for it.
        self.page.on("filechooser", lambda _: None)
        self.page.goto(self.address)

    def on_console(self, message: ConsoleMessage) -> None:
        """Note an error or a warning of the console."""
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(message.text)

    def on_request(self, request: Request) -> None:
        """Note a request to another server than that of the page; a file's page has none."""
        address, page = urlsplit(request.url), urlsplit(self.address)
        if address.scheme not in LOCAL_SCHEMES and address[:2] != page[:2]:
            self.complaints.append(f"requested {request.url}")

    def open(self, target: Path | str) -> None:
        """Show a file or an address, and wait for it to be loaded."""
        self.address = target if isinstance(target, str) else target.absolute().as_uri()
        self.page.goto(self.address)

    def js(self, expression: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        return self.page.evaluate(expression)

    def until(self, expression: str) -> None:
        """Wait for an expression to be true in the page.

        Playwright's own function for this evaluates strings in the page, which a strict content
        policy forbids.
        """
        deadline = time.monotonic() + TIMEOUT
        while not self.js(expression):
            assert time.monotonic() < deadline, f"not true within {TIMEOUT} s: {expression}"
            self.page.wait_for_timeout(20)

    def choose_files(self, button: str, paths: Sequence[Path]) -> None:
        """Click a button by its name, and choose files in the dialogue that it opens."""
        with self.page.expect_file_chooser() as dialogue:
            self.page.get_by_role("button", name=button, exact=True).click()
        dialogue.value.set_files(paths)

    def drop_files(self, paths: Sequence[Path], x: int = 100, y: int = 100) -> None:
        """Drag files over the page and drop them there, as the operating system does."""
        self.drop({"items": [], "files": [str(path) for path in paths]}, x, y)

    def drop_text(self, text: str) -> None:
        """Drag a text over the page and drop it there."""
        self.drop({"items": [{"mimeType": "text/plain", "data": text}], "files": []}, 100, 100)

    def drop(self, content: dict[str, Any], x: int, y: int) -> None:
        """Drop what the protocol of Chromium's developer tools calls `DragData`."""
        session = self.page.context.new_cdp_session(self.page)
        data = content | {"dragOperationsMask": 1}
        for event in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": event, "x": x, "y": y, "data": data})

    def download(self, button: str) -> tuple[str, bytes]:
        """Click a button by its name, and return the name and the content of what it saves."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button, exact=True).click()
        return download.value.suggested_filename, download.value.path().read_bytes()

    def collect_garbage(self) -> None:
        """Let the page free what nothing refers to."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("HeapProfiler.collectGarbage")

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
