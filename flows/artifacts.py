"""What a flow run leaves to look at in Prefect's UI: plan, times, metrics, pictures, the report."""

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException

from flows.workspace import git, plan
from petseg import files

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
    """Store artifacts; a server that is away costs these, never the run."""
    for artifact in artifacts:
        try:
            create(**artifact)
        except (httpx.HTTPError, PrefectException) as error:
            get_run_logger().warning("artifact %s is not stored: %s", artifact["key"], error)
            return  # the next would wait for the server as long


def store_table(key: str, table: list[dict[str, Any]], description: str) -> None:
    """Store a table, a mapping per row."""
    store(create_table_artifact, [{"key": key, "table": table, "description": description}])


def store_plan(rows: Sequence[plan.Row]) -> None:
    """Store the plan as a table."""
    table = [
        {"stage": row.stage, "state": row.status, "because": "; ".join(row.because)} for row in rows
    ]
    store_table("plan", table, "What was to be done, and why")


def store_results(made: Iterable[str]) -> None:
    """Store what these outputs hold: metrics beside the last commit's, pictures, the report."""
    from petseg.report import render  # its templates cost a run in which nothing changed 0.1 s

    folders = list(made)
    here = {
        path
        for path in (METRICS, REPORT, *(picture[0] for picture in PICTURES.values()))
        if any(path.is_relative_to(folder) for folder in folders) and path.exists()
    }
    if METRICS in here:
        store_table("metrics", metric_rows(), "Metrics, and the difference to the last commit")
    store(
        create_image_artifact,
        (
            {"key": key, "image_url": render.data_uri(path.read_bytes(), kind)}
            | {"description": description}
            for key, (path, kind, description) in PICTURES.items()
            if path in here
        ),
    )
    if REPORT in here:
        text = f"`{REPORT.resolve()}` on `{platform.node()}`"
        store(create_markdown_artifact, [{"key": "report", "markdown": text}])


def metric_rows() -> list[dict[str, Any]]:
    """Return each metric: at the last commit (empty if it was not there), now, and the difference."""
    committed = git.or_empty("show", f"HEAD:./{METRICS}")
    before = json.loads(committed) if committed else {}
    rows = []
    for name, now in files.read_json(METRICS).items():
        old = before.get(name)
        measured = type(now) in (int, float) and type(old) in (int, float)  # a bool is not
        rows.append(
            {
                "metric": name,
                "last commit": "" if old is None else old,
                "now": now,
                "difference": f"{now - old:+.4f}" if measured else "",
            }
        )
    return rows
