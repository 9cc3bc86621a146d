"""One commit's results read from files by path: what is there, and what is not as it should be."""

import hashlib

import pytest

from petseg.errors import UserError
from petseg.review import results

HEADER = (
    "name,breed,species,pet_as_pet,pet_as_background,border_as_pet,border_as_background,"
    "background_as_pet,background_as_background\n"
)
CODE = "print(1)\n"
DIGEST = hashlib.md5(CODE.encode(), usedforsecurity=False).hexdigest()
LOCK = f"""stages:
  train:
    cmd: python -m train
    deps:
    - {{path: train.py, md5: {DIGEST}}}
    - {{path: data/arrays/train, md5: x.dir}}
    params: {{params.yaml: {{recipes.demo.train: {{epochs: 1, seed: 7}}}}}}
    outs:
    - {{path: reports/metrics.json, md5: {hashlib.md5(b"{}", usedforsecurity=False).hexdigest()}}}
"""
FILES = {
    "params.yaml": "recipe: demo\nrecipes: {demo: {train: {epochs: 1, seed: 7}}}\n",
    "dvc.yaml": "stages: {train: {cmd: python -m train}}\n",
    "dvc.lock": LOCK,
    "train.py": CODE,
    "reports/metrics.json": "{}",
}


def read(**files: str | None) -> results.Results:
    """Read these files, and those above; `_` stands for a dot, None for a file that is away."""
    given = FILES | {name: text for name, text in files.items() if text is not None}
    for name in [name for name, text in files.items() if text is None]:
        del given[name]
    return results.read("here", "", lambda path: given[path].encode() if path in given else None)


def test_a_commit_without_any_results_is_empty_and_no_error() -> None:
    empty = results.read("here", "", lambda _: None)
    assert (empty.metrics, empty.test, empty.history, empty.faults) == ({}, {}, [], ())


def test_results_of_their_own_code_have_no_fault() -> None:
    assert read().faults == ()


@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("train.py", "print(2)\n", "train.py changed after train ran"),
        ("train.py", None, "train.py changed after train ran"),
        ("params.yaml", FILES["params.yaml"].replace("1", "2"), "recipes.demo.train changed after"),
        ("dvc.yaml", "stages: {train: {cmd: other}}\n", "the command of train changed"),
        ("dvc.yaml", "stages: {fit: {cmd: other}}\n", "not the same stages (fit, train)"),
        ("reports/metrics.json", '{"iou": 1.0}', "reports/metrics.json is not what dvc.lock says"),
    ],
)
def test_what_is_not_of_its_code_is_named_without_any_data(
    path: str, text: str | None, fault: str
) -> None:
    faults = read(**{path: text}).faults
    assert len(faults) == 1
    assert fault in faults[0]


def test_numbers_that_are_none_are_left_out() -> None:
    found = read(**{"reports/metrics.json": '{"iou": NaN, "dice": 0.5, "ok": true, "n": 3}'})
    assert found.metrics == {"dice": 0.5, "n": 3.0}
    found = read(**{"reports/history.csv": "epoch,loss\n1,0.5\n2,nan\n3\n4,0.4\n"})
    assert [row["epoch"] for row in found.history] == ["1", "4"]


def test_photos_are_joined_with_their_content_by_name() -> None:
    found = read(
        **{
            "reports/per_image.csv": HEADER + "a,Smoke,cat,1,2,3,4,5,6\nb,hound,dog,0,0,0,0,0,9\n",
            "reports/photos.csv": "name,split,breed,sha256\na,test,Smoke,12\nc,train,Smoke,34\n",
        }
    )
    assert found.test["a"] == results.TestPhoto("Smoke", "cat", "12", (1, 2, 3, 4, 5, 6))
    assert found.test["b"].sha256 == ""
    assert found.photos == {"a": ("test", "12"), "c": ("train", "34")}
    assert list(results.slices(found)) == [
        *("species cat", "species dog", "breed Smoke", "breed hound")
    ]


def test_other_columns_than_todays_are_no_photos() -> None:
    assert read(**{"reports/per_image.csv": "name,iou\na,0.5\n"}).test == {}


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("reports/metrics.json", "{", "here: reports/metrics.json is not JSON"),
        ("params.yaml", "a: [", "here: params.yaml is not YAML"),
        (
            "reports/per_image.csv",
            HEADER + "a,Smoke,cat,1,2,x,4,5,6\n",
            "a count that is no number",
        ),
        ("reports/per_image.csv", HEADER + "a,Smoke,cat,1\n", "a count that is no number"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(path: str, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(**{path: text})


def test_a_training_is_known_by_all_but_its_seed() -> None:
    first = results.trained_from(read().stages)
    assert (
        results.trained_from(read(**{"dvc.lock": LOCK.replace("seed: 7", "seed: 8")}).stages)
        == first
    )
    for old, new in (("epochs: 1", "epochs: 2"), (DIGEST, "abc"), ("x.dir", "y.dir")):
        assert results.trained_from(read(**{"dvc.lock": LOCK.replace(old, new)}).stages) != first
