"""The command line: its help, its examples, its exit codes and its shell completion."""

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest

from flows.cli import app
from tests.conftest import ENVIRONMENT, run_in

COMMANDS = {
    path.partition(":")[2].rstrip("_").replace("_", "-"): cleandoc(examples).splitlines()
    for group in app.COMMANDS.values()
    for path, examples in group.items()
}
HELP_PAGES = {name: [name, "--help"] for name in COMMANDS} | {
    "petseg": ["--help"],
    "--install-completion": ["--install-completion", "--help"],
}
SLOW = {"tensorflow", "keras", "prefect", "dvc", "matplotlib", "numpy", "pydantic"}


def outcome(folder: Path, *command: str) -> tuple[int, str, str]:
    """Run a command in a folder; return its exit code, its stdout and its stderr."""
    result = subprocess.run(
        command, cwd=folder, env=os.environ | ENVIRONMENT, capture_output=True, text=True
    )
    return result.returncode, result.stdout, result.stderr


def parsed(*args: str) -> tuple[str, dict[str, Any]]:
    """Return the function that a command line calls, and the arguments that are not defaults."""
    function, bound, _ = app.build_app().parse_args(args, print_error=False, exit_on_error=False)
    return function.__name__, dict(bound.arguments)


def test_the_help_names_every_command_in_a_sentence_and_has_examples(tmp_path: Path) -> None:
    text = run_in(tmp_path, "petseg", "--help")
    for name, examples in COMMANDS.items():
        assert re.search(rf"^│ {name} +[A-Z].*[.,\w] +│$", text, flags=re.MULTILINE)
        assert all(f"  {example}\n" in text for example in examples[:1])
    assert "--install-completion" in text
    assert "--version" in text


@pytest.mark.parametrize("page", HELP_PAGES)
def test_a_help_page_is_plain_text_of_80_columns_and_imports_nothing_slow(
    page: str, tmp_path: Path
) -> None:
    script = "from flows.cli.app import main; main()"
    command = (sys.executable, "-X", "importtime", "-c", script, *HELP_PAGES[page])
    code, text, imports = outcome(tmp_path, *command)
    assert code == 0
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    for example in COMMANDS.get(page, []):
        assert f"  {example}\n" in text
    packages = {line.rsplit("|")[-1].strip().partition(".")[0] for line in imports.splitlines()}
    assert "cyclopts" in packages
    assert not packages & SLOW


def test_the_help_takes_less_than_a_third_of_a_second_of_the_processor(tmp_path: Path) -> None:
    def processor_seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    seconds = []
    for _ in range(3):
        before = processor_seconds()
        run_in(tmp_path, "petseg", "--help")
        seconds.append(processor_seconds() - before)
    assert min(seconds) < 0.3


@pytest.mark.parametrize("example", [line for lines in COMMANDS.values() for line in lines])
def test_every_example_is_a_command_line_that_is_accepted(example: str) -> None:
    program, name, *args = shlex.split(example, comments=True)
    assert program == "petseg"
    assert parsed(name, *args)[0].rstrip("_") == name.replace("-", "_")


@pytest.mark.parametrize(
    ("line", "function", "arguments"),
    [
        ("plan", "plan", {}),
        ("plan --json train report", "plan", {"stage": ("train", "report"), "json": True}),
        ("plan train --force", "plan", {"stage": ("train",), "force": True}),
        (
            "run --force train --recipe=oxford --propose",
            "run",
            {"stage": ("train",), "recipe": "oxford", "force": True, "propose": True},
        ),
        (
            "serve --cron '* * * * *' --timezone Asia/Tokyo --recipe tiny --force --propose",
            "serve",
            {
                "cron": "* * * * *",
                "timezone": "Asia/Tokyo",
                "recipe": "tiny",
                "force": True,
                "propose": True,
            },
        ),
        (
            "labels review a b --no-browser",
            "review",
            {"names": ("a", "b"), "no_browser": True},
        ),
        ("review main", "review", {"base": "main"}),
        (
            "review --html page.html v1 v2",
            "review",
            {"base": "v1", "head": "v2", "html": Path("page.html")},
        ),
        ("gate HEAD~1 @{u}", "gate", {"base": "HEAD~1", "head": "@{u}"}),
        ("power", "power", {}),
        (
            "power main --difference 0.01",
            "power",
            {"base": "main", "difference": 0.01},
        ),
        ("seeds -n 3", "seeds", {"count": 3}),
        ("seeds -n3", "seeds", {"count": 3}),
        ("check-params --recipe oxford", "check_params", {"recipe": "oxford"}),
        ("use oxford", "use", {"recipe": "oxford"}),
        ("predict cat.jpg", "predict", {"photo": ("cat.jpg",)}),
        (
            "predict - in/ --kind mask --kind cutout --format=webp --model m.onnx --json",
            "predict",
            {
                "photo": ("-", "in/"),
                "kinds": ("mask", "cutout"),
                "file_format": "webp",
                "model": Path("m.onnx"),
                "json": True,
            },
        ),
        (
            "predict --list - --out out --doubtful 0.8 --shard 3/64 --overwrite",
            "predict",
            {
                "list_file": "-",
                "out": Path("out"),
                "doubtful": 0.8,
                "shard": "3/64",
                "overwrite": True,
            },
        ),
    ],
)
def test_options_and_arguments_reach_their_command(
    line: str, function: str, arguments: dict[str, Any]
) -> None:
    assert parsed(*shlex.split(line)) == (function, arguments)


WRONG = {
    "": "Usage: petseg COMMAND",
    "trian": "error: trian is unknown; commands: check-params, use, recipes, check, labels, plan, run, serve, predict, try, review, gate",
    "--recipes": "error: --recipes is unknown; options: --help, -h, --version",
    "plan --jsn": "error: --jsn is unknown; options: --json, --force, --help; see `petseg plan --help`",
    "use": "error: a value for RECIPE is missing; see `petseg use --help`",
    "serve": "error: a value for --cron is missing; see `petseg serve --help`",
    "run --recipe": "error: a value for --recipe is missing; see `petseg run --help`",
    "gate a b c": "error: too many arguments: c; see `petseg gate --help`",
    "predict cat.jpg --outt x": "error: --outt is unknown",
    "predict cat.jpg --kind masks": "error: Invalid value \"masks\" for --kind. Choose from: ",
    "seeds -n five": "error: Invalid value for -n: unable to convert \"five\" into int; see `petseg seeds --help`",
}  # fmt: skip


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_exits_with_2_and_says_what_is_allowed(
    line: str, tmp_path: Path
) -> None:
    code, out, err = outcome(tmp_path, "petseg", *line.split())
    assert (code, out) == (2, "")
    assert err.startswith(WRONG[line])
    assert len(err.splitlines()) == 1 or not line
    assert "\x1b" not in err


def test_an_error_of_the_user_exits_with_1_in_one_line_without_a_traceback(tmp_path: Path) -> None:
    code, out, err = outcome(tmp_path, "petseg", "check-params")
    assert (code, out) == (1, "")
    assert err == "error: params.yaml is missing here; run from the project's folder\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_interrupted_exits_with_the_code_of_its_signal(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    pipe = tmp_path / "params.yaml"
    os.mkfifo(pipe)  # The command waits in the middle of its work: nobody writes to this file.
    with subprocess.Popen(
        ["petseg", "check-params"],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        writer = until(lambda: open_for_writing(pipe), process)
        process.send_signal(number)
        os.close(writer)  # A read that begins just after the signal would otherwise never end.
        assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == code


def open_for_writing(pipe: Path) -> int:
    """Return a descriptor of a named pipe, once another process reads it; 0 before."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


def until(attempt: Callable[[], int], process: subprocess.Popen[str]) -> int:
    """Return the first result that is not 0, as long as a process runs."""
    while not (result := attempt()):
        assert process.poll() is None
        time.sleep(0.05)
    return result


def test_the_version_is_that_of_the_installed_package(tmp_path: Path) -> None:
    assert re.fullmatch(r"petseg \d+\.\d+\.\d+\n", run_in(tmp_path, "petseg", "--version"))


def test_prefect_does_not_report_the_use_unless_the_environment_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import os
from flows.cli.app import main
try:
    main(["--version"])
finally:
    print(os.environ["DO_NOT_TRACK"])
"""
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    assert run_in(tmp_path, "python", "-c", script).endswith("\n1\n")
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    assert run_in(tmp_path, "python", "-c", script).endswith("\n0\n")


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", ".local/share/bash-completion/completions/petseg"),
        ("zsh", ".zsh/completions/_cyclopts_petseg"),
        ("fish", ".config/fish/completions/petseg.fish"),
    ],
)
def test_completion_is_installed_for_a_shell_and_knows_every_command(
    shell: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_home(tmp_path, monkeypatch)
    assert script in run_in(tmp_path, "petseg", "--install-completion", "--shell", shell)
    text = (tmp_path / script).read_text()
    for word in (*COMMANDS, "recipe", "propose", "timezone", "html", "json"):
        assert re.search(rf"\b{word}\b", text)


def test_bash_completes_commands_options_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_home(tmp_path, monkeypatch)
    run_in(tmp_path, "bash", "-c", "petseg --install-completion; exit $?")
    (tmp_path / "page.html").touch()

    def completions(*line: str) -> set[str]:
        words = " ".join(f"'{word}'" for word in line)
        fill = f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _petseg"
        return set(
            run_in(tmp_path, "bash", "-c", f". .bashrc; {fill}; echo ${{COMPREPLY[*]}}").split()
        )

    assert completions("petseg", "") == set(COMMANDS)
    assert completions("petseg", "se") == {"serve", "seeds"}
    assert completions("petseg", "run", "--pro") == {"--propose"}
    assert completions("petseg", "predict", "--do") == {"--doubtful"}
    assert completions("petseg", "review", "main", "--html", "pa") == {"page.html"}


def set_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a folder the home of the commands that a test runs, without oh-my-zsh."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("ZSH", raising=False)
    monkeypatch.delenv("ZSH_CUSTOM", raising=False)
