"""Compare the modes of preprocess on drawn cells: the IoU that the same amount of training brings.

    python benchmarks/modes.py [--epochs 6]

Each mode trains by the recipe `cells` on as many pixels: an epoch of tiles has as many squares of a
picture as cover it, an epoch of `squash` or `pad` has one. So these get more epochs.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.workspace import recipes
from petseg import files, params

ROOT = Path(__file__).parents[1]
TILES = 48  # that cover a picture of 1,024 x 768 pixels
STAGES = {  # their arguments, as in dvc.yaml
    "download": ("own", "raw", "downloads"),
    "preprocess": ("raw", "labels", "arrays"),
    "train": ("arrays", "model", "train.csv", "state", "origins"),
    "export": ("arrays", "model", "export", "predictions"),
    "evaluate": ("raw", "arrays", "model", "export", "predictions", "reports"),
}


def measure(work: Path, sections: dict[str, Any]) -> tuple[float, float]:
    """Return the IoU at full size and the seconds of training; `work` has the folder `own`."""
    with (work / params.FILE).open("w") as file:
        YAML().dump({"recipe": "cells", **sections}, file)
    (work / "labels.csv").write_text("name,action,reason,who\n")
    for stage, paths in STAGES.items():
        command = [sys.executable, "-m", f"stages.{stage}", *paths]
        subprocess.run(command, cwd=work, stdout=subprocess.DEVNULL, check=True)
    seconds = sum(float(row["seconds"]) for row in files.read_csv(work / "train.csv"))
    return float(files.read_json(work / "reports/metrics.json")["native_iou"]), seconds


def main() -> None:
    """Print a row for each mode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=6, help="of tiles")
    args = parser.parse_args()
    for mode in ("squash", "pad", "tiles"):
        sections = recipes.compose(recipes.read("cells"))
        sections["preprocess"] |= {"mode": mode, "labels": "labels.csv"}
        sections["train"]["epochs"] = args.epochs * (1 if mode == "tiles" else TILES)
        with tempfile.TemporaryDirectory() as folder:
            draw = [sys.executable, str(ROOT / "examples/cells.py"), f"{folder}/own"]
            subprocess.run(draw, stderr=subprocess.DEVNULL, check=True)
            iou, seconds = measure(Path(folder), sections)
        print(f"| `{mode}` | {iou:.4f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
