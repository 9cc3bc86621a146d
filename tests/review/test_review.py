"""From two commits' results to verdicts and the gate's decision, on results written by hand."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from petseg.errors import UserError
from petseg.evaluation import metrics
from petseg.evaluation.metrics import Direction
from petseg.review import changes, compare, gate, headline, nested, results, sections
from petseg.review.agreement import Fault
from petseg.review.compare import Verdict
from petseg.review.gate import GateResult
from petseg.review.headline import Outcome
from petseg.review.results import Results

GATE = {"iou": 0.01}
Six = tuple[int, ...]


def result(label: str, photos: dict[str, Six], **other: Any) -> Results:
    """Return results of these counts by test photo; the breed is the name up to its number."""
    test = {
        name: results.TestPhoto(("cat", name.rpartition("_")[0]), f"hash of {name}", counts)
        for name, counts in photos.items()
    }
    counts = np.array(list(photos.values()), np.int64).reshape(-1, 6)
    facts: dict[str, Any] = {
        "commit": "",
        "metrics": metrics.from_photos(counts) if photos else {},
        "group_kinds": ("species", "breed"),
        "test": test,
        "photos": {name: ("test", photo.sha256) for name, photo in test.items()},
        "history": [],
        "data": {},
        "label_edits": {},
        "recipe": "demo",
        "params": {"gate": GATE, "recipes": {"demo": {}}},
        "stages": {},
        "seeds": {},
        "faults": (),
        "due": (),
    }
    return Results(label=label, **facts | other)


def photos(missed: Sequence[int], breed: str = "Smoke") -> dict[str, Six]:
    """Return photos of 100 pixels of foreground, of which so many are missed, and 100 of background."""
    return {
        f"{breed}_{number}": (100 - count, count, 0, 0, 0, 100)
        for number, count in enumerate(missed)
    }


FEW_MISSED = [4, 6, 5, 7, 3, 5, 6, 4, 5, 5] * 3
MORE_MISSED = [count + 10 + number % 3 for number, count in enumerate(FEW_MISSED)]
BASE = result("base", photos(FEW_MISSED))


OWN = results.trained_from({})  # what results without stages were trained from


def seeds(*values: float, trained_from: str = OWN) -> dict[str, Any]:
    """Return trainings with these IoUs; by default of the code, data and parameters of `result`."""
    runs = [{"seed": n, "metrics": {"iou": value}, "slices": {}} for n, value in enumerate(values)]
    return {"runs": runs, "trained_from": trained_from}


def repeated(side: Results, *others: float) -> Results:
    """Return results whose training was repeated, with these IoUs and otherwise the same metrics."""
    values = (side.metrics["iou"], *others)
    runs = [
        {"seed": n, "metrics": side.metrics | {"iou": value}, "slices": {}}
        for n, value in enumerate(values)
    ]
    return replace(side, seeds={"runs": runs, "trained_from": OWN})


def test_equal_results_are_no_change_and_pass() -> None:
    review = compare.compare(BASE, replace(BASE, label="head"))
    assert {change.verdict for change in review.metrics} == {Verdict.UNCLEAR}
    assert gate.decide(review)[0] == GateResult.PASSED
    assert review.regressions == ()


def with_extra(side: Results, extra: tuple[float, ...]) -> Results:
    """Return results whose photos all have these boundary pixels, F-score and squared error."""
    test = {name: replace(photo, extra=extra) for name, photo in side.test.items()}
    rows = np.array([[*photo.counts, *photo.extra] for photo in test.values()])
    return replace(side, test=test, metrics=metrics.from_photos(rows))


def test_boundary_and_brier_scores_of_both_are_judged_and_less_may_be_better() -> None:
    base, head = with_extra(BASE, (50, 100, 0.5, 20)), with_extra(BASE, (40, 100, 0.5, 10))
    by_name = {change.name: change for change in compare.compare(base, head).metrics}
    assert (by_name["boundary_iou"].head, by_name["boundary_iou"].verdict) == (
        0.4,
        Verdict.WORSE,
    )
    assert (by_name["brier"].head, by_name["brier"].verdict) == (
        0.05,
        Verdict.BETTER,
    )
    assert by_name["boundary_f_2px"].verdict == Verdict.UNCLEAR


def test_metrics_at_full_size_and_of_the_expected_iou_are_judged_if_both_have_them() -> None:
    # The photos have an IoU of 0.93 to 0.97, in the mean 0.95: to expect 0.9 is wrong by 0.05.
    shared = (50, 100, 0.5, 20)
    base = with_extra(BASE, (*shared, 0.9, 300, 400, 30, 100))
    head = with_extra(BASE, (*shared, 0.8, 340, 400, 20, 100))
    by_name = {change.name: change for change in compare.compare(base, head).metrics}
    expected = {
        "native_iou": (0.75, 0.85, Verdict.BETTER),
        "native_boundary_iou": (0.3, 0.2, Verdict.WORSE),
        "expected_iou_error": (0.05, 0.15, Verdict.WORSE),
        "brier": (0.1, 0.1, Verdict.UNCLEAR),
    }
    for name, values in expected.items():
        change = by_name[name]
        assert (change.base, change.head, change.verdict) == values
        assert change.low is not None

    older = with_extra(BASE, shared)
    by_name = {change.name: change for change in compare.compare(older, head).metrics}
    assert by_name["brier"].verdict == by_name["boundary_iou"].verdict == Verdict.UNCLEAR
    assert (by_name["native_iou"].base, by_name["native_iou"].verdict) == (None, None)


def test_a_metric_that_base_lacks_has_no_verdict() -> None:
    by_name = {
        change.name: change
        for change in compare.compare(BASE, with_extra(BASE, (5, 9, 1, 2))).metrics
    }
    assert (by_name["brier"].base, by_name["brier"].verdict) == (None, None)
    assert by_name["iou"].verdict == Verdict.UNCLEAR


def test_a_clear_fall_is_a_regression_and_a_clear_rise_is_none() -> None:
    fallen = compare.compare(BASE, result("head", photos(MORE_MISSED)))
    assert fallen.main is not None
    # 30 photos of 100 pixels: 150 missed of 3,000 are an IoU of 0.95, 480 missed one of 0.84
    assert (fallen.main.base, fallen.main.head) == (0.95, 0.84)
    assert fallen.main.verdict == Verdict.WORSE
    decision, reason = gate.decide(fallen)
    assert decision == GateResult.REGRESSION
    assert reason.startswith("regression: iou 0.9500 → 0.8400 (95 % interval −0.11")
    risen = compare.compare(result("base", photos(MORE_MISSED)), BASE)
    assert risen.main is not None
    assert risen.main.verdict == Verdict.BETTER
    assert gate.decide(risen)[0] == GateResult.PASSED


def test_a_fall_within_the_tolerance_passes_though_it_is_clear() -> None:
    lenient = replace(BASE, params={"gate": {"iou": 0.2}})
    review = compare.compare(lenient, result("head", photos(MORE_MISSED)))
    assert review.main is not None
    assert review.main.verdict == Verdict.WORSE
    assert gate.decide(review)[0] == GateResult.PASSED


def test_a_metric_that_is_better_when_lower_gets_worse_upwards() -> None:
    assert compare.judge_interval(0.1, 0.2, 0.05, Direction.LOWER) == Verdict.WORSE
    assert compare.judge_interval(-0.2, -0.1, 0.05, Direction.LOWER) == Verdict.BETTER
    assert compare.judge_interval(0.1, 0.2, 0.15, Direction.LOWER) == Verdict.UNCLEAR


def test_a_change_cannot_loosen_its_own_gate() -> None:
    loose = {"gate": {"iou": 1.0}}
    review = compare.compare(BASE, result("head", photos(MORE_MISSED), params=loose))
    assert gate.decide(review)[0] == GateResult.REGRESSION


def test_a_fall_within_the_noise_of_the_seed_is_neither_worse_nor_a_regression() -> None:
    noisy = repeated(BASE, 0.85, 0.9)
    review = compare.compare(noisy, result("head", photos(MORE_MISSED)))
    main = review.main
    assert main is not None
    # Three seeds with a deviation of 0.05, and one training of head that may spread as much.
    assert main.seed_noise == pytest.approx(4.303 * 2**0.5 * 0.05, rel=1e-3)
    assert main.by_photos is not None
    assert main.low == pytest.approx(
        -0.11 - math.hypot(-0.11 - main.by_photos[0], main.seed_noise), abs=1e-9
    )
    assert main.verdict == Verdict.UNCLEAR
    assert gate.decide(review)[0] == GateResult.PASSED


def test_with_seeds_of_both_their_means_are_compared() -> None:
    # The trainings of base at hand are its best, and that of head is its worst.
    base, head = repeated(BASE, 0.91, 0.9), result("head", photos(MORE_MISSED))
    head = repeated(head, 0.93, 0.94)
    review = compare.compare(base, head)
    main = review.main
    assert main is not None
    assert review.compares_means
    assert (main.base, main.head) == pytest.approx((0.92, (0.84 + 0.93 + 0.94) / 3))
    assert main.verdict == Verdict.UNCLEAR
    notes = " ".join(sections.remarks(review, lagging=False))
    assert "Compared are the means of 3 trainings of base and 3 of head." in notes
    other_photos = result("head", dict(list(photos(MORE_MISSED).items())[5:]))
    review = compare.compare(base, repeated(other_photos, 0.93, 0.94))
    assert not review.compares_means


def test_without_a_clear_change_the_review_says_what_would_tell_one() -> None:
    missed = [n + (k % 3 == 0) - (k % 4 == 0) for k, n in enumerate(FEW_MISSED)]
    head = result("head", photos(missed))
    (note,) = (
        text for text in sections.remarks(compare.compare(BASE, head), False) if "four" in text
    )
    # The difference of two photos in 3,000 pixels; intervals of the bootstrap are repeatable.
    assert re.fullmatch(
        r"With 30 test photos and one training of each side, a difference in IoU of 0\.003\d is told "
        r"in four of five cases\. To tell 0\.0007, the one measured, takes \d+ test photos "
        r"\(\d+ more\)\. To tell 0\.0100, the gate's limit, takes no more than there is\.",
        note,
    )
    review = compare.compare(repeated(BASE, 0.952, 0.948, 0.951), head)
    (note,) = (text for text in sections.remarks(review, False) if "four" in text)
    assert re.search(r"takes \d+ trainings of each side and [\d,]+ test photos\.", note)
    clear = compare.compare(BASE, result("head", photos(MORE_MISSED)))
    assert "four of five" not in " ".join(sections.remarks(clear, False))


def test_repetitions_of_another_training_are_no_means() -> None:
    head = repeated(result("head", photos(MORE_MISSED)), 0.93, 0.94)
    head.seeds["trained_from"] = "another"
    review = compare.compare(repeated(BASE, 0.951, 0.949), head)
    assert not review.compares_means
    assert review.main is not None
    assert (review.main.base, review.main.head) == (0.95, 0.84)
    assert review.main.seed_noise == pytest.approx(4.303 * 2**0.5 * 0.001, rel=1e-3)
    assert not review.noise_is_outdated


def test_two_measurements_of_one_model_have_no_noise_of_seeds() -> None:
    train = {"train": {"cmd": "c", "outs": [{"path": "o", "md5": "1"}]}}
    base = replace(BASE, stages=train, seeds=seeds(0.85, 0.95, 0.9))
    head = replace(result("head", photos(MORE_MISSED)), stages=train)
    review = compare.compare(base, head)
    assert review.main is not None
    assert review.main.seed_noise == 0
    assert review.main.verdict == Verdict.WORSE
    assert "Base and head have the same model." in " ".join(sections.remarks(review, False))


def test_outdated_noise_of_the_seed_excuses_no_fall() -> None:
    noisy = replace(BASE, seeds=seeds(0.85, 0.95, 0.9, trained_from="another"))
    decision, reason = gate.decide(compare.compare(noisy, result("head", photos(MORE_MISSED))))
    assert decision == GateResult.CANNOT_TELL
    assert "iou got worse by no more than another seed changes it, but that was measured" in reason
    assert "`petseg seeds -n 5`" in reason
    # A fall within the tolerance needs no excuse, and one beyond the noise has none.
    assert gate.decide(compare.compare(noisy, replace(BASE, label="head")))[0] == GateResult.PASSED
    small = replace(noisy, seeds=seeds(0.949, 0.95, 0.951, trained_from="another"))
    decision, reason = gate.decide(compare.compare(small, result("head", photos(MORE_MISSED))))
    assert decision == GateResult.REGRESSION
    assert "may lose 0.0100" in reason


def test_one_broken_breed_is_named_and_the_others_are_not() -> None:
    breeds = {f"breed {n}": photos(FEW_MISSED, f"breed {n}") for n in range(5)}
    broken = breeds | {"breed 3": photos(MORE_MISSED, "breed 3")}
    base, head = (
        result(label, {k: v for group in groups.values() for k, v in group.items()})
        for label, groups in (("base", breeds), ("head", broken))
    )
    review = compare.compare(base, head)
    worse = [change.name for change in review.slices if change.verdict == Verdict.WORSE]
    assert worse[0] == "breed breed 3"
    assert set(worse) <= {"breed breed 3", "species cat"}
    assert {photo.group for photo in review.regressions} == {"breed 3"}


def test_a_slice_of_few_photos_has_no_verdict() -> None:
    few = photos(FEW_MISSED[:5], "rare")
    base = result("base", photos(FEW_MISSED) | few)
    head = result("head", photos(FEW_MISSED) | photos(MORE_MISSED[:5], "rare"))
    rare = next(m for m in compare.compare(base, head).slices if m.name == "breed rare")
    assert (rare.verdict, rare.low, rare.photos) == (Verdict.FEW_PHOTOS, None, 5)


def test_another_test_set_compares_the_photos_in_both_and_the_gate_cannot_tell() -> None:
    head = result("head", dict(list(photos(FEW_MISSED).items())[5:]) | photos([90], "new"))
    review = compare.compare(BASE, head)
    assert len(review.common) == 25
    assert review.main is not None
    assert review.main.difference == 0
    decision, reason = gate.decide(review)
    assert decision == GateResult.CANNOT_TELL
    assert "25 photos are in both, of 30 and 26" in reason


def test_a_photo_whose_content_changed_is_not_the_same_photo() -> None:
    head = result("head", photos(FEW_MISSED))
    head.test["Smoke_0"] = replace(head.test["Smoke_0"], sha256="another")
    assert len(compare.compare(BASE, head).common) == 29


@pytest.mark.parametrize(
    ("head", "words", "remedy"),
    [
        (
            result("head", photos(FEW_MISSED), recipe="other"),
            "recipe demo, head has other",
            "petseg use",
        ),
        (result("head", {}), "head has no reports/metrics.json", "dvc repro"),
        (result("head", photos(FEW_MISSED), test={}), "no counts by photo", "dvc repro"),
        (result("head", photos(FEW_MISSED, "other")), "no test photo is in both", "same test set"),
        (
            result("head", {name: (*six[:5], 500) for name, six in photos(FEW_MISSED).items()}),
            "measured at other sizes (6,000 against 18,000 pixels",
            "image_size",
        ),
    ],
)
def test_commits_that_cannot_be_compared_have_no_verdict_and_a_remedy(
    head: Results, words: str, remedy: str
) -> None:
    review = compare.compare(BASE, head)
    assert {change.verdict for change in review.metrics} <= {None}
    decision, reason = gate.decide(review)
    assert decision == GateResult.CANNOT_TELL
    assert words in reason
    assert remedy in reason


def test_a_renamed_metric_is_on_one_side_and_the_gate_cannot_tell() -> None:
    head = result("head", photos(FEW_MISSED))
    head.metrics["jaccard"] = head.metrics.pop("iou")
    review = compare.compare(BASE, head)
    sides = {change.name: (change.base, change.head) for change in review.metrics}
    assert sides["iou"] == (0.95, None)
    assert sides["jaccard"] == (None, 0.95)
    decision, reason = gate.decide(review)
    assert decision == GateResult.CANNOT_TELL
    assert "iou cannot be compared" in reason


def test_a_head_that_has_not_run_is_headed_so_with_what_is_due() -> None:
    faults = (Fault("train.epochs changed after train, report ran", ("train", "report")),)
    head = replace(BASE, label="head", faults=faults, due=("train", "export", "report"))
    review = compare.compare(BASE, head)
    assert headline.outcome(review) is Outcome.NOT_RUN
    assert headline.headline(review) == (
        "Not run: train.epochs changed after train, report ran. Due: train, export, report."
    )
    assert headline.title(review) == "not run"
    assert gate.decide(review)[0] == GateResult.CANNOT_TELL


def test_a_base_older_than_its_code_is_compared_and_the_gate_cannot_tell() -> None:
    fault = Fault("train.py changed after train ran", ("train",))
    base = replace(BASE, faults=(fault,), due=("train",))
    review = compare.compare(base, result("head", photos(MORE_MISSED)))
    assert headline.outcome(review) is Outcome.WORSE
    notes = " ".join(sections.remarks(review, lagging=False))
    assert "The numbers of base are older than its code: train.py changed after train ran." in notes
    assert gate.decide(review)[0] == GateResult.CANNOT_TELL


def test_a_base_whose_numbers_may_be_of_anything_is_not_compared() -> None:
    base = replace(BASE, faults=(Fault("dvc.lock is missing"),))
    review = compare.compare(base, replace(BASE, label="head"))
    assert headline.headline(review) == (
        "No verdict: the results of base are not known to be of its code: dvc.lock is missing."
    )
    assert gate.decide(review)[0] == GateResult.CANNOT_TELL


def test_headline_and_title_agree() -> None:
    cases = {
        "no change, test IoU 0.9500": replace(BASE, label="head"),
        "test IoU 0.9500 → 0.8400, worse": result("head", photos(MORE_MISSED)),
        "no verdict": result("head", photos(MORE_MISSED, "other")),
    }
    for title, head in cases.items():
        review = compare.compare(BASE, head)
        assert headline.title(review) == title
        outcome = headline.outcome(review)
        assert outcome in title
        assert headline.headline(review).lower().startswith(f"{outcome}: ")


def test_without_limits_or_with_stale_results_the_gate_cannot_tell() -> None:
    head = result("head", photos(FEW_MISSED))
    assert "has no limits" in gate.decide(compare.compare(replace(BASE, params={}), head))[1]
    stale = replace(head, faults=(Fault("stages/train.py changed after train ran"),))
    decision, reason = gate.decide(compare.compare(BASE, stale))
    assert decision == GateResult.CANNOT_TELL
    assert "stages/train.py changed after train ran" in reason


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"better": "more", "tolerance": 0.1}, "gate.iou.better is 'more'; allowed: higher, lower"),
        ({"better": "higher", "tolerance": -1}, "gate.iou.tolerance is -1; allowed: a number ≥ 0"),
        ({"better": "higher"}, "gate.iou.tolerance is missing"),
        ({"better": "higher", "tolerance": 0, "x": 1}, "gate.iou.x is unknown"),
        ({"better": "lower", "tolerance": 0.1}, "gate.iou.better is 'lower'; allowed: higher"),
        (3, "gate.iou is 3; allowed: a number ≥ 0 and ≤ 1"),
        (-0.1, "gate.iou is -0.1; allowed: a number ≥ 0 and ≤ 1"),
        (True, "gate.iou is True; allowed: a number"),
        ("0.1", "gate.iou is '0.1'; allowed: a number"),
        (math.nan, "gate.iou is nan; allowed: a number"),
    ],
)
def test_a_wrong_limit_is_named_with_what_is_allowed(limit: Any, words: str) -> None:
    with pytest.raises(UserError) as raised:
        gate.limits("main: params.yaml", {"gate": {"iou": limit}})
    assert words in str(raised.value)
    wrong = replace(BASE, params={"gate": {"iou": limit}})
    decision, reason = gate.decide(compare.compare(wrong, replace(BASE, label="head")))
    assert decision == GateResult.CANNOT_TELL
    assert words in reason


def test_the_older_gate_with_directions_reads_as_the_same_tolerances() -> None:
    older = {
        "iou": {"better": "higher", "tolerance": 0.005},
        "brier": {"better": "lower", "tolerance": 0},
    }
    expected = {"iou": 0.005, "brier": 0.0}
    assert gate.limits("main: params.yaml", {"gate": older}) == expected
    assert gate.limits("main: params.yaml", {"gate": {"iou": 0.005, "brier": 0}}) == expected
    assert (
        gate.limits("main: params.yaml", {})
        == gate.limits("main: params.yaml", {"gate": None})
        == {}
    )


@pytest.mark.parametrize("key", ["jaccard", "calibration_error"])
def test_a_limit_on_another_metric_is_refused_with_the_names_of_those_allowed(key: str) -> None:
    with pytest.raises(UserError) as raised:
        gate.limits("main: params.yaml", {"gate": {key: 0.1}})
    assert str(raised.value) == (
        f"main: params.yaml: gate.{key} is unknown; known: iou, dice, accuracy, precision, recall, "
        "mean_iou, image_iou, iou_border_background, iou_border_ignored, boundary_iou, "
        "boundary_f_2px, brier, native_iou, native_boundary_iou, expected_iou_error"
    )


def test_a_gate_that_is_no_mapping_is_refused_with_an_example() -> None:
    with pytest.raises(UserError, match=r"gate is 0\.1; allowed: a tolerance for each metric"):
        gate.limits("main: params.yaml", {"gate": 0.1})


def test_a_rise_of_the_brier_score_is_a_regression() -> None:
    limited = replace(BASE, params={"gate": {"brier": 0.01}})
    base, head = with_extra(limited, (50, 100, 0.5, 10)), with_extra(BASE, (50, 100, 0.5, 20))
    # 10 and 20 of squared error over 200 pixels a photo
    decision, reason = gate.decide(compare.compare(base, head))
    assert decision is GateResult.REGRESSION
    assert reason.startswith("regression: brier 0.0500 → 0.1000")
    assert gate.decide(compare.compare(replace(head, params=limited.params), base))[0] is (
        GateResult.PASSED
    )


def test_differences_are_by_dotted_key_also_in_a_new_section() -> None:
    before = {"train": {"epochs": 1, "seed": 7}}
    now = {"train": {"epochs": 2, "seed": 7}, "own": {"a": 1}}
    assert nested.differences("", before, now) == [
        ("train.epochs", 1, 2),
        ("own.a", nested.UNSET, 1),
    ]


def test_changes_of_the_data_are_grouped_by_kind() -> None:
    base = replace(
        BASE,
        photos={"a": ("train", "1"), "b": ("val", "2"), "c": ("test", "3"), "d": ("test", "4")},
        data={"source": {"archives": {"images.tar.gz": {"sha256": "0" * 64}}}},
    )
    head = replace(
        BASE,
        photos={"a": ("val", "1"), "c": ("test", "9"), "d": ("test", "4"), "e": ("train", "5")},
        data={"source": {"archives": {"images.tar.gz": {"sha256": "1" * 64}}}},
    )
    assert changes.data_changes(base, head) == [
        ("photos moved from train to val", "1", ["a"]),
        ("photos removed from val", "1", ["b"]),
        ("photos with other content in test", "1", ["c"]),
        ("photos added to train", "1", ["e"]),
        ("archives.images.tar.gz.sha256", "000000000000 → 111111111111", []),
    ]


def test_photos_that_are_not_used_are_told_from_the_photos_of_the_source() -> None:
    base, head = (
        replace(
            result(label, photos([5] * 8)),
            photos={"a": ("train", "1")},
            data={"source": {"photos": 150}, "rejected": {"photos": n, "reasons": reasons}},
        )
        for label, n, reasons in (
            ("base", 2, {"no mask": 2}),
            ("head", 3, {"no mask": 2, "dropped": 1}),
        )
    )
    assert changes.data_changes(base, head) == [
        ("not used.photos", "2 → 3", []),
        ("not used.dropped", "unset → 1", []),
    ]


def test_the_stages_that_ran_are_listed_with_the_reasons() -> None:
    def entry(**other: Any) -> dict[str, Any]:
        deps = [{"path": "a.py", "md5": "1"}, {"path": "b.py", "md5": "2"}]
        return {"cmd": "c", "deps": deps, "params": {}, "outs": [{"path": "o", "md5": "3"}]} | other

    base = replace(BASE, stages={name: entry() for name in ("same", "code", "again")})
    head = replace(
        BASE,
        stages={
            "same": entry(),
            "code": entry(deps=[{"path": "a.py", "md5": "9"}], params={"x": 1}),
            "again": entry(outs=[{"path": "o", "md5": "4"}]),
            "new": entry(),
        },
    )
    assert changes.stages_that_ran(base, head) == [
        ("code", ["its parameters", "a.py", "b.py"]),
        ("again", ["the same inputs gave other outputs: another machine, or a forced run"]),
        ("new", ["it is new"]),
    ]
