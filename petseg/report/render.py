"""Fills in the library's templates, and turns pictures into data URIs for pages."""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from petseg import markup
from petseg.evaluation.metrics import BORDER_METRICS, METRICS

TEMPLATES = Path(__file__).parent.parent  # the library's folder: report/ and review/ have templates
QUALITY = 60  # of the photos, 0–100


@dataclass(frozen=True)
class Score:
    """A metric as the page shows it."""

    metric: str
    name: str
    value: float
    low: float
    high: float


def headline(
    numbers: Mapping[str, Any], intervals: Iterable[Mapping[str, str]], has_border: bool
) -> list[tuple[Score, str]]:
    """Return the metrics of metrics.json with their intervals, each with what it is.

    Without a border in any mask, those that count it otherwise are left out: they equal the IoU.
    """
    ends = {row["metric"]: (float(row["low"]), float(row["high"])) for row in intervals}
    return [
        (
            Score(metric.key, metric.title, numbers[metric.key], *ends[metric.key]),
            metric.explanation,
        )
        for metric in METRICS.values()
        if metric.has_interval and (has_border or metric.key not in BORDER_METRICS)
    ]


def decimal(value: float | str, digits: int = 6) -> str:
    """Return a number without an exponent: 1e-05 as 0.00001.

    Args:
        value: a number, or the text of one.
        digits: significant digits; zeros at the end are left out.
    """
    text = np.format_float_positional(float(value) + 0.0, digits, fractional=False, trim="-")
    return text.replace("-", "−")


def render(template: str, **values: Any) -> str:
    """Return a template filled in with values; in HTML, text from the data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = markup.table_cell
    environment.filters["decimal"] = decimal
    return environment.get_template(template).render(**values)


def trusted_svg(svg: str) -> Markup:
    """Mark an SVG of this project as safe, so that a template does not escape it."""
    return Markup(svg)  # noqa: S704 - drawn by plots.py from numbers


def data_uri(data: bytes, mime_type: str) -> str:
    """Return a picture as a data URI (RFC 2397), by which the page contains it."""
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def webp_data_uri(picture: UInt8[np.ndarray, "height width 3"], quality: int | None = None) -> str:
    """Return a picture as WebP in a data URI: lossy at a quality of 0–100, else lossless."""
    buffer = io.BytesIO()
    options = {"lossless": True, "method": 4} if quality is None else {"quality": quality}
    Image.fromarray(picture).save(buffer, "WEBP", **options)
    return data_uri(buffer.getvalue(), "image/webp")


def compressed_png(png: bytes) -> str:
    """Return a PNG as a lossy WebP in a data URI, which keeps the page small."""
    with Image.open(io.BytesIO(png)) as picture:
        return webp_data_uri(np.asarray(picture.convert("RGB")), QUALITY)
