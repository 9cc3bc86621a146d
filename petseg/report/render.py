"""Numbers and pictures → the HTML report and the model card, from the templates of this package."""

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
from petseg.evaluation.metrics import METRICS

TEMPLATES = Path(__file__).parent.parent  # of the library: report/ and review/ have some
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
    numbers: Mapping[str, Any], intervals: Iterable[Mapping[str, str]]
) -> list[tuple[Score, str]]:
    """Return the metrics of metrics.json with their intervals, each with what it is."""
    ends = {row["metric"]: (float(row["low"]), float(row["high"])) for row in intervals}
    return [
        (
            Score(metric.key, metric.title, numbers[metric.key], *ends[metric.key]),
            metric.explanation,
        )
        for metric in METRICS.values()
        if metric.has_interval
    ]


def render(template: str, **facts: Any) -> str:
    """Return a template filled in; in HTML, text from the data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = markup.table_cell
    return environment.get_template(template).render(**facts)


def trusted_svg(svg: str) -> Markup:
    """Mark an SVG of our own as safe to stand in the page."""
    return Markup(svg)  # noqa: S704 - made by figures.py from numbers


def data_uri(data: bytes, kind: str) -> str:
    """Return a picture as an address that the page carries within itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def webp_data_uri(picture: UInt8[np.ndarray, "height width 3"], quality: int | None = None) -> str:
    """Return a picture as WebP in a data address; without a quality each pixel comes back as it was."""
    buffer = io.BytesIO()
    how = {"lossless": True, "method": 4} if quality is None else {"quality": quality}
    Image.fromarray(picture).save(buffer, "WEBP", **how)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def compressed_png(png: bytes) -> str:
    """Return a PNG as a lossy WebP in a data address, for a page that is to stay small."""
    with Image.open(io.BytesIO(png)) as picture:
        return webp_data_uri(np.asarray(picture.convert("RGB")), QUALITY)
