"""Preprocess on archives made by hand: what is used, what is set aside, and why."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data import archives, arrays, convert
from petseg.errors import UserError
from tests.conftest import TINY, run_in


def picture(size: tuple[int, int], colour: object, mode: str, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind)  # type: ignore[arg-type]
    return buffer.getvalue()


def pack(folder: Path, **changed: bytes | None) -> Path:
    """Write two archives with a_1 … a_4 to train on and a_5, a_6 to test; lists come last."""
    folder.mkdir()
    files = {
        f"images/a_{n}.jpg": picture((20, 10), (40 * n, 0, 0), "RGB", "JPEG") for n in range(1, 7)
    }
    files |= {
        f"annotations/trimaps/a_{n}.png": picture((20, 10), 1 + n % 3, "L", "PNG")
        for n in range(1, 7)
    }
    files["annotations/trainval.txt"] = b"".join(b"a_%d 1 1 1\n" % n for n in range(1, 5))
    files["annotations/test.txt"] = b"a_5 1 1 1\na_6 1 1 1\n"
    files["images/stray.mat"] = b"?"
    files["images/a_99.jpg"] = b"unlisted"
    files |= {name: data for name, data in changed.items() if data is not None}
    kept = {name: data for name, data in files.items() if changed.get(name, b"") is not None}
    for name, start in ((archives.IMAGES, "images"), (archives.ANNOTATIONS, "annotations")):
        archives.write(folder / name, [item for item in kept.items() if item[0].startswith(start)])
    return folder


def run_stage(raw: Path, target: Path, max_rejected: int = 9) -> dict[str, str]:
    """Run the conversion; return the reasons by name."""
    target.mkdir()
    convert.convert_archives(
        raw, target, image_size=16, val_fraction=0.25, seed=1, max_rejected=max_rejected
    )
    with (target / "rejected.csv").open() as file:
        return {row["name"]: f"{row['split']}: {row['reason']}" for row in csv.DictReader(file)}


def test_clean_archives_become_three_splits_with_their_own_trimaps(tmp_path: Path) -> None:
    assert run_stage(pack(tmp_path / "raw"), tmp_path / "arrays") == {}
    splits = {name: arrays.load(tmp_path / "arrays" / name) for name in ("train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "val": 1, "test": 2}
    for split in splits.values():
        for row, photo in enumerate(split.index):
            number = int(photo.name[-1])
            assert abs(int(split.photos[row, 8, 8, 0]) - 40 * number) < 4
            assert np.unique(split.trimaps[row]).tolist() == [1 + number % 3]
            assert (photo.breed, photo.species, photo.width, photo.height) == ("a", "cat", 20, 10)
    summary = json.loads((tmp_path / "arrays/summary.json").read_text())
    assert summary["splits"]["test"]["pixel_shares"] == {
        "pet": 0.5,
        "background": 0.0,
        "border": 0.5,
    }
    assert summary["splits"]["test"]["masks_without_pet"] == 1


def test_what_cannot_be_used_is_set_aside_with_its_split_and_reason(tmp_path: Path) -> None:
    changed: dict[str, bytes | None] = {
        "images/a_1.jpg": b"not a picture",
        "images/a_2.jpg": None,
        "annotations/trimaps/a_3.png": None,
        "annotations/trimaps/a_5.png": picture((10, 10), 1, "L", "PNG"),
    }
    changed["annotations/trainval.txt"] = b"".join(b"a_%d 1 1 1\n" % n for n in (1, 2, 3, 4, 7, 8))
    for name in ("a_7", "a_8"):
        changed[f"images/{name}.jpg"] = picture((20, 10), 0, "RGB", "JPEG")
        changed[f"annotations/trimaps/{name}.png"] = picture((20, 10), 2, "L", "PNG")
    target = tmp_path / "arrays"
    target.mkdir()
    convert.convert_archives(
        pack(tmp_path / "raw", **changed),
        target,
        image_size=16,
        val_fraction=0.4,
        seed=4,
        max_rejected=9,
    )
    with (target / "rejected.csv").open() as file:
        reasons = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons == {
        "a_1": "photo cannot be decoded: cannot identify image file",
        "a_2": "not in images.tar.gz",
        "a_3": "no trimap",
        "a_5": "sizes differ: photo 20x10, trimap 10x10",
    }


def test_a_name_listed_twice_is_neither_trained_nor_tested_on(tmp_path: Path) -> None:
    rows = b"".join(b"a_%d 1 1 1\n" % n for n in (1, 2, 3, 4, 1))
    lists: dict[str, bytes | None] = {
        "annotations/trainval.txt": rows,
        "annotations/test.txt": b"a_5 1 1 1\na_6 1 1 1\na_2 1 1 1\n",
    }
    assert run_stage(pack(tmp_path / "raw", **lists), tmp_path / "arrays") == {
        "a_1": "trainval: listed twice: trainval.txt and trainval.txt",
        "a_2": "trainval: listed twice: trainval.txt and test.txt",
    }
    used = {
        row.name
        for split in ("train", "val", "test")
        for row in arrays.read_index(tmp_path / "arrays" / split)
    }
    assert used == {"a_3", "a_4", "a_5", "a_6"}


def test_a_photo_lies_in_its_own_folder(tmp_path: Path) -> None:
    stray: dict[str, bytes | None] = {
        "images/a_1.jpg": None,
        "images/old/a_1.jpg": picture((20, 10), 0, "RGB", "JPEG"),
    }
    reasons = run_stage(pack(tmp_path / "raw", **stray), tmp_path / "arrays")
    assert [reason.partition(": ")[2] for reason in reasons.values()] == ["not in images.tar.gz"]


def test_the_summary_counts_by_split_breed_reason_and_oddity(tmp_path: Path) -> None:
    changed: dict[str, bytes | None] = {
        "images/a_1.jpg": b"",
        "images/a_2.jpg": b"",
        "images/a_5.jpg": picture((20, 10), 0, "P", "GIF"),
    }
    run_stage(pack(tmp_path / "raw", **changed), tmp_path / "arrays")
    summary = json.loads((tmp_path / "arrays/summary.json").read_text())
    assert summary["breeds"] == {"a": {"train": 1, "val": 1, "test": 2}}
    assert summary["odd"] == {"GIF": 1, "palette": 1}
    assert summary["rejected"] == {"photos": 2, "reasons": {"photo cannot be decoded": 2}}
    assert summary["original_width"] == {"least": 20, "median": 20, "largest": 20}


def test_more_rejects_than_allowed_fail_and_name_some(tmp_path: Path) -> None:
    raw = pack(tmp_path / "raw", **{"images/a_6.jpg": b""})
    with pytest.raises(
        UserError, match=r"1 photos cannot be used, more than preprocess.max_rejected 0: a_6: photo"
    ):
        run_stage(raw, tmp_path / "arrays", max_rejected=0)


def test_archives_without_the_lists_are_refused(tmp_path: Path) -> None:
    raw = pack(tmp_path / "raw", **{"annotations/test.txt": None})
    with pytest.raises(UserError, match=r"annotations/test.txt is missing"):
        run_stage(raw, tmp_path / "arrays")


def many(raw: Path, count: int) -> None:
    """Write archives with so many photos that there is time to interrupt."""
    photo, trimap = picture((400, 300), 0, "RGB", "JPEG"), picture((400, 300), 1, "L", "PNG")
    rows = [b"a_%d 1 1 1\n" % number for number in range(count)]
    raw.mkdir(parents=True)
    files = {f"annotations/trimaps/a_{number}.png": trimap for number in range(count)}
    lists = {
        "annotations/trainval.txt": b"".join(rows[9:]),
        "annotations/test.txt": b"".join(rows[:9]),
    }
    archives.write(raw / archives.ANNOTATIONS, (lists | files).items())
    photos = ((f"images/a_{number}.jpg", photo) for number in range(count))
    archives.write(raw / archives.IMAGES, photos)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_an_interrupted_run_leaves_no_process_and_what_was_there(
    tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    many(tmp_path / "raw", 1500)
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays/old").touch()
    (tmp_path / "params.yaml").write_text(TINY)
    running = subprocess.Popen(
        [sys.executable, "-m", "stages.preprocess", "raw", "arrays"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    photos = tmp_path / "arrays.partial/train" / arrays.PHOTOS
    until = time.monotonic() + 60
    while not (photos.exists() and photos.stat().st_size > 100_000):
        assert time.monotonic() < until
        assert running.poll() is None
        time.sleep(0.005)
    os.killpg(running.pid, sent)
    assert running.wait(10) == code
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)
    assert [path.name for path in (tmp_path / "arrays").iterdir()] == ["old"]
    if sent != signal.SIGKILL:
        assert not (tmp_path / "arrays.partial").exists()
    else:  # the next run begins anew
        run_in(tmp_path, "python", "-m", "stages.preprocess", "raw", "arrays")
        assert len(arrays.load(tmp_path / "arrays/test")) == 9
        assert not (tmp_path / "arrays.partial").exists()
