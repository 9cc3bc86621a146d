"""The command that gives photos to an exported model: predict."""

import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

from cyclopts import Parameter

from petseg.errors import UserError
from petseg.prediction.kinds import Format, Kind

if TYPE_CHECKING:
    from petseg.prediction.batch import Outcome
    from petseg.prediction.outputs import Target
    from petseg.prediction.results import Table
    from petseg.prediction.sources import Source


def refuse_options(_type: object, text: str | None) -> None:
    """Refuse an argument that looks like an option; `-` stands for standard input.

    Raises:
        ValueError: it looks like one.
    """
    if text and text.startswith("-") and text != "-":
        raise ValueError(f"{text} is unknown, or lacks its value")


Photo = Annotated[
    str,
    Parameter(
        help="A photo, folder, quoted pattern, http(s) address, or - for stdin.",
        allow_leading_hyphen=True,
        validator=refuse_options,
    ),
]
ListFile = Annotated[
    str | None,
    Parameter(
        name="--list",
        help="A file with a path or an address in each line, or - for stdin.",
        metavar="FILE",
        allow_leading_hyphen=True,
        validator=refuse_options,
    ),
]
Out = Annotated[
    Path | None,
    Parameter(help="The folder to write to (default: beside each photo).", metavar="FOLDER"),
]
Kinds = Annotated[
    tuple[Kind, ...],
    Parameter(name="--kind", help="What to write; may be given more than once (default: mask)."),
]
FileFormat = Annotated[
    Format,
    Parameter(name="--format", help="The format of the outputs.", show_default=True),
]
Model = Annotated[Path, Parameter(help="The exported model.", metavar="FILE", show_default=True)]
Overwrite = Annotated[
    bool, Parameter(help="Replace outputs that are there already (default: keep them).")
]
Redo = Annotated[bool, Parameter(help="Replace outputs that are of another model.")]
Watch = Annotated[
    bool,
    Parameter(help="Go on with new and changed photos in folders and patterns, until Ctrl-C."),
]
Doubtful = Annotated[
    float | None,
    Parameter(help="Put photos whose expected IoU is lower into FOLDER/doubtful; 0 to 1."),
]
Shard = Annotated[
    str | None,
    Parameter(help="Predict one share of the photos, such as 3/64.", metavar="NUMBER/COUNT"),
]
Json = Annotated[bool, Parameter(help="Print a line of JSON for every photo.")]


def predict(
    *photo: Photo,
    list_file: ListFile = None,
    out: Out = None,
    kinds: Kinds = ("mask",),
    file_format: FileFormat = "png",
    model: Model = Path("data/export/model.onnx"),
    overwrite: Overwrite = False,
    redo: Redo = False,
    doubtful: Doubtful = None,
    shard: Shard = None,
    json: Json = False,
    watch: Watch = False,
) -> int:
    """Find what the model was trained on in photos: write masks, cut-outs, overlays or probabilities.

    Exits with 1 if a photo could not be used; all others are predicted.

    With --watch it looks every 2 s, also on network shares and in containers.
    """
    # ONNX Runtime takes a while to import, which `petseg --help` does not need.
    from petseg.inference.segmenter import Segmenter
    from petseg.prediction import batch, outputs, shards, sources
    from petseg.prediction.replacement import Replace

    warnings.filterwarnings("ignore", module="PIL")  # of damaged metadata, which nobody needs
    target = outputs.Target(out, tuple(dict.fromkeys(kinds)), file_format, doubtful)
    replace = Replace.OTHER_MODEL if redo else Replace.NOTHING
    replace = Replace.EVERYTHING if overwrite else replace
    if watch:
        from flows.cli.watch import watch_photos

        return watch_photos(photo, list_file, target, replace, model, shard, json)
    if not photo and list_file is None:
        raise UserError("name a photo, a folder or a --list; see `petseg predict --help`")
    photos = sources.expand(photo, list_file, out)
    check_target(photos, target, redo)
    photos = shards.select(photos, shard)
    segmenter = Segmenter.load(model, threads=batch.threads_for(len(photos)))
    with open_table(out, shard) as table, output_errors():
        predictor = batch.Predictor(segmenter, target, replace, table)
        counts = show(finished(batch.predict_all(predictor, photos), table), photos, target, json)
    if out:
        print(summary(counts, len(photos), target, predictor.model), file=sys.stderr)
    return 1 if counts["refused"] else 0


@contextmanager
def open_table(out: Path | None, shard: str | None) -> "Iterator[Table | None]":
    """Provide the table of the results in a folder; None without a folder.

    Raises:
        UserError: nothing can be written to the folder, or another run has the table.
    """
    from petseg.prediction import outputs, shards
    from petseg.prediction.results import Table

    if out is None:
        yield None
        return
    outputs.check_folder(out)
    with Table(out / shards.table_name(shard)) as table:
        try:
            yield table
        except (KeyboardInterrupt, SystemExit):
            print("stopped: run the same command again to go on", file=sys.stderr)
            raise


@contextmanager
def output_errors() -> Iterator[None]:
    """Let standard output take any character, and explain why it cannot be written.

    Raises:
        UserError: its disk is full, for example.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # what reads the output has read enough
    except OSError as error:
        # Python would try again to write the rest when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"standard output cannot be written: {error.strerror}") from error


def check_target(photos: "Sequence[Source]", target: "Target", redo: bool) -> None:
    """Refuse options that do not fit the photos.

    Raises:
        UserError: one line that names the option and the remedy.
    """
    from petseg.data.photos import SUFFIXES
    from petseg.prediction.sources import STDIN

    if target.out is None:
        own = Path("data/own").resolve()
        inside = [photo for photo in photos if photo.location != STDIN]
        if any(photo.folder.resolve().is_relative_to(own) for photo in inside):
            raise UserError(
                "data/own is what the model is trained on, and outputs beside its photos would "
                "become part of it; name another folder with --out, such as --out data/masks"
            )
    if target.doubtful is not None and not 0 <= target.doubtful <= 1:
        raise UserError(f"--doubtful is {target.doubtful:g}; allowed: 0 to 1")
    if target.out and target.out.suffix.lower() in SUFFIXES and not target.out.is_dir():
        raise UserError(
            f"--out names a folder, and {target.out} looks like a file; to name the file of one "
            "photo: petseg predict - < photo.jpg > mask.png"
        )
    if target.out:
        return
    if target.doubtful is not None:
        raise UserError("--doubtful needs --out FOLDER, in which it makes the folder doubtful")
    if redo:
        raise UserError("--redo needs --out FOLDER, whose results.csv says of which model they are")
    if any(not source.named for source in photos):
        raise UserError("the outputs of a folder, a pattern or a list need --out FOLDER")
    if any(source.location == STDIN for source in photos) and len(target.kinds) > 1:
        raise UserError("standard output takes one --kind; for several name --out FOLDER")


def finished(outcomes: "Iterable[Outcome]", table: "Table | None") -> "Iterator[Outcome]":
    """Yield the outcomes, and write the table at the end."""
    from petseg.prediction.writing import write_errors

    yield from outcomes
    if table:
        with write_errors(table.path):
            table.finish()


def show(
    outcomes: "Iterable[Outcome]", photos: "Sequence[Source]", target: "Target", json: bool
) -> Counter[str]:
    """Show the outcomes as they come; return how many photos were refused, doubtful and so on.

    Standard output has the picture of the photo from standard input. Without one it has a line for
    each photo that was named, or for every photo as JSON. Everything else goes to standard error.
    """
    from petseg import progress
    from petseg.prediction.sources import STDIN

    counts: Counter[str] = Counter()
    piped = target.out is None and any(source.location == STDIN for source in photos)
    text = sys.stderr if piped else sys.stdout
    with progress.bar("predicting", len(photos)) as bar:
        for outcome in outcomes:
            result = outcome.result
            counts["refused"] += bool(result.reason)
            counts["doubtful"] += not result.reason and target.is_doubtful(result.expected_iou)
            counts["earlier"] += outcome.from_earlier_run
            counts[f"model {result.model}"] += 1
            bar.update()
            if json or result.reason or outcome.source.named:
                with bar.external_write_mode():
                    show_one(outcome, json, text)
    return counts


def show_one(outcome: "Outcome", json: bool, text: TextIO, is_named: bool = False) -> None:
    """Print what became of one photo; `is_named` prints a line as if the user had named it."""
    result = outcome.result
    if result.reason:
        print(f"error: {result.photo}: {result.reason}", file=sys.stderr)
    if outcome.image:
        sys.stdout.buffer.write(outcome.image)
        sys.stdout.buffer.flush()
    if json:
        print(as_json(outcome), flush=True, file=text)
    elif (outcome.source.named or is_named) and not result.reason:
        place = ", ".join(map(str, outcome.paths.values())) or "standard output"
        share = f"the mask covers {100 * result.foreground:.0f} %"
        earlier = "; was there already (--overwrite replaces it)" * outcome.from_earlier_run
        line = f"{place}: {share}, expected IoU {result.expected_iou:.2f}{earlier}"
        print(line, flush=is_named, file=text)


def as_json(outcome: "Outcome") -> str:
    """Return the result of a photo and the paths of its outputs as one line of JSON."""
    from json import dumps

    outputs = {kind: str(path) for kind, path in outcome.paths.items()}
    more = {"outputs": outputs, "already_there": outcome.from_earlier_run}
    return dumps(asdict(outcome.result) | more, ensure_ascii=False)


def summary(counts: Counter[str], total: int, target: "Target", model: str) -> str:
    """Return one line about all photos; `model` is the model's digest, as results.csv has it."""
    parts = [f"{total:,} photo{'s' * (total != 1)}, outputs in {target.out}"]
    if counts["earlier"]:
        parts.append(f"already there: {counts['earlier']:,}")
    current = counts[f"model {model}"] + counts["model "]  # those refused have no model
    if other := total - current:
        parts.append(f"by another model: {other:,} (--redo predicts them again)")
    if target.doubtful is not None:
        limit = f"expected IoU under {target.doubtful:g}"
        parts.append(f"{counts['doubtful']:,} doubtful ({limit}) in {target.out}/doubtful")
    if counts["refused"]:
        parts.append(f"{counts['refused']:,} could not be used")
    return "; ".join(parts)
