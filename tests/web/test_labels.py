"""`petseg labels review`: a real server in a repo that has run, and its page in a real browser."""

import io
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

from flows.web.labels.decisions import Decisions
from flows.web.labels.pictures import Pictures, View
from petseg import files
from petseg.data import archives, raw
from petseg.data.label_edits import Action
from petseg.errors import UserError
from petseg.evaluation.label_issues import LabelIssue, Reason
from petseg.inference.segmenter import Segmenter
from tests.browser import Page
from tests.conftest import NO_LABEL_EDITS, run_in
from tests.data.test_folder import listed, write_pair
from tests.web.server import Server, running

TABLE = "data/labels.csv"
NAMES = ("Cream_Point_1", "Cream_Point_2", "Forest_Tabby_2")  # of train, test and test


@pytest.fixture
def suspects(repo: Path) -> Path:
    """A repo with three suspects, and a row of the table for another photo."""
    run_in(repo, "git", "config", "user.name", "Ann")
    issues = [
        LabelIssue(NAMES[0], "train", "cat", Reason.WITHOUT_FOREGROUND, 1.0, ""),
        LabelIssue(NAMES[1], "test", "cat", Reason.DISAGREEMENT, 0.9, "90% of the foreground"),
        LabelIssue(NAMES[2], "test", "cat", Reason.DISAGREEMENT, 0.8, "80% of the foreground"),
        LabelIssue(
            NAMES[1], "test", "cat", Reason.DUPLICATE, 0.9, "Smoke_1 in val, 9 of 128 bits differ"
        ),
    ]
    files.write_rows(repo / "reports/suspects.csv", LabelIssue, issues)
    (repo / TABLE).write_text(f"{NO_LABEL_EDITS}Zebra_1,keep,not a suspect,Bo\n")
    return repo


@pytest.fixture
def server(suspects: Path, tmp_path: Path) -> Iterator[Server]:
    """The server in that repo."""
    with serving_labels(suspects, tmp_path) as server:
        yield server


def serving_labels(repo: Path, folder: Path, *names: str) -> AbstractContextManager[Server]:
    """Start `petseg labels review` in a repo."""
    options = ("--port", "0", "--no-browser")
    command = ["env", "-C", str(repo), "petseg", "labels", "review", *names, *options]
    return running(folder, command, "/labels.json")


@pytest.fixture
def page(browser: Page, server: Server) -> Page:
    """The page with the first photo."""
    browser.open(server.address)
    browser.window(1200)
    browser.complaints.clear()
    wait_for_photo(browser, NAMES[0])
    return browser


def wait_for_photo(page: Page, name: str) -> None:
    """Wait until the page shows a photo with its three pictures."""
    loaded = "[...document.images].every(it => !it.hasAttribute('src') || it.complete && it.naturalWidth)"
    page.until(f"get('name').textContent === {json.dumps(name)} && {loaded}")


def press(page: Page, key: str, then: str) -> None:
    """Press a key, and wait for the photo that the page then shows."""
    page.page.keyboard.press(key)
    page.until("!waiting")
    wait_for_photo(page, then)


def rows(repo: Path) -> list[str]:
    """Return the lines of the table below its header."""
    return (repo / TABLE).read_text().splitlines()[1:]


def test_the_keys_keep_drop_and_take_the_prediction_and_the_last_can_be_undone(
    page: Page, suspects: Path
) -> None:
    before = {path: path.read_bytes() for path in (suspects / "data/raw").iterdir()}
    press(page, "k", NAMES[1])
    press(page, "d", NAMES[2])
    assert rows(suspects) == [
        "Cream_Point_1,keep,no foreground in the trimap,Ann",
        'Cream_Point_2,drop,"model sure of the opposite: 90% of the foreground; '
        'near-duplicate in another split: Smoke_1 in val, 9 of 128 bits differ",Ann',
        "Zebra_1,keep,not a suspect,Bo",
    ]
    press(page, "m", NAMES[2])
    mask = suspects / "data/labels/Forest_Tabby_2.png"
    path = archives.photo_path(NAMES[2])
    archive = suspects / "data/raw" / archives.IMAGES
    ((_, photo),) = archives.read_members(archive, path.__eq__)
    predicted = Segmenter.load(suspects / "data/export/model.onnx").mask(photo)
    assert np.array_equal(np.asarray(Image.open(mask)), np.where(predicted, 1, 2))
    assert rows(suspects)[2].startswith("Forest_Tabby_2,use mask Forest_Tabby_2.png,model sure")

    press(page, "u", NAMES[2])
    assert not mask.exists()
    press(page, "u", NAMES[1])
    assert rows(suspects) == [
        "Cream_Point_1,keep,no foreground in the trimap,Ann",
        "Zebra_1,keep,not a suspect,Bo",
    ]
    press(page, "ArrowLeft", NAMES[0])
    press(page, "s", NAMES[1])
    assert rows(suspects)[0] == "Cream_Point_1,swap split,no foreground in the trimap,Ann"
    assert {path: path.read_bytes() for path in (suspects / "data/raw").iterdir()} == before
    assert page.complaints == []


def test_what_the_page_wrote_is_applied_by_the_next_run(page: Page, suspects: Path) -> None:
    press(page, "k", NAMES[1])
    press(page, "d", NAMES[2])
    press(page, "m", NAMES[2])
    run_in(suspects, "dvc", "repro", "evaluate")
    assert files.read_json(suspects / "reports/data.json")["label_edits"] == {
        "drop": 1,
        "use mask": 1,
    }
    scores = {row["name"]: row for row in files.read_csv(suspects / "reports/per_image.csv")}
    assert NAMES[1] not in scores
    row = scores[NAMES[2]]  # the model's own mask as the truth, at the photo's size
    assert row["native_intersection"] == row["native_union"]


def test_a_reason_can_be_typed_without_setting_off_a_key(page: Page, suspects: Path) -> None:
    page.page.keyboard.press("r")
    page.page.keyboard.type("drum kit, skidmark")
    page.page.keyboard.press("Enter")
    assert rows(suspects) == ["Zebra_1,keep,not a suspect,Bo"]
    press(page, "d", NAMES[1])
    assert rows(suspects)[0] == 'Cream_Point_1,drop,"drum kit, skidmark",Ann'
    press(page, "ArrowLeft", NAMES[0])
    assert page.js("get('decision').textContent") == "drop by Ann"
    assert page.js("get('reason').value") == "drum kit, skidmark"
    page.page.reload()
    wait_for_photo(page, NAMES[1])  # the first that is not decided


def test_the_buttons_do_what_the_keys_do_and_have_names(page: Page, suspects: Path) -> None:
    page.page.get_by_role("button", name="Keep").click()
    wait_for_photo(page, NAMES[1])
    twin = "get('twin-figure').hidden ? '' : get('twin-name').textContent"
    assert page.js(twin) == "Smoke_1"
    page.page.get_by_role("button", name="Swap").click()
    wait_for_photo(page, NAMES[2])
    assert page.js(twin) == ""
    assert [row.split(",")[1] for row in rows(suspects)[:2]] == ["keep", "swap split"]
    page.page.get_by_role("button", name="Undo").click()
    wait_for_photo(page, NAMES[1])
    page.page.get_by_role("navigation").get_by_role("button", name=NAMES[2]).click()
    wait_for_photo(page, NAMES[2])
    assert {f"photo of {NAMES[2]}", "Reason R"} <= page.accessible_names()


def test_the_pictures_show_the_photo_with_the_masks_of_the_data_and_of_the_model(
    server: Server,
) -> None:
    photo, mask, prediction = (
        np.asarray(Image.open(io.BytesIO(server.get(f"/photos/0/{view}.jpg").content)), np.int64)
        for view in ("photo", "mask", "prediction")
    )
    assert photo.shape == mask.shape == prediction.shape
    tinted = np.abs(mask - photo).max(axis=2) > 40
    assert 0.05 < tinted.mean() < 0.9
    assert server.get("/photos/1/twin.jpg").content != server.get("/photos/1/photo.jpg").content
    assert server.get("/photos/0/twin.jpg").status_code == 404
    assert server.get("/photos/9/photo.jpg").status_code == 404


def test_a_table_that_is_edited_meanwhile_keeps_its_rows_and_a_faulty_one_is_left_alone(
    page: Page, suspects: Path
) -> None:
    (suspects / TABLE).write_text(f"{NO_LABEL_EDITS}Yak_1,keep,by hand,Bo\n")
    press(page, "d", NAMES[1])
    assert [row.split(",")[0] for row in rows(suspects)] == ["Cream_Point_1", "Yak_1"]
    faulty = f"{NO_LABEL_EDITS}Yak_1,remove,by hand,Bo\n"
    (suspects / TABLE).write_text(faulty)
    press(page, "d", NAMES[1])
    problem = page.js("get('problem').textContent")
    assert problem.startswith("data/labels.csv, line 2: the action of Yak_1 is 'remove'; allowed")
    assert (suspects / TABLE).read_text() == faulty


def test_pages_of_other_sites_cannot_decide(server: Server, suspects: Path) -> None:
    decision = {"number": 0, "action": "drop", "reason": ""}
    address = f"{server.address}/decisions"
    headers = {"Origin": "https://evil.example"}
    assert requests.post(address, json=decision, headers=headers, timeout=60).status_code == 403
    for wrong in ({"number": -1}, {"action": "delete"}, {"mask": "/etc/passwd"}):
        assert requests.post(address, json=decision | wrong, timeout=60).status_code == 400
    headers = {"Host": "evil.example"}
    assert server.get("/labels.json", headers=headers).status_code == 421
    assert "default-src 'none'" in server.get("/").headers["Content-Security-Policy"]
    assert rows(suspects) == ["Zebra_1,keep,not a suspect,Bo"]


def test_photos_can_be_named_and_an_unknown_one_or_none_at_all_is_one_line(
    suspects: Path, tmp_path: Path
) -> None:
    with serving_labels(suspects, tmp_path, "Smoke_1") as server:
        (photo,) = server.get("/labels.json").json()["photos"]
        assert (photo["name"], photo["split"], photo["reason"]) == ("Smoke_1", "val", "")
    command = ("petseg", "labels", "review", "--no-browser")
    assert run_in(suspects, *command, "Smoke_99", fails=True) == (
        "error: Smoke_99 cannot be shown: it is not in reports/photos.csv, which lists every name in use\n"
    )
    files.write_rows(suspects / "reports/suspects.csv", LabelIssue, [])
    assert run_in(suspects, *command, fails=True) == (
        "error: reports/suspects.csv lists no photo; `petseg labels review NAME` shows another\n"
    )


def test_a_mask_of_the_model_is_a_new_file_and_never_replaces_one(tmp_path: Path) -> None:
    table, folder = tmp_path / "labels.csv", tmp_path / "labels"
    table.write_text(NO_LABEL_EDITS)
    drawn = folder / "site 1/a.b.png"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"drawn by hand")
    decisions = Decisions(table, folder, "Ann")
    for content in (b"first", b"second"):
        row = decisions.decide("site 1/a.b", Action.USE_MASK, "half\na cat", content.__bytes__)
    assert (row.mask, row.reason) == ("site 1/a.b.3.png", "half a cat")
    assert decisions.mask("site 1/a.b") == folder / row.mask
    assert [path.read_bytes() for path in sorted(drawn.parent.iterdir())] == [
        b"first",
        b"second",
        b"drawn by hand",
    ]
    decisions.undo()
    assert decisions.mask("site 1/a.b") == folder / "site 1/a.b.2.png"
    decisions.undo()
    assert [path.name for path in drawn.parent.iterdir()] == ["a.b.png"]
    assert (decisions.undo(), table.read_text()) == (None, NO_LABEL_EDITS)


@pytest.mark.parametrize("name", ["../a", "/a", "elsewhere/a"])
def test_a_mask_is_never_written_outside_the_folder_of_masks(tmp_path: Path, name: str) -> None:
    table, folder = tmp_path / "labels.csv", tmp_path / "labels"
    table.write_text(NO_LABEL_EDITS)
    folder.mkdir()
    (tmp_path / "other").mkdir()
    (folder / "elsewhere").symlink_to(tmp_path / "other")
    decisions = Decisions(table, folder, "Ann")
    with pytest.raises(UserError, match="leads out of"):
        decisions.decide(name, Action.USE_MASK, "", b"".__bytes__)
    assert not list((tmp_path / "other").iterdir())
    assert table.read_text() == NO_LABEL_EDITS


def test_a_mask_that_cannot_be_written_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(NO_LABEL_EDITS)
    (tmp_path / "labels").write_text("no folder")
    decisions = Decisions(tmp_path / "labels.csv", tmp_path / "labels", "Ann")
    with pytest.raises(UserError, match=r"labels/a.png cannot be written: "):
        decisions.decide("a", Action.USE_MASK, "", b"mask".__bytes__)
    assert (tmp_path / "labels.csv").read_text() == NO_LABEL_EDITS


@pytest.mark.parametrize("name", [" a", "a ", "x/ a.b"])
def test_names_with_spaces_at_their_ends_can_be_decided_on_twice(tmp_path: Path, name: str) -> None:
    (tmp_path / "labels.csv").write_text(NO_LABEL_EDITS)
    decisions = Decisions(tmp_path / "labels.csv", tmp_path / "labels", "Ann")
    for action in (Action.DROP, Action.USE_MASK, Action.KEEP):
        row = decisions.decide(name, action, "why", b"mask".__bytes__)
        assert decisions.rows() == {name: row}


def test_own_photos_are_shown_with_their_own_kind_of_masks(repo: Path, tmp_path: Path) -> None:
    write_pair(tmp_path / "own", "site/a")
    source = listed(tmp_path / "own", tmp_path / "list")
    segmenter = Segmenter.load(repo / "data/export/model.onnx")
    pictures = Pictures(raw.open_raw(source), segmenter, ["site/a"])
    with Image.open(io.BytesIO(pictures.draw("site/a", View.MASK))) as picture:
        mask = np.asarray(picture, np.int64)
    with Image.open(io.BytesIO(pictures.draw("site/a", View.PHOTO))) as picture:
        change = np.abs(mask - np.asarray(picture, np.int64)).mean(axis=(0, 2))
    assert change[:16].min() > 20 > change[24:].max()  # the mask is the left half
    with Image.open(io.BytesIO(pictures.predicted_mask("site/a"))) as picture:
        assert picture.size == (40, 20)
        assert set(np.unique(np.asarray(picture))) <= {1, 2}
