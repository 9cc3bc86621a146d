"""What `petseg plan` says beforehand, held against real DVC repos and against what DVC then does."""

import json
import shutil
from pathlib import Path

import pytest

from flows.workspace import plan
from petseg.errors import UserError
from tests.conftest import ran, replace, run_in

STAGES = ["download", "preprocess", "train", "evaluate", "report"]


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def told(targets: tuple[str, ...] = ()) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {row.stage: (row.words, row.because) for row in plan.read(targets)}


@pytest.mark.usefixtures("here")
def test_after_a_run_every_stage_is_unchanged() -> None:
    assert told() == dict.fromkeys(STAGES, ("unchanged", ()))


def test_a_parameter_is_named_with_its_old_and_new_value_and_later_stages_wait(here: Path) -> None:
    replace(here / "params.yaml", "epochs: 2", "epochs: 3")
    assert told() == {
        "download": ("unchanged", ()),
        "preprocess": ("unchanged", ()),
        "train": ("changed", ("train.epochs 2 → 3",)),
        "evaluate": ("waits for train", ()),
        "report": ("waits for evaluate", ()),
    }
    assert ran(run_in(here, "dvc", "repro"))[0] == "train"
    assert set(told().values()) == {("unchanged", ())}


def test_changed_code_is_named_by_its_file(here: Path) -> None:
    replace(here / "petseg/model/unet.py", '"""', '"""Edited: ')
    rows = told()
    assert rows["train"] == ("changed", ("petseg/model/unet.py changed",))
    assert rows["preprocess"] == ("unchanged", ())


def test_another_recipe_is_told_by_the_two_names(here: Path) -> None:
    replace(here / "params.yaml", "recipe: tiny", "recipe: other")
    assert told() == dict.fromkeys(STAGES, ("changed", ("recipe tiny → other",)))


def test_a_command_edited_in_dvc_yaml_is_told(here: Path) -> None:
    replace(here / "dvc.yaml", "data/logs/train.csv", "data/logs/times.csv")
    assert told()["train"] == ("changed", ("its command in dvc.yaml changed",))


def test_an_output_edited_by_hand_is_told(here: Path) -> None:
    (here / "reports/metrics.json").write_text("{}")
    rows = told()
    assert rows["evaluate"] == ("changed", ("reports/metrics.json is not what the stage wrote",))
    assert rows["report"] == ("waits for evaluate", ())


def test_a_fresh_clone_has_its_data_missing_and_nothing_changed(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path, "git", "clone", "-q", str(here), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    rows = told()
    assert {words for words, _ in rows.values()} == {"data missing"}
    assert rows["train"][1] == ("data/model is not here",)
    replace(Path("params.yaml"), "epochs: 2", "epochs: 3")
    words = [words for words, _ in told().values()]
    changed = ["changed", "waits for train", "waits for evaluate"]
    assert words == ["data missing", "data missing", *changed]


def test_a_stage_whose_input_alone_is_missing_waits_for_the_one_that_makes_it(here: Path) -> None:
    shutil.rmtree(here / "data/arrays")
    rows = told()
    assert rows["preprocess"] == ("data missing", ("data/arrays is not here",))
    assert rows["train"][0] == "waits for preprocess"
    assert "Unable" not in run_in(here, "dvc", "repro")
    assert set(told().values()) == {("unchanged", ())}


def test_a_stage_never_run_says_so(here: Path) -> None:
    (here / "dvc.lock").unlink()
    assert set(told().values()) == {("changed", ("it has no results in dvc.lock",))}


@pytest.mark.usefixtures("here")
def test_targets_are_shown_with_what_they_need_and_an_unknown_one_is_refused() -> None:
    assert list(told(("train",))) == ["download", "preprocess", "train"]
    with pytest.raises(UserError, match=r"no stage trian; known: download, .*report"):
        told(("trian",))


def test_the_command_prints_a_table_and_json(here: Path) -> None:
    replace(here / "params.yaml", "learning_rate: 0.01", "learning_rate: 0.02")
    lines = run_in(here, "petseg", "plan").splitlines()
    assert lines[0].split() == ["stage", "state", "because"]
    assert lines[3].split(maxsplit=2)[2] == "train.learning_rate 0.01 → 0.02"
    assert lines[4].split() == ["evaluate", "waits", "for", "train"]
    rows = json.loads(run_in(here, "petseg", "plan", "--json"))
    assert [row["stage"] for row in rows] == STAGES
    assert rows[3]["waits_for"] == "train"
    assert run_in(here, "git", "status", "--short") == " M params.yaml\n"


def test_outside_of_a_project_one_line_says_so(tmp_path: Path) -> None:
    said = run_in(tmp_path, "petseg", "plan", fails=True)
    assert said.startswith("error: DVC: ")
    assert "Traceback" not in said
