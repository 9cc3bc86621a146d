"""Numbers and pictures → the HTML report and the model card, from the templates beside this file."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
MARKUP = "|<>&`*[]!"  # of Markdown and HTML
# the metrics of metrics.json: a name for people, and what it is
WORDS = {
    "iou": ("IoU", "intersection over union of pet, over the pixels of all photos"),
    "dice": ("Dice", "the F1 score of pet pixels"),
    "accuracy": ("accuracy", "share of pixels that are right"),
    "precision": ("precision", "share of predicted pet that is pet"),
    "recall": ("recall", "share of pet that is predicted"),
    "mean_iou": ("mean IoU", "mean of the IoU of pet and of background"),
    "image_iou": ("IoU per photo", "mean of each photo's IoU"),
    "iou_border_background": ("IoU, border as background", "the trimap's border counted as no pet"),
    "iou_border_ignored": ("IoU, border ignored", "the trimap's border left out"),
    "boundary_iou": (
        "boundary IoU",
        "IoU of the bands along both outlines, 2 % of the diagonal deep",
    ),
    "boundary_f_2px": (
        "boundary F",
        "F-score of the outlines at 2 pixels' tolerance, mean over photos",
    ),
    "calibration_error": ("calibration error", "expected, over 15 bins of probability; 0 is best"),
    "brier": ("Brier score", "mean squared error of the probability; 0 is best"),
}


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
        (Score(metric, name, numbers[metric], *ends[metric]), text)
        for metric, (name, text) in WORDS.items()
    ]


def cell(text: str) -> str:
    """Return a text from the data as it may stand in a table of Markdown."""
    return "".join(f"&#{ord(sign)};" if sign in MARKUP else sign for sign in " ".join(text.split()))


def render(template: str, **facts: Any) -> str:
    """Return a template filled in; in HTML, text from the data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    return environment.get_template(template).render(**facts)


def drawing(svg: str) -> Markup:
    """Mark an SVG of our own as safe to stand in the page."""
    return Markup(svg)  # noqa: S704 - made by figures.py from numbers


def data_address(data: bytes, kind: str) -> str:
    """Return a picture as an address that the page carries within itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
