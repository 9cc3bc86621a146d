"""`petseg predict --watch`: go on with new and changed photos until it is stopped."""

import glob
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flows.cli import predict
from petseg.errors import UserError

if TYPE_CHECKING:
    from petseg.prediction.outputs import Target
    from petseg.prediction.replacement import Replace
    from petseg.prediction.watch import Watcher

REST = 10  # the pause is at least so many times as long as a look at photos that did not change


def watch_photos(
    inputs: Sequence[str],
    list_file: str | None,
    target: "Target",
    replace: "Replace",
    model: Path,
    shard: str | None,
    json: bool,
) -> NoReturn:
    """Look for photos until Ctrl-C or SIGTERM, and print a line for each that is predicted.

    Raises:
        UserError: an option does not fit, or outputs cannot be written.
    """
    from petseg.prediction import outputs, shards
    from petseg.prediction.results import Table
    from petseg.prediction.watch import POLL_SECONDS, ModelFile, Watcher

    check_options(inputs, list_file, target, replace)
    out = target.out
    assert out
    model_file = ModelFile(model)
    outputs.check_folder(out)
    with Table(out / shards.table_name(shard), announce) as table:
        watcher = Watcher(inputs, shard, model_file, target, replace, table, announce)
        announce(f"watching {', '.join(inputs)}, a look every {POLL_SECONDS:g} s; Ctrl-C ends it")
        while True:
            started = time.monotonic()
            pause = POLL_SECONDS
            if not show_new(watcher, json):
                # In a folder with very many photos a look takes its time: it comes less often.
                pause = max(pause, REST * (time.monotonic() - started))
            time.sleep(pause)


def show_new(watcher: "Watcher", json: bool) -> bool:
    """Look once and print a line for each photo that was predicted; return whether any was due."""
    is_any = False
    with predict.output_errors():
        for outcome in watcher.look():
            is_any = True
            if not outcome.from_earlier_run:
                predict.show_one(outcome, json, sys.stdout, is_named=True)
    return is_any


def announce(line: str) -> None:
    """Print a line that is about no photo."""
    print(line, file=sys.stderr, flush=True)


def check_options(
    inputs: Sequence[str], list_file: str | None, target: "Target", replace: "Replace"
) -> None:
    """Refuse options that do not fit to --watch.

    Raises:
        UserError: one line that names the option and the remedy.
    """
    from petseg.prediction.replacement import Replace

    if list_file is not None:
        raise UserError("--watch takes folders and patterns, no --list; name the folder")
    if not inputs:
        raise UserError("--watch needs a folder or a pattern, such as photos/")
    for text in inputs:
        if not Path(text).is_dir() and not glob.has_magic(text):
            raise UserError(
                f"--watch takes folders that exist and patterns in quotes; {text} is neither"
            )
    if target.out is None:
        raise UserError("--watch needs --out FOLDER, in which results.csv says what is done")
    if Replace.UNCHANGED in replace:
        raise UserError(
            "--watch replaces the outputs of changed photos anyway, and with --redo those of "
            "another model; leave out --overwrite"
        )
    predict.check_target([], target, redo=False)
