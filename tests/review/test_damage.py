"""Files of real results are lost, cut and garbled at random: the gate passes none, and nothing fails."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.workspace import commits
from petseg.errors import UserError
from petseg.params import parse_yaml
from petseg.review import compare, gate, headline, markdown, page, results
from petseg.review.agreement import LOCK, PARAMS, PIPELINE
from petseg.review.gate import GateResult
from petseg.review.headline import Outcome

Files = dict[str, bytes]
Damage = Callable[[random.Random, Files, str], bytes]
ROUNDS = 15
NO_RESULTS = (Outcome.NOT_RUN, Outcome.NO_VERDICT)


@pytest.fixture(scope="module")
def intact(finished: tuple[Path, str]) -> Files:
    """Return every file that a review of a finished run reads, with limits for the gate."""
    below = commits.files_below(finished[0])
    files: Files = {}

    def get(path: str) -> bytes | None:
        content = below(path)
        if content is not None:
            files[path] = content
        return content

    results.read("x", "", get)
    limits = b"gate: {iou: 0.01, dice: 0.01}\n"
    files[PARAMS] = files[PARAMS].replace(b"gate: {}\n", limits)
    assert limits in files[PARAMS]
    assert {LOCK, PIPELINE, "reports/per_image.csv", "petseg/training/fit.py"} <= files.keys()
    return files


def cut(rng: random.Random, files: Files, path: str) -> bytes:
    return files[path][: rng.randrange(len(files[path]) or 1)]


def another_file(rng: random.Random, files: Files, path: str) -> bytes:
    return files[rng.choice(sorted(files))]


def noise(rng: random.Random, files: Files, path: str) -> bytes:
    return rng.randbytes(rng.randrange(200))


def nothing_of_use(rng: random.Random, files: Files, path: str) -> bytes:
    texts = (
        "",
        "{}\n",
        "[]\n",
        "null\n",
        "stages: {}\n",
        "stages: []\n",
        "[" * 5000,
        "<html>",
        "a,b\n1\n",
    )
    return rng.choice(texts).encode()


def a_line_less(rng: random.Random, files: Files, path: str) -> bytes:
    lines = files[path].splitlines(keepends=True)
    if path != LOCK and lines:  # which has lines that say nothing more, such as `hash: md5`
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


DAMAGES: tuple[Damage, ...] = (cut, another_file, noise, nothing_of_use, a_line_less)


def damaged(rng: random.Random, intact: Files) -> Files:
    """Return the files with up to three of them lost or damaged."""
    files = dict(intact)
    often = [PARAMS, PIPELINE, LOCK, *(path for path in sorted(files) if "reports/" in path)]
    for path in rng.choices([*often * 3, *sorted(files)], k=rng.randrange(4)):
        if rng.random() < 1 / 5:
            files.pop(path, None)
        else:
            files[path] = rng.choice(DAMAGES)(rng, intact, path)
    return files


def meaning(files: Files) -> dict[str, Any]:
    """Return what the files say: of YAML its values, since these may be written in several ways."""
    said: dict[str, Any] = dict(files)
    for path in (PARAMS, PIPELINE):
        try:
            said[path] = parse_yaml(files[path], path)
        except (KeyError, UserError, ValueError, RecursionError):
            said[path] = None
    if isinstance(said[PIPELINE], dict):
        said[PIPELINE] = said[PIPELINE].get("stages")  # the plots are for `dvc plots` alone
    return said


@pytest.mark.parametrize("seed", range(4))
def test_the_gate_passes_only_what_agrees_and_says_why_of_the_rest(
    seed: int, intact: Files, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    whole, passed = results.read("side", "", intact.get), 0
    for number in range(ROUNDS):
        base_files, head_files = (
            damaged(rng, intact) if rng.random() < 2 / 3 else intact for _ in range(2)
        )
        base, head = (
            whole if files is intact else results.read("side", "", files.get)
            for files in (base_files, head_files)
        )
        review = compare.compare(base, head)
        decision, reason = gate.decide(review)
        agrees = meaning(base_files) == meaning(head_files) == meaning(intact)
        assert (decision is GateResult.PASSED) == agrees, reason
        if not agrees:
            assert decision is GateResult.CANNOT_TELL
            assert reason.startswith("cannot tell: ")
        if meaning(head_files) != meaning(intact) | {PARAMS: meaning(head_files)[PARAMS]}:
            assert headline.outcome(review) in NO_RESULTS
        assert markdown.markdown(review, lagging=False).startswith("**")
        if number == 0:
            page.write(tmp_path / "page.html", review, False, b"", "")
        passed += decision is GateResult.PASSED
    assert 0 < passed < ROUNDS


def test_lost_limits_in_head_are_for_the_next_change(intact: Files) -> None:
    head_files = intact | {PARAMS: intact[PARAMS].replace(b"iou: 0.01", b"iou: 0.02")}
    base, head = (results.read("x", "", files.get) for files in (intact, head_files))
    assert gate.decide(compare.compare(base, head))[0] is GateResult.PASSED
