"""Numbers and pictures → the HTML report and the model card, from the templates beside this file."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent


def render(template: str, **facts: Any) -> str:
    """Return a template filled in; in HTML, text from the data is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**facts)


def drawing(svg: str) -> Markup:
    """Mark an SVG of our own as safe to stand in the page."""
    return Markup(svg)  # noqa: S704 - made by figures.py from numbers


def data_address(data: bytes, kind: str) -> str:
    """Return a picture as an address that the page carries within itself."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
