"""The rules that keep the graph precise, and the lock in agreement with params and code."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML
from ruamel.yaml.tokens import AliasToken, AnchorToken

import petseg
from flows.workspace import recipes
from tests.conftest import ROOT


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / name)
    return document


STAGES: dict[str, dict[str, Any]] = read("dvc.yaml")["stages"]
PARAMS = read("params.yaml")
LAYERS = ("petseg", "stages", "flows")
CODE = ("stages", "petseg")  # what a stage may import
SECTIONS = ("download", "preprocess", "train", "export", "evaluate", "report")


def imported(path: Path) -> Iterator[Path]:
    """Yield the project's own files that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LAYERS:
            module = ROOT / str(node.module).replace(".", "/")
            for alias in node.names:
                yield file_of(module, alias.name)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] in LAYERS for alias in node.names), path


def file_of(module: Path, name: str) -> Path:
    """Return the file that `from module import name` takes the name from."""
    if not module.is_dir():
        return module.with_suffix(".py")
    file = module / f"{name}.py"
    return file if file.exists() else module / "__init__.py"


def reached(path: Path) -> set[Path]:
    """Return the file and every file of the project that it leads to."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += imported(file)
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_just_the_files_that_it_imports(stage: str) -> None:
    listed = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert listed == {str(path.relative_to(ROOT)) for path in reached(ROOT / f"stages/{stage}.py")}


def test_the_report_depends_on_every_template_script_and_style_of_its_folder() -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "petseg/report").glob("*.*")}
    assert {file for file in files if not file.endswith(".py")} <= set(STAGES["report"]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_folder_of_code_and_on_its_own_parameters(stage: str) -> None:
    code = [dep for dep in STAGES[stage]["deps"] if dep.startswith(CODE)]
    assert all((ROOT / dep).is_file() for dep in code)
    shown = sorted(SECTIONS) if stage == "report" else [stage]  # the report shows all of them
    assert STAGES[stage]["params"] == shown
    assert STAGES[stage]["cmd"].startswith(f"python -m stages.{stage} ")


def test_packages_are_empty_but_for_the_public_names_and_no_module_is_a_bag() -> None:
    files = [path for layer in LAYERS for path in (ROOT / layer).rglob("*.py")]
    packages = {path for path in files if path.name == "__init__.py"}
    assert {path for path in packages if path.read_text()} == {ROOT / "petseg/__init__.py"}
    assert not {"utils.py", "config.py", "paths.py"} & {path.name for path in files}


def roots(path: Path) -> set[str]:
    """Return the first part of every module that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("layer", "others"), [("petseg", {"stages", "flows"}), ("stages", {"flows"})]
)
def test_a_layer_imports_only_what_stands_to_its_right(layer: str, others: set[str]) -> None:
    for path in (ROOT / layer).rglob("*.py"):
        assert not roots(path) & (others | {"prefect", "dvc"}), path


WINGS = {  # what each wing of the library may import of the others
    "data": set(),
    "model": {"data"},
    "inference": {"data", "model"},
    "prediction": {"data", "inference"},
    "training": {"data", "model", "inference", "evaluation"},
    "evaluation": {"data", "model", "inference"},
    "report": {"data", "evaluation"},
    "review": {"data", "evaluation", "report"},
    "sheet": {"data", "report"},
}


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_only_the_wings_that_it_stands_on(wing: str) -> None:
    for path in (ROOT / "petseg" / wing).glob("*.py"):
        imports = {file.relative_to(ROOT / "petseg").parts[0] for file in imported(path)}
        assert imports & set(WINGS) <= WINGS[wing] | {wing}, path


def test_every_wing_of_the_library_is_known() -> None:
    assert {
        path.name for path in (ROOT / "petseg").iterdir() if (path / "__init__.py").exists()
    } == set(WINGS)


@pytest.mark.parametrize("stage", ["evaluate", "report"])
def test_evaluation_and_report_need_no_tensorflow(stage: str) -> None:
    for path in reached(ROOT / f"stages/{stage}.py"):
        assert not roots(path) & {"tensorflow", "keras", "tf2onnx"}, path


# What trains, runs or reports; predicting does not wait for its import, nor need it installed.
NOT_FOR_PREDICTING = {
    *("tensorflow", "keras", "tf2onnx", "onnx", "matplotlib", "prefect", "dvc"),
    *("pydantic", "isal", "imageio"),
}
FOR_SERVING = {"pydantic"}  # which FastAPI needs
PREDICTING = ["petseg/__init__.py", "flows/cli/predict.py", "flows/cli/web.py"]


@pytest.mark.parametrize("path", PREDICTING)
def test_predicting_leads_to_nothing_that_trains_runs_or_reports(path: str) -> None:
    files = reached(ROOT / path)
    assert ROOT / "petseg/inference/segmenter.py" in files
    for file in files:
        allowed = FOR_SERVING if file.is_relative_to(ROOT / "flows/web") else set()
        assert not roots(file) & NOT_FOR_PREDICTING - allowed, file


def test_the_public_names_are_classes_of_the_library() -> None:
    assert {getattr(petseg, name).__name__ for name in petseg.__all__} == set(petseg.__all__)
    with pytest.raises(AttributeError, match="'petseg' has no attribute 'Segmentr'"):
        _ = petseg.Segmentr  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", ["params.yaml", "recipes/defaults.yaml"])
def test_parameters_have_no_anchor_no_merge_key_and_no_long_line(file: str) -> None:
    text = (ROOT / file).read_text()
    tokens = list(YAML(typ="safe", pure=True).scan(text))
    assert not [token for token in tokens if isinstance(token, AliasToken | AnchorToken)]
    assert "<<" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_params_yaml_is_what_its_recipe_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "params.yaml").read_text()
    assert text.startswith("recipe: demo\n")
    assert text == recipes.render(recipes.read("demo"))
    assert tuple(PARAMS) == ("recipe", *SECTIONS, "gate")


def test_every_key_of_the_defaults_has_its_comment() -> None:
    stages, _, _ = (ROOT / "recipes/defaults.yaml").read_text().partition("\ngate:")
    for line in stages.splitlines():
        is_entry = line.startswith("  ") and not line.startswith("   ")
        assert not is_entry or "#" in line or line.startswith("  epochs:"), line


def test_overriding_a_parameter_by_dvc_changes_one_line(tmp_path: Path) -> None:
    copy = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    copy.write_text(before)
    apply_overrides(copy, ["train.epochs=77"])
    assert YAML(typ="safe", pure=True).load(copy)["train"]["epochs"] == 77
    lines = zip(before.splitlines(), copy.read_text().splitlines(), strict=True)
    assert len([old for old, new in lines if old.strip() != new.strip()]) == 1


def test_the_lock_agrees_with_commands_parameters_and_code() -> None:
    """The same on a clone without data, where `dvc status` cannot tell."""
    lock = read("dvc.lock")["stages"]
    assert list(lock)
    assert set(lock) == set(STAGES)
    for name, stage in STAGES.items():
        assert lock[name]["cmd"] == stage["cmd"], name
        assert lock[name]["params"]["params.yaml"] == {key: PARAMS[key] for key in stage["params"]}
        assert {dep["path"] for dep in lock[name]["deps"]} == set(stage["deps"])
        for dep in lock[name]["deps"]:
            if dep["path"].startswith(CODE):
                digest = hashlib.md5((ROOT / dep["path"]).read_bytes(), usedforsecurity=False)
                assert digest.hexdigest() == dep["md5"], dep["path"]


def test_what_a_stage_took_is_what_the_stage_before_it_made() -> None:
    lock = read("dvc.lock")["stages"]
    made = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
    for stage in lock.values():
        assert all(made.get(dep["path"], dep["md5"]) == dep["md5"] for dep in stage["deps"])
    for path, digest in made.items():
        if path.startswith("reports/") and path.endswith((".json", ".csv")):
            assert (
                hashlib.md5((ROOT / path).read_bytes(), usedforsecurity=False).hexdigest() == digest
            ), path
