"""A review as a page: the comment's sections, the curves, and the photos with the largest loss."""

from pathlib import Path

from flows import comment, pictures
from stages.petseg import figures, page, tables
from stages.petseg.review import Review


def write(path: Path, found: Review, lagging: bool) -> None:
    """Write the page, with the pictures if DVC has them."""
    shown = pictures.of_losses(found, comment.largest_losses(found))
    rows = [
        (
            section,
            [[(cell, isinstance(cell, comment.Data)) for cell in row] for row in section.rows],
        )
        for section in comment.sections(found)
    ]
    html = page.render(
        "review.html.j2",
        headline=comment.headline(found),
        remarks=comment.remarks(found, lagging),
        sections=rows,
        curves=page.drawing(curves(found)),
        photos=page.data_address(shown.png, "image/png") if shown.png else "",
        without=shown.without,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tables.write_text(path, html)


def curves(found: Review) -> str:
    """Return the validation curves of both as SVG; empty if one has none."""
    base, head = found.base.history, found.head.history
    wanted = {f"val_{name}" for name in figures.CURVES}
    if all(side and wanted <= set(side[0]) for side in (base, head)):
        return figures.two_histories(base, head)
    return ""
