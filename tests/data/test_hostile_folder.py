"""Folders that break programs: `petseg check` ends with lines and an exit code, and says what to do."""

import json
import os
import shutil
import socket
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from petseg.data import blocked_files, pairs
from tests.conftest import DEMO, ENVIRONMENT, ROOT, TINY, run_in
from tests.data.test_folder import write_pair

CHECK = ("petseg", "check", "own", "--no-estimate", "--names")
NO_RIGHTS = "--bounding-set=-dac_override,-dac_read_search"  # root may read all but for this
COCO = "masks: {coco: {foreground: [cell]}}"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of twelve photos, beside a params.yaml for a team's own photos."""
    for number in range(12):
        write_pair(tmp_path / "own", f"p{number:02}")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    declare(tmp_path / "own", "masks: binary")
    return tmp_path / "own"


def declare(own: Path, masks: str) -> None:
    """Write params.yaml with a convention of masks."""
    text = TINY.replace(DEMO, f"download: {{source: folder, {masks}}}")
    (own.parent / "params.yaml").write_text(text)


def check(own: Path, *, fails: bool, as_user: bool = False) -> str:
    """Return what `petseg check` prints, which is no traceback.

    Args:
        own: the folder.
        fails: whether the exit code is other than 0.
        as_user: whether it runs without root's right to read every file.
    """
    prefix = ("setpriv", NO_RIGHTS) if as_user and os.geteuid() == 0 else ()
    output = run_in(own.parent, "timeout", "60", *prefix, *CHECK, fails=fails)
    assert "Traceback" not in output
    return output


def test_names_of_255_bytes_are_used(own: Path) -> None:
    write_pair(own, "n" * 251)
    write_pair(own, "ä" * 125 + "/" + "é" * 125)
    assert "own: 14 of 14 photos can be used" in check(own, fails=False)


def test_names_that_are_not_utf8_are_refused_with_the_remedy(own: Path) -> None:
    odd = os.fsdecode(b"\xff.png")
    shutil.copy(own / "images/p00.png", own / "images" / odd)
    folder = own / "masks" / os.fsdecode(b"\xe4")
    folder.mkdir()
    (own / "masks/p01.png").rename(folder / "p01.png")
    output = check(own, fails=True)
    assert "error: own: 2 names that are not UTF-8, at which DVC stops; rename them: " in output
    assert r"images/\udcff.png; masks/\udce4" in output
    assert "left out: 2 name has a line break, another control character or bytes" in output


def test_a_folder_whose_own_path_is_not_utf8_is_one_line(own: Path) -> None:
    odd = own.with_name(os.fsdecode(b"own\xff"))
    own.rename(odd)
    command = ("petseg", "check", str(odd), "--no-estimate")
    output = run_in(odd.parent, *command, fails=True)
    assert output.endswith(": the path is not UTF-8; rename the folder\n")
    assert len(output.splitlines()) == 1


def test_what_is_no_file_is_refused_and_nothing_hangs(own: Path) -> None:
    os.mkfifo(own / "images/pipe.png")
    (own / "masks/.hidden").mkdir()
    os.mkfifo(own / "masks/.hidden/pipe")
    shutil.copy(own / "masks/p00.png", own / "masks/pipe.png")
    (own / "images/zero.png").symlink_to("/dev/zero")
    (own / "images/gone.png").symlink_to("nowhere")
    (own / "images/circle.png").symlink_to("circle.png")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(own)  # as a socket's path may have 107 bytes
        server.bind("images/socket.png")
        os.chdir(ROOT)
        output = check(own, fails=True)
    assert f"2 {blocked_files.PIPES}: images/pipe.png; masks/.hidden/pipe" in output
    assert f"2 {blocked_files.SPECIAL}: images/socket.png; images/zero.png" in output
    assert f"2 {blocked_files.BROKEN}: images/circle.png; images/gone.png" in output
    assert "own: 12 of 17 photos can be used" in output
    assert "left out: 1 photo is no file, or a link to none: pipe" in output


@pytest.mark.parametrize("kind", ["name", "link", "pipe"])
def test_dvc_itself_stops_or_waits_for_ever_at_what_is_refused(own: Path, kind: str) -> None:
    photo = own / "images" / os.fsdecode(b"\xff.png")
    if kind == "name":
        photo.write_bytes(b"")
    elif kind == "link":
        (own / "images/gone.png").symlink_to("nowhere")
    else:
        os.mkfifo(own / "images/pipe")
    (own / "dvc.yaml").write_text("stages: {one: {cmd: touch out, deps: [images], outs: [out]}}\n")
    run_in(own, "dvc", "init", "--quiet", "--no-scm")
    output = run_in(own, "timeout", "12", "dvc", "repro", fails=True)
    assert ("ERROR: failed to reproduce 'one'" in output) == (kind != "pipe")
    assert not (own / "out").exists()


def test_listing_takes_less_than_a_kilobyte_a_photo(own: Path) -> None:
    count = 20_000
    for number in range(count):
        for folder in ("images", "masks"):
            os.link(own / folder / "p00.png", own / folder / f"IMG_{number:07}.png")
    tracemalloc.start()
    assert len(pairs.pair_files(own, None)) == count + 12
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000 * count


def test_what_a_terminal_would_obey_is_escaped(own: Path) -> None:
    (own / "groups.csv").write_text('name,group\n"\x1b[31m\nred",x\np00,"a\x1b]0;b"\n')
    output = check(own, fails=False)
    assert "\x1b" not in output
    assert r"\x1b[31m\nred in groups.csv" in output


@pytest.mark.parametrize("table", ["groups.csv", "splits.csv"])
def test_a_table_that_is_a_pipe_is_refused(own: Path, table: str) -> None:
    os.mkfifo(own / table)
    output = check(own, fails=True)
    assert f"1 {blocked_files.PIPES}: {table}" in output
    assert f"error: own/{table} is no file" in output


@pytest.mark.parametrize("tool", ["coco: {foreground: [a]}", "label_studio: {foreground: [a]}"])
def test_annotations_that_are_a_pipe_are_refused(own: Path, tool: str) -> None:
    os.mkfifo(own / "masks/a.json")
    os.mkfifo(own / "masks/task-1-annotation-1-by-1-tag-a-0.png")
    declare(own, f"masks: {{{tool}}}")
    output = check(own, fails=True)
    assert f"2 {blocked_files.PIPES}: masks/a.json" in output
    assert "has no file ending in .json" in output


@pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads every file"
)
def test_what_another_user_may_not_read_is_refused(own: Path) -> None:
    for name in ("images/p00.png", "masks/p01.png"):
        (own / name).chmod(0)
    output = check(own, fails=True, as_user=True)
    assert f"2 {blocked_files.UNREADABLE}: images/p00.png; masks/p01.png" in output
    assert "left out: 1 photo cannot be read: p00: Permission denied" in output
    assert "left out: 1 mask cannot be read: p01: Permission denied" in output


@pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads every file"
)
@pytest.mark.parametrize("closed", ["images/closed", "images", "masks", "groups.csv", "."])
def test_a_folder_or_table_that_another_user_may_not_read_is_refused(
    own: Path, closed: str
) -> None:
    (own / "images/closed").mkdir()
    (own / "groups.csv").write_text("name,group\n")
    (own / closed).chmod(0)
    try:
        output = check(own, fails=True, as_user=True)
    finally:
        (own / closed).chmod(0o755)
    assert "error: own" in output
    assert "cannot be read (Permission denied)" in output


def test_files_that_vanish_while_they_are_read_end_in_lines(own: Path) -> None:
    for number in range(12, 400):
        for folder in ("images", "masks"):
            os.link(own / folder / "p00.png", own / folder / f"p{number}.png")
    with subprocess.Popen(
        CHECK,
        cwd=own.parent,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for path in sorted((own / "images").iterdir(), reverse=True):
            if process.poll() is not None:
                break
            path.unlink()
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        assert process.stdout
        output = process.stdout.read()
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert "error: " in output


def test_all_photos_in_one_group_are_divided_and_of_one_subject_are_refused(own: Path) -> None:
    names = [f"p{number:02}" for number in range(12)]
    rows = "".join(f"{name},all\n" for name in names)
    (own / "groups.csv").write_text(f"name,group\n{rows}")
    assert "group all: 8 train, 2 val, 2 test" in check(own, fails=False)
    (own / "groups.csv").write_text(f"name,subject\n{rows}")
    output = check(own, fails=True)
    assert "error: 12 photos cannot be divided into train, val and test" in output
    assert "own: 12 of 12 photos can be used" in output


def coco(**changes: object) -> str:
    """Return a COCO file of one photo without annotations, with other content for some keys."""
    content = {
        "images": [{"id": 1, "file_name": "p00.png", "width": 40, "height": 20}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cell"}],
    }
    return json.dumps(content | changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "is not JSON"),
        (coco(images=[1]), "entry 0 of images has not the keys"),
        (coco(annotations=[{"image_id": [1], "category_id": 1}]), "entry 0 of annotations"),
        (coco(categories=[{"id": 1}]), "entry 0 of categories"),
        (
            coco(images=[{"id": 1, "file_name": "a", "width": "40", "height": 20}]),
            "is '40' x 20 pixels",
        ),
        (
            coco(images=[{"id": 1, "file_name": "n" * 300, "width": 40, "height": 20}]),
            "cannot be written",
        ),
        (
            coco(images=[{"id": 1, "file_name": "a\0b", "width": 40, "height": 20}]),
            "cannot be written",
        ),
    ],
)
def test_hostile_annotations_are_one_line(own: Path, text: str, words: str) -> None:
    (own / "masks/a.json").write_text(text)
    declare(own, COCO)
    output = check(own, fails=True)
    assert words in output
    assert output.splitlines()[-1].startswith("error: own/masks/a.json")


def test_a_full_disk_is_one_line_with_the_remedy(own: Path) -> None:
    limited = ("prlimit", "--fsize=20000", *CHECK)  # bytes of one file: the arrays have more
    output = run_in(own.parent, *limited, fails=True)
    assert "has no room (File too large)" in output
    assert "set TMPDIR to a folder on a larger disk" in output
    assert "Traceback" not in output
    assert len(output.splitlines()) == 1


def test_a_mask_that_is_no_picture_and_one_that_is_huge_are_left_out(own: Path) -> None:
    (own / "masks/p00.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    Image.new("1", (30_000, 30_000)).save(own / "masks/p01.png")
    output = check(own, fails=True)
    assert "left out: 1 mask cannot be decoded: p00" in output
    assert "left out: 1 mask has too many pixels: p01" in output
