"""The artifacts of a flow run in Prefect's UI: plan, times, metrics, training, pictures, report."""

import platform
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException

from flows.workspace import commits, plan, proposal
from petseg.review import compare, headline
from petseg.training import provenance

REPORT = Path("reports/report.html")
PICTURES = {
    "curves": (
        Path("reports/figures/curves.svg"),
        "image/svg+xml",
        "Loss, accuracy and IoU by epoch",
    ),
    "worst-photos": (
        Path("reports/figures/worst.png"),
        "image/png",
        "The test photos with the lowest IoU",
    ),
}
Artifact = dict[str, Any]
METRICS = Path("reports/metrics.json")


def store(create: Callable[..., Any], artifacts: Iterable[Artifact]) -> None:
    """Store artifacts; if the server does not answer, these are lost and the run goes on."""
    for artifact in artifacts:
        try:
            create(**artifact)
        except (httpx.HTTPError, PrefectException) as error:
            get_run_logger().warning("artifact %s is not stored: %s", artifact["key"], error)
            return  # the next one would wait just as long for the server


def store_table(key: str, table: list[dict[str, Any]], description: str) -> None:
    """Store a table, a mapping per row."""
    store(create_table_artifact, [{"key": key, "table": table, "description": description}])


def store_plan(rows: Sequence[plan.Row]) -> None:
    """Store the plan as a table."""
    table = [
        {"stage": row.stage, "state": row.status, "because": "; ".join(row.because)} for row in rows
    ]
    store_table("plan", table, "What was to be done, and why")


def store_results(outputs: Iterable[str]) -> None:
    """Store the results that a run has written.

    Args:
        outputs: Paths, as in dvc.yaml, of the outputs of the stages that ran or were restored. Each
            file outside of them is the same as before the run and is not stored again; with any
            output, the training of the present model is stored.
    """
    from petseg.report import render  # its templates cost a run in which nothing changed 0.1 s

    folders = list(outputs)
    paths = {
        path
        for path in (METRICS, REPORT, *(picture[0] for picture in PICTURES.values()))
        if any(path.is_relative_to(folder) for folder in folders) and path.exists()
    }
    if METRICS in paths:
        review = compare.compare(commits.read("HEAD"), commits.read(None))
        store_table("metrics", metric_rows(review), headline.headline(review))
    if folders and proposal.MODEL.exists():
        store_table("training", training_rows(), "Where and in how much time the model was trained")
    store(
        create_image_artifact,
        (
            {"key": key, "image_url": render.data_uri(path.read_bytes(), kind)}
            | {"description": description}
            for key, (path, kind, description) in PICTURES.items()
            if path in paths
        ),
    )
    if REPORT in paths:
        text = f"`{REPORT.resolve()}` on `{platform.node()}`"
        store(create_markdown_artifact, [{"key": "report", "markdown": text}])


def training_rows() -> list[dict[str, Any]]:
    """Return one row that says where the model was trained, or that there is no record of it."""
    record = proposal.training_record()
    return [provenance.as_rows(record) if record else {"training": provenance.NOT_RECORDED}]


def metric_rows(review: compare.Review) -> list[dict[str, Any]]:
    """Return each metric: at the last commit (empty if it was not there), now, and the difference.

    Where the two cannot be compared there is no difference, only the two numbers.
    """
    return [
        {
            "metric": change.name,
            "last commit": "" if change.base is None else change.base,
            "now": "" if change.head is None else change.head,
            "difference": "" if review.blockers else compare.format_difference(change.difference),
            "verdict": change.verdict or "",
        }
        for change in review.metrics
    ]
