"""A review as an HTML page: the sections of the comment, with curves and photos."""

from pathlib import Path

from petseg import files
from petseg.report import plots, render
from petseg.review import headline, sections
from petseg.review.compare import Review


def write(path: Path, review: Review, lagging: bool, pictures: bytes, without: str) -> None:
    """Write the page.

    Args:
        path: the file to write.
        review: what changed from base to head.
        lagging: whether head lacks commits of base.
        pictures: a PNG of the photos that got worse; empty if there is none.
        without: why there is no PNG; empty if there is one, or nothing to show.
    """
    rows = [
        (
            section,
            [[(cell, isinstance(cell, sections.Data)) for cell in row] for row in section.rows],
        )
        for section in sections.sections(review)
    ]
    html = render.render(
        "review/review.html.j2",
        headline=headline.headline(review),
        remarks=sections.remarks(review, lagging),
        sections=rows,
        curves=render.trusted_svg(curves(review)),
        photos=render.data_uri(pictures, "image/png") if pictures else "",
        without=without,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, html)


def curves(review: Review) -> str:
    """Return the validation curves of base and head as SVG; empty if either has none."""
    base, head = review.base.history, review.head.history
    columns = {f"val_{name}" for name in plots.CURVES}
    if all(history and columns <= set(history[0]) for history in (base, head)):
        return plots.two_histories(base, head)
    return ""
