import pandas as pd
import pytest

from analysis.report.verdict import findings, headline, limits, savings

ROW = {"configuration": "badge", "difference": 0.02, "low": 0.01, "high": 0.03, "n_pairs": 5, "verdict": "better"}


def paired(*rows):
    return pd.DataFrame([{**ROW, "p": 0.01, "p_holm": 0.02, "detectable": 0.015, **row} for row in rows])


OPEN = {"configuration": "entropy", "difference": 0.001, "low": -0.02, "high": 0.022, "p_holm": 0.9, "verdict": "open"}


def test_headline_takes_the_corrected_verdict():
    assert headline(paired({}, OPEN), "random") == (
        "Over the whole curve, badge is better than random; the other was not shown to differ from it."
    )
    worse = {"configuration": "x", "verdict": "worse"}
    assert headline(paired({}, worse), "random") == (
        "Over the whole curve, badge is better than random and x is worse than random."
    )
    two = [{"p_holm": 0.06}, OPEN]
    assert headline(paired(*two), "random").startswith("None of the 2 configurations was shown to differ from random")
    assert (
        headline(paired({"p_holm": 0.06}), "random")
        == "badge was not shown to differ from random over the whole curve."
    )
    assert headline(paired().assign(p_holm=[]), "random") == "There is nothing to compare with random."
    apart = {"n_pairs": 0, "p_holm": float("nan"), "verdict": "open"}
    assert headline(paired(apart), "random").startswith("Nothing can be compared with random")
    assert "seed in common" in limits({"badge": 0})[0]


def test_headline_names_the_best_of_many():
    rows = [{"configuration": f"s{i}", "difference": i / 100} for i in range(1, 9)]
    assert headline(paired(*rows), "random") == (
        "Over the whole curve, s8, s7, s6, s5 and 4 more are better than random."
    )


def test_findings_state_interval_seeds_and_correction():
    better, uncorrected, open_ = findings(
        paired({}, {"configuration": "x", "difference": 0.01, "p_holm": 0.06}, OPEN), "random"
    )
    assert better.sentence == (
        "+2.00 points of area (95 % interval +1.00 to +3.00, 5 seeds): better than random, also after correction for 3"
        " comparisons."
    )
    assert (better.sign, uncorrected.sign, open_.sign) == ("▲", "△", "○")
    assert uncorrected.sentence.endswith(
        "better than random if looked at alone, but not after correction for 3 comparisons."
    )
    assert (
        "no difference from random was shown. A true difference of less than 1.50 points would be missed"
        in open_.sentence
    )


def test_one_seed_or_none_shows_nothing():
    nan = float("nan")
    unknown = {"low": nan, "high": nan, "p_holm": nan, "verdict": "open"}
    one, none = findings(paired({**unknown, "n_pairs": 1}, {**unknown, "n_pairs": 0, "difference": nan}), "random")
    assert one.sentence == "+2.00 points of area with one seed, which shows no spread."
    assert none.sentence == "it has no seed in common with random."
    (alike,) = findings(paired({**unknown, "n_pairs": 3}), "random")
    assert alike.sentence == "+2.00 points of area in each of 3 seeds, which shows no spread to judge by."
    assert alike.sign == "○"


def test_limits():
    five = " ".join(limits({"badge": 5}))
    assert "1.68 standard deviations" in five
    assert "0.0625" in five
    assert "single label counts" in five
    assert "no reliable interval" in " ".join(limits({"badge": 4}))
    assert len(limits({"badge": 10})) == 1
    assert limits({"badge": 1}) == ["One seed shows no spread, so nothing can be said about any difference."]


def test_limits_are_those_of_most_seeds_and_name_who_has_fewer():
    first, *rest = limits({"badge": 5, "margin": 2, "entropy": 1})
    assert first == "Fewer seeds in common with the baseline say less about margin (2) and entropy (1)."
    assert rest == limits({"badge": 5})


SAVED = {"configuration": "badge", "share": 0.95, "target": 0.8, "labels": 50.0, "baseline_labels": 80.0, "saved": 30.0}
SAVED |= {"low": 20.0, "high": 41.0, "n_pairs": 5, "extra_seconds": 4.2}
NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "It reaches 80.0 % accuracy (95 % of random's final value) with 30 fewer labels than random (95 % interval"
            " 20"
            " to 41), and has by then spent 4.2 seconds more on selection, which is 0.14 seconds for each label saved.",
        ),
        (
            {"low": -3.0},
            "(95 % interval −3 to 41), and has by then spent 4.2 seconds more on selection; it was not shown to save"
            " labels.",
        ),
        (
            {"low": NAN, "high": NAN},
            "30 fewer labels than random (no interval), and has by then spent 4.2 seconds more on",
        ),
        (
            {"saved": -1.0, "low": -9.0, "high": 4.0, "extra_seconds": 1234.5},
            "with 1 more label than random (95 % interval of the labels saved: −9 to 4), and has by then spent 1,234"
            " seconds more on selection.",
        ),
        ({"saved": 0.2, "low": -9.0}, "with as many labels as random (95 % interval of the labels saved: −9 to 41)"),
        ({"extra_seconds": -1.0}, "and has by then spent 1.0 seconds less on selection."),
        ({"extra_seconds": 0.0}, "and has by then spent the same time on selection."),
        (
            {"labels": NAN, "saved": NAN, "low": NAN, "high": NAN, "extra_seconds": NAN},
            "It does not reach 80.0 % accuracy (95 % of random's final value), which random does with 80 labels.",
        ),
    ],
)
def test_labels_saved_are_said_with_what_they_cost(changes, said):
    rows = pd.DataFrame([SAVED | changes, SAVED | {"share": 0.9}])
    found = savings(rows, "random")
    assert list(found) == ["badge"]
    assert said in found["badge"]
    assert findings(paired({}), "random", found)[0].sentence.endswith(found["badge"])


def test_a_price_is_named_only_where_a_saving_was_shown():
    for changes in ({"low": -3.0}, {"low": NAN}, {"extra_seconds": -1.0}):
        assert "for each label" not in savings(pd.DataFrame([SAVED | changes]), "random")["badge"]
    assert "80.0 % macro-F1 (95 %" in savings(pd.DataFrame([SAVED]), "random", "macro-F1")["badge"]
