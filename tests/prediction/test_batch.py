"""Many photos at once: in order, in bounded memory, each name for one photo, nothing done twice."""

import csv
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data import photos
from petseg.errors import UserError
from petseg.inference.segmenter import Prediction, Segmenter
from petseg.prediction import batch, sources, writing
from petseg.prediction.batch import Outcome, Predictor
from petseg.prediction.budget import PixelBudget
from petseg.prediction.kinds import Kind
from petseg.prediction.outputs import Target
from petseg.prediction.replacement import Replace
from petseg.prediction.results import Table
from tests.prediction.red_model import as_bytes, half_red, save_photo, write_red_model

Files = dict[str, tuple[bytes, int]]


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """A segmenter to which red is the probability."""
    return Segmenter.load(write_red_model(tmp_path_factory.mktemp("model") / "model.onnx"))


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def predict(
    segmenter: Segmenter,
    *inputs: str,
    out: str | None = "out",
    kinds: tuple[Kind, ...] = ("mask",),
    doubtful: float | None = None,
    overwrite: bool = False,
    replace: Replace = Replace.NOTHING,
) -> list[Outcome]:
    """Predict photos as the command does, with the table of the folder."""
    folder = Path(out) if out else None
    target = Target(folder, kinds, "png", doubtful)
    photos = sources.expand(inputs, None, folder)
    replace = Replace.EVERYTHING if overwrite else replace
    if folder is None:
        return list(batch.predict_all(Predictor(segmenter, target, replace, None), photos))
    folder.mkdir(exist_ok=True)
    with Table(folder / "results.csv") as table:
        outcomes = list(batch.predict_all(Predictor(segmenter, target, replace, table), photos))
        table.finish()
    return outcomes


def reasons(outcomes: list[Outcome]) -> list[str]:
    """Return the reason of each outcome, empty where there is none."""
    return [outcome.result.reason for outcome in outcomes]


def contents(folder: str) -> Files:
    """Return the bytes and the time of change of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def rows() -> list[dict[str, str]]:
    """Return the rows of the results."""
    with Path("out/results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_rows_of_photos_are_as_worked_by_hand(segmenter: Segmenter) -> None:
    save_photo(Path("in/half.jpg"), red=204, size=(16, 20))
    Image.new("RGB", (7, 5)).save("in/none.png")
    Path("in/bad.jpg").write_bytes(b"no photo")
    predict(segmenter, "in")
    bad, half, none = rows()
    values = ("photo", "name", "width", "height", "foreground", "expected_iou")
    # With 0.8 in the mask and 0 elsewhere the expected IoU is 0.8 n / n.
    assert [half[key] for key in values] == ["in/half.jpg", "half", "16", "20", "0.5", "0.8"]
    assert [none[key] for key in values] == ["in/none.png", "none.png", "7", "5", "0.0", "1.0"]
    assert [bad[key] for key in values] == ["in/bad.jpg", "bad", "0", "0", "0.0", "0.0"]
    assert bad["reason"].startswith("photo cannot be decoded: cannot identify image file")
    assert half["model"] == none["model"] == segmenter.engine.sha256[:16]
    assert set(contents("out")) == {"half.mask.png", "none.png.mask.png", "results.csv"}


def test_a_photo_turned_by_exif_gets_an_upright_mask(segmenter: Segmenter) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise: the left half becomes the upper one
    Path("in.jpg").write_bytes(as_bytes(half_red(255, (40, 20)), exif=exif))
    (outcome,) = predict(segmenter, "in.jpg", out=None)
    mask = np.asarray(Image.open(outcome.paths["mask"]))
    assert (outcome.result.width, outcome.result.height) == mask.shape[::-1] == (20, 40)
    assert mask[:18].min() == 255
    assert mask[22:].max() == 0


def test_outputs_that_are_there_are_kept_unless_they_are_to_be_replaced(
    segmenter: Segmenter,
) -> None:
    save_photo(Path("in/a/cat.jpg"))
    save_photo(Path("in/dog.jpg"))
    assert [o.from_earlier_run for o in predict(segmenter, "in")] == [False, False]
    before = contents("out")
    outcomes = predict(segmenter, "in")
    assert [o.from_earlier_run for o in outcomes] == [True, True]
    assert [next(iter(o.paths.values())).exists() for o in outcomes] == [True, True]
    after = contents("out")
    assert after.pop("results.csv")[0] == before.pop("results.csv")[0]
    assert after == before
    predict(segmenter, "in", kinds=("mask", "cutout"))
    assert contents("out")["dog.mask.png"] == before["dog.mask.png"]
    assert "a/cat.cutout.png" in contents("out")
    predict(segmenter, "in", overwrite=True)
    changed = contents("out")["dog.mask.png"]
    assert changed[0] == before["dog.mask.png"][0]
    assert changed[1] > before["dog.mask.png"][1]


def test_a_file_beside_the_photo_is_kept_and_the_outcome_says_so(segmenter: Segmenter) -> None:
    save_photo(Path("cat.jpg"))
    Path("cat.mask.png").write_bytes(b"by hand")
    (outcome,) = predict(segmenter, "cat.jpg", out=None)
    assert outcome.from_earlier_run
    assert Path("cat.mask.png").read_bytes() == b"by hand"


def test_of_two_photos_with_one_name_the_second_is_refused(segmenter: Segmenter) -> None:
    save_photo(Path("a/cat.jpg"), red=204)
    save_photo(Path("b/cat.jpg"), red=255)
    first, second = predict(segmenter, "a/cat.jpg", "b/cat.jpg")
    assert not first.result.reason
    assert "same name as those of a/cat.jpg" in second.result.reason
    before = contents("out")["cat.mask.png"]
    # Another run refuses it as well, and a photo that only lies elsewhere is the same photo.
    assert "are those of a/cat.jpg" in reasons(predict(segmenter, "b"))[0]
    assert contents("out")["cat.mask.png"] == before
    Path("a").rename("moved")
    assert reasons(predict(segmenter, "moved")) == [""]
    assert [row["photo"] for row in rows()] == ["b/cat.jpg", "moved/cat.jpg"]
    assert contents("out")["cat.mask.png"] == before
    # A replaced output belongs to the photo that has replaced it.
    assert reasons(predict(segmenter, "b", overwrite=True)) == [""]
    assert [row["photo"] for row in rows()] == ["b/cat.jpg"]
    assert "are those of b/cat.jpg" in reasons(predict(segmenter, "moved"))[0]


def test_a_file_without_a_row_is_kept_and_taken_only_for_what_it_is(segmenter: Segmenter) -> None:
    save_photo(Path("in/cat.jpg"))
    predict(segmenter, "in")
    Path("out/results.csv").unlink()
    before = contents("out")
    assert reasons(predict(segmenter, "in")) == [""]
    assert contents("out")["cat.mask.png"] == before["cat.mask.png"]
    Path("out/results.csv").unlink()
    save_photo(Path("other/cat.jpg"), size=(8, 8))
    assert "out/cat.mask.png is there already" in reasons(predict(segmenter, "other"))[0]
    assert contents("out")["cat.mask.png"] == before["cat.mask.png"]


def test_an_edited_photo_does_not_get_a_second_output_beside_a_stale_one(
    segmenter: Segmenter,
) -> None:
    save_photo(Path("in/cat.jpg"))
    predict(segmenter, "in")
    before = contents("out")
    save_photo(Path("in/cat.jpg"), size=(8, 8))
    both: tuple[Kind, ...] = ("cutout", "mask")
    assert "cat.mask.png is there already" in reasons(predict(segmenter, "in", kinds=both))[0]
    after = contents("out")
    assert after.pop("results.csv") != before.pop("results.csv")
    assert after == before
    assert reasons(predict(segmenter, "in", kinds=both, overwrite=True)) == [""]
    sizes = [photos.read_size(Path(f"out/cat.{kind}.png").read_bytes()) for kind in both]
    assert sizes == [(8, 8), (8, 8)]


def test_a_photo_that_changed_after_its_outputs_is_refused(segmenter: Segmenter) -> None:
    photo = save_photo(Path("in/cat.jpg"))
    (first,) = predict(segmenter, "in")
    (again,) = predict(segmenter, "in")
    assert (first.from_earlier_run, again.from_earlier_run) == (False, True)
    mask = Path("out/cat.mask.png").stat().st_mtime
    os.utime(photo, (mask + 5, mask + 5))
    (touched,) = predict(segmenter, "in")
    assert (touched.from_earlier_run, touched.result.reason) == (True, "")
    save_photo(photo, size=(8, 8))
    os.utime(photo, (mask + 9, mask + 9))
    assert "is not of this photo as it is now" in reasons(predict(segmenter, "in"))[0]


def test_doubtful_photos_lie_apart_and_move_with_the_limit(segmenter: Segmenter) -> None:
    save_photo(Path("in/a/unsure.jpg"), red=153)  # expected IoU 0.6
    save_photo(Path("in/sure.jpg"), red=255)
    both: tuple[Kind, ...] = ("mask", "cutout")
    apart = {f"doubtful/a/unsure.{kind}.png" for kind in both}
    sure = {f"sure.{kind}.png" for kind in both} | {"results.csv"}
    predict(segmenter, "in", kinds=both, doubtful=0.7)
    assert set(contents("out")) == apart | sure
    before = contents("out")
    # Every output of the photo moves, not only those of the kind that is named.
    outcomes = predict(segmenter, "in", doubtful=0.5)
    assert all(outcome.from_earlier_run for outcome in outcomes)
    assert set(contents("out")) == {name.removeprefix("doubtful/") for name in apart} | sure
    predict(segmenter, "in", doubtful=0.7, overwrite=True, kinds=both)
    assert {name: data for name, (data, _) in contents("out").items()} == {
        name: data for name, (data, _) in before.items()
    }
    predict(segmenter, "in")
    assert not set(contents("out")) & apart


def test_a_folder_called_doubtful_does_not_mix_with_the_doubtful_photos(
    segmenter: Segmenter,
) -> None:
    save_photo(Path("in/x.jpg"), red=153)
    save_photo(Path("in/doubtful/x.jpg"), red=255)
    expected = ["", "the folder out/doubtful is for doubtful photos; rename the folder doubtful"]
    for doubtful in (None, 0.7, None):
        outcomes = predict(segmenter, "in", doubtful=doubtful)
        assert [a.startswith(b) for a, b in zip(reasons(outcomes), expected, strict=True)] == [1, 1]
    assert np.asarray(Image.open("out/x.mask.png")).max() == 255


def test_names_of_any_bytes_and_length_have_outputs_or_a_reason(segmenter: Segmenter) -> None:
    fits, long = "f" * 200, "l" * 245  # 245 characters fit for the photo, not for its outputs
    data = save_photo(Path("in/a b Käfer 🐱.jpg")).read_bytes()
    folder = b"in/"
    for name in (b"\xff", b"\xfe", b"new\nline", b'comma,"quote"', fits.encode(), long.encode()):
        Path((folder + name).decode("utf-8", "surrogateescape") + ".jpg").write_bytes(data)
    outcomes = predict(segmenter, "in")
    assert [reason for reason in reasons(outcomes) if reason] == [
        "the names of its outputs are too long for the disk"
    ]
    assert len(list(Path("out").glob("*.mask.png"))) == 6
    assert len(rows()) == len({row["photo"] for row in rows()}) == 7
    assert {"in/\\udcff.jpg", "in/new\\nline.jpg", "in/a b Käfer 🐱.jpg"} < {
        row["photo"] for row in rows()
    }
    again = predict(segmenter, "in")
    assert [o.from_earlier_run for o in again] == [not reason for reason in reasons(outcomes)]


def test_a_folder_that_becomes_unwritable_stops_the_run_and_leaves_nothing_half_written(
    segmenter: Segmenter,
) -> None:
    save_photo(Path("in/a/x.jpg"))
    Path("out").mkdir()
    Path("out/a").touch()
    with pytest.raises(UserError, match=r"out/a/x\.mask\.png cannot be written: .*; run the same"):
        predict(segmenter, "in")
    assert not list(Path().rglob("*.partial"))


def test_a_photo_above_the_limit_of_pixels_is_worked_on_by_itself() -> None:
    budget = PixelBudget(100)
    inside = threading.Semaphore(0)
    leave = threading.Event()

    def work(pixels: int) -> None:
        with budget.reserve(pixels):
            inside.release()
            leave.wait(10)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (1000, 60, 60)]
    threads[0].start()
    assert inside.acquire(timeout=10)
    threads[1].start()
    threads[2].start()
    assert not inside.acquire(timeout=0.1)
    leave.set()
    assert inside.acquire(timeout=10)
    assert inside.acquire(timeout=10)
    for thread in threads:
        thread.join()
    assert budget.free == 100


def test_a_large_photo_that_waits_is_not_overtaken_by_a_small_one() -> None:
    budget = PixelBudget(100)
    order = []

    def work(pixels: int) -> None:
        with budget.reserve(pixels):
            order.append(pixels)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (80, 40)]
    with budget.reserve(50):
        threads[0].start()
        while not budget.turn.locked():  # until the large photo waits
            threads[0].join(0.01)
        threads[1].start()
        threads[1].join(0.1)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == [80, 40]


@pytest.mark.parametrize(("limit", "expected"), [(100, 1), (256, 1), (1024, 2)])
def test_photos_that_do_not_fit_the_limit_are_not_decoded_at_the_same_time(
    limit: int, expected: int, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = threading.Barrier(2)

    class Waiting(Segmenter):
        """Waits in the network for another photo to come."""

        def predict_bytes(self, data: bytes) -> Prediction:
            with suppress(threading.BrokenBarrierError):
                barrier.wait(0.1 if expected == 1 else 10)
            return super().predict_bytes(data)

    monkeypatch.setattr(batch, "PIXELS_IN_WORK", limit)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # and so two threads
    for name in "abcd":
        save_photo(Path(f"in/{name}.jpg"))  # of 256 pixels
    assert reasons(predict(Waiting(segmenter.engine), "in")) == [""] * 4
    assert barrier.broken == (expected == 1)


@pytest.mark.parametrize(("pixels", "at_most"), [(60, 1), (50, 2)])
def test_photos_share_the_limit_of_pixels(pixels: int, at_most: int) -> None:
    budget = PixelBudget(100)
    barrier = threading.Barrier(4)
    lock = threading.Lock()
    numbers = [0]

    def work() -> None:
        barrier.wait(10)
        with budget.reserve(pixels):
            with lock:
                numbers.append(numbers[-1] + 1)
            threading.Event().wait(0.02)
            with lock:
                numbers.append(numbers[-1] - 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert max(numbers) == at_most
    assert numbers[-1] == 0


class Counting(Segmenter):
    """Counts the photos that it predicts."""

    calls = 0

    def predict_bytes(self, data: bytes) -> Prediction:
        self.calls += 1
        return super().predict_bytes(data)


def sizes(*names: str) -> list[tuple[int, int]]:
    """Return the sizes of these outputs in pixels."""
    return [photos.read_size(Path("out", name).read_bytes()) for name in names]


def test_a_changed_photo_gets_all_its_outputs_anew(segmenter: Segmenter) -> None:
    save_photo(Path("in/cat.jpg"))
    save_photo(Path("in/dog.jpg"))
    predict(segmenter, "in", kinds=("mask", "cutout"))
    before = contents("out")
    save_photo(Path("in/cat.jpg"), size=(8, 8))
    os.utime("in/cat.jpg", (1, 1))  # older than its outputs
    counting = Counting(segmenter.engine)
    assert reasons(predict(counting, "in", replace=Replace.CHANGED)) == ["", ""]
    assert counting.calls == 1
    assert sizes("cat.mask.png", "cat.cutout.png") == [(8, 8), (8, 8)]
    assert {name: file for name, file in contents("out").items() if "dog" in name} == {
        name: file for name, file in before.items() if "dog" in name
    }
    Path("in/cat.jpg").touch()
    predict(counting, "in", replace=Replace.CHANGED)
    assert counting.calls == 1


def test_a_changed_photo_that_was_refused_in_between_gets_its_outputs_anew(
    segmenter: Segmenter,
) -> None:
    photo = save_photo(Path("in/cat.jpg"))
    predict(segmenter, "in")
    photo.write_bytes(b"no photo")
    assert "cannot be decoded" in reasons(predict(segmenter, "in", replace=Replace.CHANGED))[0]
    save_photo(photo, size=(8, 8))
    assert reasons(predict(segmenter, "in", replace=Replace.CHANGED)) == [""]
    assert sizes("cat.mask.png") == [(8, 8)]


def test_a_file_that_petseg_has_not_written_is_not_replaced_for_a_changed_photo(
    segmenter: Segmenter,
) -> None:
    save_photo(Path("in/cat.jpg"))
    save_photo(Path("out/cat.mask.png"))  # a picture, but without the metadata
    before = contents("out")["cat.mask.png"]
    for replace in (Replace.CHANGED, Replace.OTHER_MODEL):
        assert "is there already" in reasons(predict(segmenter, "in", replace=replace))[0]
        assert contents("out")["cat.mask.png"] == before


def test_outputs_of_another_model_are_replaced_only_if_that_is_wished(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    save_photo(Path("in/cat.jpg"))
    predict(segmenter, "in", kinds=("mask", "cutout"))
    before = contents("out")
    other = Counting(Segmenter.load(write_red_model(tmp_path / "o.onnx", threshold=0.9)).engine)
    assert predict(other, "in", replace=Replace.CHANGED)[0].from_earlier_run
    # A missing output would be of another model than the others.
    text = "or of another model"
    assert text in reasons(predict(other, "in", kinds=("overlay",), replace=Replace.CHANGED))[0]
    assert contents("out")["cat.mask.png"] == before["cat.mask.png"]
    predict(segmenter, "in")
    other.calls = 0
    for _ in range(2):
        assert reasons(predict(other, "in", replace=Replace.OTHER_MODEL)) == [""]
    assert other.calls == 1
    digest = f"SHA-256 {other.engine.sha256}"
    for name in ("cat.mask.png", "cat.cutout.png"):
        with Image.open(Path("out", name)) as image:
            assert image.info["Model"] == digest


def test_a_photo_that_changes_while_it_is_read_is_left_for_the_next_run(
    segmenter: Segmenter,
) -> None:
    photo = save_photo(Path("in/cat.jpg"))

    class Slow(Segmenter):
        """Somebody writes to the photo while the network works."""

        def predict_bytes(self, data: bytes) -> Prediction:
            save_photo(photo, size=(8, 8))
            return super().predict_bytes(data)

    text = "photo was changed while it was read; the next run predicts it"
    assert reasons(predict(Slow(segmenter.engine), "in")) == [text]
    assert set(contents("out")) == {"results.csv"}
    assert reasons(predict(segmenter, "in")) == [""]
    assert sizes("cat.mask.png") == [(8, 8)]


def test_a_photo_that_changes_while_its_outputs_are_written_is_left_for_the_next_run(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save_photo(Path("in/cat.jpg"))

    def write_slowly(path: Path, content: bytes) -> None:
        writing.write_file(path, content)
        save_photo(photo, size=(8, 8))

    with monkeypatch.context() as patch:
        patch.setattr(batch, "write_file", write_slowly)
        assert "changed while it was read" in reasons(predict(segmenter, "in"))[0]
    assert set(contents("out")) == {"results.csv"}
    assert reasons(predict(segmenter, "in")) == [""]
    assert sizes("cat.mask.png") == [(8, 8)]


def test_a_redo_that_was_killed_between_two_outputs_is_completed(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_photo(Path("in/cat.jpg"))
    predict(segmenter, "in", kinds=("mask", "cutout"))
    other = Segmenter.load(write_red_model(tmp_path / "o.onnx", threshold=0.9))

    def write_one(path: Path, content: bytes) -> None:
        writing.write_file(path, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "write_file", write_one)
        with pytest.raises(KeyboardInterrupt):
            predict(other, "in", replace=Replace.OTHER_MODEL)
    assert reasons(predict(other, "in", replace=Replace.OTHER_MODEL)) == [""]
    for kind in ("mask", "cutout"):
        with Image.open(f"out/cat.{kind}.png") as image:
            assert image.info["Model"] == f"SHA-256 {other.engine.sha256}"


def test_a_kill_between_the_outputs_of_a_changed_photo_and_its_row_leaves_nothing_stale(
    segmenter: Segmenter,
) -> None:
    photo = save_photo(Path("in/cat.jpg"))
    predict(segmenter, "in")
    save_photo(photo, size=(8, 8))
    (source,) = sources.expand(["in"], None, Path("out"))
    target = Target(Path("out"), ("mask",), "png", None)
    with Table(Path("out/results.csv")) as table:
        Predictor(segmenter, target, Replace.CHANGED, table)(source)  # and its row is not stored
    assert sizes("cat.mask.png") == [(8, 8)]
    (outcome,) = predict(segmenter, "in", replace=Replace.CHANGED)
    assert (outcome.from_earlier_run, outcome.result.width) == (False, 8)
    assert [row["width"] for row in rows()] == ["8"]
