"""Write a picture of the page to try a model, with drawn pets: python -m tests.picture FILE.

The README shows it; `make picture` runs this with the demo recipe's model.
"""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import FilePayload

from flows.web.pages import EXAMPLES, draw_example
from tests import browser
from tests.web.server import running

MODEL = "data/export/model.onnx"
WIDTH, HEIGHT = 1000, 800  # of the window in CSS pixels
SCALE = 2  # pixels of the picture for a CSS pixel
QUALITY = 80  # of the WebP file
# Chromium smooths edges slightly otherwise where it has drawn a part of the page again.
REPAINT = """async () => {
  for (const display of ["none", ""]) {
    document.body.style.display = display;
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  }
}"""


def write_picture(path: Path) -> None:
    """Open the page in a browser, add the drawn pets, and write what the window shows."""
    files: list[FilePayload] = [
        {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": draw_example(name, seed)}
        for name, seed in EXAMPLES
    ]
    command = ["petseg", "try", "--model", MODEL, "--port", "0"]
    with (
        TemporaryDirectory() as folder,
        running(Path(folder), command) as server,
        browser.opened() as window,
    ):
        page = window.browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE
        )
        page.goto(server.address)
        page.locator("#app").wait_for()
        page.locator("#files").set_input_files(files)
        page.locator(".thumbnail[data-state=done]").nth(len(files) - 1).wait_for()
        page.evaluate(REPAINT)
        screenshot = page.screenshot(animations="disabled")
    Image.open(io.BytesIO(screenshot)).save(path, quality=QUALITY, method=6)


if __name__ == "__main__":
    write_picture(Path(sys.argv[1]))
