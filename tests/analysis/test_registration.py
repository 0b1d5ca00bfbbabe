"""What a registration says, and that nobody changes it unseen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.registration import Registration, find, in_words, registrations_in
from harness.store import schema

FIRST = Registration(
    study="compare-x",
    registered_at=datetime(2026, 11, 28, 14, 2, tzinfo=UTC),
    n_begun=0,
    subject="compare",
    data="digits",
    data_hash="h1",
    configurations='[{"strategy":"random"},{"strategy":"margin"}]',
    seeds=(0, 1, 2),
    baseline="random",
    maximised="area",
    metric="accuracy",
    window=(10, 40),
    trajectory_ids=("a", "b"),
    command="ntkcpl compare",
)
SWEEP = replace(FIRST, subject="sweep of margin", baseline=None, n_trials=6, confirm_seeds=(3, 4), maximised="final")


@pytest.mark.parametrize("registration", [FIRST, SWEEP])
def test_a_row_holds_all_of_it(registration):
    table = pa.Table.from_pylist([registration.row()], schema=schema.REGISTRATIONS)
    assert registrations_in(table.to_pandas()) == [registration]
    (row,) = table.to_pylist()
    assert Registration.of_row(row) == registration
    assert Registration.of_row(row).digest == registration.digest


def test_what_it_says():
    assert str(FIRST) == "2 configurations, seeds 0 to 2, area of accuracy over 10 to 40 labels, compared with random"
    assert str(SWEEP) == (
        "6 trials, seeds 0 to 2, final value of accuracy at 40 labels, confirmed with seeds 3 and 4 on the other half"
        " of the test data"
    )
    assert FIRST.sentence.startswith(f"Registered on 2026-11-28 14:02 UTC ({FIRST.digest}), before any of it had run")
    assert "when 1 trajectory of it had begun, so that" in replace(FIRST, n_begun=1).sentence


CHANGES = {
    "seeds": {"seeds": (0, 1)},
    "baseline": {"baseline": "margin"},
    "metric": {"metric": "macro_f1"},
    "window": {"window": (20, 40)},
    "trials": {"n_trials": 7},
    "seeds of the confirmation": {"confirm_seeds": (3,)},
    "schedule or learner": {"trajectory_ids": ("c",)},
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_content_is_another_registration(name):
    other = replace(FIRST, **CHANGES[name])
    assert FIRST.differences(other) == [name]
    assert FIRST.digest != other.digest


def test_circumstances_are_no_difference_but_in_the_digest():
    other = replace(FIRST, registered_at=FIRST.registered_at + timedelta(microseconds=1), n_begun=3)
    assert FIRST.differences(other) == []
    assert FIRST.digest != other.digest


def test_the_earliest_counts():
    later = replace(FIRST, registered_at=FIRST.registered_at + timedelta(days=1), study="compare-a")
    assert find([later, SWEEP, FIRST], "compare", "h1") == [FIRST, later]
    assert find([FIRST], "compare", "h2") == []


@given(st.sets(st.integers(0, 30), min_size=1))
def test_seeds_in_words_say_all(seeds):
    words = in_words(list(seeds))
    if " to " in words:
        low, high = map(int, words.split(" to "))
        assert seeds == set(range(low, high + 1))
    else:
        assert {int(word) for word in words.replace(" and ", ", ").split(", ")} == seeds
