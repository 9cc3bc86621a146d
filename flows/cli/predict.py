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
    doubtful: Doubtful = None,
    shard: Shard = None,
    json: Json = False,
) -> int:
    """Find the pets in photos: write masks, cut-outs, overlays or probabilities.

    Exits with 1 if a photo could not be used; all others are predicted.
    """
    # ONNX Runtime takes a while to import, which `petseg --help` does not need.
    from petseg.inference.segmenter import Segmenter
    from petseg.prediction import batch, outputs, sources
    from petseg.prediction.results import Table

    warnings.filterwarnings("ignore", module="PIL")  # of damaged metadata, which nobody needs
    if not photo and list_file is None:
        raise UserError("name a photo, a folder or a --list; see `petseg predict --help`")
    target = outputs.Target(out, tuple(dict.fromkeys(kinds)), file_format, doubtful)
    photos = sources.expand(photo, list_file, out)
    check_target(photos, target)
    results = "results.csv"
    if shard:
        number, count = sources.parse_shard(shard)
        photos = [source for source in photos if sources.in_shard(source, number, count)]
        results = f"results-{number}-of-{count}.csv"
    segmenter = Segmenter.load(model, threads=batch.threads_for(len(photos)))
    table = None
    if out:
        outputs.check_folder(out)
        table = Table(out / results)
    predictor = batch.Predictor(segmenter, target, overwrite, table.by_name() if table else {})
    outcomes = stored(batch.predict_all(predictor, photos), table)
    try:
        with output_errors():
            counts = show(outcomes, photos, target, json)
    except (KeyboardInterrupt, SystemExit):
        if out:
            print("stopped: run the same command again to go on", file=sys.stderr)
        raise
    if out:
        print(summary(counts, len(photos), target, predictor.model), file=sys.stderr)
    return 1 if counts["refused"] else 0


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


def check_target(photos: "Sequence[Source]", target: "Target") -> None:
    """Refuse options that do not fit the photos.

    Raises:
        UserError: one line that names the option and the remedy.
    """
    from petseg.prediction.sources import STDIN, SUFFIXES

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
    if any(not source.named for source in photos):
        raise UserError("the outputs of a folder, a pattern or a list need --out FOLDER")
    if any(source.location == STDIN for source in photos) and len(target.kinds) > 1:
        raise UserError("standard output takes one --kind; for several name --out FOLDER")


def stored(outcomes: "Iterable[Outcome]", table: "Table | None") -> "Iterator[Outcome]":
    """Yield the outcomes, each of them stored in the table first; write the table at the end."""
    from petseg.prediction.batch import write_errors

    if table is None:
        yield from outcomes
        return
    try:
        with write_errors(table.path):
            for outcome in outcomes:
                if not outcome.from_earlier_run:
                    table.add(outcome.result)
                yield outcome
            table.finish()
    finally:
        table.close()


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


def show_one(outcome: "Outcome", json: bool, text: TextIO) -> None:
    """Print what became of one photo."""
    result = outcome.result
    if result.reason:
        print(f"error: {result.photo}: {result.reason}", file=sys.stderr)
    if outcome.image:
        sys.stdout.buffer.write(outcome.image)
        sys.stdout.buffer.flush()
    if json:
        print(as_json(outcome), flush=True, file=text)
    elif outcome.source.named and not result.reason:
        place = ", ".join(map(str, outcome.paths.values())) or "standard output"
        share = f"{100 * result.foreground:.0f} % pet"
        earlier = "; was there already (--overwrite replaces it)" * outcome.from_earlier_run
        print(f"{place}: {share}, expected IoU {result.expected_iou:.2f}{earlier}", file=text)


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
        parts.append(f"by another model: {other:,} (--overwrite predicts them again)")
    if target.doubtful is not None:
        limit = f"expected IoU under {target.doubtful:g}"
        parts.append(f"{counts['doubtful']:,} doubtful ({limit}) in {target.out}/doubtful")
    if counts["refused"]:
        parts.append(f"{counts['refused']:,} could not be used")
    return "; ".join(parts)
