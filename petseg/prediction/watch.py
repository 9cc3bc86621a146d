"""Look again and again for new and changed photos in folders, and predict them.

It polls, since the notifications of changes that systems offer do not reach over network shares
and into many containers. A look at photos that have not changed costs a `stat` call for each.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from petseg.errors import UserError
from petseg.inference.segmenter import Segmenter
from petseg.prediction import shards, sources
from petseg.prediction.batch import Outcome, Predictor, predict_all
from petseg.prediction.outputs import Target
from petseg.prediction.replacement import Replace
from petseg.prediction.results import Table
from petseg.prediction.sources import Source
from petseg.prediction.status import Status
from petseg.prediction.writing import write_errors

POLL_SECONDS = 2.0  # between two looks


class ModelFile:
    """The file of the model, which may be replaced while photos are watched."""

    def __init__(self, path: Path) -> None:
        """Load the model.

        Raises:
            UserError: it cannot be used.
        """
        self.path = path
        self.at_load = self.at_look = self.status()
        self.segmenter = Segmenter.load(path, threads=1)

    def status(self) -> Status | None:
        """Return what the disk says of the file; None while there is none."""
        try:
            return Status.of(self.path)
        except OSError:
            return None

    def reload(self) -> bool:
        """Load the file anew if it has changed since, and not since the last look.

        Returns whether it is another model than before.

        Raises:
            UserError: the file has changed, and cannot be used; the model before stays.
        """
        before, self.at_look = self.at_look, self.status()
        if self.at_look is None or self.at_look == self.at_load or self.at_look != before:
            return False
        self.at_load = self.at_look
        former = self.segmenter
        self.segmenter = Segmenter.load(self.path, threads=1)
        return self.segmenter.engine.sha256 != former.engine.sha256


class Watcher:
    """Predicts what is new or changed at each look, with the results in one table."""

    def __init__(
        self,
        inputs: Sequence[str],
        shard: str | None,
        model: ModelFile,
        target: Target,
        replace: Replace,
        table: Table,
        announce: Callable[[str], None],
    ) -> None:
        """Set up the watcher.

        Args:
            inputs: folders and patterns.
            shard: the share of the photos to look at, such as `3/64`; None for all.
            model: the model's file.
            target: where outputs go, and which.
            replace: which outputs to replace, besides those of changed photos.
            table: the results in the folder for outputs.
            announce: called with a line about the model or the folders.
        """
        self.inputs, self.shard, self.model = inputs, shard, model
        self.target, self.replace, self.table = target, replace | Replace.CHANGED, table
        self.announce = announce
        self.at_look: dict[str, Status | None] = {}  # at the last look, by photo
        self.at_outcome: dict[str, Status | None] = {}  # before its last prediction, by photo
        self.fault = ""  # why the last look saw no photos
        self.predictor = self.new_predictor()

    def new_predictor(self) -> Predictor:
        """Return a predictor with the model as it is now."""
        return Predictor(self.model.segmenter, self.target, self.replace, self.table)

    def look(self) -> Iterator[Outcome]:
        """Look once; yield the outcome of each photo that is new or has changed.

        A photo that has changed since the last look may still be written and is left for the next.
        So is one that was never looked at.

        Raises:
            UserError: outputs cannot be written.
        """
        self.look_at_model()
        photos = self.photos()
        before, self.at_look = self.at_look, {photo.location: photo.status() for photo in photos}
        self.at_outcome = {
            path: status for path, status in self.at_outcome.items() if path in self.at_look
        }
        to_do = [photo for photo in photos if self.is_due(photo, before)]
        try:
            with closing(predict_all(self.predictor, to_do)) as outcomes:
                for outcome in outcomes:
                    location = outcome.source.location
                    self.at_outcome[location] = self.at_look[location]
                    yield outcome
        finally:
            if self.table.file:
                with write_errors(self.table.path):
                    self.table.finish()

    def is_due(self, photo: Source, before: dict[str, Status | None]) -> bool:
        """Return whether a photo rests since the last look, and has no outcome as it is now."""
        status = self.at_look[photo.location]
        is_at_rest = status is not None and status == before.get(photo.location)
        return is_at_rest and status != self.at_outcome.get(photo.location)

    def photos(self) -> list[Source]:
        """Return the photos that there are now; an input that is missing is announced once."""
        try:
            photos = shards.select(sources.present(self.inputs, self.target.out), self.shard)
        except UserError as error:
            if str(error) != self.fault:
                self.announce(f"{error}; looking again until it is there")
            self.fault = str(error)
            return []
        self.fault = ""
        return photos

    def look_at_model(self) -> None:
        """Use the model's file as it is now, and announce if it is another model."""
        try:
            if not self.model.reload():
                return
        except UserError as error:
            self.announce(f"{error}; going on with the model before")
            return
        self.predictor = self.new_predictor()
        others = self.table.count_other_models(self.predictor.model)
        if Replace.OTHER_MODEL in self.replace:
            self.at_outcome.clear()
            remedy = "--redo: they are predicted again"
        else:
            remedy = "start with --redo to predict them again"
        self.announce(f"{self.model.path} is another model now; by another: {others:,} ({remedy})")
