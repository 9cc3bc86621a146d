"""`petseg predict` in its own process: what is printed and written, and what ends it early."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli import app
from petseg.errors import UserError
from petseg.inference.segmenter import Segmenter
from tests.conftest import ENVIRONMENT
from tests.data import bad_server
from tests.prediction.red_model import as_bytes, noise_photo, save_photo, write_red_model

HEAVY = {
    *("tensorflow", "keras", "matplotlib", "prefect", "dvc", "onnx", "pydantic", "requests"),
    *("scipy", "pandas", "jinja2", "psutil"),
}
PHOTOS = 70  # in the folder whose run is ended early; two are broken
BOTH_KINDS = ("in", "--kind", "mask", "--kind", "cutout", "--out")
Files = dict[str, bytes]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to which red is the probability."""
    return write_red_model(tmp_path_factory.mktemp("red") / "model.onnx")


@pytest.fixture
def predict(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Run the command in this process, in an empty folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str, model: Path = model) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as status:
            app.run_command(["predict", "--model", str(model), *args])
        out, err = capfd.readouterr()
        return int(status.value.code or 0), out, err

    return run


def start(
    folder: Path, *args: str, preexec_fn: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        ["petseg", "predict", *args],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=preexec_fn,
    )


def outcome(
    folder: Path, *args: str, stdin: bytes = b"", preexec_fn: Callable[[], None] | None = None
) -> tuple[int, bytes, str]:
    """Run the command in a process of its own; return its exit code, stdout and stderr."""
    with start(folder, *args, preexec_fn=preexec_fn) as process:
        out, err = process.communicate(stdin, timeout=60)
    return process.returncode, out, err.decode()


def contents(folder: Path) -> Files:
    """Return the bytes of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def save_photos(folder: Path, count: int, size: int = 700) -> None:
    """Save photos in folders, two of them broken."""
    data = as_bytes(noise_photo((size, size)), "JPEG")
    for number in range(count):
        path = folder / f"{number % 3}/{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[: 300 if number in (1, count - 2) else None])


def test_the_model_of_a_finished_pipeline_writes_a_mask_beside_the_photo(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    noise_photo((60, 40)).save(tmp_path / "cat.jpg")
    code, out, err = outcome(finished[0], str(tmp_path / "cat.jpg"))
    segmenter = Segmenter.load(finished[0] / "data/export/model.onnx")
    prediction = segmenter.predict(tmp_path / "cat.jpg")
    share = f"the mask covers {100 * prediction.foreground:.0f} %"
    assert (code, err) == (0, "")
    assert out.decode() == (
        f"{tmp_path}/cat.mask.png: {share}, expected IoU {prediction.expected_iou:.2f}\n"
    )
    mask = Image.open(tmp_path / "cat.mask.png")
    assert np.array_equal(np.asarray(mask), np.where(prediction.mask(), 255, 0))
    assert mask.info["Model"] == f"SHA-256 {segmenter.engine.sha256}"
    assert set(contents(tmp_path)) == {"cat.jpg", "cat.mask.png"}


def test_a_photo_from_the_disk_imports_nothing_that_only_training_or_downloads_need(
    model: Path, tmp_path: Path
) -> None:
    save_photo(tmp_path / "cat.jpg")
    script = "import sys; from flows.cli.app import main; sys.argv[0] = 'petseg'; main()"
    result = subprocess.run(
        [
            sys.executable,
            "-X",
            "importtime",
            "-c",
            script,
            "predict",
            "cat.jpg",
            f"--model={model}",
        ],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = result.stderr.splitlines()
    packages = {line.rsplit("|")[-1].strip().partition(".")[0] for line in lines}
    assert "onnxruntime" in packages
    assert not packages & HEAVY


def test_named_photos_have_a_line_and_a_second_run_says_that_the_mask_was_there(
    predict: Command,
) -> None:
    save_photo(Path("a/cat.jpg"))
    save_photo(Path("dog.png"), red=0)
    lines = (
        "a/cat.mask.png: the mask covers 50 %, expected IoU 0.80",
        "dog.png.mask.png: the mask covers 0 %, expected IoU 1.00",
    )
    assert predict("a/cat.jpg", "dog.png") == (0, "\n".join([*lines, ""]), "")
    note = "; was there already (--overwrite replaces it)\n"
    assert predict("a/cat.jpg", "dog.png") == (0, "".join(line + note for line in lines), "")
    assert predict("dog.png", "--overwrite")[1] == lines[1] + "\n"


def test_a_folder_is_predicted_as_far_as_possible_and_summed_up(predict: Command) -> None:
    save_photo(Path("in/a/cat.jpg"))
    save_photo(Path("in/unsure.jpg"), red=153)
    Path("in/bad.jpg").write_bytes(b"no photo")
    args = ("in", "--out", "out", "--kind", "cutout", "--kind", "overlay", "--format", "webp")
    code, out, err = predict(*args, "--doubtful", "0.7")
    reason = "photo cannot be decoded: cannot identify image file"
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"error: in/bad.jpg: {reason}",
        "3 photos, outputs in out; 1 doubtful (expected IoU under 0.7) in out/doubtful; "
        "1 could not be used",
    ]
    kinds = ("cutout", "overlay")
    apart = {f"doubtful/unsure.{kind}.webp" for kind in kinds}
    expected = apart | {f"a/cat.{kind}.webp" for kind in kinds} | {"results.csv"}
    assert set(contents(Path("out"))) == expected
    Path("in/bad.jpg").unlink()
    assert predict(*args) == (0, "", "2 photos, outputs in out; already there: 2\n")


def test_results_of_another_model_are_counted(predict: Command, tmp_path: Path) -> None:
    save_photo(Path("in/cat.jpg"))
    predict("in", "--out", "out")
    other = write_red_model(tmp_path / "other.onnx", threshold=0.9)
    text = "1 photo, outputs in out; already there: 1; by another model: 1"
    assert predict("in", "--out", "out", model=other)[2].startswith(text)
    text = "1 photo, outputs in out\n"
    assert predict("in", "--out", "out", "--redo", model=other)[2] == text
    assert np.asarray(Image.open("out/cat.mask.png")).max() == 0  # 0.8 is under the threshold


def test_a_list_has_a_row_for_every_line_and_json_says_where_the_outputs_lie(
    predict: Command, tmp_path: Path
) -> None:
    photo = save_photo(Path("in/a/cat.jpg")).read_bytes()
    Path("in/a/cat").write_bytes(photo)
    bytes_path = save_photo(Path(os.fsdecode(b"in/\xff.jpg")))

    def answer(handler: bad_server.Handler) -> None:
        is_there = "missing" not in handler.path
        (bad_server.answer_correctly if is_there else bad_server.status(404))(handler)

    with bad_server.serving(photo, answer, answer) as server:
        first, second = (f"{server.address}/{name}.jpg" for name in ("missing", "dog"))
        host = server.address.removeprefix("http://").replace(":", "-")
        lines = ["in/a/cat.jpg", str(tmp_path / "in/a/cat.jpg"), "in/a/cat"]
        Path("list.txt").write_text("\n".join([*lines, "in/no.jpg", first, second, ""]))
        code, out, err = predict(
            str(bytes_path), "--list", "list.txt", "--out", "out", "--json", "--kind", "mask"
        )
    objects = [json.loads(line) for line in out.splitlines()]
    assert not any(o["already_there"] for o in objects)
    assert (code, len(err.splitlines())) == (1, 4)
    absolute = str(tmp_path / "in/a/cat").lstrip("/")
    assert [o["outputs"].get("mask") for o in objects] == [
        os.fsdecode(b"out/\xff.mask.png"),
        "out/in/a/cat.mask.png",
        f"out/{absolute}.mask.png",
        None,
        None,
        None,
        f"out/{host}/dog.mask.png",
    ]
    assert [o["reason"].partition(";")[0] for o in objects if o["reason"]] == [
        "its outputs would have the same name as those of in/a/cat.jpg",
        "photo cannot be read: No such file or directory",
        "photo cannot be downloaded: 404 Not Found",
    ]
    assert all(Path(path).exists() for o in objects for path in o["outputs"].values())
    with Path("out/results.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["photo"]: row for row in csv.DictReader(file)}
    assert set(rows) == {o["photo"] for o in objects}
    assert rows[first]["reason"] == "photo cannot be downloaded: 404 Not Found"


def test_standard_input_goes_to_standard_output_beside_named_files(
    model: Path, tmp_path: Path
) -> None:
    photo = save_photo(tmp_path / "cat.jpg").read_bytes()
    args = ("-", "cat.jpg", "--model", str(model), "--kind", "cutout")
    code, out, err = outcome(tmp_path, *args, stdin=photo)
    assert code == 0
    assert Image.open(io.BytesIO(out)).mode == "RGBA"
    assert out == (tmp_path / "cat.cutout.png").read_bytes()
    assert err.splitlines() == [
        "standard output: the mask covers 50 %, expected IoU 0.80",
        "cat.cutout.png: the mask covers 50 %, expected IoU 0.80",
    ]
    code, out, err = outcome(tmp_path, "-", "--model", str(model), stdin=photo[:50])
    assert (code, out) == (1, b"")
    assert err.startswith("error: -: photo cannot be decoded: ")


def test_shards_are_disjoint_stable_and_make_up_the_run_without_them(predict: Command) -> None:
    for number in range(12):
        save_photo(Path(f"in/{number}.jpg"))
    predict("in", "--out", "all")
    expected = contents(Path("all"))
    header, *rows = expected.pop("results.csv").decode().splitlines()
    shards: list[str] = []
    for _ in range(2):  # the second time nothing changes
        for number in (1, 2, 3):
            assert predict("in", "--out", "out", "--shard", f"{number}/3")[0] == 0
    for number in (1, 2, 3):
        table = Path(f"out/results-{number}-of-3.csv").read_text().splitlines()
        assert table[0] == header
        shards += table[1:]
    assert sorted(shards) == sorted(rows)
    result = contents(Path("out"))
    assert {name: data for name, data in result.items() if name.endswith(".png")} == expected
    assert len(result) == 12 + 3


@pytest.fixture(scope="module")
def never_ended(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """A folder with photos and the outputs of a run that was not ended early."""
    folder = tmp_path_factory.mktemp("never_ended")
    save_photos(folder / "in", PHOTOS)
    assert outcome(folder, *BOTH_KINDS, "out", "--model", str(model))[0] == 1
    return folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_to_the_same_bytes(
    number: signal.Signals, model: Path, never_ended: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").symlink_to(never_ended / "in")
    command = (*BOTH_KINDS, "out", "--model", str(model))
    with start(tmp_path, *command) as process:
        limit = time.monotonic() + 30
        while len(list(tmp_path.glob("out/*/*.mask.png"))) < 12:
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.005)
        process.send_signal(number)
        err = process.communicate(timeout=30)[1]
    files = contents(tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/*/*.png")}
    assert 12 <= len(before) < 2 * (PHOTOS - 2)
    assert "results.csv" not in files
    if number != signal.SIGKILL:
        assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
        assert b"Traceback" not in err
        assert b"stopped: run the same command again to go on" in err
        assert not [name for name in files if name.endswith(".partial")]
    assert outcome(tmp_path, *command)[0] == 1
    assert contents(tmp_path / "out") == contents(never_ended / "out")
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_wait_for_standard_input_can_be_ended(
    number: signal.Signals, code: int, model: Path, tmp_path: Path
) -> None:
    save_photo(tmp_path / "cat.jpg")
    with start(tmp_path, "cat.jpg", "-", "--out", "out", "--model", str(model)) as process:
        while not (tmp_path / "out/cat.mask.png").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(timeout=10) == code
        assert process.stderr
        assert process.stderr.read().startswith(b"stopped: run the same command again to go on")


@pytest.mark.parametrize("limit", [600, 2500, 9000])  # bytes: of the table, of an output
def test_a_full_disk_ends_the_run_in_one_line_and_what_is_done_stays(
    limit: int, model: Path, tmp_path: Path
) -> None:
    for number in range(40):
        save_photo(tmp_path / f"in/{number:02}.png", size=(16, 16))
    noise_photo((300, 300)).save(tmp_path / "in/39.png")
    command = ("in", "--out", "out", "--model", str(model), "--kind", "cutout")
    code, _, err = outcome(
        tmp_path,
        *command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert code == 1
    assert err.startswith("error: out/")
    assert "cannot be written: File too large; run the same command again when it can" in err
    assert len(err.splitlines()) == 1
    files = contents(tmp_path / "out")
    assert len(files) > 1
    assert not [name for name in files if name.endswith(".partial")]
    assert outcome(tmp_path, *command)[0] == 0
    assert outcome(tmp_path, *command[:2], "new", *command[3:])[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "new")


def test_standard_output_on_a_full_disk_or_closed_early_ends_without_a_traceback(
    model: Path, tmp_path: Path
) -> None:
    save_photo(tmp_path / "in/00.png")
    command = f"petseg predict --model '{model}'"
    full = "error: standard output cannot be written: No space left on device\n"
    for line, code, text in (
        (f"{command} in/00.png > /dev/full", 1, full),
        (f"{command} - < in/00.png > /dev/full", 1, full),
    ):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (code, text), line
    with start(tmp_path, "in", "--out", "out", "--json", "--model", str(model)) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()  # as `head` does when it has read enough
        assert (process.wait(), process.stderr.read()) == (141, b"")


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("", 1, "name a photo, a folder or a --list; see `petseg predict --help`"),
        ("missing.jpg", 1, "missing.jpg: no such file or folder"),
        ("in", 1, "the outputs of a folder, a pattern or a list need --out FOLDER"),
        ("in/*.jpg", 1, "the outputs of a folder, a pattern or a list need --out FOLDER"),
        ("cat.jpg --doubtful 0.8", 1, "--doubtful needs --out FOLDER"),
        ("cat.jpg --redo", 1, "--redo needs --out FOLDER"),
        ("in --out out --doubtful 1.5", 1, "--doubtful is 1.5; allowed: 0 to 1"),
        ("in --out out --doubtful nan", 1, "--doubtful is nan; allowed: 0 to 1"),
        ("in --out out --shard 4/3", 1, "--shard is 4/3; expected NUMBER/COUNT"),
        ("in --out cat.jpg", 1, "--out names a folder, and cat.jpg looks like a file"),
        ("in --out cat.jpg/x", 1, "cat.jpg/x: outputs cannot be written there (Not a directory)"),
        ("- --kind mask --kind cutout", 1, "standard output takes one --kind"),
        ("cat.jpg --model none.onnx", 1, "none.onnx: no model is there; `dvc repro export` makes"),
        ("cat.jpg --model cat.jpg", 1, "cat.jpg is no ONNX file"),
        ("in --out used", 1, "used/results.csv is no table of `petseg predict`; name another"),
        (
            "cat.jpg --doubtful high",
            2,
            'Invalid value for --doubtful: unable to convert "high" into float',
        ),
        (
            "cat.jpg --kind masks",
            2,
            'Invalid value "masks" for --kind. Choose from: "mask", "cutout", "overlay", "probability"',
        ),
        ("cat.jpg --format jpg", 2, 'Invalid value "jpg" for --format. Choose from: "png", "webp"'),
        ("cat.jpg --outt x", 2, "--outt is unknown"),
        ("cat.jpg -x", 2, "-x is unknown"),
        ("cat.jpg --out", 2, "a value for --out is missing"),
    ],
)
def test_a_fault_of_the_user_is_one_line_and_writes_nothing(
    line: str, code: int, text: str, model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for path in ("cat.jpg", "in/cat.jpg"):
        save_photo(Path(path))
    Path("used").mkdir()
    Path("used/results.csv").write_text("id,score\n")
    before = contents(Path())
    args = line.split() if "--model" in line else [*line.split(), "--model", str(model)]
    with pytest.raises((SystemExit, UserError)) as error:
        app.run_command(["predict", *args])
    out, err = capsys.readouterr()
    if isinstance(error.value, UserError):  # `exit_cleanly` prints it, and exits with 1
        err = f"error: {error.value}"
    assert (getattr(error.value, "code", 1), out) == (code, "")
    assert err.startswith(f"error: {text}")
    assert len(err.splitlines()) == 1
    assert contents(Path()) == before


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="root mounts a folder")
def test_photos_in_a_read_only_folder_need_an_out_and_say_so(model: Path, tmp_path: Path) -> None:
    save_photo(tmp_path / "in/cat.jpg")
    mounted = subprocess.run(
        ["mount", "-o", "bind,ro", str(tmp_path / "in"), str(tmp_path / "in")], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine does not allow mounts")
    try:
        command = ("in/cat.jpg", "--model", str(model))
        code, _, err = outcome(tmp_path, *command)
        assert (code, len(err.splitlines())) == (1, 1)
        assert err.startswith("error: in/cat.mask.png cannot be written: Read-only file system")
        assert outcome(tmp_path, *command, "--out", "out")[0] == 0
    finally:
        subprocess.run(["umount", str(tmp_path / "in")], check=True)


def test_outputs_never_become_part_of_a_teams_own_photos(predict: Command, tmp_path: Path) -> None:
    images = tmp_path / "data/own/images/site"
    images.mkdir(parents=True)
    save_photo(images / "a.png")
    with pytest.raises(UserError, match="data/own is what the model is trained on"):
        predict("data/own/images")
    assert [path.name for path in images.iterdir()] == ["a.png"]
    assert predict("data/own/images", "--out", "data/masks")[0] == 0
    assert [path.name for path in (tmp_path / "data/masks").rglob("*.png")] == ["a.png.mask.png"]
