"""The page to try a model, as a test uses it."""

import base64
import io
import json

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tests.browser import Page

LABELS = "[...document.querySelectorAll('.thumbnail')]"


def open_page(browser: Page, address: str) -> Page:
    """Open the page, wait for it to be usable, and return it."""
    browser.open(address)
    browser.window(1200)
    browser.complaints.clear()
    browser.until("!get('app').hidden && [...document.images].every(it => it.naturalWidth)")
    return browser


def states(page: Page) -> list[str]:
    """Return what the row says of each photo."""
    texts: list[str] = page.js(f"{LABELS}.map(it => it.querySelector('.state').textContent)")
    return texts


def wait_for_states(page: Page, *texts: str) -> None:
    """Wait until the row says this of its photos."""
    condition = f"{LABELS}.map(it => it.querySelector('.state').textContent).join('|')"
    page.until(f"{condition} === {json.dumps('|'.join(texts))}")


def text_of(page: Page, name: str) -> str:
    """Return the text of the element with this id."""
    return str(page.js(f"get('{name}').innerText"))


def choose_view(page: Page, name: str) -> None:
    """Click one of the four views."""
    page.page.get_by_role("radio", name=name, exact=True).click()


def set_level(page: Page, level: int) -> None:
    """Move the slider, and wait: masks are drawn in the next frame."""
    page.js(
        f"(() => {{get('threshold').value = {level};"
        "get('threshold').dispatchEvent(new Event('input'));})()"
    )
    page.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def canvas_pixels(page: Page) -> UInt8[np.ndarray, "height width 4"]:
    """Return the pixels of the large picture: red, green, blue, opacity."""
    data = page.js("get('canvas').toDataURL()").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        return np.asarray(picture.convert("RGBA"))
