"""The Prefect flow that predicts what is new in a folder: a task per shard, and artifacts."""

import io
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from heapq import nsmallest
from pathlib import Path
from typing import Annotated, Any, cast
from uuid import UUID

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import (
    create_image_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from pydantic import Field

from flows import artifacts
from petseg import parallel
from petseg.data.photos import UnusableError
from petseg.errors import UserError
from petseg.inference.segmenter import Segmenter
from petseg.prediction import batch, contact_sheet, outputs, shards, sources
from petseg.prediction.batch import Outcome, Predictor
from petseg.prediction.kinds import Format, Kind
from petseg.prediction.outputs import Target
from petseg.prediction.replacement import Replace
from petseg.prediction.results import Result, Table
from petseg.prediction.sources import Source
from petseg.prediction.writing import write_errors
from petseg.report import render

SETTLE_SECONDS = 10  # since its last change a photo must have rested, or it may still be written
UPDATE_SECONDS = 1  # between two updates of the progress in Prefect's UI
LOG_SECONDS = 15  # between two lines about the progress
COUNTS = ("done", "up to date", "refused", "doubtful", "by another model", "still being written")
LISTED = 100  # rows at most in the tables of refused and of doubtful photos


@dataclass
class Tally:
    """What became of the photos of a run."""

    doubtful_below: float  # expected IoU
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(COUNTS, 0)))
    refused: list[Result] = field(default_factory=list)  # the first ones
    unsure: list[tuple[Source, Result]] = field(default_factory=list)  # predicted, worst first

    def add(self, outcome: Outcome) -> None:
        """Count a photo that was to be predicted."""
        result = outcome.result
        if result.reason:
            self.counts["refused"] += 1
            self.refused = [*self.refused, result][:LISTED]
            return
        self.counts["done"] += 1
        self.counts["doubtful"] += result.expected_iou < self.doubtful_below
        photos = [*self.unsure, (outcome.source, result)]
        self.unsure = nsmallest(LISTED, photos, lambda photo: photo[1].expected_iou)

    def summary(self) -> str:
        """Return the counts in one line."""
        parts = [f"{count:,} {name}" for name, count in self.counts.items() if count]
        if self.counts["by another model"]:
            parts.append("the parameter `redo` predicts those of another model again")
        return ", ".join(parts) or "none"

    def store(self, segmenter: Segmenter) -> None:
        """Store the counts, the refused and the doubtful photos, and the contact sheet."""
        rows = [{"outcome": name, "photos": count} for name, count in self.counts.items()]
        artifacts.store_table("masks", rows, "What became of the photos")
        if self.refused:
            rows = [{"photo": result.photo, "reason": result.reason} for result in self.refused]
            artifacts.store_table("refused", rows, f"Photos without a mask, at most {LISTED}")
        doubtful = [r for _, r in self.unsure if r.expected_iou < self.doubtful_below]
        if doubtful:
            rows = [{"photo": r.photo, "expected IoU": r.expected_iou} for r in doubtful]
            artifacts.store_table("doubtful", rows, f"The least sure first, at most {LISTED}")
        if tiles := contact_sheet.read_tiles(segmenter, self.unsure[: contact_sheet.TILES]):
            buffer = io.BytesIO()
            contact_sheet.draw(tiles).save(buffer, "JPEG", quality=85)
            artifact = {
                "key": "least-sure",
                "image_url": render.data_uri(buffer.getvalue(), "image/jpeg"),
            }
            artifact |= {"description": "The least sure photos, each with its expected IoU"}
            artifacts.store(create_image_artifact, [artifact])


class Progress:
    """The progress of a shard in Prefect's UI and in the log.

    If the server does not answer, the log alone goes on: every further call would wait as long.
    """

    def __init__(self, title: str, total: int) -> None:
        """Show the start."""
        self.title, self.total = title, total
        self.last_update = self.last_line = time.monotonic()
        self.artifact: UUID | None = None
        artifacts.store(self.create, [{"key": "progress", "description": title}])

    def create(self, **artifact: str) -> None:
        """Create the artifact."""
        self.artifact = cast(UUID, create_progress_artifact(0.0, **artifact))

    def update(self, progress: float, **_: str) -> None:
        """Update the artifact; `progress` is in percent."""
        artifact, self.artifact = self.artifact, None
        if artifact:
            self.artifact = cast(UUID, update_progress_artifact(artifact, progress))

    def show(self, count: int) -> None:
        """Show how many photos are done, if enough time has passed or all are done."""
        now = time.monotonic()
        if now - self.last_update >= UPDATE_SECONDS or count == self.total:
            self.last_update = now
            percent = 100 * count / self.total
            artifacts.store(self.update, [{"key": "progress", "progress": percent}])
        if now - self.last_line >= LOG_SECONDS or count == self.total:
            self.last_line = now
            get_run_logger().info("%s: %s of %s photos", self.title, count, self.total)


@flow(name="predict")
def predict(
    folder: Path = Path("data/inbox"),
    out: Path = Path("data/masks"),
    kinds: Annotated[list[Kind], Field(min_length=1)] = ["mask"],  # noqa: B006 - never changed
    file_format: Format = "png",
    model: Path = Path("data/export/model.onnx"),
    doubtful: Annotated[float, Field(ge=0, le=1)] = 0.8,
    redo: bool = False,
    shard_size: Annotated[int, Field(ge=1)] = 500,
) -> State[Any]:
    """Predict the photos in a folder that are new or changed, a task per shard.

    Args:
        folder: Folder of the photos; those in folders below it are predicted as well.
        out: Folder for the outputs and results.csv.
        kinds: What to write: mask, cutout, overlay, probability.
        file_format: Format of the outputs.
        model: The exported model.
        doubtful: Expected IoU, 0 to 1, below which a photo's outputs go to the folder doubtful.
        redo: Predict photos again whose outputs are of another model.
        shard_size: Photos at most in one task; a shard is shown and logged by itself.
    """
    log = get_run_logger()
    warnings.filterwarnings("ignore", module="PIL")  # of damaged metadata, which nobody needs
    target = Target(out, tuple(dict.fromkeys(kinds)), file_format, doubtful)
    try:
        outputs.check_folder(out)
        with Table(out / shards.table_name(None), log.info) as table:
            photos = present_photos(folder, out)
            segmenter = Segmenter.load(model, threads=batch.threads_for(len(photos)))
            replace = Replace.CHANGED | (Replace.OTHER_MODEL if redo else Replace.NOTHING)
            predictor = Predictor(segmenter, target, replace, table)
            return predict_new(predictor, table, photos, shard_size)
    except UserError as error:
        return Failed(message=str(error))


def present_photos(folder: Path, out: Path) -> list[Source]:
    """Return the photos in a folder.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; create it with `mkdir -p {folder}` and put photos there, "
            "or name another one in the parameter `folder`"
        )
    return sources.present([str(folder)], out)


def predict_new(
    predictor: Predictor, table: Table, photos: Sequence[Source], shard_size: int
) -> State[Any]:
    """Predict the photos that have no outputs yet; return the flow's final state."""
    log = get_run_logger()
    tally = Tally(predictor.target.doubtful or 0)
    to_do = select_new(predictor, photos, tally)
    log.info("photos to predict: %s; others: %s", len(to_do), tally.summary())
    parts = [to_do[start : start + shard_size] for start in range(0, len(to_do), shard_size)]
    for number, shard in enumerate(parts, 1):
        state = run_shard(predictor, shard, f"shard {number} of {len(parts)}", tally)
        if not state.is_completed():
            return Failed(message=state.message)
    with write_errors(table.path):
        table.finish()
    tally.store(predictor.segmenter)
    if not to_do:
        return Completed(name="Nothing new", message=f"nothing new: {tally.summary()}")
    return Completed(message=tally.summary())


def select_new(predictor: Predictor, photos: Sequence[Source], tally: Tally) -> list[Source]:
    """Return the photos to predict; count those that are up to date or still being written."""

    def earlier_outcome(photo: Source) -> tuple[Source, Outcome | None]:
        try:
            return photo, predictor.earlier_outcome(photo)
        except UnusableError:  # the task tries again, and reports the reason
            return photo, None

    now = time.time_ns()
    settled = [photo for photo in photos if is_settled(photo, now)]
    to_do = []
    for photo, outcome in parallel.ordered(earlier_outcome, settled):
        if outcome is None:
            to_do.append(photo)
            continue
        tally.counts["up to date"] += 1
        tally.counts["by another model"] += outcome.result.model != predictor.model
    tally.counts["still being written"] = len(photos) - len(settled)
    return to_do


def is_settled(photo: Source, now: int) -> bool:
    """Return whether a photo has rested; `now` is in nanoseconds since 1970.

    A file from a machine with another clock may lie in the future, and would never be settled.
    """
    status = photo.status()
    return status is None or abs(now - status.last_change) >= SETTLE_SECONDS * 10**9


def run_shard(
    predictor: Predictor, photos: Sequence[Source], title: str, tally: Tally
) -> State[Any]:
    """Predict a shard as a task run.

    The task is called directly, so that a cancelled run ends it, and takes no arguments, as Prefect
    would look into each of them.
    """

    def predict_shard() -> State[Any]:
        progress = Progress(title, len(photos))
        try:
            with closing(batch.predict_all(predictor, photos)) as outcomes:
                for number, outcome in enumerate(outcomes, 1):
                    tally.add(outcome)
                    if outcome.result.reason:
                        get_run_logger().warning(
                            "%s: %s", outcome.result.photo, outcome.result.reason
                        )
                    progress.show(number)
        except UserError as error:
            return Failed(message=str(error))
        return Completed(message=f"{len(photos)} photos")

    shard_run = task(name="shard", task_run_name=title, cache_policy=NO_CACHE)(predict_shard)
    return shard_run(return_state=True)
