"""Preprocess on small archives: which photos are used, which are set aside, and why."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg import files
from petseg.data import archives, arrays, convert
from petseg.data.label_edits import NO_EDITS
from petseg.errors import UserError
from tests.conftest import NO_LABEL_EDITS, TINY, run_in


def picture(size: tuple[int, int], colour: object, mode: str, kind: str) -> bytes:
    """Return the bytes of an image file with one colour."""
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, kind)  # type: ignore[arg-type]
    return buffer.getvalue()


def pack(folder: Path, **replacements: bytes | None) -> Path:
    """Write two archives with a_1 to a_4 for training, a_5 and a_6 for the test; lists come last.

    `replacements` holds other contents by path; None leaves the file out.
    """
    folder.mkdir()
    members = {
        f"images/a_{n}.jpg": picture((20, 10), (40 * n, 0, 0), "RGB", "JPEG") for n in range(1, 7)
    }
    members |= {
        f"annotations/trimaps/a_{n}.png": picture((20, 10), 1 + n % 3, "L", "PNG")
        for n in range(1, 7)
    }
    members["annotations/trainval.txt"] = b"".join(b"a_%d 1 1 1\n" % n for n in range(1, 5))
    members["annotations/test.txt"] = b"a_5 1 1 1\na_6 1 1 1\n"
    members["images/stray.mat"] = b"?"
    members["images/a_99.jpg"] = b"unlisted"
    for path, data in replacements.items():
        if data is None:
            del members[path]
        else:
            members[path] = data
    for name, prefix in ((archives.IMAGES, "images"), (archives.ANNOTATIONS, "annotations")):
        archives.write(folder / name, [m for m in members.items() if m[0].startswith(prefix)])
    return folder


def run_stage(raw: Path, target: Path, max_rejected: int = 9) -> dict[str, str]:
    """Run the conversion; return split and reason of every photo set aside, by name."""
    target.mkdir()
    settings = convert.Settings("squash", 16, 0.25, 0.5, seed=1, max_rejected=max_rejected)
    convert.convert(archives.ArchivedPhotos(raw), target, settings, NO_EDITS)
    rows = files.read_csv(target / "rejected.csv")
    return {row["name"]: f"{row['split']}: {row['reason']}" for row in rows}


def test_clean_archives_become_three_splits_with_their_own_trimaps(tmp_path: Path) -> None:
    assert run_stage(pack(tmp_path / "raw"), tmp_path / "arrays") == {}
    splits = {name: arrays.load(tmp_path / "arrays" / name) for name in ("train", "val", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 3, "val": 1, "test": 2}
    for split in splits.values():
        for row, photo in enumerate(split.index):
            number = int(photo.name[-1])
            assert abs(int(split.photos[row][8, 8, 0]) - 40 * number) < 4
            assert np.unique(split.trimaps[row]).tolist() == [1 + number % 3]
            assert (photo.subgroup, photo.group, photo.width, photo.height) == ("a", "cat", 20, 10)
    summary = files.read_json(tmp_path / "arrays/summary.json")
    assert summary["splits"]["test"]["pixel_shares"] == {
        "foreground": 0.5,
        "background": 0.0,
        "border": 0.5,
    }
    assert summary["splits"]["test"]["masks_without_foreground"] == 1


def test_an_unusable_photo_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    replacements: dict[str, bytes | None] = {
        "images/a_1.jpg": b"not a picture",
        "images/a_2.jpg": None,
        "annotations/trimaps/a_3.png": None,
        "annotations/trimaps/a_5.png": picture((10, 10), 1, "L", "PNG"),
    }
    replacements["annotations/trainval.txt"] = b"".join(
        b"a_%d 1 1 1\n" % n for n in (1, 2, 3, 4, 7, 8)
    )
    for name in ("a_7", "a_8"):
        replacements[f"images/{name}.jpg"] = picture((20, 10), 0, "RGB", "JPEG")
        replacements[f"annotations/trimaps/{name}.png"] = picture((20, 10), 2, "L", "PNG")
    target = tmp_path / "arrays"
    target.mkdir()
    convert.convert(
        archives.ArchivedPhotos(pack(tmp_path / "raw", **replacements)),
        target,
        convert.Settings("squash", 16, 0.4, 0.5, seed=4, max_rejected=9),
        NO_EDITS,
    )
    reasons = {row["name"]: row["reason"] for row in files.read_csv(target / "rejected.csv")}
    assert reasons == {
        "a_1": "photo cannot be decoded: cannot identify image file",
        "a_2": "not in images.tar.gz",
        "a_3": "no mask",
        "a_5": "sizes differ: photo 20x10, mask 10x10",
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


def test_a_photo_in_another_folder_is_not_used(tmp_path: Path) -> None:
    stray: dict[str, bytes | None] = {
        "images/a_1.jpg": None,
        "images/old/a_1.jpg": picture((20, 10), 0, "RGB", "JPEG"),
    }
    reasons = run_stage(pack(tmp_path / "raw", **stray), tmp_path / "arrays")
    assert [reason.partition(": ")[2] for reason in reasons.values()] == ["not in images.tar.gz"]


def test_the_summary_counts_by_split_group_reason_and_unusual_trait(tmp_path: Path) -> None:
    replacements: dict[str, bytes | None] = {
        "images/a_1.jpg": b"",
        "images/a_2.jpg": b"",
        "images/a_5.jpg": picture((20, 10), 0, "P", "GIF"),
    }
    run_stage(pack(tmp_path / "raw", **replacements), tmp_path / "arrays")
    summary = files.read_json(tmp_path / "arrays/summary.json")
    assert summary["groups"] == {
        kind: {group: {"train": 1, "val": 1, "test": 2}}
        for kind, group in (("species", "cat"), ("breed", "a"))
    }
    assert summary["odd"] == {"GIF": 1, "palette": 1}
    assert summary["rejected"] == {"photos": 2, "reasons": {"photo cannot be decoded": 2}}
    assert summary["original_width"] == {"least": 20, "median": 20, "largest": 20}


def test_more_unusable_photos_than_allowed_fail_and_are_named(tmp_path: Path) -> None:
    raw = pack(tmp_path / "raw", **{"images/a_6.jpg": b""})
    with pytest.raises(
        UserError, match=r"1 photos cannot be used, more than preprocess.max_rejected 0: a_6: photo"
    ):
        run_stage(raw, tmp_path / "arrays", max_rejected=0)


def test_archives_without_the_lists_are_refused(tmp_path: Path) -> None:
    raw = pack(tmp_path / "raw", **{"annotations/test.txt": None})
    with pytest.raises(UserError, match=r"annotations/test.txt is missing"):
        run_stage(raw, tmp_path / "arrays")


def pack_many(raw: Path, count: int) -> None:
    """Write archives with so many photos that there is time to interrupt their conversion."""
    photo, trimap = picture((400, 300), 0, "RGB", "JPEG"), picture((400, 300), 1, "L", "PNG")
    rows = [b"a_%d 1 1 1\n" % number for number in range(count)]
    raw.mkdir(parents=True)
    trimaps = {f"annotations/trimaps/a_{number}.png": trimap for number in range(count)}
    lists = {
        "annotations/trainval.txt": b"".join(rows[9:]),
        "annotations/test.txt": b"".join(rows[:9]),
    }
    archives.write(raw / archives.ANNOTATIONS, (lists | trimaps).items())
    photos = ((f"images/a_{number}.jpg", photo) for number in range(count))
    archives.write(raw / archives.IMAGES, photos)


@pytest.mark.parametrize(
    ("signal_number", "exit_status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
)
def test_an_interrupted_run_leaves_no_process_and_the_previous_output(
    tmp_path: Path, signal_number: signal.Signals, exit_status: int
) -> None:
    pack_many(tmp_path / "raw", 4000)
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays/old").touch()
    (tmp_path / "params.yaml").write_text(TINY)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/labels.csv").write_text(NO_LABEL_EDITS)
    command = [sys.executable, "-m", "stages.preprocess", "raw", "data/labels", "arrays"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    photos = tmp_path / "arrays.partial/train" / arrays.PHOTOS
    deadline = time.monotonic() + 60
    while not (photos.exists() and photos.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal_number)
    assert process.wait(10) == exit_status
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert [path.name for path in (tmp_path / "arrays").iterdir()] == ["old"]
    if signal_number != signal.SIGKILL:
        assert not (tmp_path / "arrays.partial").exists()
    else:  # the next run removes it
        run_in(tmp_path, *command)
        assert len(arrays.load(tmp_path / "arrays/test")) == 9
        assert not (tmp_path / "arrays.partial").exists()
