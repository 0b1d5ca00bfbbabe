import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import schedule as module
from harness.exceptions import SpecError
from harness.schedule import MAX_LABELS, MAX_ROUNDS, Schedule, parse_seeds

queries = st.lists(st.integers(1, 1000) | st.sampled_from([10, 20]), min_size=1, max_size=30).map(tuple)


def assert_one_line(caught, *parts):
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("Expected ")
    assert len(message) < 350
    for part in parts:
        assert part in message


class TestSchedule:
    @pytest.mark.parametrize(
        ("text", "expected", "canonical"),
        [
            ("20x5,100x4,500x3", (20,) * 5 + (100,) * 4 + (500,) * 3, "20x5,100x4,500x3"),
            ("10x5,10x5", (10,) * 10, "10x10"),
            ("20,30", (20, 30), "20,30"),
            (" 20 x 2 , 30 ", (20, 20, 30), "20x2,30"),
            ("5X2", (5, 5), "5x2"),
            ("10,10x2,20,10", (10, 10, 10, 20, 10), "10x3,20,10"),
            ("007x01", (7,), "7"),
        ],
    )
    def test_parse(self, text, expected, canonical):
        parsed = Schedule.parse(text)
        assert parsed.queries == expected
        assert str(parsed) == canonical

    @pytest.mark.parametrize(
        ("text", "piece"),
        [
            ("", "''"),
            ("20x5,", "''"),
            ("20x5,,30", "''"),
            ("20x5;30", "'20x5;30'"),
            ("20x5,ten", "'ten'"),
            ("20x", "'20x'"),
            ("x5", "'x5'"),
            ("20x5x2", "'20x5x2'"),
            ("20,-5", "'-5'"),
            ("20,0", "'0'"),
            ("0x5", "'0x5'"),
            ("20x0", "'20x0'"),
            ("1.5x2", "'1.5x2'"),
            ("1e3", "'1e3'"),
            ("1 0x2", "'1 0x2'"),
            ("٣x2", "'٣x2'"),
            ("20\n30", r"'20\n30'"),
            (f"20,{MAX_LABELS + 1}", f"'{MAX_LABELS + 1}'"),
            (f"1,1x{MAX_ROUNDS}", f"'1x{MAX_ROUNDS}'"),
            ("1x" + "9" * 17, "9" * 17),
            ("9" * 10_000, "99999..."),
        ],
    )
    def test_bad_text(self, text, piece):
        with pytest.raises(SpecError) as caught:
            Schedule.parse(text)
        assert_one_line(caught, piece, "20x5,100x4", repr(text) if len(text) < 60 else "...")

    @pytest.mark.parametrize(
        ("bad", "found"),
        [((), "0"), ((3, 0), "0"), ((-2,), "-2"), ((1,) * (MAX_ROUNDS + 1), "100001"), ((MAX_LABELS, 1), "1000000001")],
    )
    def test_bad_queries(self, bad, found):
        with pytest.raises(SpecError) as caught:
            Schedule(bad)
        assert_one_line(caught, f"but got {found}")

    def test_limits_are_allowed(self):
        assert Schedule.parse(f"10000x{MAX_ROUNDS}").budget == MAX_LABELS

    @settings(deadline=None)
    @given(queries)
    def test_round_trip(self, queries):
        schedule = Schedule(queries)
        assert Schedule.parse(str(schedule)) == schedule
        assert schedule.n_rounds == len(schedule.label_counts) == len(queries)
        assert schedule.budget == schedule.label_counts[-1] == sum(queries)

    @settings(deadline=None)
    @given(st.text() | st.text(alphabet="0123456789x, -"))
    def test_any_text_parses_or_is_refused(self, text):
        try:
            schedule = Schedule.parse(text)
        except SpecError as error:
            message = str(error)
        else:
            message = str(schedule)
            assert Schedule.parse(message) == schedule
        assert len(message.splitlines()) == 1

    def test_fits(self):
        Schedule.parse("50x2").check_fits(100, "digits")
        with pytest.raises(SpecError) as caught:
            Schedule.parse("50x2,1").check_fits(100, "digits")
        assert_one_line(caught, "100", "digits", "101", "50x2,1")


class TestSeeds:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("5", (0, 1, 2, 3, 4)),
            ("1", (0,)),
            ("10-14", (10, 11, 12, 13, 14)),
            ("7-7", (7,)),
            ("3,7", (3, 7)),
            (" 7 , 3 , 0", (7, 3, 0)),
            (" 1 - 2 ", (1, 2)),
        ],
    )
    def test_parse(self, text, expected):
        assert parse_seeds(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0",
            "-3",
            "14-10",
            "3,3",
            "3,",
            "1.5",
            "a",
            "1-2-3",
            "1,2-3",
            "3;7",
            "1\n\n2",
            "9" * 18,
            "0-" + "9" * 18,
            "1" * 9999,
        ],
    )
    def test_bad_text(self, text):
        with pytest.raises(SpecError) as caught:
            parse_seeds(text)
        assert_one_line(caught, "`5`", "`10-14`", "`3,7`", repr(text) if len(text) < 60 else "...")

    @settings(deadline=None)
    @given(st.text() | st.text(alphabet="0123456789, -", max_size=8))
    def test_any_text_parses_or_is_refused(self, text):
        message = ""
        try:
            seeds = parse_seeds(text)
        except SpecError as error:
            message, seeds = str(error), (0,)
        assert len(message.splitlines()) <= 1
        assert len(set(seeds)) == len(seeds) >= 1
        assert min(seeds) >= 0


def test_examples():
    assert doctest.testmod(module).failed == 0
