"""Draws the report: one HTML page that carries its pictures, the model card, the animation.

Reads: REPORTS's numbers, PREDICTIONS/probabilities.npy, ARRAYS/test, MODEL/snapshots.npz, and of
MODEL/model.keras the hash, by which ORIGINS tells where it was trained.
Writes: REPORTS/report.html, REPORTS/model_card.md, and in REPORTS/figures epochs.webp, overview.png,
best.png, median.png, worst.png, and as SVG curves, precision_recall, sweep, reliability, confusion.
"""

from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from petseg import command, files, params
from petseg.data import arrays
from petseg.evaluation import thresholds
from petseg.report import content, render
from petseg.training import provenance

LISTED = 50  # rows of a table that grows with the data
TABLES = (
    *("calibration", "confusion", "history", "intervals", "per_image"),
    *("rejected", "slices", "suspects", "thresholds"),
)


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
        predictions="folder with the probabilities",
        reports="folder with the numbers, and to write to",
        origins="folder that tells where models were trained",
    )
    settings = params.load(Params, "report")
    found = {name: files.read_csv(paths.reports / f"{name}.csv") for name in TABLES}
    known = content.shared_content(paths.reports, found)
    known["origin"] = provenance.load(paths.origins, paths.model / "model.keras")
    test = arrays.load(paths.arrays / "test")
    probabilities = np.load(
        paths.predictions / "probabilities.npy", mmap_mode="r", allow_pickle=False
    )
    pictures = paths.reports / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    model = known["data"]["model"]
    least = thresholds.min_level(model["threshold"])
    film, snapshots = pictures / "epochs.webp", paths.model / "snapshots.npz"
    html = render.render(
        "report/report.html.j2",
        **known,
        **content.write_plots(pictures, found, model),
        **content.photo_content(
            test, probabilities, found["per_image"], least, settings.gallery, pictures
        ),
        animation=content.write_animation(film, snapshots, settings.frame_seconds),
        levels=[{key: float(cell) for key, cell in row.items()} for row in found["thresholds"]],
        cells=found["confusion"],
        rejected=found["rejected"],
        listed=LISTED,
        made=content.provenance_rows(known["data"], known["origin"], known["official"]),
    )
    files.write_text(paths.reports / "report.html", html)
    card = render.render("report/model_card.md.j2", **known)
    files.write_text(paths.reports / "model_card.md", card)
    print(f"report: {paths.reports / 'report.html'}")


if __name__ == "__main__":
    command.exit_cleanly(main)
