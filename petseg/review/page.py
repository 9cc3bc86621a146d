"""A review as a page: the comment's sections, the curves, and the photos with the largest loss."""

from pathlib import Path

from petseg import files
from petseg.report import plots, render
from petseg.review import sections
from petseg.review.compare import Review


def write(path: Path, found: Review, lagging: bool, pictures: bytes, without: str) -> None:
    """Write the page; `pictures` is a PNG of the photos that lost, `without` says why there is none."""
    rows = [
        (
            section,
            [[(cell, isinstance(cell, sections.Data)) for cell in row] for row in section.rows],
        )
        for section in sections.sections(found)
    ]
    html = render.render(
        "review/review.html.j2",
        headline=sections.headline(found),
        remarks=sections.remarks(found, lagging),
        sections=rows,
        curves=render.trusted_svg(curves(found)),
        photos=render.data_uri(pictures, "image/png") if pictures else "",
        without=without,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, html)


def curves(found: Review) -> str:
    """Return the validation curves of both as SVG; empty if one has none."""
    base, head = found.base.history, found.head.history
    wanted = {f"val_{name}" for name in plots.CURVES}
    if all(side and wanted <= set(side[0]) for side in (base, head)):
        return plots.two_histories(base, head)
    return ""
