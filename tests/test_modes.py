"""Photos of many shapes, padded and in tiles, through the whole pipeline to every output."""

import html
import io
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.workspace import commits, pictures
from petseg import Segmenter, files
from petseg.data import arrays
from tests.conftest import ROOT, run_in
from tests.test_own_photos import OWN
from tests.web.server import serving

SHAPES = [(90, 70), (70, 90), (64, 64), (40, 30)]  # width and height
PHOTOS = 6  # of each shape


@pytest.fixture(scope="module", params=["pad", "tiles"])
def trained(
    request: pytest.FixtureRequest,
    finished: tuple[Path, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A repo that has run and committed the pipeline on drawn cells in one of the modes."""
    folder = tmp_path_factory.mktemp(request.param)
    repo = Path(shutil.copytree(finished[0], folder / "repo", symlinks=True))
    for seed, (width, height) in enumerate(SHAPES):
        command = [sys.executable, str(ROOT / "examples/cells.py"), str(folder / str(seed))]
        command += ["--photos", str(PHOTOS), "--cells", "6", "--seed", str(seed)]
        subprocess.run([*command, "--width", str(width), "--height", str(height)], check=True)
        for path in sorted((folder / str(seed)).glob("*/*")):
            path.replace(repo / "data/own" / path.parent.name / f"s{seed}_{path.name}")
    (repo / "params.yaml").write_text(OWN.replace("mode: squash", f"mode: {request.param}"))
    run_in(repo, "dvc", "repro")
    run_in(repo, "git", "add", "-A")
    run_in(repo, "git", "commit", "-qm", "cells")
    return repo


def mode_of(repo: Path) -> str:
    """Return the mode in which a repo was trained."""
    return str(files.read_json(repo / "reports/data.json")["model"]["mode"])


def test_evaluate_measures_each_pixel_of_the_photos_and_no_padding(trained: Path) -> None:
    test = arrays.load(trained / "data/arrays/test")
    rows = files.read_csv(trained / "reports/per_image.csv")
    counted = {row["name"]: sum(int(row[name]) for name in row if "_as_" in name) for row in rows}
    expected = {}
    for photo in test.index:
        width, height = test.frame.content_size(photo.width, photo.height)
        expected[photo.name] = width * height
    assert counted == expected
    assert len(counted) == len(test)


def test_the_masks_at_full_size_are_those_that_predict_writes(
    trained: Path, tmp_path: Path
) -> None:
    rows = files.read_csv(trained / "reports/per_image.csv")
    names = [row["name"] for row in rows]
    photos = [str(trained / f"data/own/images/{name}.jpg") for name in names]
    run_in(trained, "petseg", "predict", *photos, "--out", str(tmp_path))
    for row in rows:
        mask = np.asarray(Image.open(tmp_path / f"{row['name']}.mask.png")) > 0
        truth = np.asarray(Image.open(trained / f"data/own/masks/{row['name']}.png")) > 0
        assert mask.shape == truth.shape
        assert np.count_nonzero(mask & truth) == int(row["native_intersection"])
        assert np.count_nonzero(mask | truth) == int(row["native_union"])


def test_every_way_to_predict_gives_the_same_probabilities(trained: Path, tmp_path: Path) -> None:
    test = arrays.load(trained / "data/arrays/test")
    stored = arrays.load_probabilities(trained / "data/predictions/probabilities.npy", test)
    segmenter = Segmenter.load(trained / "data/export/model.onnx")
    shutil.copy(trained / "data/export/model.onnx", tmp_path / "model.onnx")
    with serving(tmp_path) as server:
        for row, photo in enumerate(test.index):
            data = (trained / f"data/own/images/{photo.name}.jpg").read_bytes()
            prediction = segmenter.predict(data)
            content = test.frame.content(stored[row], photo.width, photo.height)
            assert np.array_equal(prediction.levels, content)
            answer = server.post(data, "?kind=probability")
            served = np.asarray(Image.open(io.BytesIO(answer.content)))
            assert np.array_equal(served, prediction.full_levels)
        assert server.get("/model").json()["mode"] == mode_of(trained)


def test_the_report_and_the_card_say_how_photos_are_read(trained: Path) -> None:
    page, card = (
        html.unescape((trained / f"reports/{name}").read_text())
        for name in ("report.html", "model_card.md")
    )
    sentences = {
        "pad": "a photo whose longer side is resized to 32 pixels, padded to a square",
        "tiles": "a photo at its own size, in overlapping tiles of 32 pixels",
    }
    assert sentences[mode_of(trained)] in card
    if mode_of(trained) == "tiles":
        assert "Masks have the photos' own size" in page
        metrics = files.read_json(trained / "reports/metrics.json")
        assert metrics["iou"] == metrics["native_iou"]


def test_a_review_finds_the_pictures_of_its_photos(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    test = arrays.load(trained / "data/arrays/test")
    names = [test.index[row].name for row in (len(test) - 1, 0)]
    results = commits.read("HEAD")
    photos, trimaps = (
        pictures.rows(results, f"data/arrays/test/{name}", names)
        for name in (arrays.PHOTOS, arrays.TRIMAPS)
    )
    for row, photo, trimap in zip((len(test) - 1, 0), photos, trimaps, strict=True):
        assert np.array_equal(photo, test.photos[row])
        assert np.array_equal(trimap, test.trimaps[row])


def test_a_state_of_another_mode_is_not_resumed(trained: Path, tmp_path: Path) -> None:
    def run_train(arrays_folder: Path) -> str:
        outputs = [str(tmp_path / name) for name in ("model", "train.csv", "state", "origins")]
        command = ["python", "-m", "stages.train", str(arrays_folder), *outputs]
        return run_in(trained, *command)

    other = "squash" if mode_of(trained) == "pad" else "pad"
    committed = (trained / "params.yaml").read_text()
    text = committed.replace("learning_rate: 0.01", "learning_rate: 0.02")  # not in dvc.lock yet
    try:
        (trained / "params.yaml").write_text(text)
        assert "epoch   2/2" in run_train(trained / "data/arrays")
        assert "the model is written again" in run_train(trained / "data/arrays")
        (trained / "params.yaml").write_text(
            text.replace(f"mode: {mode_of(trained)}", f"mode: {other}")
        )
        command = ["python", "-m", "stages.preprocess", "data/raw", "data/labels"]
        run_in(trained, *command, str(tmp_path / "arrays"))
        assert "epoch   2/2" in run_train(tmp_path / "arrays")
    finally:
        (trained / "params.yaml").write_text(committed)


def test_a_large_photo_keeps_the_server_answering(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "data/export/model.onnx", tmp_path / "model.onnx")
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    with serving(tmp_path) as server, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(server.post, buffer.getvalue())
        waits = []
        while not answer.done():
            started = time.perf_counter()
            assert server.get("/health").status_code == 200
            waits.append(time.perf_counter() - started)
        assert answer.result().status_code == 200
        assert Image.open(io.BytesIO(answer.result().content)).size == (1600, 1200)
        assert max(waits) < 5


def test_tiles_need_a_size_whose_half_can_be_halved_and_no_refinement(trained: Path) -> None:
    is_tiled = mode_of(trained) == "tiles"
    text = (trained / "params.yaml").read_text()
    try:
        (trained / "params.yaml").write_text(text.replace("image_size: 32", "image_size: 36"))
        output = " ".join(run_in(trained, "petseg", "check-params", fails=is_tiled).split())
        key = "preprocess.image_size is 36; allowed with train.depth 2 and preprocess.mode tiles:"
        assert (f"{key} multiples of 8, such as 32 or 40" in output) == is_tiled
        (trained / "params.yaml").write_text(text.replace("refinement: none", "refinement: guided"))
        output = run_in(trained, "dvc", "repro", "export", fails=is_tiled)
        assert ("export.refinement is guided; allowed with preprocess.mode" in output) == is_tiled
    finally:
        (trained / "params.yaml").write_text(text)
