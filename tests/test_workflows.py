"""The steps of the CI workflows that can run here; GitHub itself, asked through `gh`, cannot."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from tests.conftest import ROOT

# stands in for GitHub: gives the artifact, answers by what it is asked for, and notes each call
GH = """#!/usr/bin/env bash
echo "$*" >> calls
case "$*" in
    "run download"*) cp -rP given artifact ;;
    "pr list"*) echo 12 ;;
    "api --paginate"*) cat comments ;;
esac
"""
HOSTILE = """**Worse: test IoU**

<img src=x onerror=alert(1)> @everyone [click](http://evil.example) ![x](//evil.example/x.png)
<!-- petseg review --> `code` | a | b |
"""


def script(workflow: str, step: str) -> tuple[str, dict[str, Any]]:
    """Return a step's script and its job's environment."""
    document = YAML(typ="safe").load(ROOT / f".github/workflows/{workflow}.yml")
    (job,) = document["jobs"].values()
    (found,) = [each["run"] for each in job["steps"] if each["name"].startswith(step)]
    return found, job["env"]


def run(folder: Path, workflow: str, step: str, **values: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub does, with `gh` from above."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/gh").write_text(GH)
    (folder / "bin/gh").chmod(0o755)
    text, environment = script(workflow, step)
    given = {name: value for name, value in environment.items() if "${{" not in value} | values
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"} | given,
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
        assert "${{" not in text  # nothing is put into a shell by GitHub
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_posted_text_has_no_html_no_link_no_picture_and_no_mention(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/comment.md").write_text(HOSTILE + "…<" * 100_000)
    done = run(tmp_path, "comment", "Take the text", RUN="7")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == "run download 7 --name review --dir artifact\n"
    mark, _, body = (tmp_path / "body.md").read_text().partition("\n")
    assert mark == "<!-- petseg review -->"
    assert len(body) == 60_000
    html = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(body)
    assert not [tag for tag in ("<img", "<a ", "<!--") if tag in html]
    assert "<strong>Worse: test IoU</strong>" in html
    assert "@everyone" not in html


def test_a_link_in_place_of_the_comment_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token")
    (tmp_path / "given").mkdir()
    (tmp_path / "given/comment.md").symlink_to(tmp_path / "secret")
    assert run(tmp_path, "comment", "Take the text", RUN="7").returncode != 0
    assert (tmp_path / "artifact/comment.md").read_text() == "token"  # it got there
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


def test_actions_are_pinned_by_commit_and_the_pull_requests_run_knows_no_secret() -> None:
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        for line in path.read_text().splitlines():
            if "uses:" in line:
                assert len(line.partition("@")[2].split()[0]) == 40, line
    document = YAML(typ="safe").load(ROOT / ".github/workflows/review.yml")
    assert document["permissions"] == {}
    assert [job["permissions"] for job in document["jobs"].values()] == [{"contents": "read"}]
    assert "secrets" not in json.dumps(document)
    assert "token" not in json.dumps(document)
