"""A team's own photos in a real DVC repo: what runs again when the folder changes."""

import shutil
from pathlib import Path

import pytest

from petseg import files
from tests.conftest import DEMO, TINY, ran, run_in
from tests.data.test_folder import tree, write_pair

OWN = TINY.replace(DEMO, "download: {source: folder, masks: binary}").replace(
    "max_rejected: 0", "max_rejected: 9"
)


@pytest.fixture(scope="module")
def trained(finished: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo that has run and committed the pipeline with 24 photos behind links."""
    folder = tmp_path_factory.mktemp("own")
    repo = Path(shutil.copytree(finished[0], folder / "repo", symlinks=True))
    own, share = repo / "data/own", folder / "share"
    for number in range(24):
        write_pair(share, f"p{number:02}")
    for name in ("images", "masks"):
        shutil.rmtree(own / name)
        (own / name).symlink_to(share / name)
    (repo / "params.yaml").write_text(OWN)
    assert ran(run_in(repo, "dvc", "repro"))[:2] == ["download", "preprocess"]
    run_in(repo, "git", "add", "-A")
    run_in(repo, "git", "commit", "-qm", "own")
    return folder


@pytest.fixture
def own_repo(trained: Path, tmp_path: Path) -> Path:
    """The test's own copy of the repo, with the photos in it as folders."""
    repo = Path(shutil.copytree(trained / "repo", tmp_path / "repo", symlinks=True))
    for name in ("images", "masks"):
        (repo / "data/own" / name).unlink()
        shutil.copytree(trained / "share" / name, repo / "data/own" / name)
    return repo


def test_a_change_behind_a_linked_folder_is_noticed(trained: Path) -> None:
    repo = trained / "repo"
    assert ran(run_in(repo, "dvc", "repro")) == []
    before = (trained / "share/images/p00.png").read_bytes()
    try:
        write_pair(trained / "share", "p00x")
        assert "download" in ran(run_in(repo, "dvc", "repro", "preprocess"))
    finally:
        for name in ("images", "masks"):
            (trained / "share" / name / "p00x.png").unlink()
    assert (trained / "share/images/p00.png").read_bytes() == before
    run_in(repo, "dvc", "repro", "preprocess")


def test_equal_files_run_nothing_and_a_changed_test_photo_does_not_train(own_repo: Path) -> None:
    assert ran(run_in(own_repo, "dvc", "repro")) == []
    photos = files.read_csv(own_repo / "reports/photos.csv")
    name = next(row["name"] for row in photos if row["split"] == "test")
    photo = own_repo / f"data/own/images/{name}.png"
    other = own_repo / "data/own/images/other.png"
    write_pair(own_repo / "data/own", "other")
    other.replace(photo)
    (own_repo / "data/own/masks/other.png").unlink()
    stages = ran(run_in(own_repo, "dvc", "repro"))
    assert stages == ["download", "preprocess", "export", "evaluate", "report"]


def test_a_deleted_mask_is_a_photo_left_out_and_the_report_has_no_groups(own_repo: Path) -> None:
    before = tree(own_repo / "data/own/images")
    (own_repo / "data/own/masks/p03.png").unlink()
    run_in(own_repo, "dvc", "repro")
    rejected = files.read_csv(own_repo / "reports/rejected.csv")
    assert [(row["name"], row["reason"]) for row in rejected] == [("p03", "no mask")]
    assert tree(own_repo / "data/own/images") == before
    page = (own_repo / "reports/report.html").read_text()
    assert "pecies" not in page
    assert "Photos per" not in page
    assert "breed" not in (own_repo / "reports/model_card.md").read_text()
    assert "breed" not in (own_repo / "reports/per_image.csv").read_text()


def test_photos_that_dvc_tracks_are_used_and_restored_only_by_dvc(own_repo: Path) -> None:
    run_in(own_repo, "git", "rm", "-rq", "--cached", "--ignore-unmatch", "data/own")
    run_in(own_repo, "dvc", "add", "data/own/images", "data/own/masks")
    assert ran(run_in(own_repo, "dvc", "repro")) == []
    assert "waits" not in run_in(own_repo, "petseg", "plan")
