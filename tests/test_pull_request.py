"""Reviews of real commits: a git and DVC repo with four of them, reviewed from the command line."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from petseg import files
from tests.conftest import (
    ENVIRONMENT,
    PARTS,
    TINY,
    copy_parts,
    ended,
    replace,
    run_and_commit,
    run_in,
)
from tests.flows.prefect_server import wait_until

RECIPE = (
    TINY.replace("trainval: 12, test: 4", "trainval: 60, test: 80")
    .replace("base_channels: 2", "base_channels: 4")
    .replace("epochs: 2", "epochs: 1")
    .replace("gate: {}", "gate: {iou: 0.01}")
)
WRITE = "    tables.write_reports("
WRITE_BROKEN = f"""    probabilities = probabilities.copy()
    probabilities[[photo.subgroup == "Smoke" for photo in test.index]] = 0
{WRITE}"""


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with the commits base, same (equal metrics), better, and broken (one breed)."""
    folder = tmp_path_factory.mktemp("reviewed") / "repo"
    copy_parts((*PARTS, ".gitattributes"), folder)
    (folder / "params.yaml").write_text(RECIPE)
    run_and_commit(folder)
    run_in(folder, "git", "tag", "base")
    changes = {
        "same": ("params.yaml", "gallery: 4", "gallery: 1"),
        "better": (
            "params.yaml",
            "epochs: 1\n  patience: 0",
            "epochs: 30\n  patience: 0",
        ),
        "broken": ("stages/evaluate.py", WRITE, WRITE_BROKEN),
    }
    for tag, (path, old, new) in changes.items():
        replace(folder / path, old, new)
        run_in(folder, "dvc", "repro")
        run_in(folder, "git", "commit", "-qam", tag)
        run_in(folder, "git", "tag", tag)
    return folder


def decide(folder: Path, *arguments: str) -> tuple[int, str]:
    """Return the gate's exit code and the line that it prints."""
    output = run_in(folder, "sh", "-c", f"petseg gate {' '.join(arguments)}; echo $?")
    *lines, code = output.splitlines()
    assert len(lines) == 1, output
    return int(code), lines[0]


def test_a_commit_with_equal_metrics_is_called_so_and_passes(reviewed: Path) -> None:
    text = run_in(reviewed, "petseg", "review", "base", "same")
    assert text.startswith("**No change: every test photo has the same counts")
    assert re.search(r"\| `report.gallery` +\| `4` +\| `1` +\|", text)
    assert re.search(r"\| `report` +\| `its parameters` +\|", text)
    assert "### Metrics" not in text
    code, reason = decide(reviewed, "base", "same")
    assert (code, reason[:18]) == (0, "no regression: iou")


def test_a_real_improvement_is_better_and_undoing_it_a_regression(reviewed: Path) -> None:
    text = run_in(reviewed, "petseg", "review", "same", "better")
    assert text.startswith("**Better: test IoU ")
    assert "### Training" in text
    assert re.search(r"\| `train.epochs` +\| `1` +\| `30` +\|", text)
    for name in ("iou", "native_iou", "native_boundary_iou", "expected_iou_error"):
        numbers = r" +\| [\d.]+ +\| [\d.]+ +\| [+−][\d.]+ +\| [+−][\d.]+ to [+−][\d.]+ +\|"
        assert re.search(rf"\| `{name}`{numbers}", text), name
    assert decide(reviewed, "same", "better")[0] == 0
    code, reason = decide(reviewed, "better", "same")
    assert (code, reason[:15]) == (3, "regression: iou")


def test_one_broken_breed_is_named_with_its_photos(reviewed: Path) -> None:
    text = run_in(reviewed, "petseg", "review", "better", "broken")
    headline = text.splitlines()[0]
    assert "breed Smoke" in headline
    assert headline.count("breed ") == 1
    section = text.partition("### Photos that got worse")[2].partition("###")[0]
    photos = re.findall(r"^\| `(\w+)` +\| `(\w+)` +\|", section, flags=re.MULTILINE)
    assert photos
    assert {breed for _, breed in photos} == {"Smoke"}
    assert re.search(r"\| `evaluate` +\| `stages/evaluate.py` +\|", text)
    assert "### Training" not in text


def test_a_clone_without_data_reviews_as_well_and_only_lacks_the_pictures(
    reviewed: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    run_in(tmp_path, "git", "clone", "-q", str(reviewed), str(clone))
    expected = run_in(reviewed, "petseg", "review", "better", "broken")
    assert run_in(clone, "petseg", "review", "better", "broken", "--html", "page.html") == (
        f"page: page.html\n{expected}"
    )
    page = (clone / "page.html").read_text()
    assert "data:image/png" not in page
    assert "The pictures could not be had from DVC" in page
    assert "dvc fetch --all-commits" in page
    assert "<svg" not in page  # the curves are the same
    assert decide(clone, "better", "broken") == decide(reviewed, "better", "broken")


def test_in_a_terminal_the_review_is_coloured_and_nothing_is_folded(reviewed: Path) -> None:
    command = ("script", "-qec", "petseg review same better", "/dev/null")
    text = run_in(reviewed, *command)
    assert "\x1b[1;3" in text  # bold, in a colour
    assert "<details>" not in text
    assert "Groups of photos" in text
    assert "\x1b" not in run_in(reviewed, "petseg", "review", "same", "better")


def test_pictures_come_from_the_cache_and_from_a_remote(reviewed: Path, tmp_path: Path) -> None:
    run_in(reviewed, "petseg", "review", "better", "same", "--html", str(tmp_path / "a.html"))
    page = (tmp_path / "a.html").read_text()
    assert "data:image/png" in page
    assert "<svg" in page
    clone = tmp_path / "clone"
    run_in(tmp_path, "git", "clone", "-q", str(reviewed), str(clone))
    shutil.copytree(reviewed / ".dvc/cache", clone / ".dvc/cache")
    store = ("-q", "--default", "store", str(tmp_path / "store"))
    run_in(clone, "dvc", "remote", "add", "--local", *store)
    run_in(clone, "dvc", "push", "--all-commits")
    shutil.rmtree(clone / ".dvc/cache")
    # As a colleague has it: the remote is in the working tree's .dvc/config, which old commits lack.
    run_in(clone, "dvc", "remote", "remove", "--local", "store")
    run_in(clone, "dvc", "remote", "add", *store)
    run_in(clone, "petseg", "review", "better", "same", "--html", "page.html")
    assert (clone / "page.html").read_text() == page


def test_the_working_tree_is_compared_by_default_and_stale_results_are_named(
    reviewed: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(reviewed, tmp_path / "copy", symlinks=True)
    assert "Head: the working tree" in run_in(copy, "petseg", "review", "broken")
    assert decide(copy, "broken")[0] == 0
    replace(copy / "params.yaml", "epochs: 30\n  patience: 0", "epochs: 31\n  patience: 0")
    text = run_in(copy, "petseg", "review", "broken")
    assert text.startswith("**Not run: train.epochs changed after train, report ran. Due: train, ")
    code, reason = decide(copy, "broken")
    assert code == 4
    assert "train.epochs changed after train, report ran (run `dvc repro`" in reason


def test_a_detached_head_and_a_worktree_review_like_any_other(
    reviewed: Path, tmp_path: Path
) -> None:
    expected = run_in(reviewed, "petseg", "review", "same", "better")
    run_in(reviewed, "git", "worktree", "add", "-q", "--detach", str(tmp_path / "tree"), "better")
    assert run_in(tmp_path / "tree", "petseg", "review", "same", "better") == expected
    text = run_in(tmp_path / "tree", "petseg", "review", "same")
    assert text.partition("\n")[0] == expected.partition("\n")[0]


def test_a_clone_without_old_contents_fetches_what_it_needs(reviewed: Path, tmp_path: Path) -> None:
    run_in(reviewed, "git", "config", "uploadpack.allowFilter", "true")
    source = ("--filter=blob:none", f"file://{reviewed}", "partial")
    run_in(tmp_path, "git", "clone", "-q", *source)
    expected = run_in(reviewed, "petseg", "review", "same", "better")
    assert run_in(tmp_path / "partial", "petseg", "review", "same", "better") == expected


def test_a_shallow_clone_cannot_tell_and_names_the_remedy(reviewed: Path, tmp_path: Path) -> None:
    run_in(tmp_path, "git", "clone", "-q", "--depth", "1", f"file://{reviewed}", "shallow")
    code, reason = decide(tmp_path / "shallow", "HEAD~1")
    assert code == 4
    assert "git fetch --unshallow" in reason
    output = run_in(tmp_path / "shallow", "petseg", "review", "HEAD~1", fails=True)
    assert output.startswith("error: HEAD~1 is not in this shallow clone")
    assert "names no commit here" in run_in(reviewed, "petseg", "gate", "nothing", fails=True)


def test_a_recipe_change_a_missing_metric_and_a_first_commit_have_no_verdict(
    reviewed: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(reviewed, tmp_path / "copy", symlinks=True)
    (copy / "reports/metrics.json").write_text('{"jaccard": 0.5, "dice": NaN}')
    text = run_in(copy, "petseg", "review", "broken")
    assert "only in base" in text
    assert "only in head" in text
    assert "nan" not in text.lower()
    assert decide(copy, "broken")[0] == 4
    run_in(copy, "git", "checkout", "-q", "--orphan", "first")
    run_in(copy, "git", "rm", "-rqf", "--cached", ".")
    run_in(copy, "git", "commit", "-q", "--allow-empty", "-m", "empty")
    text = run_in(copy, "petseg", "review", "first", "better")
    assert text.startswith("**No verdict: first has no reports/metrics.json.**")
    assert decide(copy, "first", "better")[0] == 4
    run_in(copy, "git", "checkout", "-qf", "better")
    replace(copy / "params.yaml", "recipe: tiny", "recipe: other")
    text = run_in(copy, "petseg", "review", "better")
    assert text.startswith("**No verdict: better has recipe tiny, the working tree has other.**")


def test_git_shows_no_row_per_photo_in_a_diff(reviewed: Path) -> None:
    diff = run_in(reviewed, "git", "diff", "same", "better", "--", "reports")
    assert "Binary files a/reports/per_image.csv and b/reports/per_image.csv differ" in diff
    assert "+1," not in diff.partition("reports/per_image.csv")[2].partition("diff --git")[0]
    assert "reports/metrics.json" in diff


def test_a_review_against_a_base_with_newer_commits_says_so(reviewed: Path, tmp_path: Path) -> None:
    assert "has commits that head lacks" in run_in(reviewed, "petseg", "review", "better", "same")
    assert "that head lacks" not in run_in(reviewed, "petseg", "review", "same", "better")


def interrupted(folder: Path, *command: str) -> int:
    """Return a command's exit code after Ctrl-C during a training, which must end with it."""
    environment = os.environ | ENVIRONMENT
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    wait_until(lambda: trainings(process.pid))
    (training,) = trainings(process.pid)
    process.send_signal(signal.SIGINT)
    code = process.wait(30)
    assert ended(training)
    return code


def trainings(parent: int) -> list[psutil.Process]:
    """Return the processes below this one that train."""
    below = psutil.Process(parent).children(recursive=True)
    return [process for process in below if "stages.train" in process.cmdline()]


def test_seeds_are_measured_saved_and_continued(reviewed: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(reviewed, tmp_path / "copy", symlinks=True)
    run_in(copy, "git", "checkout", "-q", "same")
    run_in(copy, "dvc", "checkout")
    path = copy / "reports/seeds/tiny.json"
    output = run_in(copy, "petseg", "seeds", "-n", "2")
    assert "reports/seeds/tiny.json: 2 trainings of tiny" in output
    first = files.read_json(path)
    metrics = files.read_json(copy / "reports/metrics.json")
    assert [run["seed"] for run in first["runs"]] == [3, 4]
    assert first["runs"][0]["metrics"]["iou"] == metrics["iou"]
    assert first["runs"][0]["metrics"] != first["runs"][1]["metrics"]
    ious = [run["metrics"]["iou"] for run in first["runs"]]
    deviation = abs(ious[0] - ious[1]) / 2**0.5
    assert re.search(rf"^iou +{sum(ious) / 2:.4f} +{deviation:.4f}$", output, flags=re.MULTILINE)
    assert run_in(copy, "git", "status", "--porcelain") == "?? reports/seeds/\n"
    run_in(copy, "petseg", "seeds", "-n", "3")
    assert files.read_json(path)["runs"][:2] == first["runs"]
    run_in(copy, "git", "add", ".")
    run_in(copy, "git", "commit", "-qm", "seeds")
    assert "other seeds alone change IoU by" in run_in(copy, "petseg", "review", "HEAD", "better")
    assert "photo_deviation" not in first["runs"][0]
    assert first["runs"][1]["photo_deviation"]["brier"] > 0
    for base in ((), ("broken",)):
        plan = run_in(copy, "petseg", "power", *base, "--difference", "0.02").splitlines()
        assert plan[0].startswith("80 test photos: over other photos the difference of two models")
        assert plan[1].startswith("3 trainings: with another seed IoU varies by 0.")
        assert [int(line.split()[0]) for line in plan[5:]] == [1, 2, 3, 5, 10, 20, 40]
    assert float(plan[5].split()[1]) > 0
    assert "name another commit" in run_in(copy, "petseg", "power", "HEAD", fails=True)
    assert "allowed: above 0" in run_in(copy, "petseg", "power", "--difference", "2", fails=True)
    before = path.read_bytes()
    assert interrupted(copy, "petseg", "seeds", "-n", "9") == 130
    assert path.read_bytes() == before
    replace(copy / "params.yaml", "learning_rate: 0.01", "learning_rate: 0.02")
    output = run_in(copy, "petseg", "seeds", "-n", "4", fails=True)
    assert output == (
        "error: the results here are not up to date (train, export, evaluate, report): "
        "run `dvc repro` first\n"
    )
    assert files.read_json(path)["runs"][:2] == first["runs"]
