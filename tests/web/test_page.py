"""The page to try a model, served by a real `petseg try`, in a real browser."""

import base64
import io
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg import files
from petseg.data import quantisation
from petseg.inference import confidence, cutout
from petseg.inference.segmenter import Segmenter
from petseg.prediction.kinds import Kind
from petseg.prediction.outputs import Origin
from tests.browser import Page
from tests.conftest import run_in
from tests.prediction.red_model import as_bytes, half_red, noise_photo
from tests.web.page import (
    LABELS,
    canvas_pixels,
    choose_view,
    set_level,
    text_of,
    wait_for_states,
)
from tests.web.server import Server

MARKUP = "<img src=x onerror=alert(1)>.png"


def test_the_slider_gives_the_pixels_and_numbers_that_numpy_gives(
    page: Page, server: Server, photo: Path
) -> None:
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    prediction = Segmenter.load(server.model).predict(photo)
    levels = prediction.full_levels
    rgb = Image.open(photo).convert("RGB")
    for level in (1, 77, 128, 255):
        set_level(page, level)
        # 128 is the smallest level of the model's own threshold, 0.5
        threshold = 0.5 if level == 128 else quantisation.level_threshold(level)
        mask = levels >= level
        choose_view(page, "Mask")
        assert (canvas_pixels(page)[..., 0] == np.where(mask, 255, 0)).all()
        choose_view(page, "Overlay")
        expected = np.asarray(cutout.overlay(rgb, mask)).astype(int)
        assert abs(canvas_pixels(page)[..., :3] - expected).max() <= 1
        choose_view(page, "Cut-out")
        opacity = np.asarray(cutout.cutout(rgb, levels, threshold))[..., 3]
        assert (canvas_pixels(page)[..., 3] == opacity).all()
        choose_view(page, "Photo")
        assert (canvas_pixels(page)[..., :3] == np.asarray(rgb)).all()

        iou = confidence.expected_iou(prediction.levels[None], threshold)[0]
        assert text_of(page, "expected-iou") == f"expected IoU {iou:.2f}"
        share = 100 * (prediction.levels >= level).mean()
        assert text_of(page, "share") == f"{share:.1f} % pet"
        assert text_of(page, "verdict") == ("Probably good" if iou >= 0.8 else "Look again")
        assert text_of(page, "threshold-value") == f"{level / 255:.2f}"
    page.page.get_by_role("button", name="Reset to 0.50").click()
    assert page.js("get('threshold').value") == "128"
    assert page.complaints == []


def test_files_that_are_dropped_anywhere_get_masks(page: Page, two_photos: list[Path]) -> None:
    page.drop_files(two_photos, x=600, y=880)
    wait_for_states(page, "done", "done")
    assert text_of(page, "name") == "one.png"
    assert text_of(page, "share") == "50.0 % pet"
    # Σ p m = 128 · 0.8; Σ (p + m − p m) = 128, as the other half has no red
    assert text_of(page, "expected-iou") == "expected IoU 0.80"
    page.page.get_by_text("two.png").first.click()
    assert text_of(page, "expected-iou") == "expected IoU 1.00"
    assert page.js("getComputedStyle(get('curtain')).display") == "none"
    assert page.complaints == []


def test_a_photo_is_pasted(page: Page, photo: Path) -> None:
    content = json.dumps(base64.b64encode(photo.read_bytes()).decode())
    page.js(
        f"""(() => {{
        const bytes = Uint8Array.from(atob({content}), (character) => character.charCodeAt(0));
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([bytes], 'image.png', {{ type: 'image/png' }}));
        document.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData }}));
        }})()"""
    )
    wait_for_states(page, "done")
    assert text_of(page, "name") == "image.png"
    assert page.complaints == []


@pytest.mark.parametrize("kind", ["cutout", "mask", "overlay"])
@pytest.mark.parametrize("name", ["cat.png", "cat.jpg", "cat.png.jpg"])
def test_a_download_is_the_file_that_the_shell_writes(
    page: Page, server: Server, tmp_path: Path, kind: Kind, name: str
) -> None:
    photo = tmp_path / name
    photo.write_bytes(as_bytes(noise_photo((1300, 900), seed=2), "PNG"))
    out = tmp_path / "out"
    arguments = ("--model", str(server.model), "--kind", kind, "--out", str(out))
    run_in(tmp_path, "petseg", "predict", str(photo), *arguments)
    (path,) = out.glob("*.png")
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    button = f"Download {kind.replace('cutout', 'cut-out')}"
    assert page.download(button) == (path.name, path.read_bytes())
    assert page.complaints == []


def test_a_download_has_the_threshold_of_the_slider(
    page: Page, server: Server, photo: Path
) -> None:
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    set_level(page, 77)
    _, content = page.download("Download mask")
    with Image.open(io.BytesIO(content)) as picture:
        origin = Origin(files.sha256(server.model), quantisation.level_threshold(77))
        assert picture.info == origin.as_text()
        levels = Segmenter.load(server.model).predict(photo).full_levels
        assert (np.asarray(picture) == np.where(levels >= 77, 255, 0)).all()


def test_photos_can_be_added_and_removed_while_the_first_runs(
    page: Page, server: Server, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        half_red(204).save(path)
    server.process.send_signal(signal.SIGSTOP)
    try:
        page.choose_files("Choose photos", paths[:1])
        wait_for_states(page, "working")
        page.drop_files(paths[1:])
        wait_for_states(page, "working", "working", "waiting", "waiting")
        assert text_of(page, "name") == "1.png"  # the first of those that were added last
        page.page.get_by_role("button", name="Remove this photo").click()
        wait_for_states(page, "working", "working", "waiting")  # the next one takes its place
    finally:
        server.process.send_signal(signal.SIGCONT)
    wait_for_states(page, "done", "done", "done")
    names = page.js(f"{LABELS}.map(it => it.querySelector('b').textContent)")
    assert names == ["0.png", "2.png", "3.png"]
    assert page.complaints == []


def test_a_photo_is_drawn_upright(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "phone.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left of the file is the top of the photo
    photo.write_bytes(as_bytes(half_red(204, (2000, 1500)), "JPEG", quality=95, exif=exif))
    page.choose_files("Choose photos", [photo])
    wait_for_states(page, "done")
    choose_view(page, "Photo")
    pixels = canvas_pixels(page).astype(int)
    assert pixels.shape == (1200, 900, 4)
    assert abs(pixels[300, :, 0] - 204).max() <= 3
    assert abs(pixels[900, :, 0] - 0).max() <= 3
    choose_view(page, "Mask")
    assert canvas_pixels(page)[[300, 900], 450, 0].tolist() == [255, 0]


def test_a_name_with_markup_stays_text(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / MARKUP
    half_red(204).save(photo)
    page.drop_files([photo])
    wait_for_states(page, "done")
    assert text_of(page, "name") == MARKUP
    assert page.js("document.querySelectorAll('img[src=x]').length") == 0
    assert MARKUP in page.js("get('canvas').ariaLabel")
    assert page.complaints == []


def test_an_example_gets_its_mask(page: Page, server: Server) -> None:
    page.page.get_by_role("button", name="Example 2").click()
    wait_for_states(page, "done")
    assert text_of(page, "name") == "example-2.jpg"
    with Image.open(io.BytesIO(server.get("/examples/2.jpg").content)) as picture:
        assert canvas_pixels(page).shape == (picture.height, picture.width, 4)
    assert not page.page.get_by_role("button", name="Example 2").is_visible()
    assert page.complaints == []


def test_pixels_of_few_photos_stay_in_memory_and_those_of_others_come_back(
    page: Page, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{red}.png" for red in range(201, 213)]
    for path in paths:
        half_red(int(path.stem)).save(path)
    page.choose_files("Choose photos", paths)
    wait_for_states(page, *["done"] * 12)
    assert page.js("photos.filter(it => it.decoded).length") == 9  # eight, and the selected one
    choose_view(page, "Photo")
    for path in (paths[1], paths[0], paths[-1]):
        page.page.get_by_text(path.name).first.click()
        page.until("selected.decoded")
        assert text_of(page, "name") == path.name
        assert canvas_pixels(page)[0, 0].tolist() == [int(path.stem), 90, 90, 255]
    assert page.js("photos.filter(it => it.decoded).length") == 9
    assert page.complaints == []


COUNT_ADDRESSES = """(() => {
  window.addresses = new Set();
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (file) => {
    const address = createObjectURL(file);
    addresses.add(address);
    return address;
  };
  URL.revokeObjectURL = (address) => {
    addresses.delete(address);
    revokeObjectURL(address);
  };
})()"""


def test_removing_all_photos_frees_their_memory(page: Page, photo: Path) -> None:
    page.js(COUNT_ADDRESSES)
    page.choose_files("Choose photos", [photo, photo])
    wait_for_states(page, "done", "done")
    page.js(
        "void (window.references = photos.flatMap("
        "({ file, decoded, label }) => [file, decoded, label].map(it => new WeakRef(it))))"
    )
    page.page.get_by_role("button", name="Remove all").click()
    assert page.js("document.querySelectorAll('.thumbnail').length") == 0
    assert page.js("[get('canvas').width, addresses.size]") == [0, 0]
    page.collect_garbage()
    assert page.js("references.filter(it => it.deref()).length") == 0
    assert page.page.get_by_role("button", name="Example 1").is_visible()
    assert page.js("document.activeElement.id") == "choose"
    assert page.complaints == []


def test_the_time_from_the_drop_to_the_mask_is_marked(page: Page, two_photos: list[Path]) -> None:
    page.drop_files(two_photos)
    wait_for_states(page, "done", "done")
    page.page.get_by_text("two.png").first.click()
    page.until("performance.getEntriesByName('mask-drawn').length === 2")
    marks = page.js("performance.getEntriesByType('mark').map(it => [it.name, it.detail])")
    assert sorted(marks) == [[name, n] for name in ("mask-drawn", "photo-received") for n in (1, 2)]
