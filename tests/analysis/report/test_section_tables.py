import pytest

from analysis import load
from analysis.report.estimates import Estimates
from analysis.report.section_tables import section_tables, transition_text

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


def test_rounding_marks_no_equal_areas(tmp_path, trajectory, write_store):
    """The same five numbers, added up in two orders, are equally good."""
    accuracies = {"random": (0.1, 0.6, 0.6, 0.6, 0.3), "badge": (0.6, 0.1, 0.6, 0.3, 0.6)}
    rows = [trajectory(name, seed, [each] * 3) for name, own in accuracies.items() for seed, each in enumerate(own)]
    tables, _ = section_tables(Estimates(load(write_store(tmp_path, rows)), "random", 0))
    (area,) = (table for table in tables if table.name == "area")
    assert [cell.mark for row in area.rows for cell in row[1:4]] == ["best"] * 6
