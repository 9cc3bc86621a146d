"""A real Chromium without a window, told what to do by its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.prefect_server import wait_until

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "about:blank"),
)


class Page:
    """One page of the browser."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.numbers = itertools.count(1)
        self.complaints: list[str] = []  # errors and warnings of the console
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Ask for something and return the answer."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        self.connection.send(json.dumps(message))
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def receive(self) -> dict[str, Any]:
        """Return the next message; note what the page complains of."""
        message: dict[str, Any] = json.loads(self.connection.recv(60))
        method, found = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(found["exceptionDetails"]))
        if method == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.complaints.append(found["entry"]["text"])
        if method == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(found["args"]))
        if method == "Network.requestWillBeSent":
            address = found["request"]["url"]
            if not address.startswith(("file:", "data:", "about:")):
                self.complaints.append(f"asked the network for {address}")
        return message

    def open(self, path: Path) -> None:
        """Show a file, and wait for it to be loaded."""
        self.call("Page.navigate", url=path.absolute().as_uri())
        while self.receive().get("method") != "Page.loadEventFired":
            pass

    def js(self, expression: str) -> Any:
        """Return what an expression is in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> Any:
        """Wait for an expression to be true in the page; return it."""
        return wait_until(lambda: self.js(expression))

    def window(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Set the size in pixels, and whether the user prefers dark pages."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """Return the whole page as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@contextmanager
def opened(folder: Path) -> Iterator[Page]:
    """Give a page of a browser of its own that keeps its files in the folder."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no chromium: apt-get install chromium"
    with subprocess.Popen(
        [program, f"--user-data-dir={folder}", *FLAGS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            announced = folder / "DevToolsActivePort"
            wait_until(lambda: announced.exists() and announced.read_text())
            port = announced.read_text().split()[0]
            targets = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
            (target,) = [each for each in targets if each["type"] == "page"]
            with connect(target["webSocketDebuggerUrl"], max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
