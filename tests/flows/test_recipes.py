"""Recipes: what `petseg use` writes, what it refuses, and how edits are kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.workspace import recipes
from petseg import params
from petseg.errors import UserError
from tests.conftest import ROOT, copy_parts, replace

PROJECT_RECIPES = (
    "cells",
    "demo",
    "own",
    "oxford",
    "oxford-best",
    "oxford-clean",
    "oxford-fast",
    "oxford-native",
    "oxford-pretrained",
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's own recipes and params.yaml, and the working directory."""
    copy_parts(("recipes", "params.yaml"), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text() -> str:
    return params.FILE.read_text()


def refusal(call: Callable[[], object]) -> str:
    """Return the one line with which a call is refused; params.yaml is as before."""
    before = text()
    with pytest.raises(UserError) as refused:
        call()
    assert text() == before
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", PROJECT_RECIPES)
def test_a_recipe_of_the_project_is_valid_and_gives_the_same_bytes_again(name: str) -> None:
    recipes.use(name)
    first = text()
    assert first.startswith(f"recipe: {name}\n")
    assert not recipes.use(name)
    recipes.use("oxford" if name == "demo" else "demo")
    recipes.use(name)
    assert text() == first
    assert recipes.check_params(None) == f"params.yaml, recipe {name}"
    assert recipes.check_params(name) == f"recipes/{name}.yaml"
    assert recipes.edits() == []


def test_oxford_clean_is_oxford_pretrained_but_for_the_corrections_of_labels() -> None:
    clean, pretrained = (
        recipes.compose(recipes.read(f"oxford-{name}")) for name in ("clean", "pretrained")
    )
    assert clean["preprocess"].pop("labels") == "data/labels/oxford-clean.csv"
    assert pretrained["preprocess"].pop("labels") == "data/labels.csv"
    assert clean == pretrained


def test_params_yaml_has_every_comment_of_the_defaults_and_the_recipes_values() -> None:
    recipes.use("oxford-best")
    assert (
        "  crop: 0.5 # smallest share of each side that random crops keep; 1: no crops\n" in text()
    )
    assert "  mirrors: # archives: folders or http(s) addresses, tried in this order\n" in text()
    assert "trainval:" not in text()  # a key of another source
    assert params.read_yaml(params.FILE)["train"]["epochs"] == 120
    recipes.use("demo")
    assert "mirrors" not in text()


def test_edits_are_named_and_not_lost() -> None:
    replace(params.FILE, "epochs: 18", "epochs: 3")
    line = refusal(lambda: recipes.use("oxford"))
    assert "train.epochs 18 → 3" in line
    assert "`petseg recipes save NAME`" in line
    assert "`petseg use oxford --discard`" in line
    recipes.use("oxford", discard=True)
    assert text() == recipes.render(recipes.read("oxford"))


def test_a_rewrite_of_the_file_without_other_values_is_no_edit() -> None:
    params.FILE.write_text(text().replace(" # photos per step", ""))
    assert recipes.edits() == []
    recipes.use("oxford")


def test_edits_become_a_recipe_that_makes_the_same_parameters() -> None:
    replace(params.FILE, "epochs: 18", "epochs: 3")
    before = params.read_yaml(params.FILE)
    path = recipes.save("longer")
    assert path == Path("recipes/longer.yaml")
    assert recipes.read("longer").description == "The recipe demo with train.epochs 18 → 3."
    assert params.read_yaml(params.FILE) == before | {"recipe": "longer"}
    assert recipes.edits() == []
    recipes.use("demo")
    recipes.use("longer")
    assert params.read_yaml(params.FILE) == before | {"recipe": "longer"}
    changed = recipes.read("longer").changes
    assert changed["train"]["epochs"] == 3
    assert "encoder" not in changed["train"]  # as in the defaults


@pytest.mark.parametrize("name", ["demo", "defaults", "../x", "a b", ""])
def test_a_recipe_is_not_saved_under_a_name_that_is_taken_or_no_file_name(name: str) -> None:
    files = sorted(path.read_text() for path in Path("recipes").iterdir())
    refusal(lambda: recipes.save(name))
    assert sorted(path.read_text() for path in Path("recipes").iterdir()) == files


def test_parameters_with_a_key_of_another_source_are_not_saved_at_all() -> None:
    replace(params.FILE, "source: demo", "source: demo\n  mirrors: [a]")
    assert "download.mirrors belongs to the source archives" in refusal(lambda: recipes.save("new"))
    assert not Path("recipes/new.yaml").exists()


def test_a_recipe_for_another_dataset_takes_four_lines(project: Path) -> None:
    content = """description: Another dataset in the official layout.
download:
  mirrors: [data/own]
  sha256: {images: null, annotations: null}
"""
    (project / "recipes/other.yaml").write_text(content)
    recipes.use("other")
    recipes.check_params(None)
    download = params.read_yaml(params.FILE)["download"]
    assert download["mirrors"] == ["data/own"]
    assert download["sha256"] == {"images": None, "annotations": None}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("description: x\ntrain: {epoch: 3}", "train.epoch is unknown; known: encoder, input_scale"),
        ("description: x\ntrian: {epochs: 3}", "trian is unknown; known: download, preprocess"),
        ("description: x\ntrain: 3", "train is 3; allowed: a mapping"),
        ("description: x\ndownload: {source: demo, mirrors: [a]}", "download.mirrors belongs to the source archives; the recipe's source is demo"),
        ("train: {epochs: 3}", "description is missing"),
        ("description: ''", "description is missing"),
        ("- a list", "expected a mapping"),
        ("description: {", "is not YAML"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_ends_in_one_line(content: str, words: str, project: Path) -> None:
    (project / "recipes/wrong.yaml").write_text(content)
    line = refusal(lambda: recipes.use("wrong"))
    assert line.startswith("recipes/wrong.yaml")
    assert words in line


def test_a_value_out_of_range_is_named_with_the_recipe_that_has_it(project: Path) -> None:
    (project / "recipes/wrong.yaml").write_text("description: x\ntrain: {epochs: 0}")
    line = refusal(lambda: recipes.check_params("wrong"))
    assert line == "recipes/wrong.yaml: train.epochs is 0; allowed: a whole number ≥ 1"


def test_an_unknown_recipe_is_refused_with_those_that_exist() -> None:
    line = refusal(lambda: recipes.use("nope"))
    assert line == f"recipes/nope.yaml does not exist; recipes: {', '.join(PROJECT_RECIPES)}"


def test_the_overview_names_every_recipe_and_the_one_in_use_with_its_edits() -> None:
    replace(params.FILE, "epochs: 18", "epochs: 3")
    lines = recipes.overview().splitlines()
    assert [line.split()[0] for line in lines if line.startswith("*")] == ["*", "*"]
    assert lines[-1] == "* in use: demo, edited: train.epochs 18 → 3"
    assert all(any(name in line for line in lines) for name in PROJECT_RECIPES)


def test_a_temporary_switch_is_undone_and_leaves_later_edits_alone() -> None:
    before = text()
    Path(".dvc/tmp").mkdir(parents=True)
    with recipes.temporarily_active("oxford", back=True):
        assert params.active_recipe() == "oxford"
        switch = recipes.SWITCH.read_text()
    assert text() == before
    recipes.use("oxford")
    recipes.SWITCH.write_text(switch)  # as a killed run leaves it
    assert recipes.restore_recipe()
    assert text() == before
    recipes.SWITCH.write_text(switch)
    assert recipes.restore_recipe()
    assert text() == before  # it was not what the switch had made
    assert not recipes.restore_recipe()


def test_the_committed_recipes_are_those_of_this_test() -> None:
    assert sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml")) == sorted(
        [*PROJECT_RECIPES, "defaults"]
    )
