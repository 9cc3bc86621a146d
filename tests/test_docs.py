"""The documentation shows only commands, options, links and anchors that exist."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from petseg.evaluation.metrics import METRICS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
GROUPS = {
    ("petseg", "recipes"): {"save"},
    ("dvc", "exp"): {"run", "show"},
    ("dvc", "remote"): {"add"},
    ("dvc", "cache"): {"dir"},
    ("dvc", "metrics"): {"show", "diff"},
    ("dvc", "params"): {"diff"},
    ("dvc", "plots"): {"show"},
}


def without_fences(text: str) -> str:
    """Return the text of a page without its fenced blocks."""
    return FENCE.sub("", text)


def command_lines(text: str) -> list[str]:
    """Return the commands of a page: in a block with `$ ` lines, only these are commands."""
    commands = []
    for language, block in FENCE.findall(text):
        if language not in {"", "sh", "bash", "console"}:
            continue
        lines = block.splitlines()
        prompts = [line[2:] for line in lines if line.startswith("$ ")]
        for line in prompts or lines:
            commands += re.split(r"&&|\|", line)
    return [re.split(r"\s+#", command)[0].strip() for command in commands]


def checked_commands() -> list[str]:
    """Return each command of the pages whose program this module can check, once."""
    lines = [line for page in PAGES for line in command_lines(page.read_text())]
    pattern = r"(petseg|make|dvc|python -m|python benchmarks/\S+)( |$)"
    return sorted({line for line in lines if re.match(pattern, line)})


@cache
def help_text(*command: str) -> str:
    """Return what a command's `--help` prints, which must succeed."""
    program = Path(sys.executable).with_name(command[0])
    arguments = [sys.executable if command[0] == "python" else str(program), *command[1:]]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    process = subprocess.run(
        [*arguments, "--help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, f"{' '.join(command)}: {process.stdout}{process.stderr}"
    return process.stdout


def base_command(words: list[str]) -> list[str]:
    """Return the program with its subcommands: the part of a command that has its own help."""
    if words[0] == "python":
        return words[:3] if words[1] == "-m" else words[:2]
    if len(words) < 2 or words[1].startswith("-"):
        return words[:1]
    group = GROUPS.get((words[0], words[1]), set())
    return words[:3] if len(words) > 2 and words[2] in group else words[:2]


def check_make(words: list[str]) -> None:
    """Assert that the Makefile has every target and every variable of a `make` command."""
    makefile = (ROOT / "Makefile").read_text()
    for word in words[1:]:
        name, is_variable, _ = word.partition("=")
        pattern = rf"^{name} \?=" if is_variable else rf"^{name}:"
        assert re.search(pattern, makefile, re.MULTILINE), f"Makefile has no {name}"


def check_command(line: str) -> None:
    """Assert that the subcommand and the options of a command exist."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        check_make(words)
        return
    command = base_command(words)
    text = help_text(*command)
    for word in words[len(command) :]:
        option = word.partition("=")[0]
        if option.startswith("-") and option != "-":
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), f"{command} has no {option}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(without_fences(page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_commands_are_read_without_their_output_and_comments() -> None:
    text = "```\n$ petseg plan  # why\nstage\n```\n```yaml\na: 1\n```\n```\nmake install && dvc pull\n```\n"
    assert command_lines(text) == ["petseg plan", "make install", "dvc pull"]


@pytest.mark.parametrize("line", checked_commands())
def test_a_command_of_the_documentation_exists_with_its_options(line: str) -> None:
    check_command(line)


@pytest.mark.parametrize(
    "line", ["petseg plan --jsn", "petseg rum", "make rnu", "dvc repro --frce"]
)
def test_a_wrong_command_or_option_fails_the_check(line: str) -> None:
    with pytest.raises(AssertionError):
        check_command(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(without_fences(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    links = set(LINK.findall(PAGES[0].read_text()))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= links


def test_the_readme_is_short() -> None:
    text = PAGES[0].read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1200


def files_in_tree(block: str) -> set[str]:
    """Return the Python files of a tree whose folders end with a slash."""
    folders: dict[int, str] = {}
    files = set()
    for line in block.splitlines():
        depth, name = len(line) - len(line.lstrip()), line.split()[0] if line.strip() else ""
        folder = folders.get(depth - 2, "")
        if name.endswith("/"):
            folders[depth] = folder + name
        elif name.endswith(".py"):
            files.add(folder + name)
    return files


def test_the_architecture_page_lists_every_module() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    tree = next(block for _, block in FENCE.findall(page) if "petseg/\n" in block)
    modules = {
        path.relative_to(ROOT).as_posix()
        for layer in ("petseg", "stages", "flows")
        for path in (ROOT / layer).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert files_in_tree(tree) == modules


def test_the_page_about_metrics_shows_the_registry() -> None:
    page = (ROOT / "docs/metrics.md").read_text()
    rows = [
        f"| `{m.key}` | {m.title} | {m.formula.replace('|', chr(92) + '|')} | {m.direction} | {m.explanation} |"
        for m in METRICS.values()
    ]
    assert "\n".join(rows) in page
