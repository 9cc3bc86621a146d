"""The page of `petseg check --html` in a real Chromium: pictures, the places of colours, names."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from petseg.data import folder_check
from petseg.data.folder import FolderPhotos
from petseg.data.label_edits import NO_EDITS
from petseg.data.labels import BACKGROUND, BORDER, FOREGROUND, IGNORED
from petseg.data.mask_settings import Masks, Values, ValuesMasks
from petseg.sheet import page
from petseg.sheet.pictures import COLOURS
from tests import browser
from tests.conftest import DEMO, ROOT, TINY, run_in
from tests.data.test_folder import SETTINGS, write_pair

IGNORING = ValuesMasks(Values((1,), (3,), (2,)))  # like a trimap, but 3 is ignored
ODD_NAMES = (
    "<b>bold</b>",
    "a & b",
    "quo\"te's",
    "{{ 7 * 7 }}",
    "Käse 😀",
    "n" * 251,
    "\u202eright",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Page]:
    with browser.opened() as page:
        yield page


def write_page(own: Path, target: Path, masks: Masks = "binary") -> folder_check.FolderReport:
    """Write the page of a folder, and return what is known of it."""
    work = target.parent / "work"
    work.mkdir()
    report = folder_check.inspect(own, masks, SETTINGS, NO_EDITS, work)
    page.write(target, FolderPhotos(work), report, ["three photos", "a line"])
    return report


def write_turned_pair(own: Path) -> None:
    """Write a white photo that EXIF turns to 60 x 120, with a black corner, and its mask.

    The mask, from top to bottom: 40 rows of foreground, 40 of value 3, 40 of background.
    """
    for folder in ("images", "masks"):
        (own / folder).mkdir(parents=True)
    upright = Image.new("RGB", (60, 120), "white")
    upright.paste((0, 0, 0), (0, 100, 20, 120))  # below, on the left
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turned a quarter to the right when shown
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(own / "images/turned.jpg", quality=95, exif=exif)
    mask = np.repeat(np.array([1, 3, 2], np.uint8), 40)[:, None].repeat(60, axis=1)
    Image.fromarray(mask).save(own / "masks/turned.png")


def shown(chromium: browser.Page) -> np.ndarray:
    """Return the first photo of the page with its mask as the browser shows it."""
    png = chromium.page.locator(".layers").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def over_white(label: int) -> np.ndarray:
    """Return the colour of a label over white."""
    *colour, opacity = COLOURS[label]
    return 255 + (np.array(colour) - 255) * opacity / 255


@pytest.mark.parametrize(("masks", "third"), [("trimap", BORDER), (IGNORING, IGNORED)])
def test_colours_are_where_the_mask_is_and_photos_are_upright(
    chromium: browser.Page, tmp_path: Path, masks: Masks, third: int
) -> None:
    write_turned_pair(tmp_path / "own")
    write_page(tmp_path / "own", tmp_path / "page.html", masks)
    chromium.complaints.clear()
    chromium.open(tmp_path / "page.html")
    picture = shown(chromium)
    height, width = picture.shape[:2]
    assert height == pytest.approx(2 * width, abs=2)
    for part, label in ((1, FOREGROUND), (3, third), (5, BACKGROUND)):
        colour = picture[height * part // 6, width * 3 // 4]
        assert np.abs(colour - over_white(label)).max() <= 6
    assert picture[height * 11 // 12, width // 8].max() < 30
    chromium.page.get_by_label("Show the masks").uncheck()
    assert shown(chromium)[height // 6, width * 3 // 4].min() > 250
    assert chromium.complaints == []


def test_names_of_any_characters_stand_on_the_page_as_they_are(
    chromium: browser.Page, tmp_path: Path
) -> None:
    for name in ODD_NAMES:
        write_pair(tmp_path / "own", name)
    write_pair(tmp_path / "own", "<i>alone</i>")
    (tmp_path / "own/masks/<i>alone</i>.png").unlink()
    write_page(tmp_path / "own", tmp_path / "page.html")
    chromium.complaints.clear()
    chromium.open(tmp_path / "page.html")
    names = chromium.js("[...document.querySelectorAll('figcaption')].map(e => e.textContent)")
    assert sorted(names) == sorted(ODD_NAMES)
    row = chromium.page.locator("tbody tr").inner_text()
    assert row.split("\t") == ["<i>alone</i>", "no mask"]
    assert chromium.complaints == []


def test_the_page_is_bounded_and_says_so_and_every_picture_loads(
    chromium: browser.Page, tmp_path: Path
) -> None:
    for number in range(page.MAX_PHOTOS + 30):
        write_pair(tmp_path / "own", f"p{number:03}")
    report = write_page(tmp_path / "own", tmp_path / "page.html")
    assert len(report.remarks[folder_check.SMALL]) == 230  # 40 x 20 pixels
    report.remarks = {folder_check.EMPTY: [f"p{number:03}" for number in range(25)]}
    page.write(tmp_path / "page.html", FolderPhotos(tmp_path / "work"), report, ["many"])
    assert (tmp_path / "page.html").stat().st_size < 5_000_000
    assert list(tmp_path.glob("*.partial")) == []
    chromium.open(tmp_path / "page.html")
    notes = chromium.page.locator("h2 + p").all_inner_texts()
    assert notes == ["20 of 25 photos", "180 of 205 photos"]
    widths = chromium.js("[...document.images].map(image => image.naturalWidth)")
    assert widths == [288] * 2 * page.MAX_PHOTOS
    last = chromium.page.locator("figcaption").last.inner_text()
    assert int(last[1:]) > 225  # the sample reaches to the end of the folder


def test_the_command_writes_the_page_but_not_among_the_photos(tmp_path: Path) -> None:
    text = TINY.replace(DEMO, "download: {source: folder, masks: binary}")
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for number in range(12):
        write_pair(tmp_path / "own", f"p{number}")
    command = ("petseg", "check", "own", "--no-estimate", "--html")
    run_in(tmp_path, *command, "new/page.html")
    html = (tmp_path / "new/page.html").read_text()
    assert "<h1>own: 12 of 12 photos can be used</h1>" in html
    assert "<li>splits: 8 train, 2 val, 2 test</li>" in html
    for path in ("own/masks/page.html", "own/groups.csv"):
        output = run_in(tmp_path, *command, path, fails=True)
        assert f"error: {path} would lie in own, which check does not change" in output
    output = run_in(tmp_path, *command, "new", fails=True)
    assert output.splitlines()[-1].startswith("error: new cannot be written")
    assert "Traceback" not in output
