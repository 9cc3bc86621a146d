"""What tests share: a small real DVC repo that has run once, and a few pixels by hand."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

import tests.shapes  # noqa: F401 - named in pyproject.toml, and looked up without an import

# the background job of a shell ignores Ctrl-C, and so would whatever a test starts
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
CODE = ("petseg", "stages", "flows")
PARTS = (
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
    ".dvc/plots",
    *(f"data/own/{name}" for name in ("images/.gitkeep", "masks/.gitkeep")),
    *(f"data/own/{name}" for name in ("groups.csv", "splits.csv")),
    "data/labels.csv",
    "data/labels",
    *CODE,
)
Run = Callable[..., str]
DEMO = "download: {source: demo, seed: 3, trainval: 12, test: 4}"
SECTIONS = f"""{DEMO}
preprocess:
  mode: squash
  image_size: 32
  val_fraction: 0.2
  test_fraction: 0.2
  seed: 3
  max_rejected: 0
  labels: data/labels.csv
train:
  encoder: plain
  input_scale: 1
  base_channels: 2
  depth: 2
  precision: float32
  epochs: 2
  patience: 0
  batch_size: 4
  loss: bce
  edge_weight: 0
  learning_rate: 0.01
  encoder_lr_multiplier: 1
  lr_schedule: none
  weight_decay: 0
  border: foreground
  flip: true
  crop: 1
  colour: 0
  flip_tta: false
  snapshots: 2
  seed: 3
export: {{batch_size: 4, calibration_photos: 2, refinement: none, foreground: pet}}
evaluate: {{bad_iou: 0.8}}
report: {{gallery: 4, frame_seconds: 0.5}}
gate: {{}}
"""
TINY = f"recipe: tiny\n{SECTIONS}"  # params.yaml of a recipe that runs in seconds
NO_LABEL_EDITS = "name,action,reason,who\n"  # data/labels.csv without a row
OTHER_EPOCHS = 1  # in the recipe `other`, which is like `tiny` but for this


def with_archives(mirrors: list[str], images: str = "null", annotations: str = "null") -> str:
    """Return params.yaml with archives from mirrors, expected to have these checksums."""
    checksums = f"{{images: {images}, annotations: {annotations}}}"
    section = f"download: {{source: archives, mirrors: {json.dumps(mirrors)}, sha256: {checksums}}}"
    return TINY.replace(DEMO, section)


def write_recipes(folder: Path, more: str = "") -> None:
    """Write recipes/ with `tiny` and `other`, and params.yaml as `petseg use tiny` makes it.

    Args:
        folder: the project's folder.
        more: sections of parameters besides those of the project's stages.
    """
    recipes = folder / "recipes"
    recipes.mkdir()
    defaults = (ROOT / "recipes/defaults.yaml").read_text()
    limits = defaults.index("gate:")  # without limits, which a test adds where it needs them
    (recipes / "defaults.yaml").write_text(f"{defaults[:limits]}gate: {{}}\n{more}")
    for name, epochs in (("tiny", 2), ("other", OTHER_EPOCHS)):
        sections = SECTIONS.replace("epochs: 2", f"epochs: {epochs}")
        (recipes / f"{name}.yaml").write_text(f"description: For tests, {name}.\n{sections}")
    (folder / "params.yaml").write_text(TINY + more)


ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONDONTWRITEBYTECODE": "1",
    **{
        f"GIT_{who}_{what}": "test@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def run_in(folder: Path, *command: str, fails: bool = False) -> str:
    """Run a command there with this environment first on PATH; return all that it prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def ran(output: str) -> list[str]:
    """Return the stages that a `dvc repro` really ran, in order."""
    return re.findall(r"^> python -m stages\.(\w+)", output, flags=re.MULTILINE)


def ended(process: psutil.Process) -> bool:
    """Return whether a process is over; where nobody asks how it ended, it stays as a zombie."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that stands in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def copy_parts(parts: Iterable[str], folder: Path) -> None:
    """Copy files and folders of the project, at their places, into a folder."""
    for part in parts:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)


def run_and_commit(folder: Path) -> str:
    """Make a folder a git repo, run its pipeline, commit; return what DVC printed."""
    run_in(folder, "git", "init", "-q", "-b", "main")
    output = run_in(folder, "dvc", "repro")
    run_in(folder, "git", "add", ".")
    if (folder / "data/own").exists():  # its folders are ignored, and still there in every clone
        run_in(folder, "git", "add", "-f", "data/own")
    run_in(folder, "git", "commit", "-qm", "first")
    return output


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A git and DVC repo of this project with two tiny recipes, run and committed; its output."""
    folder = tmp_path_factory.mktemp("finished") / "repo"
    copy_parts(PARTS, folder)
    write_recipes(folder)
    return folder, run_and_commit(folder)


@pytest.fixture
def repo(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """The test's own copy of the finished repo."""
    return Path(shutil.copytree(finished[0], tmp_path / "repo", symlinks=True))


STEP = '''"""A stage that says what it does, takes its time, may fail, and writes a number."""
import json, sys, time
from pathlib import Path
from ruamel.yaml import YAML
name, target = sys.argv[1:]
wish = YAML(typ="safe").load(Path("params.yaml"))["steps"][name]
print(f"{name} starts", flush=True)
time.sleep(wish["seconds"])
if wish["value"] < 0:
    sys.exit(f"{name}: a negative value cannot be written")
Path(target).parent.mkdir(parents=True, exist_ok=True)
Path(target).write_text(json.dumps({"iou": wish["value"]}))
print(f"{name} ends", flush=True)
'''
STEPS = """stages:
  first:
    cmd: python step.py first data/first.json
    deps: [step.py]
    params: ["steps.first", "train"]
    outs: [data/first.json]
  second:
    cmd: python step.py second data/second.json
    deps: [step.py, data/first.json]
    params: [steps.second]
    outs: [data/second.json]
  third:
    cmd: python step.py third reports/metrics.json
    deps: [step.py, data/second.json]
    params: [steps.third]
    metrics:
      - reports/metrics.json:
          cache: false
"""
WISHES = """steps:
  first: {seconds: 0, value: 0.1}
  second: {seconds: 0, value: 0.2}
  third: {seconds: 0, value: 0.3}
"""


@pytest.fixture(scope="session")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git and DVC repo whose three stages do nothing but take time, run and committed."""
    folder = tmp_path_factory.mktemp("stepped") / "repo"
    settings = (".dvc/config", ".dvcignore", ".gitignore", "prefect.yaml", "prefect.toml")
    copy_parts((*CODE, *settings), folder)
    (folder / "step.py").write_text(STEP)
    (folder / "dvc.yaml").write_text(STEPS)
    write_recipes(folder, WISHES)
    run_and_commit(folder)
    return folder


@pytest.fixture
def steps(stepped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own copy of the three steps, and the folder it works in."""
    folder = Path(shutil.copytree(stepped, tmp_path / "steps", symlinks=True))
    monkeypatch.chdir(folder)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def upstream(steps: Path, tmp_path: Path) -> Path:
    """Give the three steps' checkout an upstream; return a colleague's clone of that."""
    run_in(tmp_path, "git", "clone", "-q", "--bare", str(steps), "bare.git")
    run_in(steps, "git", "remote", "add", "origin", str(tmp_path / "bare.git"))
    run_in(steps, "git", "fetch", "-q")
    run_in(steps, "git", "branch", "-q", "-u", "origin/main")
    run_in(tmp_path, "git", "clone", "-q", str(tmp_path / "bare.git"), "colleague")
    return tmp_path / "colleague"
