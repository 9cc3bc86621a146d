"""The page to try a model for everybody: keyboard, screen reader, small windows, without JavaScript."""

import re
from pathlib import Path
from typing import Any

import pytest

from flows.web import pages
from tests import contrast
from tests.browser import Page
from tests.prediction.red_model import half_red
from tests.web.page import text_of, wait_for_states
from tests.web.server import Server

ROLES = {"button", "radio", "slider", "image", "link", "group", "region"}


def test_the_page_keeps_nothing_in_the_browser(page: Page, photo: Path) -> None:
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    assert page.page.context.cookies() == []
    assert page.js("localStorage.length + sessionStorage.length") == 0
    assert page.js("(async () => (await indexedDB.databases()).length)()") == 0


def press(page: Page, *keys: str) -> str:
    """Press keys, and return the id, value or text of what has the focus then."""
    for key in keys:
        page.page.keyboard.press(key)
    focus = "document.activeElement"
    return str(page.js(f"{focus}.id || {focus}.value || {focus}.textContent"))


def test_the_keyboard_is_enough(page: Page, two_photos: list[Path]) -> None:
    assert press(page, "Tab") == "choose"
    with page.page.expect_file_chooser() as dialogue:
        page.page.keyboard.press("Enter")
    dialogue.value.set_files(two_photos)
    wait_for_states(page, "done", "done")
    press(page, "Shift+Tab", "ArrowRight")  # the row of photos is before the button
    assert text_of(page, "name") == "two.png"
    assert press(page, "Tab", "Tab", "Tab") == "cutout"
    assert press(page, "ArrowLeft") == "overlay"
    assert "overlay of two.png" in page.js("get('canvas').ariaLabel")
    assert press(page, "Tab", "Tab") == "threshold"
    press(page, "ArrowRight")
    page.until("get('threshold-value').textContent === '0.51'")
    assert press(page, "Shift+Tab", "Enter") == "reset"
    assert text_of(page, "threshold-value") == "0.50"
    assert press(page, "Tab", "Tab") == "Download cut-out"
    with page.page.expect_download() as download:
        page.page.keyboard.press("Enter")
    assert download.value.suggested_filename == "two.png.cutout.png"
    assert press(page, "Tab", "Tab", "Tab") == "remove"
    press(page, "Enter")
    assert text_of(page, "name") == "one.png"
    assert page.complaints == []


def test_a_focus_that_the_keyboard_moves_is_visible(page: Page, photo: Path) -> None:
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    page.page.keyboard.press("Shift+Tab")
    outlines = []
    for _ in range(9):  # the controls from the row of photos to the last button
        outlines.append(
            page.js(
                "[document.activeElement, document.activeElement.nextElementSibling,"
                "document.activeElement.parentElement].some("
                "it => it && getComputedStyle(it).outline.includes('solid 3px'))"
            )
        )
        page.page.keyboard.press("Tab")
    assert outlines == [True] * 9


def accessible_controls(page: Page) -> list[tuple[str, str]]:
    """Return role and name of all controls and pictures that Chromium gives a screen reader."""
    session = page.page.context.new_cdp_session(page.page)
    nodes: list[dict[str, Any]] = session.send("Accessibility.getFullAXTree")["nodes"]
    pairs = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    return [pair for pair in pairs if pair[0] in ROLES]


def test_every_control_and_picture_has_a_name(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "cat.png"
    half_red(204).save(photo)
    assert all(name for _, name in accessible_controls(page))
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    controls = accessible_controls(page)
    assert all(name for _, name in controls)
    numbers = "threshold 0.50: probably good, expected IoU 0.80, 50.0 % pet"
    for control in (
        ("image", f"cut-out of cat.png, {numbers}"),
        ("radio", "cat.png done"),
        ("radio", "Cut-out"),
        ("slider", "Threshold"),
        ("group", "Download as PNG"),
        ("button", "Download mask"),
    ):
        assert control in controls
    assert page.js("get('threshold').ariaValueText") == numbers
    assert page.js("document.querySelector('[role=status]').textContent") == (
        "cat.png: probably good, expected IoU 0.80, 50.0 % pet"
    )


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window_in_light_and_dark_colours(
    page: Page, tmp_path: Path, width: int, dark: bool
) -> None:
    photos = [tmp_path / f"{'a long name' * 9}-{number}.png" for number in range(12)]
    for photo in photos:
        half_red(204, (300, 40)).save(photo)
    page.window(width, dark=dark)
    page.until("!get('app').hidden")
    assert page.js("document.documentElement.scrollWidth") <= width
    page.drop_files(photos)
    wait_for_states(page, *["done"] * 12)
    assert page.js("document.documentElement.scrollWidth") <= width
    assert page.js("get('canvas').getBoundingClientRect().width") > width / 2
    camera = page.page.get_by_role("button", name="Take a photo")
    assert camera.is_visible() == (width < 600)
    background = page.js("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    assert len(page.screenshot()) > 20_000
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(scheme: str) -> None:
    """WCAG 2.2, success criterion 1.4.3 (AA)."""
    colours: dict[str, str] = {}
    for path in ("/style.css", "/page.css"):
        colours |= contrast.variables(pages.FILES[path][0].read_text(), scheme)
    pairs = [
        *((text, ground) for text in ("good", "doubt", "wrong") for ground in ("paper", "press")),
        *(("on-accent", ground) for ground in ("accent", "accent-hover")),
    ]
    for text, ground in pairs:
        assert contrast.ratio(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_the_page_says_where_photos_go_and_what_the_model_is(page: Page, server: Server) -> None:
    text = page.js("document.body.innerText")
    assert (
        f"Photos go to the program at {server.address}, on this machine, and nowhere else. "
        "Nothing is stored." in text
    )
    assert re.search(r"Model: recipe red, works at 16 × 16 pixels, SHA-256 [0-9a-f]{12}…", text)
    assert "demo model" not in text
    assert page.js("document.querySelector('footer a').getAttribute('href')") == "/docs"


def test_without_javascript_the_page_gives_the_command(browser: Page, server: Server) -> None:
    browser.open(server.address)
    browser.window(1200, scripts=False)
    names = browser.accessible_names()
    browser.window(1200)
    command = f"curl -F photo=@cat.jpg -o cat.png '{re.sub(':[0-9]+$', ':8808', server.address)}"
    assert f"{command}/mask?kind=cutout'" in names
    assert "Choose photos" not in names
