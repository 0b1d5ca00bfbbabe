import pandas as pd

from analysis.report.verdict import findings, headline, limits

ROW = {"label": "badge", "difference": 0.02, "low": 0.01, "high": 0.03, "n_pairs": 5, "verdict": "better"}


def paired(*rows):
    return pd.DataFrame([{**ROW, "p": 0.01, "p_holm": 0.02, "detectable": 0.015, **row} for row in rows])


OPEN = {"label": "entropy", "difference": 0.001, "low": -0.02, "high": 0.022, "p_holm": 0.9, "verdict": "open"}


def test_headline_takes_the_corrected_verdict():
    assert headline(paired({}, OPEN), "random") == (
        "Over the whole curve, badge is better than random; of the other, no such thing was shown."
    )
    worse = {"label": "x", "verdict": "worse"}
    assert headline(paired({}, worse), "random") == (
        "Over the whole curve, badge is better than random and x is worse than random."
    )
    assert headline(paired({"p_holm": 0.06}), "random").startswith("No strategy of 1 was shown to differ from random")
    assert headline(paired().assign(p_holm=[]), "random") == "There is nothing to compare with random."
    apart = {"n_pairs": 0, "p_holm": float("nan"), "verdict": "open"}
    assert headline(paired(apart), "random").startswith("Nothing can be compared with random")
    assert "seed in common" in limits({"badge": 0})[0]


def test_headline_names_the_best_of_many():
    rows = [{"label": f"s{i}", "difference": i / 100} for i in range(1, 9)]
    assert headline(paired(*rows), "random") == (
        "Over the whole curve, s8, s7, s6, s5 and 4 more are better than random."
    )


def test_findings_state_interval_seeds_and_correction():
    better, uncorrected, open_ = findings(
        paired({}, {"label": "x", "difference": 0.01, "p_holm": 0.06}, OPEN), "random"
    )
    assert better.sentence == (
        "+2.00 points of area (95 % interval +1.00 to +3.00, 5 seeds): better than random, also after correction for 3"
        " comparisons."
    )
    assert (better.sign, uncorrected.sign, open_.sign) == ("▲", "△", "○")
    assert uncorrected.sentence.endswith(
        "better than random if looked at alone; not after correction for 3 comparisons."
    )
    assert "no difference from random was shown. One of less than 1.50 points would be missed" in open_.sentence


def test_one_seed_or_none_shows_nothing():
    nan = float("nan")
    unknown = {"low": nan, "high": nan, "p_holm": nan, "verdict": "open"}
    one, none = findings(paired({**unknown, "n_pairs": 1}, {**unknown, "n_pairs": 0, "difference": nan}), "random")
    assert one.sentence == "+2.00 points of area with one seed, which shows no spread."
    assert none.sentence == "no seed in common with random."


def test_limits():
    five = " ".join(limits({"badge": 5}))
    assert "1.68 standard deviations" in five
    assert "0.0625" in five
    assert "single label counts" in five
    assert "phase transitions have none" in " ".join(limits({"badge": 4}))
    assert len(limits({"badge": 10})) == 1
    assert limits({"badge": 1}) == ["One seed shows no spread: nothing can be said of any difference."]


def test_limits_are_those_of_most_seeds_and_name_who_has_fewer():
    first, *rest = limits({"badge": 5, "margin": 2, "entropy": 1})
    assert first == "With fewer seeds in common, less can be said of margin (2) and entropy (1)."
    assert rest == limits({"badge": 5})
