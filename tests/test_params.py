"""A wrong parameter ends in one line that names key, recipe and what is allowed."""

from pathlib import Path

import pytest

from tests.conftest import TINY, run_in

CASES = {
    "an unknown key": ("depth: 2", "deep: 2", ["recipes.tiny.train.deep is unknown", "known: encoder, enlarge, base_channels, depth"]),
    "a missing key": ("      depth: 2\n", "", ["recipes.tiny.train.depth is missing", "a whole number ≥ 1 and ≤ 6"]),
    "no epochs": ("epochs: 2", "epochs: 0", ["recipes.tiny.train.epochs is 0", "a whole number ≥ 1"]),
    "a word for a number": ("depth: 2", "depth: two", ["recipes.tiny.train.depth is 'two'", "a whole number"]),
    "a wrong word": ("border: pet", "border: cat", ["recipes.tiny.train.border is 'cat'", "pet, background, ignored"]),
    "an odd size": ("image_size: 32", "image_size: 34", ["recipes.tiny.preprocess.image_size is 34", "depth 2: multiples of 4, such as 32 or 36"]),
    "another depth than the encoder's": ("encoder: plain", "encoder: efficientnet_lite0", ["recipes.tiny.train.depth is 2", "train.encoder efficientnet_lite0: 5"]),
    "photos enlarged for no pretrained encoder": ("enlarge: 1", "enlarge: 2", ["recipes.tiny.train.enlarge is 2", "train.encoder plain: 1"]),
    "photos enlarged too often": ("enlarge: 1", "enlarge: 3", ["recipes.tiny.train.enlarge is 3", "1, 2"]),
    "no such recipe": ("recipe: tiny", "recipe: tony", ["tony does not exist", "allowed: tiny, other"]),
    "no such source": ("source: demo", "source: moon", ["recipes.tiny.download.source is moon", "archives, demo"]),
    "a missing section": ("    report: {gallery: 4, frame_seconds: 0.5}\n", "", ["recipes.tiny.report is missing"]),
    "an unknown section": ("    evaluate: {", "    evalute: {", ["recipes.tiny.evalute is unknown"]),
    "not YAML": ("recipes:", "recipes: {", ["params.yaml is not YAML"]),
    "another source's key": ("source: demo, seed: 3", "source: demo, seeds: 3", ["recipes.tiny.download.seeds is unknown"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_check_params_tells_a_mistake_in_one_line(case: str, tmp_path: Path) -> None:
    old, new, expected = CASES[case]
    assert old in TINY
    (tmp_path / "params.yaml").write_text(TINY.replace(old, new, 1))
    output = run_in(tmp_path, "petseg", "check-params", fails=True)
    assert len(output.splitlines()) == 1
    assert output.startswith("error: params.yaml")
    assert "tiny" in output or case == "not YAML"
    for words in expected:
        assert words in output


def test_a_stage_itself_tells_a_wrong_parameter_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(TINY.replace("gallery: 4", "gallery: none"))
    output = run_in(tmp_path, "python", "-m", "stages.report", *"ampro", fails=True)
    assert output.splitlines() == [
        "error: params.yaml, recipe tiny: recipes.tiny.report.gallery is 'none'; allowed: a whole number ≥ 1 and ≤ 300"
    ]


def test_use_edits_the_first_line_alone_and_refuses_an_unknown_recipe(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(TINY)
    assert "now `recipe: other`" in run_in(tmp_path, "petseg", "use", "other")
    assert file.read_text() == TINY.replace("recipe: tiny", "recipe: other", 1)
    assert "active already" in run_in(tmp_path, "petseg", "use", "other")
    assert "nope does not exist; allowed: tiny, other" in run_in(
        tmp_path, "petseg", "use", "nope", fails=True
    )
    assert file.read_text() == TINY.replace("recipe: tiny", "recipe: other", 1)


def test_help_has_examples(tmp_path: Path) -> None:
    assert "petseg use oxford" in run_in(tmp_path, "petseg", "--help")
