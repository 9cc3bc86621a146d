"""Predict many photos: reading, decoding, network, encoding and writing overlap on all cores.

A thread for each core takes a photo from its bytes to its written outputs. The network takes one
photo at a time, in one thread: that is as fast as batches (benchmarks/predict_speed.py), and no
photo's result depends on the others.
"""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from petseg import files, parallel
from petseg.data import photos
from petseg.data.photos import UnusableError
from petseg.errors import UserError
from petseg.inference.segmenter import Prediction, Segmenter
from petseg.prediction import kinds, outputs
from petseg.prediction.kinds import Kind
from petseg.prediction.outputs import Origin, Target
from petseg.prediction.results import Result
from petseg.prediction.sources import STDIN, Source

DIGITS = 16  # of a SHA-256 in results
PIXELS_IN_WORK = 48_000_000  # photos with more pixels in all are not worked on at the same time


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    source: Source
    result: Result
    paths: dict[Kind, Path]  # of its outputs; empty if refused, or if they go to standard output
    image: bytes = b""  # the output of a photo that came from standard input
    from_earlier_run: bool = False  # nothing was left to do


class PixelBudget:
    """Bounds the pixels of all photos that are decoded at the same time, and so the memory."""

    def __init__(self, pixels: int) -> None:
        self.limit = self.free = pixels
        self.change = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until the photo fits; one that is larger than the limit is worked on by itself."""
        share = min(pixels, self.limit)
        with self.change:
            self.change.wait_for(lambda: self.free >= share)
            self.free -= share
        try:
            yield
        finally:
            with self.change:
                self.free += share
                self.change.notify_all()


class Predictor:
    """Takes photos from their source to their written outputs; threads may call it at once."""

    def __init__(
        self,
        segmenter: Segmenter,
        target: Target,
        overwrite: bool,
        earlier: Mapping[str, Result],
    ) -> None:
        """Set up the predictor.

        Args:
            segmenter: the model.
            target: where outputs go, and which.
            overwrite: whether to replace outputs that are there already.
            earlier: the results of earlier runs into the same folder, by the name of the outputs.
        """
        self.segmenter, self.target, self.overwrite = segmenter, target, overwrite
        self.earlier = {} if overwrite else earlier
        self.model = segmenter.engine.sha256[:DIGITS]
        self.origin = Origin(segmenter.engine.sha256, segmenter.metadata.threshold)
        self.budget = PixelBudget(PIXELS_IN_WORK)

    def __call__(self, source: Source) -> Outcome:
        """Predict one photo and write its outputs.

        Raises:
            UnusableError: the photo cannot be used.
            UserError: the outputs cannot be written.
        """
        data = source.read()
        digest = hashlib.sha256(data).hexdigest()[:DIGITS]
        self.check_name(source, digest)
        width, height = photos.read_size(data)
        with self.budget.reserve(width * height):
            prediction = self.segmenter.predict_bytes(data)
            return self.write(source, prediction, digest)

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
        earlier = self.earlier.get(source.printable_name)
        if earlier and earlier.sha256 != digest and earlier.photo != source.label:
            raise UnusableError(
                f"the outputs under the name {source.name} are those of {earlier.photo}; choose "
                "another --out, or replace them with --overwrite"
            )

    def write(self, source: Source, prediction: Prediction, digest: str) -> Outcome:
        """Write the outputs of a photo that are missing, or all of them if they are to be replaced."""
        result = Result(
            source.label,
            source.printable_name,
            prediction.width,
            prediction.height,
            round(prediction.foreground, 4),
            round(prediction.expected_iou, 4),
            digest,
            self.model,
        )
        if source.location == STDIN and self.target.out is None:
            return Outcome(source, result, {}, self.encode(prediction, self.target.kinds[0]))
        is_doubtful = self.target.is_doubtful(result.expected_iou)
        paths = self.target.paths(source, is_doubtful)
        with write_errors(self.target.out or source.folder):
            if self.target.out:
                self.move(source, is_doubtful)
            present = [kind for kind, path in paths.items() if path.exists() and not self.overwrite]
        earlier = self.earlier.get(source.printable_name)
        if self.target.out and (earlier is None or earlier.sha256 != digest):
            for kind in present:
                check_content(paths[kind], self.encode(prediction, kind))
        for kind in (kind for kind in paths if kind not in present):
            write_file(paths[kind], self.encode(prediction, kind))
        is_done = self.target.out is None and len(present) == len(paths)
        return Outcome(source, result, paths, from_earlier_run=is_done)

    def encode(self, prediction: Prediction, kind: Kind) -> bytes:
        """Return an output as the bytes of its file."""
        return outputs.encode(prediction, kind, self.target.format, self.origin)

    def earlier_outcome(self, source: Source) -> Outcome | None:
        """Return the outcome of a photo of which an earlier run has written all outputs, or None.

        A photo that is newer than its outputs may have changed, and so has no such outcome.
        """
        result = self.earlier.get(source.printable_name)
        if result is None or result.photo != source.label:
            return None
        is_doubtful = self.target.is_doubtful(result.expected_iou)
        with write_errors(self.target.out or source.folder):
            self.move(source, is_doubtful)
        paths = self.target.paths(source, is_doubtful)
        if not all(map(Path.exists, paths.values())):
            return None
        if source.modified() > min(path.stat().st_mtime for path in paths.values()):
            return None
        return Outcome(source, result, paths, from_earlier_run=True)

    def move(self, source: Source, is_doubtful: bool) -> None:
        """Move all outputs of a photo from where another limit for doubtful ones has put them."""
        old, new = (
            self.target.folder(source, doubtful) for doubtful in (not is_doubtful, is_doubtful)
        )
        for ending in kinds.ENDINGS if old != new else ():
            path, target = old / f"{source.name}{ending}", new / f"{source.name}{ending}"
            if path.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)


def refused(source: Source, reason: str) -> Outcome:
    """Return the outcome of a photo that cannot be used."""
    return Outcome(source, Result(source.label, source.printable_name, reason=reason), {})


def check_content(path: Path, content: bytes) -> None:
    """Refuse a photo if a file under the name of its output has another content.

    A run that was killed may have written an output, but not yet its row of results.csv.

    Raises:
        UnusableError: the file is something else.
    """
    if path.read_bytes() != content:
        raise UnusableError(
            f"{path} is there already, but is not of this photo as it is now, or of another model; "
            "choose another --out, or replace it with --overwrite"
        )


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Explain why nothing can be written; a name that is too long concerns one photo only.

    Raises:
        UnusableError: the disk does not allow so long a name.
        UserError: any other reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UnusableError("the names of its outputs are too long for the disk") from error
        raise UserError(
            f"{path} cannot be written: {error.strerror}; run the same command again when it can: "
            "what is done stays"
        ) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and move it into place.

    Raises:
        UnusableError: its name is too long.
        UserError: it cannot be written; what was there before is still there.
    """
    partial = files.partial_path(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                partial.unlink(missing_ok=True)
            raise


def predict_all(predictor: Predictor, sources: Sequence[Source]) -> Iterator[Outcome]:
    """Yield the outcome of every photo, in order.

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

    return parallel.ordered(outcome, (source.prefetched() for source in sources))


def threads_for(photos: int) -> int:
    """Return how many threads the network takes for one photo: one if every core has a photo."""
    return 1 if photos >= (os.cpu_count() or 1) else 0
