"""A slice of real photos end to end, where a folder in the official layout is at hand.

The folder is named by PETSEG_REAL_PHOTOS; without it the tests are skipped, for the photos may
not be published with the project.
"""

import json
import os
from pathlib import Path

import pytest

from petseg import files
from petseg.data import archives, arrays, convert, label_edits, photos, raw, splits
from petseg.data.label_edits import NO_EDITS, Action
from petseg.evaluation import label_issues
from tests.conftest import ROOT, run_in, with_archives

REAL = os.environ.get("PETSEG_REAL_PHOTOS", "")


def a_slice(source: Path, target: Path) -> None:
    """Write archives with every 40th photo of each list."""
    target.mkdir()
    annotations = dict(archives.read_members(source / archives.ANNOTATIONS))
    names: set[str] = set()
    members: list[tuple[str, bytes]] = []
    for list_name in ("trainval", "test"):
        path = archives.list_path(list_name)
        rows = archives.parse_list(annotations[path], path)[::40]
        names |= {row.name for row in rows}
        members.append((path, "".join(f"{row.row}\n" for row in rows).encode()))
    members += [
        (name, data)
        for name, data in annotations.items()
        if Path(name).suffix == ".png" and Path(name).stem in names
    ]
    archives.write(target / archives.ANNOTATIONS, members)
    images = archives.read_members(source / archives.IMAGES)
    archives.write(
        target / archives.IMAGES, (member for member in images if Path(member[0]).stem in names)
    )


@pytest.mark.skipif(not REAL, reason="PETSEG_REAL_PHOTOS names no folder with real photos")
def test_a_slice_of_the_real_photos_goes_end_to_end(repo: Path, tmp_path: Path) -> None:
    a_slice(Path(REAL).resolve(), tmp_path / "slice")
    text = (
        with_archives([f"{tmp_path}/slice"])
        .replace("image_size: 32", "image_size: 64", 1)
        .replace("epochs: 2", "epochs: 20", 1)
        .replace("learning_rate: 0.01", "learning_rate: 0.002", 1)
    )
    (repo / "params.yaml").write_text(text.replace("base_channels: 2", "base_channels: 8", 1))
    run_in(repo, "dvc", "repro")
    data = json.loads((repo / "reports/data.json").read_text())
    metrics = json.loads((repo / "reports/metrics.json").read_text())
    assert data["splits"]["test"]["photos"] == 92
    assert data["splits"]["train"]["photos"] + data["splits"]["val"]["photos"] == 92
    assert len(data["groups"]["breed"]) == 37
    assert (data["source"]["official"], data["source"]["checked"]) == (False, False)
    assert 0.3 < metrics["iou"] < 1
    assert 0.3 < metrics["native_iou"] < 1
    assert data["test"]["larger_than_input"] == 92  # they have 128 pixels, the network 64


@pytest.mark.skipif(not REAL, reason="PETSEG_REAL_PHOTOS names no folder with real photos")
def test_photos_of_the_networks_size_have_the_same_metrics_at_full_size(
    repo: Path, tmp_path: Path
) -> None:
    source = Path(REAL).resolve()
    a_slice(source, tmp_path / "slice")
    (_, photo) = next(archives.read_members(source / archives.IMAGES))
    width, height = photos.read_size(photo)
    if width != height:
        pytest.skip("the photos are not squares of one size")
    text = with_archives([f"{tmp_path}/slice"])
    (repo / "params.yaml").write_text(text.replace("image_size: 32", f"image_size: {width}", 1))
    run_in(repo, "dvc", "repro", "evaluate")
    assert files.read_json(repo / "reports/data.json")["test"]["larger_than_input"] == 0
    metrics = files.read_json(repo / "reports/metrics.json")
    assert metrics["native_iou"] == metrics["iou"]
    assert metrics["native_boundary_iou"] == metrics["boundary_iou"]


@pytest.mark.skipif(not REAL, reason="PETSEG_REAL_PHOTOS names no folder with real photos")
def test_the_corrections_of_oxford_clean_name_just_the_photos_without_foreground(
    tmp_path: Path,
) -> None:
    folder = ROOT / "data/labels"
    table = label_edits.read(folder / "oxford-clean.csv", folder)
    data = raw.open_raw(Path(REAL))
    convert.convert(
        data, tmp_path, convert.Settings("squash", 128, 0.1, 0.2, seed=1, max_rejected=20), NO_EDITS
    )
    found = {
        issue.name
        for split in splits.SPLITS
        for issue in label_issues.without_foreground(split, arrays.load(tmp_path / split))
    }
    assert found == {row.name for row in data.listed()} & set(table.with_action(Action.DROP))
    assert len(table.rows) == 14
