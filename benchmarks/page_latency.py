"""Time what a person waits for with `petseg try`: its start, and a mask on its page.

    python benchmarks/page_latency.py data/export/model.onnx

The start is timed from starting the process to the complete first answer of `GET /`, then of
`POST /mask` with a small photo. The mask is timed in a real Chromium, from dropping a JPEG of 4000 × 3000
pixels to drawing it with its mask; the page sets marks for both. The photo is drawn: gradients and
noise. A new page gets its first photo, then the same one again. Server and browser share the cores.
"""

import argparse
import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from predict_memory import draw
from serving import HOST, PHOTO_SIZE, petseg_try, running, spread

LARGE_SIZE = (4000, 3000)  # width and height in pixels
QUALITY = 95  # of the JPEG, which makes 4 MB of it
WINDOW: ViewportSize = {"width": 1200, "height": 900}  # in pixels
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
LATENCY = """
(number) => new Promise((resolve, reject) => {
  const time = (name) => performance.getEntriesByName(name)[number]?.startTime;
  new PerformanceObserver(() => {
    if (time("mask-drawn")) resolve(time("mask-drawn") - time("photo-received"));
  }).observe({ type: "mark", buffered: true });
  setTimeout(() => reject(new Error("no mask within 60 s")), 60000);
})
"""


def as_jpeg(size: tuple[int, int]) -> bytes:
    """Return a drawn photo as JPEG."""
    buffer = io.BytesIO()
    draw(*size).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def start_times(model: Path, photo: bytes) -> tuple[float, float]:
    """Return the seconds from a server's start to its first answer of `GET /` and of `POST /mask`."""
    with running(*petseg_try(model)) as server:
        client = server.client()
        answers = [(client.get("/"), server.age()), (client.post(photo), server.age())]
        assert all(answer.status == 200 for answer, _ in answers), server.messages()
        return answers[0][1], answers[1][1]


def drop(page: Page, path: Path) -> None:
    """Drag a file over the page and drop it there, as the operating system does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for event in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": event, "x": 100, "y": 100, "data": data})


def mask_times(browser: Browser, address: str, path: Path) -> tuple[float, float]:
    """Return the seconds from dropping a photo in a new page to its mask, and of the photo after it."""
    page = browser.new_page(viewport=WINDOW)
    page.goto(address, wait_until="networkidle")
    seconds = []
    for number in range(2):
        drop(page, path)
        seconds.append(page.evaluate(LATENCY, number) / 1000)
    page.close()
    return seconds[0], seconds[1]


def time_masks(model: Path, photo: bytes, pages: int) -> list[tuple[float, float]]:
    """Return `mask_times` of so many pages; one before them starts what starts only once."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no chromium: apt-get install chromium"
    with (
        tempfile.TemporaryDirectory() as folder,
        running(*petseg_try(model)) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=FLAGS) as browser,
    ):
        path = Path(folder) / "photo.jpg"
        path.write_bytes(photo)
        server.client()  # the server listens from here on
        address = f"http://{HOST}:{server.port}"
        return [mask_times(browser, address, path) for _ in range(pages + 1)][1:]


def print_times(name: str, seconds: Sequence[float]) -> None:
    """Print the percentiles of times."""
    p50, p95, longest = 1000 * np.percentile(seconds, [50, 95, 100])
    print(f"{name}: median {p50:.0f} ms, p95 {p95:.0f} ms, at most {longest:.0f} ms")


def main() -> None:
    """Print the times of the start and of the masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--pages", type=int, default=20)
    args = parser.parse_args()
    small, large = as_jpeg(PHOTO_SIZE), as_jpeg(LARGE_SIZE)
    starts = [start_times(args.model, small) for _ in range(args.starts)]
    for request, seconds in zip(("GET /", "POST /mask"), zip(*starts, strict=True), strict=True):
        print(f"start to the answer of {request}: {spread(seconds, 2)} s")
    print(f"from dropping a JPEG of {len(large) / 1e6:.1f} MB to its mask, {args.pages} pages")
    masks = time_masks(args.model, large, args.pages)
    for name, seconds in zip(
        ("first photo", "second photo"), zip(*masks, strict=True), strict=True
    ):
        print_times(name, seconds)


if __name__ == "__main__":
    main()
