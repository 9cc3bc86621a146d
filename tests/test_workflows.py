"""The steps of the CI workflows that can run without GitHub; a script stands in for its `gh`."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from petseg.review import compare, markdown
from tests.conftest import ROOT
from tests.review.test_review import FEW_MISSED, MORE_MISSED, photos, result

# It stands in for GitHub's command: gives the artifact, answers two requests, and logs its calls.
GH = """#!/usr/bin/env bash
echo "$*" >> calls
case "$*" in
    "run download"*) cp -rP uploaded artifact ;;
    "pr list"*) echo 12 ;;
    "api --paginate"*) cat comments ;;
esac
"""
OWN = {"RUN": "7", "HEAD": "abc", "GH_REPO": "o/r", "GITHUB_SERVER_URL": "https://host"}
HOSTILE = """**Worse: test IoU**

<img src=x onerror=alert(1)> @everyone [click](http://evil.example) ![x](//evil.example/x.png)
<!-- petseg review --> `code` | a | b |
"""


def read_workflow(name: str) -> dict[str, Any]:
    """Return a workflow as GitHub reads it."""
    document: dict[str, Any] = YAML(typ="safe").load(ROOT / f".github/workflows/{name}.yml")
    return document


def script(workflow: str, prefix: str) -> tuple[str, dict[str, Any]]:
    """Return the script of the step whose name begins so, and its job's environment."""
    (job,) = read_workflow(workflow)["jobs"].values()
    (text,) = [step["run"] for step in job["steps"] if step["name"].startswith(prefix)]
    return text, job["env"]


def run(folder: Path, workflow: str, step: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does, with the script above as `gh`."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/gh").write_text(GH)
    (folder / "bin/gh").chmod(0o755)
    text, environment = script(workflow, step)
    constants = {name: value for name, value in environment.items() if "${{" not in value}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"} | constants | values,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda p: p.stem
)
def test_every_script_is_one_that_bash_can_read(path: Path) -> None:
    document = YAML(typ="safe").load(path)
    scripts = [
        step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step
    ]
    assert scripts
    for text in scripts:
        assert "${{" not in text  # GitHub would paste a value into the shell
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_posted_text_has_no_html_no_link_no_picture_and_no_mention(tmp_path: Path) -> None:
    (tmp_path / "uploaded").mkdir()
    (tmp_path / "uploaded/comment.md").write_text(HOSTILE + "…<" * 100_000)
    done = run(tmp_path, "comment", "Take the text", **OWN)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == "run download 7 --name review --dir artifact\n"
    mark, _, body = (tmp_path / "body.md").read_text().partition("\n")
    assert mark == "<!-- petseg review -->"
    body, _, links = body.rpartition("\n\n")
    assert len(body) <= 60_000
    own = MarkdownIt("gfm-like", {"linkify": False}).render(links)
    assert re.findall('href="(.*?)"', own) == [
        "https://host/o/r/blob/abc/params.yaml",
        "https://host/o/r/blob/abc/dvc.lock",
        "https://host/o/r/blob/abc/reports/metrics.json",
        "https://host/o/r/actions/runs/7",
    ]
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(body)
    assert not [tag for tag in ("<img", "<a ", "<!--") if tag in html]
    assert "<strong>Worse: test IoU</strong>" in html
    assert "@everyone" not in html


def test_the_posted_review_folds_what_the_review_folds(tmp_path: Path) -> None:
    (tmp_path / "uploaded").mkdir()
    base = result("base", photos(FEW_MISSED) | {"a|`b": (90, 10, 0, 0, 0, 100)})
    head = result("head", photos(MORE_MISSED) | {"a|`b": (10, 90, 0, 0, 0, 100)})
    text = markdown.markdown(compare.compare(base, head), lagging=False)
    (tmp_path / "uploaded/comment.md").write_text(text)
    assert run(tmp_path, "comment", "Take the text", **OWN).returncode == 0
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(
        (tmp_path / "body.md").read_text()
    )
    assert html.count("<details><summary>Everything else</summary>") == 1
    assert html.count("</details>") == 1
    before, _, rest = html.partition("<details>")
    assert before.count("<table>") == 1
    assert rest.count("<table>") == 3
    assert "<td><code>a|`b</code></td>" in rest


def test_a_link_in_place_of_the_comment_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token")
    (tmp_path / "uploaded").mkdir()
    (tmp_path / "uploaded/comment.md").symlink_to(tmp_path / "secret")
    assert run(tmp_path, "comment", "Take the text", **OWN).returncode != 0
    assert (tmp_path / "artifact/comment.md").read_text() == "token"  # the download kept the link
    assert not (tmp_path / "body.md").exists()


@pytest.mark.parametrize(
    ("comments", "call"),
    [
        ("", "api --silent repos/o/r/issues/12/comments --field body=@body.md"),
        ("34\n", "api --silent --method PATCH repos/o/r/issues/comments/34 --field body=@body.md"),
    ],
)
def test_the_comment_is_posted_once_and_then_put_in_place_of_the_last(
    tmp_path: Path, comments: str, call: str
) -> None:
    (tmp_path / "comments").write_text(comments)
    done = run(tmp_path, "comment", "Post it", GH_REPO="o/r", HEAD="abc")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().splitlines()[-1] == call


def test_actions_are_pinned_by_commit() -> None:
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        for line in path.read_text().splitlines():
            if "uses:" in line:
                assert len(line.partition("@")[2].split()[0]) == 40, line


@pytest.mark.parametrize("name", ["review", "test"])
def test_a_workflow_that_runs_code_of_a_pull_request_knows_no_secret(name: str) -> None:
    document = read_workflow(name)
    assert document["permissions"] == {}
    assert [job["permissions"] for job in document["jobs"].values()] == [{"contents": "read"}]
    assert "secrets" not in json.dumps(document)
    assert "token" not in json.dumps(document)
    checkouts = [
        step["with"]["persist-credentials"]
        for job in document["jobs"].values()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts == [False]


def test_lint_and_tests_run_for_pull_requests_and_main_on_the_oldest_and_newest_python() -> None:
    document = read_workflow("test")
    assert document["on"] == {"pull_request": None, "push": {"branches": ["main"]}}
    (job,) = document["jobs"].values()
    assert [step["run"] for step in job["steps"][-3:]] == ["make install", "make lint", "make test"]
    oldest, newest = job["strategy"]["matrix"]["python"]
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    major, minor = newest.split(".")
    assert supported == f">={oldest},<{major}.{int(minor) + 1}"
