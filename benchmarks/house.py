"""Measure how easy a checkout is to read: folders, functions, names, README and recipes.

    python benchmarks/house.py                     # the files of this checkout as they are
    python benchmarks/house.py --commit v1 HEAD    # two commits side by side, read from git

The code is that of petseg/, stages/ and flows/, and these are the counts:

modules in the fullest folder   .py files that lie in one folder, without __init__.py
function length                 lines from `def` to the end, without decorators; methods and
                                functions within functions count
bindings                        places that give something a name: functions, classes, arguments
                                (of lambdas, too), targets of assignments, loops, comprehensions,
                                `with`, `:=`, `except … as`, `import … as` and `case`, and
                                attributes that are assigned; a name bound twice counts twice
the twelve words                bindings called exactly found, asked, told, said, known, made,
                                whole, kept, each, wanted, shown or here, of all bindings
words of README.md              what white space separates
lines of params.yaml            all of them
shortest recipe                 lines that are not blank of the shortest recipe whose source is not
                                the demo; a recipe is a file in recipes/, without the defaults,
                                or, where there are none, a block below `recipes:` in params.yaml
"""

import argparse
import ast
import collections
import io
import re
import statistics
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

FOLDERS = ("petseg", "stages", "flows")
WORDS = {
    *("found", "asked", "told", "said", "known", "made"),
    *("whole", "kept", "each", "wanted", "shown", "here"),
}
Files = dict[str, str]  # text by path in the checkout
Function = ast.FunctionDef | ast.AsyncFunctionDef


def git(folder: Path, *arguments: str) -> bytes:
    """Return what git prints in a folder."""
    return subprocess.run(
        ["git", "-C", folder, *arguments], stdout=subprocess.PIPE, check=True
    ).stdout


def is_counted(path: PurePosixPath) -> bool:
    """Return whether a file says something about the measures."""
    if path.suffix == ".py":
        return path.parts[0] in FOLDERS
    return str(path) in ("README.md", "params.yaml") or path.match("recipes/*.yaml")


def read_checkout(folder: Path) -> Files:
    """Return the files that git tracks, or would with `git add .`, as they are on disk."""
    listed = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    paths = {path for path in listed.decode().split("\0") if path}
    return {
        path: (folder / path).read_text(encoding="utf-8")
        for path in paths
        if is_counted(PurePosixPath(path)) and (folder / path).is_file()
    }


def read_commit(folder: Path, revision: str) -> Files:
    """Return the files of a commit."""
    packed = io.BytesIO(git(folder, "archive", "--format=tar", revision))
    with tarfile.open(fileobj=packed) as archive:
        return {
            member.name: content.read().decode()
            for member in archive
            if is_counted(PurePosixPath(member.name)) and (content := archive.extractfile(member))
        }


def bindings(tree: ast.AST) -> Iterator[str]:
    """Yield the name of everything that the code binds."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.arg():
                yield node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name


def recipes(files: Files) -> list[str]:
    """Return the text of every recipe."""
    own = [
        text
        for path, text in files.items()
        if path.startswith("recipes/") and path != "recipes/defaults.yaml"
    ]
    if own:
        return own
    _, _, block = files.get("params.yaml", "").partition("\nrecipes:\n")
    return re.split(r"^  (?=[\w-]+:)", block, flags=re.MULTILINE)[1:]


def shortest_recipe(files: Files) -> str:
    """Return the number of lines of the shortest recipe for another dataset, or a dash."""
    lengths = [
        sum(bool(line.strip()) for line in text.splitlines())
        for text in recipes(files)
        if not re.search(r"\bsource: *demo\b", text)
    ]
    return str(min(lengths, default="–"))


def length(node: Function) -> int:
    """Return how many lines a function has."""
    assert node.end_lineno is not None  # it is set in whatever `ast.parse` returns
    return node.end_lineno - node.lineno + 1


def docstring_length(node: Function) -> int:
    """Return how many lines the docstring of a function has."""
    if ast.get_docstring(node) is None:
        return 0
    assert node.body[0].end_lineno is not None
    return node.body[0].end_lineno - node.body[0].lineno + 1


def measures(files: Files) -> dict[str, str]:
    """Return each measure's value by its label."""
    code = {PurePosixPath(path): text for path, text in files.items() if path.endswith(".py")}
    folders = collections.Counter(path.parent for path in code if path.name != "__init__.py")
    folder, modules = folders.most_common(1)[0]
    trees = {path: ast.parse(text) for path, text in code.items()}
    functions = [
        (node, f"{path}:{node.name}")
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
    ]
    longest, name = max((length(node), name) for node, name in functions)
    names = [name for tree in trees.values() for name in bindings(tree)]
    vague = sum(name in WORDS for name in names)
    return {
        "modules in the fullest folder": f"{modules} ({folder})",
        "median function": f"{statistics.median(length(node) for node, _ in functions):g}",
        "median function, docstring left out": (
            f"{statistics.median(length(node) - docstring_length(node) for node, _ in functions):g}"
        ),
        "longest function": f"{longest} ({name})",
        "the twelve words of all bindings": f"{vague / len(names):.2%} ({vague} of {len(names)})",
        "words of README.md": str(len(files.get("README.md", "").split())),
        "lines of params.yaml": str(len(files.get("params.yaml", "").splitlines())),
        "shortest recipe for another dataset": shortest_recipe(files),
    }


def main() -> None:
    """Print a row per measure and a column per commit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path, default=Path(__file__).parent.parent)
    parser.add_argument("--commit", nargs="+", help="read these instead of the files on disk")
    args = parser.parse_args()
    columns = {revision: read_commit(args.checkout, revision) for revision in args.commit or ()}
    measured = {
        title: measures(files)
        for title, files in (columns or {"checkout": read_checkout(args.checkout)}).items()
    }
    rows = [["", *measured]]
    rows += [
        [label, *(column[label] for column in measured.values())]
        for label in next(iter(measured.values()))
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
