"""The scripts in benchmarks/ run: all print their help, and two of them do their work."""

import re
import sys
from pathlib import Path

import learning_curve
import limit
import numpy as np
import perfect_masks
import pytest

from petseg.files import read_csv, read_json
from tests.conftest import ROOT, run_in

SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_says_how_it_is_used(name: str, tmp_path: Path) -> None:
    output = run_in(tmp_path, sys.executable, str(ROOT / "benchmarks" / name), "--help")
    assert "usage:" in output
    assert f"benchmarks/{name}" in output


def test_options_trains_each_choice_once_a_seed_and_compares_them(repo: Path) -> None:
    script = str(ROOT / "benchmarks/options.py")
    choices = ("--try", "as it is", "--try", "mean: flip_tta=true epochs=1")
    command = (sys.executable, script, "data/arrays", "tried", *choices)
    run_in(repo, *command, "--seeds", "1")
    output = run_in(repo, *command, "--seeds", "1", "2")
    rows = [line.split(",") for line in (repo / "tried/results.csv").read_text().splitlines()]
    assert [row[:2] for row in rows[1:]] == [
        ["as it is", "1"],
        ["mean", "1"],
        ["as it is", "2"],
        ["mean", "2"],
    ]
    assert all(0 <= float(row[2]) <= 1 for row in rows[1:])
    mean = (float(rows[1][2]) + float(rows[3][2])) / 2
    assert f"| as it is | 2       | {mean:.4f}" in output
    assert "as it is, seed 1" not in output


def test_options_refuses_what_is_no_parameter_of_training(repo: Path) -> None:
    script = str(ROOT / "benchmarks/options.py")
    command = (sys.executable, script, "data/arrays", "tried", "--try", "more: epoch=3")
    assert "unknown in train: epoch" in run_in(repo, *command, fails=True)


def test_a_learning_curve_trains_on_parts_of_the_photos_for_as_many_steps(repo: Path) -> None:
    script = str(ROOT / "benchmarks/learning_curve.py")
    command = (sys.executable, script, "data/arrays", "curve", "--shares", "0.5", "1")
    run_in(repo, *command, "--seeds", "1")
    output = run_in(repo, *command, "--seeds", "1", "2", "--plot", "curve.svg")
    rows = read_csv(repo / "curve/results.csv")
    train = len(read_csv(repo / "data/arrays/train/index.csv"))
    counts = [(row["photos"], row["epochs"], row["seed"]) for row in rows]
    half = (str(round(train / 2)), "4")
    assert counts == [(*half, "1"), (str(train), "2", "1"), (*half, "2"), (str(train), "2", "2")]
    whole = [float(row["iou"]) for row in rows if row["share"] == "1.0"]
    assert re.search(rf"\| {train} +\| 2 +\| {sum(whole) / 2:.4f}", output)
    assert "training photos" in (repo / "curve.svg").read_text()
    assert not (repo / "curve/arrays-0.5/test").exists()


def test_a_smaller_part_of_the_photos_lies_within_every_larger_one(
    repo: Path, tmp_path: Path
) -> None:
    names: set[str] = set()
    for share in (0.2, 0.4, 0.7, 1):
        folder = tmp_path / str(share)
        assert learning_curve.part_of(repo / "data/arrays", folder, share) > len(names)
        larger = {row["name"] for row in read_csv(folder / "train/index.csv")}
        assert names < larger
        names = larger


def test_a_wrong_pixel_is_of_the_first_kind_that_fits(tmp_path: Path) -> None:
    # A row of foreground, border, background, and far to the right an ignored pixel and another
    # background; two photos, of which the second has a doubtful label.
    trimap = np.full((1, 1, 12), 2, np.uint8)
    trimap[..., 0], trimap[..., 1], trimap[..., 8] = 1, 3, 0
    predicted = np.zeros((1, 1, 12), bool)
    predicted[..., [3, 6, 7, 8, 9]] = True
    kinds = limit.wrong_by_place(
        np.repeat(trimap, 2, 0), np.repeat(predicted, 2, 0), np.array([False, True])
    )
    columns = {name: [list(np.flatnonzero(row)) for row in kinds[name][:, 0]] for name in kinds}
    assert columns == {
        "photos whose label may be wrong": [[], [0, 1, 3, 6, 7, 9]],
        "in the trimap's border": [[1], []],
        "elsewhere, at most 2 pixels from the outline": [[0, 3], []],
        "further away, missed foreground": [[], []],
        "further away, false foreground": [[6, 7, 9], []],
    }


def test_next_to_ignored_pixels_there_is_no_outline() -> None:
    trimap = np.ones((1, 1, 6), np.uint8)
    trimap[..., 4:] = 0
    kinds = limit.wrong_by_place(trimap, np.zeros((1, 1, 6), bool), np.array([False]))
    assert np.count_nonzero(kinds["further away, missed foreground"]) == 4


def test_the_iou_without_some_wrong_pixels() -> None:
    # 6 pixels are right, 3 false, 1 missed: 6 / 10. Without two of the false 6 / 8, with the missed
    # one found 7 / 10.
    assert limit.iou_without(6, 4, 0, 0) == pytest.approx(0.6)
    assert limit.iou_without(6, 4, 2, 0) == pytest.approx(6 / 8)
    assert limit.iou_without(6, 4, 0, 1) == pytest.approx(7 / 10)
    assert limit.iou_without(0, 0, 0, 0) == 1


@pytest.mark.parametrize("share", [(0.5, 0.5, 0.5), (0.0, 0.0, 0.5)])
def test_a_third_without_photos_has_no_row(share: tuple[float, ...]) -> None:
    wrong = {"all": np.array([[1, 0], [0, 2], [1, 1]])}
    pixels = np.array([8, 8, 8])
    counts = limit.Counts(wrong, pixels, pixels + 2, np.array(share))
    rows = limit.table_by_size(counts).splitlines()[2:]
    assert 0 < len(rows) < 3
    assert sum(float(row.split("|")[3].strip(" %")) for row in rows) == pytest.approx(100, abs=0.2)


def test_ignored_pixels_cost_a_perfect_mask_nothing() -> None:
    labels = np.full((64, 64), 2, np.uint8)
    labels[20:40, 20:40] = 1
    labels[20:40, 30] = 2  # a slit that is lost at the smaller size
    ignored = np.where(labels == 2, 0, labels).astype(np.uint8)
    intersection, union, *_ = perfect_masks.overlaps(labels, 24, False)
    ignored_intersection, ignored_union, *_ = perfect_masks.overlaps(ignored, 24, False)
    assert ignored_intersection == intersection
    assert ignored_union < union


def test_the_limit_divides_all_wrong_pixels_of_the_test_split(repo: Path) -> None:
    output = run_in(repo, sys.executable, str(ROOT / "benchmarks/limit.py"))
    metrics = read_json(repo / "reports/metrics.json")
    assert f"IoU {metrics['iou']:.4f}" in output
    places, thirds = output.split("\n\n")[1:]
    for table, cell in ((places, 2), (thirds, 4)):
        shares = [float(row.split("|")[cell].strip(" %")) for row in table.splitlines()[2:]]
        assert sum(shares) == pytest.approx(100, abs=0.3)  # each is rounded


def test_a_perfect_mask_loses_less_at_a_larger_size_and_with_probabilities(repo: Path) -> None:
    script = str(ROOT / "benchmarks/perfect_masks.py")
    output = run_in(repo, sys.executable, script, "data/raw", "--sizes", "32", "64")
    cells = [[cell.strip() for cell in row.split("|")] for row in output.splitlines()[3:]]
    ious = {(size, mask): float(iou) for _, size, mask, iou, *_ in cells}
    assert ious["32", "hard"] < ious["32", "soft"] < ious["64", "soft"] < 1
    assert ious["64", "hard"] < ious["64", "soft"]
    assert "16 photos" in output


CODE = '''"""Two functions and ten bindings: add, a, found, total, item, sub, b, b, c and asked."""
def add(a, found=1):
    total = a
    for item in found:
        total.asked = item

    return total
async def sub(b): return [c for c in (b := 2)]
'''
RECIPES = """recipe: demo

recipes:
  demo:
    download:
      source: demo
  photos: # a comment
    download:
      source: folder
      path: data/own

    train: {epochs: 3}
  long:
    download: {source: archives}
    train:
      epochs: 1
      seed: 1
      crop: 1
"""


def test_house_measures_files_and_commits_alike(tmp_path: Path) -> None:
    (tmp_path / "petseg/data").mkdir(parents=True)
    for name in ("__init__.py", "data/__init__.py", "data/one.py", "top.py"):
        (tmp_path / "petseg" / name).touch()
    (tmp_path / "petseg/data/two.py").write_text(CODE)
    (tmp_path / "README.md").write_text("# Three words\n")
    (tmp_path / "params.yaml").write_text(RECIPES)
    run_in(tmp_path, "git", "init", "-q", "-b", "main")
    run_in(tmp_path, "git", "add", ".")
    run_in(tmp_path, "git", "commit", "-qm", "first")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/defaults.yaml").write_text("download:\n  source: demo\n")
    (tmp_path / "recipes/own.yaml").write_text("download:\n  source: folder\n")
    script = (sys.executable, str(ROOT / "benchmarks/house.py"), "--checkout", str(tmp_path))
    measured = {
        "modules in the fullest folder": "2 (petseg/data)",
        "median function": "3.5",  # of 6 lines and 1
        "median function, docstring left out": "3.5",  # neither has a docstring
        "longest function": "6 (petseg/data/two.py:add)",
        "the twelve words of all bindings": "20.00% (2 of 10)",
        "words of README.md": "3",
        "lines of params.yaml": "18",
        "shortest recipe for another dataset": "5",
    }
    lines = run_in(tmp_path, *script, "--commit", "HEAD").splitlines()
    assert dict(re.split(r" {2,}", line) for line in lines[1:]) == measured
    lines = run_in(tmp_path, *script).splitlines()
    measured["shortest recipe for another dataset"] = "2"
    assert dict(re.split(r" {2,}", line) for line in lines[1:]) == measured
    (first, *_) = run_in(tmp_path, *script, "--commit", "HEAD", "main").splitlines()
    assert first.split() == ["HEAD", "main"]
