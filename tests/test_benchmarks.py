"""The scripts in benchmarks/ run: all print their help, and two of them do their work."""

import re
import sys
from pathlib import Path

import pytest

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
