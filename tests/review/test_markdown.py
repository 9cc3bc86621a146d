"""The comment on a pull request: its contents, and that texts from data stay texts."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from markdown_it import MarkdownIt

from petseg import markup
from petseg.review import compare, markdown, sections
from petseg.review.agreement import Fault
from petseg.review.results import Results
from tests.review.test_review import BASE, FEW_MISSED, MORE_MISSED, Six, photos, result, seeds

HOSTILE = (
    "a|b",
    "`code`",
    "<img src=x onerror=alert(1)>",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "@everyone",
    "http://evil.example",
    "two\nlines",
    "**bold** __init__ ~~gone~~ #1",
    "<!-- comment",
    "\\| \\",
    "\u202ereversed",
    "&lt;b&gt;",
)
GITHUB = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def comment(base: Results, head: Results) -> str:
    return markdown.markdown(compare.compare(base, head), lagging=False)


def test_a_commit_that_changes_nothing_has_no_section() -> None:
    text = comment(BASE, replace(BASE, label="head"))
    assert text.startswith("**No change: every test photo has the same counts, test IoU 0.9500")
    assert "###" not in text


def test_a_fall_has_its_interval_its_photos_and_its_slices() -> None:
    text = comment(BASE, result("head", photos(MORE_MISSED)))
    assert text.startswith("**Worse: test IoU 0.9500 → 0.8400 (−0.1100, 95 % interval −0.11")
    assert "over 30 photos)" in text.splitlines()[0]
    assert "was not measured on base" in text
    titles = re.findall("^### (.*)$", text, flags=re.MULTILINE)
    assert titles == ["Metrics", "Photos that got worse", "Groups of photos"]
    assert text.count("`Smoke_") == 10


def test_a_measured_seed_noise_is_stated_and_that_of_another_training_is_marked() -> None:
    text = comment(
        replace(BASE, seeds=seeds(0.94, 0.95, 0.96, trained_from="another")),
        result("head", photos(MORE_MISSED)),
    )
    assert "other seeds alone change IoU by up to 0.0608 in 19 of 20 cases" in text
    assert "measured with other code, data or parameters than base" in text
    assert "±0.0608" in text


def test_another_recipe_is_side_by_side_without_a_verdict() -> None:
    text = comment(BASE, result("head", photos(MORE_MISSED), recipe="other"))
    assert text.startswith("**No verdict: base has recipe demo, head has other.**")
    assert "| `iou`" in text
    assert "verdict   |" not in text
    assert "interval" not in text
    assert re.search(r"\| `recipe` +\| `demo` +\| `other` +\|", text)


def test_a_base_without_metrics_shows_those_of_head() -> None:
    text = comment(result("base", {}), result("head", photos(FEW_MISSED)))
    assert "base has no reports/metrics.json" in text
    assert "only in head" in text


def test_what_a_reviewer_needs_stands_before_the_fold() -> None:
    def lock(digest: str, epochs: int) -> dict[str, Any]:
        params = {"params.yaml": {"train": {"epochs": epochs}}}
        deps = [{"path": path, "md5": digest} for path in ("a.py", "data/arrays")]
        return {
            "preprocess": {"cmd": "p", "outs": [{"path": "data/arrays", "md5": digest}]},
            "train": {"cmd": "t", "params": params, "deps": deps},
        }

    base, head = (
        replace(
            result(label, {**photos(missed), **photos(FEW_MISSED, "other")}),
            params={"recipe": "demo", "train": {"epochs": epochs}, "gate": {"iou": 0.01}},
            stages=lock(digest, epochs),
        )
        for label, missed, digest, epochs in (
            ("base", FEW_MISSED, "1", 5),
            ("head", MORE_MISSED, "2", 6),
        )
    )
    text, _, rest = comment(base, head).partition(markdown.FOLD)
    headline, changed, *sentences = text.strip().split("\n\n")
    assert headline.startswith("**Worse: test IoU 0.9500 → 0.8950")
    assert changed == "Changed: train.epochs 5 → 6; code: a.py."
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert 1 < len(rows) <= 6
    assert rows[0].startswith("| `iou`")
    assert "Clearly worse: breed Smoke −0.1100, species cat −0.0550." in sentences
    assert sentences[-1].startswith("Base: base, recipe demo.")
    assert len(text) < 2500
    titles = re.findall("^### (.*)$", rest, flags=re.MULTILINE)
    assert titles == [
        *("Metrics", "Photos that got worse", "Groups of photos", "Parameters", "Stages that ran")
    ]


def test_curves_are_bars_on_one_scale_with_the_last_value() -> None:
    base, head = (
        [{"epoch": str(n), "loss": str(value)} for n, value in enumerate(values)]
        for values in ((0.8, 0.4, 0.0), (0.8, 0.8))
    )
    text = comment(replace(BASE, history=base), replace(BASE, label="head", history=head))
    assert re.search(r"\| `loss` +\| `█▅▁ 0.0000` +\| `██ 0.8000` +\|", text)
    long = sections.sparkline([float(n) for n in range(1000)], 0, 999)
    assert len(long) == sections.CURVE_POINTS + len(" 999.0000")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_data_is_shown_and_does_nothing(name: str) -> None:
    base = result("base", photos(FEW_MISSED) | {name: (90, 10, 0, 0, 0, 100)})
    head = result("head", photos(FEW_MISSED) | {name: (10, 90, 0, 0, 0, 100)})
    text = comment(base, head)
    html = GITHUB.render(text)
    code_cells = re.findall(r"<td><code>(.*?)</code></td>", html)
    assert markup.shorten(name) in [
        cell.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
        for cell in code_cells
    ]
    assert set(re.findall(r"<(\w+)", html)) <= {
        *("p", "strong", "h3", "table", "thead", "tbody", "tr", "th", "td", "code"),
        *("details", "summary"),
    }
    assert "@" not in re.sub(r"<code>.*?</code>", "", html)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_cell_of_the_model_card_with_a_name_from_data_is_one_cell_of_text(name: str) -> None:
    html = GITHUB.render(f"| slice |\n|---|\n| {markup.table_cell(name)} |\n")
    (cell,) = re.findall(r"<td>(.*?)</td>", html)
    assert unescape(cell) == " ".join(name.split())
    assert set(re.findall(r"<(\w+)", html)) <= {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_sentence_with_a_text_from_a_commit_does_nothing_with_it(name: str) -> None:
    stale = replace(BASE, label="head", faults=(Fault(f"{name} changed after train ran"),))
    html = GITHUB.render(comment(BASE, stale))
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "strong", "code"}
    assert html.count("<code>") == 1  # that of the project's own command
    assert not re.search(r"@\w|#\d", html)


def test_the_comment_stays_short_whatever_the_size_of_the_change() -> None:
    markup_text = "|<`" * 40
    many: dict[str, Six] = {
        f"{markup_text}{n}_{k}": (100 - k, k, 0, 0, 0, 100) for n in range(300) for k in range(10)
    }
    base = result("base", many)
    head = result("head", dict.fromkeys(many, (50, 50, 0, 0, 0, 100)))
    params = {"recipes": {"demo": {"train": {f"{markup_text}{n}": 1 for n in range(5000)}}}}
    stages = {
        f"{markup_text}{n}": {"deps": [{"path": markup_text * 9, "md5": "1"}]} for n in range(500)
    }
    faults = tuple(Fault(f"{markup_text * 9}{n}") for n in range(5000))
    text = comment(base, replace(head, params=params, stages=stages, faults=faults))
    assert len(text) < markdown.MAX_COMMENT
    clear = comment(base, replace(head, params=params, stages=stages))
    for comments in (text, clear):
        assert len(comments.partition(markdown.FOLD)[0]) <= markdown.MAX_FIRST + 2
        assert comments.endswith(f"{markdown.FOLD_END}\n")


def test_nan_never_appears() -> None:
    base = replace(BASE, metrics={})
    for old, new in ((base, BASE), (BASE, base), (result("a", {}), result("b", {}))):
        assert "nan" not in comment(old, new).lower()
    empty = result("empty", {"x": (0, 0, 0, 0, 0, 9)})
    assert "nan" not in comment(empty, replace(empty, label="head")).lower()
