"""The results of one commit: parsed from its files, and checked to be of its code."""

import hashlib

import pytest

from petseg.errors import UserError
from petseg.review import results

HEADER = (
    "name,breed,species,foreground_as_foreground,foreground_as_background,border_as_foreground,border_as_background,"
    "background_as_foreground,background_as_background\n"
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
    """Return the results in `FILES` with these changes; None stands for a missing file."""
    contents = FILES | {name: text for name, text in files.items() if text is not None}
    for name in [name for name, text in files.items() if text is None]:
        del contents[name]
    return results.read(
        "label", "", lambda path: contents[path].encode() if path in contents else None
    )


def test_a_commit_without_any_results_is_empty_and_no_error() -> None:
    empty = results.read("label", "", lambda _: None)
    assert (empty.metrics, empty.test, empty.history, empty.faults) == ({}, {}, [], ())


def test_results_of_the_code_beside_them_have_no_fault() -> None:
    assert read().faults == ()


def test_the_parameters_are_read_from_a_flat_file_and_from_the_older_form_with_every_recipe() -> (
    None
):
    flat = "recipe: demo\ntrain: {epochs: 1, seed: 7}\ngate: {iou: 0.1}\n"
    assert read().sections == {"train": {"epochs": 1, "seed": 7}}
    assert read(**{"params.yaml": flat}).sections == {"train": {"epochs": 1, "seed": 7}}
    assert read(**{"params.yaml": None}).sections == {}


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
def test_a_change_after_the_run_is_named_without_any_data(
    path: str, text: str | None, fault: str
) -> None:
    faults = read(**{path: text}).faults
    assert len(faults) == 1
    assert fault in faults[0]


def test_values_that_are_no_finite_numbers_are_left_out() -> None:
    parsed = read(**{"reports/metrics.json": '{"iou": NaN, "dice": 0.5, "ok": true, "n": 3}'})
    assert parsed.metrics == {"dice": 0.5, "n": 3.0}
    parsed = read(**{"reports/history.csv": "epoch,loss\n1,0.5\n2,nan\n3\n4,0.4\n"})
    assert [row["epoch"] for row in parsed.history] == ["1", "4"]


def test_photos_are_joined_with_their_content_by_name() -> None:
    parsed = read(
        **{
            "reports/per_image.csv": HEADER + "a,Smoke,cat,1,2,3,4,5,6\nb,hound,dog,0,0,0,0,0,9\n",
            "reports/photos.csv": "name,split,sha256\na,test,12\nc,train,34\n",
        }
    )
    assert parsed.test["a"] == results.TestPhoto(("cat", "Smoke"), "12", (1, 2, 3, 4, 5, 6))
    assert parsed.test["b"].sha256 == ""
    assert parsed.photos == {"a": ("test", "12"), "c": ("train", "34")}
    assert list(results.slices(parsed)) == [
        *("species cat", "species dog", "breed Smoke", "breed hound")
    ]


EXTRA = "boundary_intersection,boundary_union,boundary_f_2px,squared_error"
NATIVE = "native_intersection,native_union,native_boundary_intersection,native_boundary_union"


@pytest.mark.parametrize(
    ("columns", "cells", "extra"),
    [
        ("", "", ()),
        (f",{EXTRA}", ",1,2,0.5,3.5", (1, 2, 0.5, 3.5)),
        # Only the longest prefix counts: without the expected IoU what follows has no place.
        (f",{EXTRA},{NATIVE}", ",1,2,0.5,3.5,4,5,6,7", (1, 2, 0.5, 3.5)),
        (
            f",{EXTRA},expected_iou,{NATIVE}",
            ",1,2,0.5,3.5,0.9,4,5,6,7",
            (1, 2, 0.5, 3.5, 0.9, 4, 5, 6, 7),
        ),
    ],
)
def test_a_photo_has_as_many_of_the_extra_columns_as_its_commit_measured(
    columns: str, cells: str, extra: tuple[float, ...]
) -> None:
    table = f"{HEADER.strip()}{columns}\na,Smoke,cat,1,2,3,4,5,6{cells}\n"
    assert read(**{"reports/per_image.csv": table}).test["a"].extra == extra


def test_an_older_commit_and_a_newer_one_are_compared_in_what_both_measured() -> None:
    rows = ("a,Smoke,cat,1,2,3,4,5,6,1,2,0.5,3.5", "a,Smoke,cat,2,1,3,4,5,6,2,2,1,3,0.9,4,5,6,7")
    headers = (f"{HEADER.strip()},{EXTRA}", f"{HEADER.strip()},{EXTRA},expected_iou,{NATIVE}")
    old, new = (
        read(**{"reports/per_image.csv": f"{header}\n{row}\n"})
        for header, row in zip(headers, rows, strict=True)
    )
    before, after = results.common_measurements(old, new, ["a"])
    assert before.tolist() == [[1, 2, 3, 4, 5, 6, 1, 2, 0.5, 3.5]]
    assert after.tolist() == [[2, 1, 3, 4, 5, 6, 2, 2, 1, 3]]
    _, complete = results.common_measurements(new, new, ["a"])
    assert complete.tolist() == [[2, 1, 3, 4, 5, 6, 2, 2, 1, 3, 0.9, 4, 5, 6, 7]]


def test_a_per_image_csv_with_other_columns_gives_no_photos() -> None:
    assert read(**{"reports/per_image.csv": "name,iou\na,0.5\n"}).test == {}


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("reports/metrics.json", "{", "label: reports/metrics.json is not JSON"),
        ("params.yaml", "a: [", "label: params.yaml is not YAML"),
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


def test_the_digest_of_a_training_depends_on_all_inputs_but_the_seed() -> None:
    first = results.trained_from(read().stages)
    assert (
        results.trained_from(read(**{"dvc.lock": LOCK.replace("seed: 7", "seed: 8")}).stages)
        == first
    )
    for old, new in (("epochs: 1", "epochs: 2"), (DIGEST, "abc"), ("x.dir", "y.dir")):
        assert results.trained_from(read(**{"dvc.lock": LOCK.replace(old, new)}).stages) != first
