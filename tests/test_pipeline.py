"""The whole pipeline in a real git and DVC repo, on a dozen synthetic photos."""

import json
import shutil
from pathlib import Path

import numpy as np

from petseg import files
from petseg.data import archives
from tests.conftest import ran, replace, run_in, with_archives
from tests.data.bad_server import serving

STAGES = ["download", "preprocess", "train", "export", "evaluate", "report"]


def test_the_six_stages_run_in_order_and_then_nothing_is_left_to_do(
    repo: Path, finished: tuple[Path, str]
) -> None:
    assert ran(finished[1]) == STAGES
    again = run_in(repo, "dvc", "repro")
    assert ran(again) == []
    assert "up to date" in again


def test_git_tracks_the_numbers_and_no_picture(repo: Path) -> None:
    tracked = set(run_in(repo, "git", "ls-files", "reports").split())
    tables = {"calibration", "confidence", "confusion", "export", "history", "intervals"}
    tables |= {"per_image", "photos", "rejected", "slices", "suspects", "thresholds"}
    numbers = {f"reports/{name}.csv" for name in tables} | {
        "reports/metrics.json",
        "reports/data.json",
    }
    assert tracked == numbers | {"reports/.gitignore"}
    assert (repo / "reports/report.html").stat().st_size > 10_000
    assert (repo / "reports/figures/epochs.webp").read_bytes()[8:12] == b"WEBP"


def test_the_numbers_agree_with_each_other(repo: Path) -> None:
    metrics = json.loads((repo / "reports/metrics.json").read_text())
    rows = files.read_csv(repo / "reports/per_image.csv")
    sums = {name: sum(int(row[name]) for row in rows) for name in rows[0] if "_as_" in name}
    assert sum(sums.values()) == 4 * 32 * 32
    hits = sums["foreground_as_foreground"] + sums["border_as_foreground"]
    union = (
        hits
        + sums["foreground_as_background"]
        + sums["border_as_background"]
        + sums["background_as_foreground"]
    )
    assert metrics["iou"] == round(hits / union, 4) if union else 1.0
    photos = files.read_csv(repo / "reports/photos.csv")
    assert sorted(row["split"] for row in photos) == ["test"] * 4 + ["train"] * 10 + ["val"] * 2
    assert metrics["official_data"] is False
    pixels = {
        part: sum(int(row[f"native_{part}"]) for row in rows) for part in ("intersection", "union")
    }
    assert metrics["native_iou"] == round(pixels["intersection"] / pixels["union"], 4)
    assert all(0 <= float(row["expected_iou"]) <= 1 for row in rows)


def test_the_arrays_are_memory_maps_of_uint8(repo: Path) -> None:
    photos = np.load(repo / "data/arrays/train/photos.npy", mmap_mode="r")
    trimaps = np.load(repo / "data/arrays/train/trimaps.npy", mmap_mode="r")
    assert (photos.shape, photos.dtype) == ((10, 32, 32, 3), np.uint8)
    assert set(np.unique(trimaps)) <= {1, 2, 3}


def test_editing_the_report_reruns_the_report_alone(repo: Path) -> None:
    replace(repo / "stages/report.py", '    print(f"report:', '    print(f"the report:')
    assert ran(run_in(repo, "dvc", "repro")) == ["report"]


def test_editing_what_only_predicting_for_users_needs_reruns_nothing(repo: Path) -> None:
    for name in ("segmenter", "cutout"):
        replace(repo / f"petseg/inference/{name}.py", '"""', '"""Edited: ')
    assert ran(run_in(repo, "dvc", "repro")) == []


def test_editing_the_metrics_neither_trains_nor_exports(repo: Path) -> None:
    replace(repo / "petseg/evaluation/metrics.py", '"""', '"""Edited: ')
    stages = ran(run_in(repo, "dvc", "repro"))
    assert "evaluate" in stages
    assert not {"train", "export"} & set(stages)


def test_exporting_and_evaluating_again_give_the_same_bytes(repo: Path) -> None:
    before = (repo / "dvc.lock").read_text()
    for stage in ("export", "evaluate"):
        assert ran(run_in(repo, "dvc", "repro", "-f", "-s", stage)) == [stage]
    assert (repo / "dvc.lock").read_text() == before
    assert run_in(repo, "git", "status", "--porcelain") == ""


def test_the_exported_network_is_held_against_keras_and_git_has_the_table(repo: Path) -> None:
    assert (repo / "reports/export.csv").read_bytes() == (
        repo / "data/export/parity.csv"
    ).read_bytes()
    rows = files.read_csv(repo / "reports/export.csv")
    assert [row["engine"] for row in rows] == ["keras", "onnx", "onnx int8"]
    paths = ("data/model/model.keras", "data/export/model.onnx", "data/export/model-int8.onnx")
    assert [int(row["bytes"]) for row in rows] == [(repo / path).stat().st_size for path in paths]
    metrics = json.loads((repo / "reports/metrics.json").read_text())
    assert round(float(rows[1]["iou"]), 4) == metrics["iou"]
    assert float(rows[1]["largest_difference"]) < 1e-4


def test_lost_predictions_and_an_earlier_recipes_come_back_without_the_network(
    repo: Path,
) -> None:
    expected = (repo / "data/predictions/probabilities.npy").read_bytes()
    for name in ("export", "predictions"):
        shutil.rmtree(repo / "data" / name)
    assert ran(run_in(repo, "dvc", "repro")) == []
    assert (repo / "data/predictions/probabilities.npy").read_bytes() == expected
    replace(repo / "params.yaml", "learning_rate: 0.01", "learning_rate: 0.02")
    assert "export" in ran(run_in(repo, "dvc", "repro"))
    replace(repo / "params.yaml", "learning_rate: 0.02", "learning_rate: 0.01")
    assert set(ran(run_in(repo, "dvc", "repro"))) <= {"evaluate", "report"}
    assert (repo / "data/predictions/probabilities.npy").read_bytes() == expected


def test_a_training_parameter_reruns_what_follows_training(repo: Path) -> None:
    replace(repo / "params.yaml", "learning_rate: 0.01", "learning_rate: 0.02")
    assert ran(run_in(repo, "dvc", "repro")) == ["train", "export", "evaluate", "report"]
    changed = run_in(repo, "dvc", "metrics", "diff", "--all")
    assert "reports/metrics.json" in changed


def test_a_test_the_readme_and_caches_of_python_rerun_nothing(repo: Path) -> None:
    (repo / "README.md").write_text("new")
    (repo / "tests").mkdir()
    (repo / "tests/test_new.py").write_text("")
    (repo / "petseg/model/__pycache__").mkdir()
    (repo / "petseg/model/__pycache__/unet.pyc").write_text("")
    assert ran(run_in(repo, "dvc", "repro")) == []


def test_switching_recipes_forth_and_back_retrains_nothing(repo: Path) -> None:
    first = (repo / "reports/metrics.json").read_text()
    assert "recipe other" in run_in(repo, "petseg", "use", "other")
    assert "train" in ran(run_in(repo, "dvc", "repro"))
    run_in(repo, "git", "commit", "-qam", "other recipe")
    run_in(repo, "petseg", "use", "tiny")
    assert not {"download", "preprocess", "train", "export"} & set(
        ran(run_in(repo, "dvc", "repro"))
    )
    assert (repo / "reports/metrics.json").read_text() == first
    plots = run_in(repo, "dvc", "plots", "diff", "HEAD~1", "HEAD", "--json")
    assert '"HEAD~1"' in plots
    assert '"HEAD"' in plots
    assert "iou" in run_in(repo, "dvc", "metrics", "diff", "HEAD~1", "HEAD", "--all")


def test_plots_and_experiments_work_as_a_dvc_user_expects(repo: Path) -> None:
    page = run_in(repo, "dvc", "plots", "show").strip().removeprefix("file://")
    html = Path(page).read_text()
    for title in (
        "Loss",
        "Accuracy",
        "IoU",
        "Precision and recall",
        "Thresholds",
        "Reliability",
        "Pixels by truth and prediction",
    ):
        assert title in html
    run_in(repo, "dvc", "exp", "run", "-S", "train.epochs=3")
    assert len((repo / "reports/history.csv").read_text().splitlines()) == 1 + 3
    assert "epochs" in run_in(repo, "dvc", "exp", "show", "--only-changed", "--md")


def test_a_deleted_output_comes_back_by_checkout(repo: Path) -> None:
    model = (repo / "data/model/model.keras").read_bytes()
    (repo / "data/model/model.keras").unlink()
    run_in(repo, "dvc", "checkout")
    assert (repo / "data/model/model.keras").read_bytes() == model


def test_training_again_gives_the_same_bytes(repo: Path) -> None:
    before = (repo / "dvc.lock").read_text()
    assert ran(run_in(repo, "dvc", "repro", "-f", "-s", "train")) == ["train"]
    assert (repo / "dvc.lock").read_text() == before


def test_a_truncated_archive_fails_in_one_line_and_leaves_nothing(repo: Path) -> None:
    archive = repo / "data/raw/annotations.tar.gz"
    whole = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(whole[: len(whole) // 2])
    output = run_in(
        repo,
        "python",
        "-m",
        "stages.preprocess",
        "data/raw",
        "data/labels",
        "data/again",
        fails=True,
    )
    assert "annotations.tar.gz: not a readable tar.gz" in output
    assert "Traceback" not in output
    assert not list((repo / "data").glob("again*"))


def test_a_downloaded_archive_lies_on_the_disk_once(repo: Path, tmp_path: Path) -> None:
    copies = shutil.copytree(repo / "data/raw", tmp_path / "copies")
    shutil.rmtree(repo / ".dvc/cache")  # which has the same archive, drawn
    digests = [files.sha256(copies / name) for name in (archives.IMAGES, archives.ANNOTATIONS)]
    with serving((copies / archives.IMAGES).read_bytes()) as server:
        (repo / "params.yaml").write_text(with_archives([server.address, str(copies)], *digests))
        run_in(repo, "dvc", "repro", "download")
    # one file, three names: what DVC tracks, its cache, and what is kept for later
    assert (repo / "data/raw/images.tar.gz").stat().st_nlink == 3
    assert (repo / f"data/downloads/{digests[0]}-images.tar.gz").stat().st_nlink == 3
