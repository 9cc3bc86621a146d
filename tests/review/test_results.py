"""The results of one commit: parsed from its files, and checked to be of its code."""

import hashlib

import pytest

from petseg.review import agreement, results
from petseg.review.agreement import Fault

HEADER = (
    "name,breed,species,foreground_as_foreground,foreground_as_background,border_as_foreground,border_as_background,"
    "background_as_foreground,background_as_background\n"
)
CODE = "print(1)\n"
DIGEST = hashlib.md5(CODE.encode(), usedforsecurity=False).hexdigest()
ARRAYS = "0123456789abcdef0123456789abcdef.dir"
LOCK = f"""schema: '2.0'
stages:
  train:
    cmd: python -m train
    deps:
    - {{path: train.py, md5: {DIGEST}, size: 9}}
    - {{path: data/arrays/train, md5: {ARRAYS}, size: 5}}
    params: {{params.yaml: {{recipes.demo.train: {{epochs: 1, seed: 7}}}}}}
    outs:
    - {{path: reports/metrics.json, md5: {hashlib.md5(b"{}", usedforsecurity=False).hexdigest()}, size: 2}}
"""
PIPELINE = """stages:
  train:
    cmd: python -m train
    deps: [train.py, data/arrays/train]
    params: [recipes.demo.train]
    metrics:
    - reports/metrics.json: {cache: false}
"""
FILES = {
    "params.yaml": "recipe: demo\nrecipes: {demo: {train: {epochs: 1, seed: 7}}}\n",
    "dvc.yaml": PIPELINE,
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


def texts(**files: str | None) -> list[str]:
    """Return the faults of the results in `FILES` with these changes."""
    return [fault.text for fault in read(**files).faults]


def test_a_commit_without_any_results_is_empty_and_says_that_nothing_ran() -> None:
    empty = results.read("label", "", lambda _: None)
    assert (empty.metrics, empty.test, empty.history) == ({}, {}, [])
    assert [fault.text for fault in empty.faults] == ["dvc.lock is missing"]


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
        (
            "params.yaml",
            FILES["params.yaml"].replace("1", "2"),
            "recipes.demo.train.epochs changed after",
        ),
        ("dvc.yaml", PIPELINE.replace("-m train", "-m other"), "the command of train changed"),
        ("dvc.yaml", PIPELINE.replace("[train.py, ", "["), "the dependencies of train changed"),
        ("dvc.yaml", PIPELINE.replace(".demo.train", ".demo.fit"), "parameters that train reads"),
        ("reports/metrics.json", '{"iou": 1.0}', "reports/metrics.json is not what dvc.lock says"),
        ("reports/metrics.json", None, "reports/metrics.json is missing"),
    ],
)
def test_a_change_after_the_run_is_named_without_any_data(
    path: str, text: str | None, fault: str
) -> None:
    (named,) = texts(**{path: text})
    assert fault in named


def test_stages_that_were_added_or_removed_after_the_run_are_named() -> None:
    renamed = {"dvc.yaml": PIPELINE.replace("  train:", "  fit:")}
    assert texts(**renamed) == [
        "fit is in dvc.yaml and has not run",
        "train is in dvc.lock and not in dvc.yaml",
    ]


@pytest.mark.parametrize(
    ("lock", "fault"),
    [
        (None, "dvc.lock is missing"),
        ("", "dvc.lock is empty or cut off"),
        (LOCK[:-1], "dvc.lock is empty or cut off"),
        ("[]\n", "dvc.lock: expected a mapping of sections"),
        ("stages: {}\n", "dvc.lock has no stages"),
        ("stages: [train]\n", "dvc.lock has no stages"),
        ("stages: {train: }\n", "dvc.lock has no complete record of train"),
        ("stages: [\n", "dvc.lock is not YAML"),
        (LOCK.replace(DIGEST, DIGEST[:20]), "dvc.lock has no complete record of train"),
        (LOCK.replace(f"md5: {DIGEST}, ", ""), "dvc.lock has no complete record of train"),
        (LOCK.replace(", size: 9", ""), "dvc.lock has no complete record of train"),
    ],
)
def test_a_lock_that_is_not_whole_is_one_fault_and_nothing_is_known_to_be_due(
    lock: str | None, fault: str
) -> None:
    parsed = read(**{"dvc.lock": lock})
    (named,) = parsed.faults
    assert named.text.startswith(fault)
    assert parsed.due == ()


def test_two_halves_of_two_locks_are_told_by_what_one_stage_wrote_and_another_read() -> None:
    def lock(read_digest: str) -> str:
        return f"""stages:
  preprocess:
    cmd: a
    outs:
    - {{path: data/arrays, md5: {ARRAYS}, size: 5}}
  train:
    cmd: b
    deps:
    - {{path: data/arrays, md5: {read_digest}, size: 5}}
"""

    pipeline = (
        "stages: {preprocess: {cmd: a, outs: [data/arrays]}, train: {cmd: b, deps: [data/arrays]}}"
    )
    files = {"dvc.yaml": pipeline, "reports/metrics.json": "{}"}
    assert texts(**files, **{"dvc.lock": lock(ARRAYS)}) == []
    assert texts(**files, **{"dvc.lock": lock("f" * 32 + ".dir")}) == [
        "train ran on another data/arrays than that of preprocess"
    ]


def test_what_is_due_is_the_stage_and_all_that_follow_it_in_the_order_of_the_pipeline() -> None:
    pipeline = {
        "first": {"outs": ["data/one"]},
        "second": {"deps": ["data/one/part"], "outs": [{"data/two": {"cache": False}}]},
        "beside": {"deps": ["data/other"]},
        "third": {"deps": ["data/two"]},
    }
    assert agreement.due([Fault("", ("first",))], pipeline) == ("first", "second", "third")
    assert agreement.due([Fault("", ("third",)), Fault("")], pipeline) == ("third",)
    circle = {"a": {"deps": ["x"], "outs": ["y"]}, "b": {"deps": ["y"], "outs": ["x"]}}
    assert agreement.due([Fault("", ("b",))], circle) == ("a", "b")


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
        ("reports/metrics.json", "{", "reports/metrics.json is not JSON"),
        ("reports/metrics.json", "[1]", "reports/metrics.json is not a JSON object"),
        ("reports/data.json", "[" * 100_000, "maximum recursion depth"),
        ("params.yaml", "a: [", "params.yaml is not YAML"),
        ("params.yaml", "a: 2026-13-45", "params.yaml is not YAML"),
        (
            "reports/per_image.csv",
            HEADER + "a,Smoke,cat,1,2,x,4,5,6\n",
            "a count that is no number",
        ),
        (
            "reports/per_image.csv",
            HEADER + f"a,Smoke,cat,1,2,3,4,5,{10**30}\n",
            "a count that is no number",
        ),
        ("reports/per_image.csv", HEADER + "a,Smoke,cat,1\n", "row 1 has more or fewer cells"),
        ("reports/photos.csv", "name,split,sha256\na,test\n", "row 1 has more or fewer cells"),
        ("reports/seeds/demo.json", '{"runs": [1]}', "is not what `petseg seeds` writes"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_the_fault_that_is_named(
    path: str, text: str, words: str
) -> None:
    (named,) = texts(**{path: text})
    assert words in named


def test_the_digest_of_a_training_depends_on_all_inputs_but_the_seed() -> None:
    first = results.trained_from(read().stages)
    assert (
        results.trained_from(read(**{"dvc.lock": LOCK.replace("seed: 7", "seed: 8")}).stages)
        == first
    )
    for old, new in (("epochs: 1", "epochs: 2"), (DIGEST, "a" * 32), (ARRAYS, f"{'f' * 32}.dir")):
        assert results.trained_from(read(**{"dvc.lock": LOCK.replace(old, new)}).stages) != first
