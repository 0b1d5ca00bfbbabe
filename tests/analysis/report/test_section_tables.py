import pytest

from analysis.report.section_tables import transition_text

ENDS = {"low": 20.0, "high": 40.0, "low_open": False, "high_open": False}
ROW = {"answer": "crossing", "crossing": 30.0, "final_sign": 1, **ENDS}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n_pairs": 5}, "ahead from there to the last label count; 95 % interval: 20 to 40"),
        ({"n_pairs": 5, "final_sign": -1}, "behind from there to the last label count; 95 % interval: 20 to 40"),
        ({"n_pairs": 3}, "ahead from there to the last label count in the mean; too few seeds for an interval"),
        (
            {"n_pairs": 5, "answer": "censored", "high_open": True},
            "ahead from there to the last label count in the mean, but which side is ahead at the end is open;"
            " 95 % interval: 20 to beyond the last label count",
        ),
        ({"n_pairs": 5, "answer": "none", "crossing": None}, "ahead throughout"),
        (
            {"n_pairs": 5, "answer": "censored", "crossing": None, "high": None, "high_open": True},
            "ahead throughout; a later change is not excluded",
        ),
        (
            {"n_pairs": 5, "answer": "censored", "crossing": None, "high": 12.0, "low_open": True},
            "ahead throughout; an early change, up to 12 labels, is not excluded",
        ),
    ],
)
def test_a_crossing_says_nothing_of_what_was_before(changed, words):
    """A curve may cross several times; the table knows the last crossing alone."""
    assert transition_text(ROW | changed) == words
