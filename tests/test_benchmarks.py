"""The scripts in benchmarks/ still run: most start, and the one that compares choices compares two."""

import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_in

SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_says_how_it_is_used(name: str, tmp_path: Path) -> None:
    said = run_in(tmp_path, sys.executable, str(ROOT / "benchmarks" / name), "--help")
    assert "usage:" in said
    assert f"benchmarks/{name}" in said


def test_options_trains_each_choice_once_a_seed_and_compares_them(repo: Path) -> None:
    script = str(ROOT / "benchmarks/options.py")
    choices = ("--try", "as it is", "--try", "mean: flip_tta=true epochs=1")
    command = (sys.executable, script, "data/arrays", "tried", *choices)
    run_in(repo, *command, "--seeds", "1")
    said = run_in(repo, *command, "--seeds", "1", "2")
    rows = [line.split(",") for line in (repo / "tried/results.csv").read_text().splitlines()]
    assert [row[:2] for row in rows[1:]] == [
        ["as it is", "1"],
        ["mean", "1"],
        ["as it is", "2"],
        ["mean", "2"],
    ]
    assert all(0 <= float(row[2]) <= 1 for row in rows[1:])
    mean = (float(rows[1][2]) + float(rows[3][2])) / 2
    assert f"| as it is | 2       | {mean:.4f}" in said
    assert "as it is, seed 1" not in said


def test_options_refuses_what_is_no_parameter_of_training(repo: Path) -> None:
    script = str(ROOT / "benchmarks/options.py")
    command = (sys.executable, script, "data/arrays", "tried", "--try", "more: epoch=3")
    assert "unknown in train: epoch" in run_in(repo, *command, fails=True)
