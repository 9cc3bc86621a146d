"""What the page to try a model says where something goes wrong."""

from pathlib import Path

from tests.browser import Page
from tests.prediction.red_model import as_bytes, half_red
from tests.web.page import LABELS, canvas_pixels, open_page, states, text_of, wait_for_states
from tests.web.server import running, serving, serving_with_limits

REFUSED = "Failed to load resource: the server responded with a status of 422"
UNREACHABLE = "Failed to load resource: net::ERR_CONNECTION_REFUSED"


def test_a_broken_file_shows_its_reason_and_the_others_go_on(page: Page, tmp_path: Path) -> None:
    broken, good, text = (tmp_path / name for name in ("broken.jpg", "good.jpg", "letter.html"))
    good.write_bytes(as_bytes(half_red(204, (64, 64)), "JPEG"))
    broken.write_bytes(good.read_bytes()[:400])
    text.write_text("<script>alert(1)</script>")
    page.choose_files("Choose photos", [broken, good])
    page.drop_files([text])
    page.until(f"{LABELS}.every(it => !['waiting', 'working'].includes(it.dataset.state))")
    reasons = states(page)
    assert reasons[0].startswith("cannot be used: photo cannot be decoded: ")
    assert reasons[1] == "done"
    assert reasons[2].startswith("cannot be used: photo cannot be decoded: cannot identify")
    page.page.get_by_text("broken.jpg").first.click()
    assert text_of(page, "message-text") == reasons[0].replace("cannot", "Cannot", 1)
    assert not page.page.get_by_role("button", name="Download mask").is_visible()
    assert len(page.complaints) == 2  # the browser notes that the server refused two requests
    assert all(complaint.startswith(REFUSED) for complaint in page.complaints)


def test_a_photo_that_the_browser_cannot_show_has_its_mask_and_downloads(
    page: Page, tmp_path: Path
) -> None:
    photo = tmp_path / "cat.tiff"
    half_red(204).save(photo)
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    assert page.js("document.querySelector('#views :checked').value") == "mask"
    assert page.js("[...document.querySelectorAll('#views :disabled')].length") == 3
    assert "cannot show files of this kind" in text_of(page, "no-picture")
    assert canvas_pixels(page)[:, 0, :3].tolist() == [[255, 255, 255]] * 16
    assert page.download("Download cut-out")[0] == "cat.tiff.cutout.png"
    assert page.complaints == []


def test_a_busy_server_is_tried_again_and_the_page_says_so(browser: Page, tmp_path: Path) -> None:
    with serving_with_limits(tmp_path, photos=0) as server:
        page = open_page(browser, server.address)
        page.page.get_by_role("button", name="Example 1").click()
        wait_for_states(page, "the program is busy, trying again in 1 s")
        page.until("get('again').offsetParent !== null")
        assert states(page) == ["the server is busy: 0 photos wait already; try again in a second"]
    assert len(page.complaints) == 6  # the browser notes each answer with the status 503


def test_a_file_over_the_limit_is_not_sent(browser: Page, tmp_path: Path) -> None:
    photo = tmp_path / "large.png"
    photo.write_bytes(bytes(3_000_000))
    with serving_with_limits(tmp_path, photo_bytes=2_000_000) as server:
        page = open_page(browser, server.address)
        page.choose_files("Choose photos", [photo])
        wait_for_states(page, "cannot be used: photo has more than 2,000,000 bytes")
    assert page.complaints == []


def test_a_server_that_was_away_gets_the_photo_again(
    browser: Page, tmp_path: Path, photo: Path
) -> None:
    with serving(tmp_path) as first:
        page = open_page(browser, first.address)
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, f"The program at {first.address} does not answer.")
    command = ["petseg", "try", "--model", str(first.model), "--port", str(first.port)]
    with running(tmp_path, command):
        page.page.get_by_role("button", name="Try again").click()
        wait_for_states(page, "done")
    assert page.complaints == [UNREACHABLE]


def test_a_text_that_is_dropped_or_pasted_is_no_photo(page: Page) -> None:
    problem = "There is no file in this; drop or paste photos."
    page.js(
        "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: new DataTransfer()}))"
    )
    assert text_of(page, "problem") == problem
    page.page.get_by_role("button", name="Example 1").click()
    wait_for_states(page, "done")
    assert not page.page.get_by_text(problem).is_visible()
    page.drop_text("https://example.org/cat.jpg")
    assert states(page) == ["done"]
    assert page.complaints == []


def test_a_folder_is_refused_with_what_helps(page: Page, tmp_path: Path) -> None:
    page.drop_files([tmp_path])
    page.until(f"{LABELS}.every(it => it.dataset.state === 'refused')")
    assert "photo cannot be read; if it is a folder" in states(page)[0]
