"""Corrections of labels in a real DVC repo: what runs again, and what a review of them shows."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg import files
from petseg.data import archives
from tests.conftest import NO_LABEL_EDITS, ran, run_in


@pytest.fixture(scope="module")
def tables(finished: tuple[Path, str]) -> dict[str, list[str]]:
    """The names of the photos of each split in the finished repo."""
    photos = files.read_csv(finished[0] / "reports/photos.csv")
    return {
        split: [row["name"] for row in photos if row["split"] == split]
        for split in ("train", "val", "test")
    }


def correct(repo: Path, *rows: str) -> list[str]:
    """Write these rows to the table, run the pipeline and commit; return the stages that ran."""
    (repo / "data/labels.csv").write_text(NO_LABEL_EDITS + "".join(f"{row}\n" for row in rows))
    stages = ran(run_in(repo, "dvc", "repro"))
    run_in(repo, "git", "add", "-A")
    run_in(repo, "git", "commit", "-qm", "correct labels")
    return stages


def write_empty_mask(repo: Path, name: str) -> None:
    """Write a mask of background alone with the size of a photo's own mask."""
    path = archives.trimap_path(name)
    ((_, data),) = archives.read_members(repo / "data/raw" / archives.ANNOTATIONS, path.__eq__)
    (repo / "own.png").write_bytes(data)
    with Image.open(repo / "own.png") as mask:
        empty = np.full(mask.size[::-1], 2, np.uint8)
    (repo / "own.png").unlink()
    Image.fromarray(empty).save(repo / f"data/labels/{name}.png")


def counts(repo: Path) -> dict[str, dict[str, str]]:
    """Return the rows of per_image.csv by the name of the photo."""
    return {row["name"]: row for row in files.read_csv(repo / "reports/per_image.csv")}


def test_a_corrected_test_photo_does_not_train_and_is_left_out_of_the_comparison(
    repo: Path, tables: dict[str, list[str]]
) -> None:
    dropped, replaced, *common = tables["test"]
    write_empty_mask(repo, replaced)
    before = counts(repo)
    stages = correct(
        repo,
        f"{dropped},drop,no pet,Ann",
        f"{replaced},use mask {replaced}.png,no dog,Bo",
        f"{common[0]},keep,,Ann",
    )
    assert stages == ["preprocess", "export", "evaluate", "report"]

    after = counts(repo)
    assert set(after) == {replaced, *common}
    assert all(after[name] == before[name] for name in common)
    truth = ("foreground_as_foreground", "foreground_as_background")
    assert [after[replaced][column] for column in truth] == ["0", "0"]
    assert after[replaced]["native_intersection"] == "0"  # the mask counts at full size as well

    text = run_in(repo, "petseg", "review", "HEAD~1", "HEAD")
    assert "compared are the 2 photos in both, of 4 in base and 3 in head" in text
    assert "### Metrics" not in text  # on these two nothing changed
    section = text.partition("### Labels")[2].partition("###")[0]
    assert "Not listed: 1 that were looked at and kept as they are." in section
    cells = re.findall(r"^\| `(.*?)` +\| (.*?) +\| `(.*?)` +\| `(.*?)` +\| `(.*?)`", section, re.M)
    assert sorted(cells) == sorted(
        [
            (dropped, "", "drop", "no pet", "Ann"),
            (replaced, "", f"use mask {replaced}.png", "no dog", "Bo"),
        ]
    )
    changed = rf"`photos with other content in test` +\| `1` +\| `{replaced}`"
    assert re.search(changed, text)

    page, card = (
        (repo / "reports" / name).read_text() for name in ("report.html", "model_card.md")
    )
    assert "Corrections of labels in data/labels.csv: drop 1, use mask 1." in page
    assert "Corrections of labels in `data/labels.csv`: drop 1, use mask 1." in card
    assert files.read_json(repo / "reports/data.json")["label_edits"] == {"drop": 1, "use mask": 1}


def test_a_corrected_training_photo_trains_again_and_a_kept_one_only_converts(
    repo: Path, tables: dict[str, list[str]]
) -> None:
    name = tables["train"][0]
    assert correct(repo, f"{name},keep,,Ann") == ["preprocess"]
    assert "train" in correct(repo, f"{name},drop,blurred,Ann")
    assert files.read_csv(repo / "reports/rejected.csv") == [
        {"name": name, "split": "train", "reason": "dropped: blurred"}
    ]


def test_a_recipe_may_name_a_table_of_its_own(repo: Path, tables: dict[str, list[str]]) -> None:
    name = tables["test"][0]
    (repo / "data/labels/clean.csv").write_text(f"{NO_LABEL_EDITS}{name},drop,,Ann\n")
    run_in(repo, "dvc", "exp", "run", "-S", "preprocess.labels=data/labels/clean.csv")
    assert name not in counts(repo)
    text = run_in(repo, "petseg", "review", "HEAD")
    assert "compared are the 3 photos in both, of 4 in base and 3 in head" in text
    assert "### Labels" in text


def test_a_wrong_table_stops_the_stage_in_one_line_and_the_arrays_stay(repo: Path) -> None:
    before = files.read_json(repo / "data/arrays/summary.json")
    (repo / "data/labels.csv").write_text(f"{NO_LABEL_EDITS}a,remove,,\n")
    command = ("python", "-m", "stages.preprocess", "data/raw", "data/labels", "data/arrays")
    output = run_in(repo, *command, fails=True)
    assert output.startswith("error: data/labels.csv, line 2: the action of a is 'remove'; ")
    assert len(output.splitlines()) == 1
    assert files.read_json(repo / "data/arrays/summary.json") == before
