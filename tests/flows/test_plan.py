"""The plan of a run, checked on real DVC repos and against what DVC then does."""

import json
import shutil
from pathlib import Path

import pytest

from flows.workspace import plan, recipes
from petseg.errors import UserError
from tests.conftest import ran, replace, run_in

STAGES = ["download", "preprocess", "train", "export", "evaluate", "report"]


@pytest.fixture
def checkout(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own copy of the finished repo, as the current folder."""
    monkeypatch.chdir(repo)
    return repo


def states_and_reasons(targets: tuple[str, ...] = ()) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return each planned stage's state and reasons, by the stage's name."""
    return {row.stage: (row.status, row.because) for row in plan.read(targets)}


@pytest.mark.usefixtures("checkout")
def test_after_a_run_every_stage_is_unchanged() -> None:
    assert states_and_reasons() == dict.fromkeys(STAGES, ("unchanged", ()))


def test_a_parameter_is_named_with_its_old_and_new_value_and_later_stages_wait(
    checkout: Path,
) -> None:
    replace(checkout / "params.yaml", "epochs: 2", "epochs: 3")
    assert states_and_reasons() == {
        "download": ("unchanged", ()),
        "preprocess": ("unchanged", ()),
        "train": ("changed", ("train.epochs 2 → 3",)),
        "export": ("waits for train", ()),
        "evaluate": ("waits for export", ()),
        "report": ("changed", ("train.epochs 2 → 3",)),  # it shows every parameter
    }
    assert ran(run_in(checkout, "dvc", "repro"))[0] == "train"
    assert set(states_and_reasons().values()) == {("unchanged", ())}


def test_changed_code_is_named_by_its_file(checkout: Path) -> None:
    replace(checkout / "petseg/model/unet.py", '"""', '"""Edited: ')
    rows = states_and_reasons()
    assert rows["train"] == ("changed", ("petseg/model/unet.py changed",))
    assert rows["preprocess"] == ("unchanged", ())


@pytest.mark.usefixtures("checkout")
def test_another_recipe_reruns_the_stages_whose_parameters_differ() -> None:
    recipes.use("other")
    rows = states_and_reasons()
    assert rows["train"] == ("changed", ("train.epochs 2 → 1",))
    assert rows["download"] == rows["preprocess"] == ("unchanged", ())


def test_a_command_edited_in_dvc_yaml_is_a_reason_to_run(checkout: Path) -> None:
    replace(checkout / "dvc.yaml", "data/logs/train.csv", "data/logs/times.csv")
    assert states_and_reasons()["train"] == ("changed", ("its command in dvc.yaml changed",))


def test_an_output_edited_by_hand_is_a_reason_to_run(checkout: Path) -> None:
    (checkout / "reports/metrics.json").write_text("{}")
    rows = states_and_reasons()
    assert rows["evaluate"] == ("changed", ("reports/metrics.json is not what the stage wrote",))
    assert rows["report"] == ("waits for evaluate", ())


def test_a_fresh_clone_has_its_data_missing_and_nothing_changed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path, "git", "clone", "-q", str(checkout), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    rows = states_and_reasons()
    states = [state for state, _ in rows.values()]
    # Of evaluate no output is missing, since git has all of them, but the data that it reads are.
    assert states == ["data missing"] * 4 + ["waits for download", "waits for evaluate"]
    assert rows["train"][1] == ("data/model is missing",)
    replace(Path("params.yaml"), "epochs: 2", "epochs: 3")
    states = [state for state, _ in states_and_reasons().values()]
    assert states[:2] == ["data missing", "data missing"]
    assert states[2:] == [
        "changed",
        "waits for train",
        "waits for export",
        "changed",
    ]


def test_a_stage_whose_only_missing_file_is_an_input_waits_for_the_stage_that_writes_it(
    checkout: Path,
) -> None:
    shutil.rmtree(checkout / "data/arrays")
    rows = states_and_reasons()
    assert rows["preprocess"] == ("data missing", ("data/arrays is missing",))
    assert rows["train"][0] == "waits for preprocess"
    assert "Unable" not in run_in(checkout, "dvc", "repro")
    assert set(states_and_reasons().values()) == {("unchanged", ())}


def test_a_stage_that_never_ran_has_that_as_its_reason(checkout: Path) -> None:
    (checkout / "dvc.lock").unlink()
    assert set(states_and_reasons().values()) == {("changed", ("it has no results in dvc.lock",))}


@pytest.mark.usefixtures("checkout")
def test_targets_are_planned_with_the_stages_that_they_need_and_an_unknown_one_is_refused() -> None:
    assert list(states_and_reasons(("train",))) == ["download", "preprocess", "train"]
    with pytest.raises(UserError, match=r"no stage trian; known: download, .*report"):
        states_and_reasons(("trian",))


def test_the_command_prints_a_table_and_json(checkout: Path) -> None:
    replace(checkout / "params.yaml", "learning_rate: 0.01", "learning_rate: 0.02")
    lines = run_in(checkout, "petseg", "plan").splitlines()
    assert lines[0].split() == ["stage", "state", "because"]
    assert lines[3].split(maxsplit=2)[2] == "train.learning_rate 0.01 → 0.02"
    assert lines[4].split() == ["export", "waits", "for", "train"]
    rows = json.loads(run_in(checkout, "petseg", "plan", "--json"))
    assert [row["stage"] for row in rows] == STAGES
    assert rows[3]["waits_for"] == "train"
    assert run_in(checkout, "git", "status", "--short") == " M params.yaml\n"


def test_outside_of_a_project_the_error_is_one_line(tmp_path: Path) -> None:
    output = run_in(tmp_path, "petseg", "plan", fails=True)
    assert output.startswith("error: DVC: ")
    assert "Traceback" not in output
