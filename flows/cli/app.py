"""The command line `petseg`: its commands, their examples, its errors and exit codes."""

# `petseg --help` answers in a tenth of a second: the file of a command is imported only when the
# command or its help is needed, and a command imports DVC, Prefect and the like in its function.

import os
import re
import sys
from collections.abc import Iterable, Sequence
from inspect import cleandoc

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter, ValidationError
from cyclopts.exceptions import UnknownCommandError, UnknownOptionError, UnusedCliTokensError

from petseg import command
from petseg.errors import UserError

WRONG_COMMAND_LINE = 2
EXTRAS = ("web", "pipeline")  # of the package, the smaller one first

# The groups of commands as `petseg --help` lists them: for each command the function that it calls,
# and its examples. The first example of each also stands in `petseg --help`. A line with more than
# 80 characters would be broken there. A command with commands of its own is an `App` that sets its
# own `help_epilogue`, and has no examples in this table.
COMMANDS = {
    "Recipes": {
        "flows.cli.recipe:check_params": """
            petseg check-params                   # params.yaml, before a long run
            petseg check-params --recipe oxford   # another recipe
            """,
        "flows.cli.recipe:use": """
            petseg use oxford                     # write params.yaml from a recipe
            petseg use demo --discard             # and drop edits that are in no recipe
            """,
        "flows.cli.recipe:recipes": "",  # it has commands of its own, and its examples too
    },
    "The pipeline": {
        "flows.cli.check:check": """
            petseg check data/own                 # what is wrong, what would be used
            petseg check --html page.html         # and a page of photos with masks
            petseg check photos --recipe own      # by the parameters of a recipe
            """,
        "flows.cli.labels:labels": "",  # as recipes
        "flows.cli.run:plan": """
            petseg plan                           # what a run would do, and why
            petseg plan evaluate                  # one stage, with the stages it needs
            petseg plan --json                    # for programs, with every reason
            """,
        "flows.cli.run:run": """
            petseg run                            # run what changed
            petseg run train                      # one stage, with the stages it needs
            petseg run --recipe oxford --propose  # commit the result to a branch
            """,
        "flows.cli.run:serve": """
            petseg serve --cron "0 3 * * 1"       # run every Monday at three, UTC
            petseg serve --cron "0 3 * * 1" --timezone Europe/Berlin --propose
            """,
    },
    "Masks": {
        "flows.cli.predict:predict": """
            petseg predict photo.jpg              # photo.mask.png beside it
            petseg predict photos/ --out masks/ --kind cutout --kind overlay
            petseg predict photos/ --out masks/ --watch  # until Ctrl-C
            petseg predict - < in.jpg > out.png   # standard input and output
            """,
        "flows.cli.web:try_": """
            petseg try                            # http://127.0.0.1:8808
            petseg try --port 9000 --model other.onnx
            petseg try --host 0.0.0.0             # for other machines, too
            """,
    },
    "Changes": {
        "flows.cli.review:review": """
            petseg review main                    # main against the working tree
            petseg review v1 v2 --html page.html  # two commits; a page with pictures
            """,
        "flows.cli.review:gate": """
            petseg gate main                      # exit code 0, 3 or 4
            petseg gate main HEAD                 # main against the last commit
            """,
        "flows.cli.review:power": """
            petseg power                          # what difference photos can tell
            petseg power main --difference 0.002  # by main's model and this one
            """,
        "flows.cli.review:seeds": """
            petseg seeds -n 5                     # how far a new seed moves the metrics
            """,
    },
}
COMPLETION_EXAMPLES = """
    petseg --install-completion              # for the shell that you are in
    petseg --install-completion --shell zsh  # for another shell
    """


def build_app() -> App:
    """Return the command line with all its commands, none of them imported yet."""
    app = App(
        "petseg",
        help="Train a model that separates pets from background; review every change.",
        help_format="plaintext",
        help_epilogue=as_epilogue(
            line
            for group in COMMANDS.values()
            for examples in group.values()
            for line in cleandoc(examples).splitlines()[:1]
        ),
        version=version,
        group_commands=Group("Options", sort_key=len(COMMANDS)),
        default_parameter=Parameter(negative=(), show_default=False),
    )
    for number, (title, commands) in enumerate(COMMANDS.items()):
        group = Group(title, sort_key=number)
        for position, (path, examples) in enumerate(commands.items()):
            lines = cleandoc(examples).splitlines()
            options = {"help_epilogue": as_epilogue(lines)} if lines else {}
            app.command(path, group=group, sort_key=position, **options)
    app.register_install_completion_command(
        help="Let the Tab key complete commands and options in bash, zsh, fish or PowerShell.",
        help_epilogue=as_epilogue(cleandoc(COMPLETION_EXAMPLES).splitlines()),
    )
    return app


def as_epilogue(examples: Iterable[str]) -> str:
    """Return the end of a help text, which shows examples."""
    return "\n  ".join(["Examples:", *examples])


def version() -> str:
    """Return the program's name and the version of the installed package."""
    from importlib import metadata

    return f"petseg {metadata.version('petseg')}"


def explain(error: CycloptsError) -> str:
    """Return in one line what is wrong with a command line, what is allowed, and where to look."""
    if isinstance(error, UnknownCommandError) and error.app and error.unused_tokens:
        name = error.unused_tokens[0]
        is_option = name.startswith("-")
        names = [n for n in error.app if n.startswith("-") == is_option]
        fault = f"{name} is unknown; {'options' if is_option else 'commands'}: {', '.join(names)}"
    elif isinstance(error, UnknownOptionError):
        names = [n for a in error.argument_collection for n in a.names if n.startswith("-")]
        name = error.token.keyword or error.token.value
        fault = f"{name} is unknown; options: {', '.join([*names, '--help'])}"
    elif isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        fault = f"too many arguments: {' '.join(error.unused_tokens)}"
    elif isinstance(error, MissingArgumentError) and error.argument:
        fault = f"a value for {error.argument.name} is missing"
    elif isinstance(error, ValidationError):
        fault = error.exception_message
    else:
        fault = str(error).rstrip(".")
    return f"{fault}; see `{' '.join(['petseg', *(error.command_chain or ()), '--help'])}`"


def extra_with(package: str) -> str | None:
    """Return the first extra for users that names a package, by the first part of its name."""
    from importlib import metadata

    lines = metadata.requires("petseg") or []
    for extra in EXTRAS:
        if package in {re.split(r"\W", line)[0] for line in lines if f'extra == "{extra}"' in line}:
            return extra
    return None


def run_command(args: Sequence[str]) -> None:
    """Run the command that the arguments name; a wrong command line ends with exit code 2.

    Raises:
        UserError: the command needs a package of an extra that is not installed.
    """
    app = build_app()
    if not args or args[0].startswith("-"):
        list(app.subapps)  # imports the commands: their docstrings are the sentences of the help
    if not args:
        app.help_print([], console=app.error_console)
        sys.exit(WRONG_COMMAND_LINE)
    try:
        app(args, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(WRONG_COMMAND_LINE)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = extra_with(package)
        if extra is None:
            raise
        raise UserError(
            f"`petseg {args[0]}` needs the package {package}, which this installation lacks: "
            f'install petseg with its extra, `pip install "petseg[{extra}]"`'
        ) from error


def main(args: Sequence[str] | None = None) -> None:
    """Run `petseg`; an error ends it with one line and an exit code other than 0."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect reports its use as soon as it is imported
    command.exit_cleanly(lambda: run_command(sys.argv[1:] if args is None else args))
