"""A wrong parameter ends in one line that names the file, the key and what is allowed."""

from pathlib import Path

import pytest

from petseg import params
from tests.conftest import ROOT, TINY, run_in

CASES = {
    "an unknown key": ("depth: 2", "deep: 2", ["train.deep is unknown", "known: encoder, input_scale, base_channels, depth"]),
    "a missing key": ("  depth: 2\n", "", ["train.depth is missing", "a whole number ≥ 1 and ≤ 6"]),
    "no epochs": ("epochs: 2", "epochs: 0", ["train.epochs is 0", "a whole number ≥ 1"]),
    "a word for a number": ("depth: 2", "depth: two", ["train.depth is 'two'", "a whole number"]),
    "a wrong word": ("border: foreground", "border: cat", ["train.border is 'cat'", "foreground, background, ignored"]),
    "an odd size": ("image_size: 32", "image_size: 34", ["preprocess.image_size is 34", "depth 2: multiples of 4, such as 32 or 36"]),
    "another depth than the encoder's": ("encoder: plain", "encoder: efficientnet_lite0", ["train.depth is 2", "train.encoder efficientnet_lite0: 5"]),
    "photos enlarged for an encoder from scratch": ("input_scale: 1", "input_scale: 2", ["train.input_scale is 2", "train.encoder plain: 1"]),
    "a rate for pretrained weights that are not there": ("encoder_lr_multiplier: 1", "encoder_lr_multiplier: 0.1", ["train.encoder_lr_multiplier is 0.1", "train.encoder plain: 1"]),
    "photos enlarged too much": ("input_scale: 1", "input_scale: 3", ["train.input_scale is 3", "1, 2"]),
    "no such source": ("source: demo", "source: moon", ["download.source is moon", "archives, demo"]),
    "a missing section": ("report: {gallery: 4, frame_seconds: 0.5}\n", "", ["the section report is missing"]),
    "a misspelt section": ("evaluate: {", "evalute: {", ["the section evaluate is missing", "evalute is unknown"]),
    "not YAML": ("train:", "train: {", ["params.yaml is not YAML"]),
    "another source's key": ("source: demo, seed: 3", "source: demo, seeds: 3", ["download.seeds is unknown"]),
    "no recipe": ("recipe: tiny\n", "", ["the first line must be `recipe: NAME`"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_check_params_reports_a_mistake_in_one_line(case: str, tmp_path: Path) -> None:
    old, new, expected = CASES[case]
    assert old in TINY
    (tmp_path / "params.yaml").write_text(TINY.replace(old, new, 1))
    output = run_in(tmp_path, "petseg", "check-params", fails=True)
    assert len(output.splitlines()) == 1
    assert output.startswith("error: params.yaml")
    assert "tiny" in output or case in ("not YAML", "no recipe")
    for words in expected:
        assert words in output


def test_a_stage_itself_reports_a_wrong_parameter_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(TINY.replace("gallery: 4", "gallery: none"))
    command = params.read_yaml(ROOT / "dvc.yaml")["stages"]["report"]["cmd"]
    output = run_in(tmp_path, *command.split(), fails=True)
    assert output.splitlines() == [
        "error: params.yaml, recipe tiny: report.gallery is 'none'; allowed: a whole number ≥ 1 and ≤ 300"
    ]
