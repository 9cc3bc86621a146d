"""Draws the report: one HTML page that carries its pictures, the model card, the animation.

Reads: the numbers in REPORTS, PREDICTIONS/probabilities.npy, ARRAYS/test, MODEL/snapshots.npz, and
the SHA-256 of MODEL/model.keras and of EXPORT/model.onnx.
Writes: REPORTS/report.html, REPORTS/model_card.md, and in REPORTS/figures epochs.webp, overview.png,
best.png, median.png, worst.png, and as SVG curves, precision_recall, sweep, reliability, confusion,
and, if a mask of the test split is bad, confidence.
All of them depend on these files and the parameters only: equal inputs give equal bytes.
"""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import arrays
from petseg.report import content, render


@checked(frozen=True, config={"extra": "forbid"})
class Params:
    """`report` in params.yaml."""

    gallery: Annotated[int, Field(ge=1, le=300)]
    frame_seconds: Annotated[float, Field(ge=0.05, le=5)]


def main() -> None:
    """Run the stage."""
    paths = command.paths(
        __doc__,
        arrays="folder with test/",
        model="folder with the model and the snapshots",
        export="folder with the exported model",
        predictions="folder with the probabilities",
        reports="folder with the numbers, and to write to",
    )
    settings = params.load(Params, "report")
    test = arrays.load(paths.arrays / "test")
    probabilities = arrays.load_probabilities(paths.predictions / "probabilities.npy", test)
    tables = content.read_tables(paths.reports)
    shared = content.shared_content(paths.reports, tables)
    figures, snapshots = paths.reports / "figures", paths.model / "snapshots.npz"
    figures.mkdir(parents=True, exist_ok=True)
    html = render.render(
        "report/report.html.j2",
        **shared,
        **content.page_tables(tables),
        **content.write_plots(figures, tables, shared["data"]),
        **content.write_photos(
            figures, test, probabilities, tables, shared["data"], settings.gallery
        ),
        animation=content.write_animation(
            figures / "epochs.webp", snapshots, settings.frame_seconds
        ),
        model_rows=content.model_rows(
            shared["data"],
            shared["official"],
            [paths.model / "model.keras", paths.export / "model.onnx"],
        ),
    )
    files.write_text(paths.reports / "report.html", html)
    card = render.render("report/model_card.md.j2", **shared)
    files.write_text(paths.reports / "model_card.md", card)
    print(f"report: {paths.reports / 'report.html'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
