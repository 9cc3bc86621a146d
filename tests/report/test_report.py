"""The report: equal bytes from equal inputs; in a real browser its scores, controls and escaped text."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from petseg import files
from petseg.data import arrays, quantisation
from petseg.data.arrays import Photo, Split
from petseg.data.frame import Frame
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND
from petseg.evaluation import metrics
from petseg.report import content, gallery, render
from tests import contrast
from tests.browser import Page, opened
from tests.conftest import replace, run_in

MARKUP = "<img src=x onerror=alert(1)>"
CARDS = "[...document.querySelectorAll('#cards figure')]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """A browser for all tests of this file."""
    with opened() as page:
        yield page


@pytest.fixture
def report(browser: Page, repo: Path) -> Page:
    """The tiny repo's report, loaded."""
    browser.complaints.clear()
    browser.window(1100)
    browser.open(repo / "reports/report.html")
    browser.until("!document.getElementById('gallery').hidden")
    return browser


def choose(report: Page, control: str, value: str, event: str = "change") -> None:
    """Set a control as a user does, and wait: masks are drawn in the next frame."""
    report.js(
        f"(() => {{const input = document.getElementById('{control}'); input.value = {json.dumps(value)};"
        f"input.dispatchEvent(new Event('{event}'));}})()"
    )
    report.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def scores(folder: Path, min_level: int) -> dict[str, tuple[str, int]]:
    """Return each test photo's IoU and predicted pixels at a threshold, computed by NumPy."""
    test = arrays.load(folder / "data/arrays/test")
    masks = np.load(folder / "data/predictions/probabilities.npy") >= min_level
    ious = np.atleast_1d(metrics.image_iou(metrics.count(np.asarray(test.trimaps), masks)))
    return {
        photo.name: (f"{iou:.4f}", int(mask.sum()))
        for photo, iou, mask in zip(test.index, ious, masks, strict=True)
    }


def cards(report: Page) -> list[dict[str, Any]]:
    """Return name, IoU and predicted pixels of each photo, in the order of the page."""
    card = "({name: f.dataset.name, iou: f.dataset.iou, predicted: Number(f.dataset.predicted)})"
    rows: list[dict[str, Any]] = report.js(f"{CARDS}.map(f => {card})")
    return rows


def test_the_slider_gives_the_masks_and_scores_that_numpy_gives(report: Page, repo: Path) -> None:
    model = files.read_json(repo / "reports/data.json")["model"]
    assert (
        report.js("document.getElementById('threshold-value').textContent")
        == f"{model['threshold']:.2f}"
    )
    for level in (1, 77, 128, 255):
        choose(report, "threshold", str(level), "input")
        page_scores = {card["name"]: (card["iou"], card["predicted"]) for card in cards(report)}
        assert page_scores == scores(repo, level)
        row = files.read_csv(repo / "reports/thresholds.csv")[level]
        text = report.js("document.getElementById('all-photos').textContent")
        assert f"IoU {float(row['iou']):.4f}, precision {float(row['precision']):.4f}" in text
    report.js("document.getElementById('reset').click()")
    assert (
        report.js("document.getElementById('threshold-value').textContent")
        == f"{model['threshold']:.2f}"
    )
    assert report.complaints == []


def test_the_mask_on_the_photo_is_that_of_the_threshold(report: Page) -> None:
    choose(report, "layer", "photo")
    plain = report.js(f"{CARDS}.map(f => f.querySelector('canvas').toDataURL())")
    choose(report, "layer", "prediction")
    choose(report, "threshold", "255", "input")
    few = report.js(f"{CARDS}.map(f => f.querySelector('canvas').toDataURL())")
    choose(report, "threshold", "1", "input")
    everything = report.js(f"{CARDS}.map(f => f.querySelector('canvas').toDataURL())")
    assert plain != everything
    assert few != everything


def test_photos_are_sorted_and_filtered(report: Page, repo: Path) -> None:
    rows = {row["name"]: row for row in files.read_csv(repo / "reports/per_image.csv")}
    for order, key in (("worst", 1.0), ("best", -1.0)):
        choose(report, "order", order)
        values = [key * float(card["iou"]) for card in cards(report)]
        assert values == sorted(values)
    choose(report, "order", "name")
    assert [card["name"] for card in cards(report)] == sorted(rows)
    for level, kind in enumerate(("species", "breed")):
        value = rows[min(rows)][kind]
        choose(report, f"group-{level}", value)
        names = [name for name, row in sorted(rows.items()) if row[kind] == value]
        assert [card["name"] for card in cards(report)] == names
        choose(report, f"group-{level}", "")


def test_a_click_on_a_heading_sorts_the_slices_and_another_reverses_them(report: Page) -> None:
    column = "document.querySelectorAll('table.sortable')[0]"
    read = f"[...{column}.tBodies[0].rows].map(row => Number(row.cells[3].textContent))"
    for descending in (False, True):
        report.js(f"{column}.querySelectorAll('thead button')[3].click()")
        values = report.js(read)
        assert values == sorted(values, reverse=descending)
        state = report.js(f"{column}.querySelectorAll('thead th')[3].getAttribute('aria-sort')")
        assert state == ("descending" if descending else "ascending")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window_in_light_and_dark_colours(
    report: Page, width: int, dark: bool
) -> None:
    report.window(width, dark=dark)
    assert report.js("document.documentElement.scrollWidth") <= width
    background = report.js("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    assert len(report.screenshot()) > 20_000
    assert report.complaints == []


def test_every_picture_has_a_text_and_every_control_a_name(report: Page) -> None:
    assert report.js("[...document.images].filter(image => !image.alt).length") == 0
    assert report.js(f"{CARDS}.every(f => f.querySelector('canvas').getAttribute('aria-label'))")
    nameless = "[...document.querySelectorAll('input, select')].filter(it => !it.labels.length)"
    assert report.js(f"{nameless}.length") == 0
    assert report.js("[...document.querySelectorAll('button')].every(it => it.textContent.trim())")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_at_least_four_and_a_half(scheme: str) -> None:
    """WCAG 2.2, success criterion 1.4.3 (AA)."""
    style = (Path(render.__file__).parent / "style.css").read_text()
    colours = contrast.variables(style, scheme)
    for text in ("ink", "soft"):
        for ground in ("paper", "press"):
            assert contrast.ratio(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_without_javascript_there_are_photos_and_every_number(browser: Page, repo: Path) -> None:
    browser.window(1100, scripts=False)
    browser.open(repo / "reports/report.html")
    names = browser.accessible_names()
    browser.window(1100)
    assert any(name.startswith("Worst by IoU: photo, truth") for name in names)
    assert "Show more" not in names
    iou = files.read_json(repo / "reports/metrics.json")["iou"]
    assert f"{iou:.4f}" in names


FOLDERS = ("data/arrays", "data/model", "data/export", "data/predictions", "reports")


def copy_folders(repo: Path, folder: Path) -> None:
    """Copy what the stage report reads into a folder."""
    for name in FOLDERS:
        shutil.copytree(repo / name, folder / name)


def write_report(repo: Path, folder: Path) -> None:
    """Run the stage report on the copies in a folder."""
    run_in(repo, "python", "-m", "stages.report", *(str(folder / name) for name in FOLDERS))


def test_names_with_markup_in_them_are_shown_as_text(
    browser: Page, repo: Path, tmp_path: Path
) -> None:
    copy_folders(repo, tmp_path)
    row = arrays.read_index(tmp_path / "data/arrays/test")[0]
    for path in [tmp_path / "data/arrays/test/index.csv", *(tmp_path / "reports").glob("*.csv")]:
        text = path.read_text().replace(row.name, MARKUP)
        path.unlink()
        path.write_text(text.replace(row.subgroup, f"{MARKUP}|`"))
    write_report(repo, tmp_path)
    browser.complaints.clear()
    browser.open(tmp_path / "reports/report.html")
    browser.until("!document.getElementById('gallery').hidden")
    assert MARKUP in [card["name"] for card in cards(browser)]
    assert browser.js("document.querySelectorAll('img[src=x]').length") == 0
    assert browser.complaints == []
    card = (tmp_path / "reports/model_card.md").read_text()
    assert "<img" not in card


def test_the_gallery_takes_the_worst_the_best_and_the_most_uncertain_in_turn() -> None:
    ious, uncertainties = np.array([0.9, 0.1, 0.5, 0.7]), np.array([0.1, 0.2, 0.9, 0.3])
    assert gallery.choose_rows(ious, uncertainties, 3) == [1, 0, 2]
    assert gallery.choose_rows(ious, uncertainties, 300) == [1, 0, 2, 3]


def test_uncertainty_is_the_mean_entropy_in_bits() -> None:
    levels = np.array([[[0, 255], [0, 255]], [[51, 51], [51, 51]]], np.uint8)
    index = [Photo(name, "", "", 2, 2, "", "") for name in "ab"]
    test = Split(np.zeros((2, 2, 2, 3), np.uint8), np.ones_like(levels), index, Frame("squash", 2))
    # of a fifth: -(0.2 log2 0.2 + 0.8 log2 0.8)
    assert gallery.uncertainty(test, levels).tolist() == pytest.approx([0, 0.7219], abs=1e-4)


def test_a_photo_of_the_gallery_holds_probability_and_class_of_every_pixel() -> None:
    trimap = np.array([[FOREGROUND, BACKGROUND], [BORDER, FOREGROUND]], np.uint8)
    pixels = gallery.pack(trimap, np.array([[254, 1], [77, 0]], np.uint8))
    assert pixels.tolist() == [[[254, 255, 0], [1, 0, 0]], [[77, 128, 0], [0, 255, 0]]]


def test_the_page_takes_levels_and_shades_from_their_owners(report: Page) -> None:
    assert report.js("controls.threshold.max") == str(quantisation.LEVELS - 1)
    assert report.js("thresholds.length") == quantisation.LEVELS
    assert report.js("SHADES") == {
        "background": 0,
        "ignored": 64,
        "border": 128,
        "foreground": 255,
    }
    for name in ("masks.js", "report.js"):
        script = (Path(render.__file__).parent / name).read_text()
        # digits of colours are allowed: [0, 158, 115, 0.6]
        assert not re.search(r"\b(255|256|128)\b", re.sub(r"\[[\d., ]+\]", "", script))


OUTPUTS = ("reports/report.html", "reports/model_card.md", "reports/figures")
PAGE_AND_CARD = ("report.html", "model_card.md")


def output_bytes(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file that the report stage writes, by path."""
    paths = [path for name in OUTPUTS for path in ((folder / name), *(folder / name).glob("*"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def test_the_report_has_equal_bytes_at_another_path_and_commit_and_without_logs(
    repo: Path, tmp_path: Path
) -> None:
    assert list((repo / "data/logs/origins").iterdir())
    copy = Path(shutil.copytree(repo, tmp_path / "another path", symlinks=True))
    shutil.rmtree(copy / "data/logs")
    (copy / "notes.txt").write_text("another commit")
    run_in(copy, "git", "add", "notes.txt")
    run_in(copy, "git", "commit", "-qm", "another")
    for folder in (repo, copy):
        run_in(folder, "dvc", "repro", "--force", "--single-item", "report")
        assert run_in(folder, "git", "status", "--porcelain") == ""
    assert len(output_bytes(repo)) == 13
    assert output_bytes(repo) == output_bytes(copy)


def test_page_and_card_name_what_made_the_model_by_its_content(repo: Path) -> None:
    data = files.read_json(repo / "reports/data.json")
    model = data["model"]
    paths = [repo / "data/model/model.keras", repo / "data/export/model.onnx"]
    rows = content.model_rows(data, official=False, model_files=paths)
    assert rows["recipe"] == "tiny"
    assert rows["official data"] == "no"
    assert rows["epoch"] == f"{model['epoch']}, the best on validation"
    assert rows["refinement of the masks"] == "none"
    html = (repo / "reports/report.html").read_text()
    card = (repo / "reports/model_card.md").read_text()
    for path in paths:
        assert rows[path.name] == f"SHA-256 {files.sha256(path)}"
        assert rows[path.name] in html
    for text in (html, card):
        assert model["data_sha256"] in text
        assert f"{model['threshold']:.4f}" in text
        assert f"epoch {model['epoch']}, the best by validation IoU" in text
        assert all(f"{name} {version}" in text for name, version in model["versions"].items())
        assert "epochs: 2" in text


def test_the_example_of_the_model_card_runs(repo: Path) -> None:
    card = (repo / "reports/model_card.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    Image.new("RGB", (48, 64), "orange").save(repo / "photo.jpg")
    statement = "print(mask.dtype, mask.shape, cutout.mode, cutout.size, 0 <= expected_iou <= 1)"
    output = run_in(repo, "python", "-c", f"{example}{statement}")
    assert output.splitlines()[-1] == "bool (64, 48) RGBA (48, 64) True"


def cell_texts(report: Page, heading: str) -> list[list[str]]:
    """Return the texts of the rows of the first table after a heading."""
    tables = "[...document.querySelectorAll('h1, h2, h3, table')]"
    start = f"{tables}.findIndex(it => it.textContent === {json.dumps(heading)})"
    table = f"{tables}.slice({start}).find(it => it.rows)"
    rows: list[list[str]] = report.js(
        f"[...{table}.rows].map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return rows


def test_the_table_of_doubtful_masks_has_the_numbers_of_the_csv(report: Page, repo: Path) -> None:
    curve = {row["reviewed"]: row for row in files.read_csv(repo / "reports/confidence.csv")}
    expected = [
        [
            f"{percent} % ({photos})",
            f"{100 * float(curve[share]['bad_found']):.1f} %",
            f"{float(curve[share]['expected_iou']):.4f}" if photos else "–",
            f"{float(curve[share]['image_iou']):.4f}",
        ]
        # of 4 photos, 5 and 10 % round to no photo, and 20 % to one
        for percent, share, photos in ((5, "0.05", 0), (10, "0.1", 0), (20, "0.2", 1))
    ]
    assert cell_texts(report, "How sure each mask is")[1:] == expected
    assert report.complaints == []


def test_page_and_card_say_what_the_expected_iou_is_worth(repo: Path) -> None:
    html, card = ((repo / f"reports/{name}").read_text() for name in PAGE_AND_CARD)
    numbers, data = (files.read_json(repo / f"reports/{name}.json") for name in ("metrics", "data"))
    intervals = {row["metric"]: row for row in files.read_csv(repo / "reports/intervals.csv")}
    low, high = (float(intervals["expected_iou_error"][end]) for end in ("low", "high"))
    assert f"(95 % interval {low:.4f} to {high:.4f}). The rank" in html
    for text in (html, card):
        assert f"by {numbers['expected_iou_error']:.4f} on average" in text
        assert f"{numbers['expected_iou_correlation']:.4f}" in text
        assert "under 0.8" in text
    assert data["test"]["bad_masks"] > 0
    assert f"{data['test']['bad_masks']} of the 4 masks" in html
    assert f"Of the {data['test']['bad_masks']} bad masks" in card


def test_without_a_bad_mask_page_and_card_say_so_and_show_no_share(
    repo: Path, tmp_path: Path
) -> None:
    copy_folders(repo, tmp_path)
    shutil.rmtree(tmp_path / "reports/figures")
    reports = tmp_path / "reports"
    bad_masks = files.read_json(reports / "data.json")["test"]["bad_masks"]
    replace(reports / "data.json", f'"bad_masks": {bad_masks}', '"bad_masks": 0')
    curve = files.read_csv(reports / "confidence.csv")
    rows = [list((row | {"bad_found": "1.0"}).values()) for row in curve]
    files.write_csv(reports / "confidence.csv", list(curve[0]), rows)
    write_report(repo, tmp_path)
    for name in PAGE_AND_CARD:
        text = (reports / name).read_text()
        section = text[text.index("How sure each mask is") :].split("<h2>Data", 1)[0]
        section = section.split("### Calibration", 1)[0]
        assert "No test photo has a bad mask" in section
        assert "100.0 %" not in section
        assert "<table" not in section
        assert "<img" not in section
    assert not (reports / "figures/confidence.svg").exists()
    assert (repo / "reports/figures/confidence.svg").exists()


@pytest.mark.parametrize(
    ("larger_photos", "native_iou", "sentence"),
    [
        (0, 0.9, "No test photo is larger than the network's input of 128 pixels, so the numbers"),
        (0, 0.8, "No test photo is larger than the network's input of 128 pixels, but some are"),
        (1, 0.8, "1 of the 3,669 test photos is larger than the network's input of 128 pixels;"),
        (3000, 0.8, "3,000 of the 3,669 test photos are larger than the network's input of 128"),
        (3669, 0.8, "All 3,669 test photos are larger than the network's input of 128 pixels;"),
    ],
)
def test_a_sentence_says_how_many_photos_are_larger_than_the_input(
    larger_photos: int, native_iou: float, sentence: str
) -> None:
    data = {
        "model": {"image_size": 128, "mode": "squash"},
        "splits": {"test": {"photos": 3669}},
        "test": {"larger_than_input": larger_photos},
    }
    numbers = {"iou": 0.9, "native_iou": native_iou}
    assert content.full_size_sentence(data, numbers).startswith(sentence)


def test_page_and_card_have_the_numbers_at_full_size(report: Page, repo: Path) -> None:
    card = (repo / "reports/model_card.md").read_text()
    numbers = files.read_json(repo / "reports/metrics.json")
    rows = {
        cells[0].split("\n")[0]: cells[1]
        for cells in cell_texts(report, report.js("document.querySelector('h1').textContent"))
    }
    for key in ("native_iou", "native_boundary_iou"):
        assert rows[metrics.METRICS[key].title] == f"{numbers[key]:.4f}"
        assert f"| {key} | {numbers[key]:.4f} |" in card
    sentence = "All 4 test photos are larger than the network's input of 32 pixels"
    assert sentence in report.js("document.body.innerText")
    assert sentence in card


def test_the_table_of_the_exported_model_has_the_numbers_of_the_csv(
    report: Page, repo: Path
) -> None:
    reference, *exports = files.read_csv(repo / "reports/export.csv")
    header, *rows = cell_texts(report, "The exported model")
    assert header == ["", "model.onnx", "model-int8.onnx"]
    cells = dict(zip((row[0] for row in rows), (row[1:] for row in rows), strict=True))
    for column, row in enumerate(exports):
        path = repo / "data/export" / header[column + 1]
        assert cells["size"][column] == f"{path.stat().st_size / 1e6:.2f} MB"
        assert cells["IoU"][column] == f"{float(row['iou']):.4f}"
        for name, key in (
            ("change of the IoU", "iou_change"),
            ("largest change of a probability", "largest_difference"),
        ):
            assert "e" not in cells[name][column]
            assert as_number(cells[name][column]) == float(row[key])
        low, high = cells["its 95 % interval"][column].split(" to ")
        assert (as_number(low), as_number(high)) == (float(row["low"]), float(row["high"]))
        share = as_number(
            cells["pixels that change side of the threshold"][column].removesuffix(" %")
        )
        assert share == pytest.approx(100 * float(row["changed_pixels"]), rel=0.05)
    text = report.js("document.body.innerText")
    assert f"model.keras, which has an IoU of {float(reference['iou']):.4f}" in text


def test_the_card_names_the_files_and_what_eight_bits_cost(repo: Path) -> None:
    card = (repo / "reports/model_card.md").read_text()
    row = files.read_csv(repo / "reports/export.csv")[2]
    change, low, high = (render.decimal(row[key]) for key in ("iou_change", "low", "high"))
    assert f"its test IoU changes by {change} (95 % interval {low} to {high})" in card
    for name in ("export/model.onnx", "export/model-int8.onnx", "model/model.keras"):
        size = (repo / "data" / name).stat().st_size / 1e6
        assert re.search(rf"^\| `data/{name}` \| .* \| {size:.2f} MB \|$", card, re.MULTILINE)


def as_number(text: str) -> float:
    """Return the number in a text that has the sign − before negative ones."""
    return float(text.replace("−", "-"))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        ("1e-05", 6, "0.00001"),
        ("-0.000944", 6, "−0.000944"),
        ("0.0", 6, "0"),
        ("-0.0", 6, "0"),
        (0.572917, 2, "0.57"),
        (100.0, 2, "100"),
    ],
)
def test_a_number_for_people_has_no_exponent(value: float | str, digits: int, text: str) -> None:
    assert render.decimal(value, digits) == text
