"""Predict many photos: reading, decoding, network, encoding and writing overlap on all cores.

A thread for each core takes a photo from its bytes to its written outputs. The network takes one
photo at a time, in one thread: that is as fast as batches (benchmarks/predict_speed.py), and no
photo's result depends on the others.
"""

import hashlib
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from petseg import parallel
from petseg.data import photos
from petseg.data.photos import UnusableError
from petseg.inference.segmenter import Prediction, Segmenter
from petseg.prediction import outputs
from petseg.prediction.budget import PIXELS_IN_WORK, PixelBudget
from petseg.prediction.kinds import Format, Kind
from petseg.prediction.outputs import Origin, Target
from petseg.prediction.replacement import Replace
from petseg.prediction.results import Result, Table
from petseg.prediction.sources import STDIN, Source
from petseg.prediction.status import Status
from petseg.prediction.writing import check_content, write_errors, write_file

DIGITS = 16  # of a SHA-256 in results
REPLACING = "the run ended while it replaced the outputs"  # the reason in a row of results.csv


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    source: Source
    result: Result
    paths: dict[Kind, Path]  # of its outputs; empty if refused, or if they go to standard output
    image: bytes = b""  # the output of a photo that came from standard input
    from_earlier_run: bool = False  # nothing was left to do


class Predictor:
    """Takes photos from their source to their written outputs; threads may call it at once."""

    def __init__(
        self,
        segmenter: Segmenter,
        target: Target,
        replace: Replace,
        table: Table | None,
    ) -> None:
        """Set up the predictor.

        Args:
            segmenter: the model.
            target: where outputs go, and which.
            replace: which outputs of earlier runs to replace.
            table: the results of earlier runs into the same folder; None for outputs beside the
                photos.
        """
        self.segmenter, self.target, self.replace, self.table = segmenter, target, replace, table
        self.model = segmenter.engine.sha256[:DIGITS]
        self.origin = Origin(segmenter.engine.sha256, segmenter.metadata.threshold)
        self.budget = PixelBudget(PIXELS_IN_WORK)

    def __call__(self, source: Source) -> Outcome:
        """Predict one photo and write its outputs.

        Raises:
            UnusableError: the photo cannot be used.
            UserError: the outputs cannot be written.
        """
        status = source.status()
        data = source.read()
        digest = sha256(data)
        self.check_name(source, digest)
        width, height = photos.read_size(data)
        with self.budget.reserve(width * height):
            prediction = self.segmenter.predict_bytes(data)
            return self.write(source, prediction, digest, status)

    def earlier(self, source: Source) -> Result | None:
        """Return the result of the earlier run that has written outputs of this name, or None."""
        return self.table.of_name(source.printable_name) if self.table else None

    def replaces(self, source: Source, earlier: Result | None, digest: str) -> bool:
        """Return whether outputs are replaced that an earlier run has written.

        Args:
            source: the photo.
            earlier: the result of that run; None if it was killed before it could store one, or
                the photo was refused since then.
            digest: of the photo as it is now.
        """
        if Replace.UNCHANGED in self.replace:
            return True
        if earlier is None:
            row = self.table.rows.get(source.label) if self.table else None
            return Replace.CHANGED in self.replace or (row is not None and row.reason == REPLACING)
        is_changed = Replace.CHANGED in self.replace and earlier.sha256 != digest
        return is_changed or (Replace.OTHER_MODEL in self.replace and earlier.model != self.model)

    def check_name(self, source: Source, digest: str) -> None:
        """Refuse a photo whose outputs cannot have their name.

        Raises:
            UnusableError: an earlier run has predicted another photo under this name, or it lies
                in the folder of the doubtful ones.
        """
        if self.target.out and source.name.startswith(f"{outputs.DOUBTFUL}/"):
            raise UnusableError(
                f"the folder {self.target.out / outputs.DOUBTFUL} is for doubtful photos; rename "
                f"the folder {outputs.DOUBTFUL} of this photo"
            )
        if Replace.UNCHANGED in self.replace:
            return
        earlier = self.earlier(source)
        if earlier and earlier.sha256 != digest and earlier.photo != source.label:
            raise UnusableError(
                f"the outputs under the name {source.name} are those of {earlier.photo}; choose "
                "another --out, or replace them with --overwrite"
            )

    def write(
        self, source: Source, prediction: Prediction, digest: str, status: Status | None
    ) -> Outcome:
        """Write the outputs of a photo that are missing, or all of them if they are to be replaced.

        Args:
            source: the photo.
            prediction: what the model says of it.
            digest: of the photo's bytes.
            status: of its file before these were read.

        Raises:
            UnusableError: outputs are there that may not be replaced, or the photo has changed.
            UserError: the outputs cannot be written.
        """
        result = self.result(source, prediction, digest)
        if source.location == STDIN and self.target.out is None:
            return Outcome(source, result, {}, self.encode(prediction, self.target.kinds[0]))
        is_doubtful = self.target.is_doubtful(result.expected_iou)
        paths = self.target.paths(source, is_doubtful)
        with write_errors(self.target.out or source.folder):
            if self.target.out:
                self.target.move(source, is_doubtful)
            files = self.files_to_write(source, prediction, is_doubtful, digest)
        check_unchanged(source, status)
        for path, (kind, file_format) in files.items():
            write_file(path, self.encode(prediction, kind, file_format))
        try:
            check_unchanged(source, status)
        except UnusableError:
            for path in files:
                path.unlink(missing_ok=True)
            raise
        return Outcome(
            source, result, paths, from_earlier_run=self.target.out is None and not files
        )

    def result(self, source: Source, prediction: Prediction, digest: str) -> Result:
        """Return the row of results.csv for a photo."""
        return Result(
            source.label,
            source.printable_name,
            prediction.width,
            prediction.height,
            round(prediction.foreground, 4),
            round(prediction.expected_iou, 4),
            digest,
            self.model,
        )

    def files_to_write(
        self, source: Source, prediction: Prediction, is_doubtful: bool, digest: str
    ) -> dict[Path, tuple[Kind, Format]]:
        """Return the outputs to write: the missing ones, or all if they are to be replaced.

        With a photo that is replaced, its outputs of other kinds are as well. So all outputs of a
        photo are of one content and one model.

        Raises:
            UnusableError: outputs are there that may not be replaced.
        """
        paths = self.target.paths(source, is_doubtful)
        named = {path: (kind, self.target.format) for kind, path in paths.items()}
        missing = {path: output for path, output in named.items() if not path.exists()}
        earlier = self.earlier(source)
        replaces = self.replaces(source, earlier, digest)
        is_same = earlier is not None and (earlier.sha256, earlier.model) == (digest, self.model)
        if self.target.out is None or (is_same and not replaces):
            return named if replaces else missing
        others = self.target.others(source, is_doubtful)
        overwrites = Replace.UNCHANGED in self.replace
        for path, (kind, file_format) in (named.items() - missing.items()) | others.items():
            if not (overwrites or (replaces and outputs.is_of_petseg(path))):
                check_content(path, self.encode(prediction, kind, file_format))
        if replaces and self.table and earlier and earlier.photo == source.label:
            # Without its row, a run that is killed now leaves no outputs that look up to date.
            self.table.add(Result(earlier.photo, earlier.name, reason=REPLACING))
        return named | others if replaces else missing

    def encode(
        self, prediction: Prediction, kind: Kind, file_format: Format | None = None
    ) -> bytes:
        """Return an output as the bytes of its file; without a format in that of the target."""
        return outputs.encode(prediction, kind, file_format or self.target.format, self.origin)

    def earlier_outcome(self, source: Source) -> Outcome | None:
        """Return the outcome of a photo of which an earlier run has written all outputs, or None.

        Whether it is still the same photo is decided by its content, which is not read if the
        photo is older than its outputs.

        Raises:
            UnusableError: the photo cannot be read.
            UserError: its outputs cannot be moved.
        """
        result = self.earlier(source)
        if result is None or result.photo != source.label:
            return None
        if self.replaces(source, result, result.sha256):
            return None
        is_doubtful = self.target.is_doubtful(result.expected_iou)
        with write_errors(self.target.out or source.folder):
            self.target.move(source, is_doubtful)
        paths = self.target.paths(source, is_doubtful)
        if not all(map(Path.exists, paths.values())):
            return None
        status = source.status()
        is_older = not status or all(status.is_before(Status.of(path)) for path in paths.values())
        if is_older or sha256(source.read()) == result.sha256:
            return Outcome(source, result, paths, from_earlier_run=True)
        return None


def sha256(data: bytes) -> str:
    """Return the SHA-256 of a photo's bytes as results have it."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def check_unchanged(source: Source, status: Status | None) -> None:
    """Refuse a photo whose file is another one than before it was read.

    Raises:
        UnusableError: it is.
    """
    if source.status() != status:
        raise UnusableError("photo was changed while it was read; the next run predicts it")


def refused(source: Source, reason: str) -> Outcome:
    """Return the outcome of a photo that cannot be used."""
    return Outcome(source, Result(source.label, source.printable_name, reason=reason), {})


def predict_all(predictor: Predictor, sources: Sequence[Source]) -> Generator[Outcome, None, None]:
    """Yield the outcome of every photo, in order, each of them stored in the table first.

    A photo that an earlier run has finished is not predicted again. Of two photos whose outputs
    would have the same name, the second is refused.

    Raises:
        UserError: the outputs cannot be written.
    """
    holders: dict[str, Source] = {}
    for source in sources:
        holders.setdefault(source.name, source)

    def outcome(source: Source) -> Outcome:
        holder = holders[source.name]
        if holder.location != source.location:
            return refused(
                source,
                f"its outputs would have the same name as those of {holder.label}; predict the "
                "two into different folders",
            )
        try:
            return predictor.earlier_outcome(source) or predictor(source)
        except UnusableError as error:
            return refused(source, str(error))

    for result in parallel.ordered(outcome, (source.prefetched() for source in sources)):
        if predictor.table and not result.from_earlier_run:
            with write_errors(predictor.table.path):
                predictor.table.add(result.result)
        yield result


def threads_for(photos: int) -> int:
    """Return how many threads the network takes for one photo: one if every core has a photo."""
    return 1 if photos >= (os.cpu_count() or 1) else 0
