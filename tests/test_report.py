"""The report in a real browser: what it computes, what it shows, and text that does no harm."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from petseg import files
from petseg.data import arrays
from petseg.evaluation import metrics
from petseg.report import content, gallery, render
from tests.browser import Page, opened
from tests.conftest import run_in

HARM = "<img src=x onerror=alert(1)>"
CARDS = "[...document.querySelectorAll('#cards figure')]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """A browser for all tests of this file."""
    with opened() as page:
        yield page


@pytest.fixture
def shown(browser: Page, repo: Path) -> Page:
    """The tiny repo's report, loaded."""
    browser.complaints.clear()
    browser.window(1100)
    browser.open(repo / "reports/report.html")
    browser.until("!document.getElementById('gallery').hidden")
    return browser


def choose(shown: Page, control: str, value: str, event: str = "change") -> None:
    """Set a control as a user does; masks are drawn in the next frame."""
    shown.js(
        f"(() => {{const it = document.getElementById('{control}'); it.value = {json.dumps(value)};"
        f"it.dispatchEvent(new Event('{event}'));}})()"
    )
    shown.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def scores(folder: Path, least: int) -> dict[str, tuple[str, int]]:
    """Return each test photo's IoU and predicted pixels at a threshold, as NumPy has them."""
    test = arrays.load(folder / "data/arrays/test")
    found = np.load(folder / "data/predictions/probabilities.npy") >= least
    ious = np.atleast_1d(metrics.image_iou(metrics.count(np.asarray(test.trimaps), found)))
    return {
        photo.name: (f"{iou:.4f}", int(mask.sum()))
        for photo, iou, mask in zip(test.index, ious, found, strict=True)
    }


def cards(shown: Page) -> list[dict[str, Any]]:
    """Return what the page says of each photo, in its order."""
    listed = "({name: f.dataset.name, iou: f.dataset.iou, found: Number(f.dataset.found)})"
    found: list[dict[str, Any]] = shown.js(f"{CARDS}.map(f => {listed})")
    return found


def test_the_slider_gives_the_masks_and_scores_that_numpy_gives(shown: Page, repo: Path) -> None:
    model = files.read_json(repo / "reports/data.json")["model"]
    assert shown.js("document.getElementById('at').textContent") == f"{model['threshold']:.2f}"
    for level in (1, 77, 128, 255):
        choose(shown, "threshold", str(level), "input")
        found = {card["name"]: (card["iou"], card["found"]) for card in cards(shown)}
        assert found == scores(repo, level)
        row = files.read_csv(repo / "reports/thresholds.csv")[level]
        said = shown.js("document.getElementById('all-photos').textContent")
        assert f"IoU {float(row['iou']):.4f}, precision {float(row['precision']):.4f}" in said
    shown.js("document.getElementById('reset').click()")
    assert shown.js("document.getElementById('at').textContent") == f"{model['threshold']:.2f}"
    assert shown.complaints == []


def test_the_mask_on_the_photo_is_that_of_the_threshold(shown: Page) -> None:
    choose(shown, "layer", "photo")
    plain = shown.js(f"{CARDS}.map(f => f.querySelector('canvas').toDataURL())")
    choose(shown, "layer", "prediction")
    choose(shown, "threshold", "255", "input")
    few = shown.js(f"{CARDS}.map(f => f.querySelector('canvas').toDataURL())")
    choose(shown, "threshold", "1", "input")
    everything = shown.js(f"{CARDS}.map(f => f.querySelector('canvas').toDataURL())")
    assert plain != everything
    assert few != everything


def test_photos_are_sorted_and_filtered(shown: Page, repo: Path) -> None:
    rows = {row["name"]: row for row in files.read_csv(repo / "reports/per_image.csv")}
    for order, key in (("worst", 1.0), ("best", -1.0)):
        choose(shown, "order", order)
        values = [key * float(card["iou"]) for card in cards(shown)]
        assert values == sorted(values)
    choose(shown, "order", "name")
    assert [card["name"] for card in cards(shown)] == sorted(rows)
    for control in ("species", "breed"):
        value = rows[min(rows)][control]
        choose(shown, control, value)
        wanted = [name for name, row in sorted(rows.items()) if row[control] == value]
        assert [card["name"] for card in cards(shown)] == wanted
        choose(shown, control, "")


def test_a_click_on_a_heading_sorts_the_slices_and_another_turns_them(shown: Page) -> None:
    column = "document.querySelectorAll('table.sortable')[0]"
    read = f"[...{column}.tBodies[0].rows].map(row => Number(row.cells[3].textContent))"
    for turned in (False, True):
        shown.js(f"{column}.querySelectorAll('thead button')[3].click()")
        values = shown.js(read)
        assert values == sorted(values, reverse=turned)
        state = shown.js(f"{column}.querySelectorAll('thead th')[3].getAttribute('aria-sort')")
        assert state == ("descending" if turned else "ascending")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window_by_day_and_night(shown: Page, width: int, dark: bool) -> None:
    shown.window(width, dark=dark)
    assert shown.js("document.documentElement.scrollWidth") <= width
    background = shown.js("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    assert len(shown.screenshot()) > 20_000
    assert shown.complaints == []


def test_every_picture_has_words_and_every_control_a_name(shown: Page) -> None:
    assert shown.js("[...document.images].filter(image => !image.alt).length") == 0
    assert shown.js(f"{CARDS}.every(f => f.querySelector('canvas').getAttribute('aria-label'))")
    nameless = "[...document.querySelectorAll('input, select')].filter(it => !it.labels.length)"
    assert shown.js(f"{nameless}.length") == 0
    assert shown.js("[...document.querySelectorAll('button')].every(it => it.textContent.trim())")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(scheme: str) -> None:
    """WCAG 2.2, success criterion 1.4.3 (AA)."""
    style = (Path(render.__file__).parent / "style.css").read_text()
    rules = re.findall(r":root \{([^}]*)\}", style)[0 if scheme == "light" else 1]
    colours = {name: luminance(value) for name, value in re.findall(r"--(\w+): #(\w+)", rules)}
    for text in ("ink", "soft"):
        for ground in ("paper", "press"):
            low, high = sorted((colours[text], colours[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour by WCAG 2.2."""
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_without_javascript_there_are_photos_and_every_number(browser: Page, repo: Path) -> None:
    browser.window(1100, scripts=False)
    browser.open(repo / "reports/report.html")
    names = browser.accessible_names()
    browser.window(1100)
    assert any(name.startswith("Worst by IoU: photo, truth") for name in names)
    assert "Show more" not in names
    iou = files.read_json(repo / "reports/metrics.json")["iou"]
    assert f"{iou:.4f}" in names


def test_names_with_markup_in_them_do_no_harm(browser: Page, repo: Path, tmp_path: Path) -> None:
    shutil.copytree(repo / "data", tmp_path / "data")
    shutil.copytree(repo / "reports", tmp_path / "reports")
    shutil.copy(repo / "params.yaml", tmp_path)
    row = arrays.read_index(tmp_path / "data/arrays/test")[0]
    for path in [tmp_path / "data/arrays/test/index.csv", *(tmp_path / "reports").glob("*.csv")]:
        text = path.read_text().replace(row.name, HARM)
        path.unlink()
        path.write_text(text.replace(row.breed, f"{HARM}|`"))
    folders = ("data/arrays", "data/model", "data/predictions", "reports", "data/logs/origins")
    command = ("python", "-m", "stages.report", *(str(tmp_path / name) for name in folders))
    run_in(repo, *command)
    browser.complaints.clear()
    browser.open(tmp_path / "reports/report.html")
    browser.until("!document.getElementById('gallery').hidden")
    assert HARM in [card["name"] for card in cards(browser)]
    assert browser.js("document.querySelectorAll('img[src=x]').length") == 0
    assert browser.complaints == []
    card = (tmp_path / "reports/model_card.md").read_text()
    assert "<img" not in card


def test_the_gallery_takes_the_worst_the_best_and_the_most_uncertain_in_turn() -> None:
    ious, doubts = np.array([0.9, 0.1, 0.5, 0.7]), np.array([0.1, 0.2, 0.9, 0.3])
    assert gallery.choose(ious, doubts, 3) == [1, 0, 2]
    assert gallery.choose(ious, doubts, 300) == [1, 0, 2, 3]


def test_uncertainty_is_the_mean_entropy_in_bits() -> None:
    half = np.array([[[0, 255], [0, 255]], [[51, 51], [51, 51]]], np.uint8)
    # of a fifth: -(0.2 log2 0.2 + 0.8 log2 0.8)
    assert gallery.uncertainty(half).tolist() == pytest.approx([0, 0.7219], abs=1e-4)


def test_where_a_model_came_from_is_told_or_said_to_be_unknown(repo: Path) -> None:
    html = (repo / "reports/report.html").read_text()
    commit = run_in(repo, "git", "rev-list", "--max-parents=0", "HEAD").strip()
    assert "2 epochs" in html
    assert commit[:12] in html or "not known" in html
    data = files.read_json(repo / "reports/data.json")
    assert (
        content.provenance_rows(data, {}, official=False)["trained on"]
        == "not known: on another machine"
    )
