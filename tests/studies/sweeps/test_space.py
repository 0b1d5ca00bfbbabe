import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.exceptions import SpecError
from studies.sweeps.space import FIRST, GROWTH, ROUNDS, Categorical, Family, Int, Space, make_space, parse_counts

FAMILY = """
ridge: {type: float, low: 1e-4, high: 0.1, log: true}
risk: {type: categorical, choices: [zero_one, squared]}
schedules:
  budget: 200
  first: {low: 10, high: 40}
  growth: {low: 1, high: 2}
  rounds: {low: 3, high: 10}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return path

    return write


def test_a_list_and_a_range_of_clusters():
    assert parse_counts("10, 50,100") == Categorical(choices=(10, 50, 100))
    assert parse_counts("10..200") == Int(low=10, high=200, log=True)


def test_schedules_of_one_budget_share_a_window():
    space = make_space("5,10", "10x10;20x5;50x2", None)
    assert (space.budget, space.window) == (100, (50, 100))
    assert str(space.first_schedule) == "10x10"


def test_the_grid_is_the_product_with_the_last_dimension_fastest():
    points = list(make_space("5,10", "10x2;5x4", None).grid())
    assert points == [{"max_clusters": cap, "schedule": schedule} for cap in (5, 10) for schedule in ("10x2", "5x4")]


def test_a_file_adds_hyperparameters_and_a_family_of_schedules(write):
    space = make_space("10..50", None, write(FAMILY))
    assert list(space.dimensions) == ["max_clusters", "ridge", "risk", FIRST, GROWTH, ROUNDS]
    assert space.dimensions["ridge"].low == 1e-4
    assert (space.budget, space.window) == (200, (40, 200))
    assert str(space.first_schedule) == "10,95x2"


def test_numbers_are_written_as_people_do(write):
    space = make_space(None, "5x4", write("ridge: [1e-3, 1.5e2, 2E+1, -1e1, '1e-3', 0x1e1, one]"))
    assert space.dimensions["ridge"].ends == (1e-3, 150.0, 20.0, -10.0, "1e-3", 481, "one")


def test_a_plain_list_is_choices(write):
    space = make_space(None, "5x2", write("weight: [0.5, 1.0]"))
    assert space.parameters == {"weight": Categorical(choices=(0.5, 1.0))}


def test_equal_spaces_are_described_alike():
    assert make_space("5,10", "10x2;5x2,5x2", None).describe() == make_space("5, 10", "10x2; 5x4", None).describe()
    assert make_space("5,10", "10x2", None).describe() != make_space("5,11", "10x2", None).describe()


@given(data=st.data())
def test_a_family_spends_its_budget_in_its_rounds(data):
    budget = data.draw(st.integers(2, 500))
    rounds = data.draw(st.integers(2, min(budget, 20)))
    first = data.draw(st.integers(1, budget - rounds + 1))
    growth = data.draw(st.floats(0.5, 3))
    counts = {"low": first, "high": first}
    family = Family(budget=budget, first=counts, rounds={"low": rounds, "high": rounds})
    schedule = family.schedule({FIRST: first, GROWTH: growth, ROUNDS: rounds})
    assert schedule.budget == budget
    assert schedule.n_rounds == rounds
    assert schedule.queries[0] == first
    assert min(schedule.queries) >= 1


def test_later_queries_of_a_family_grow():
    family = Family(budget=310, first={"low": 10, "high": 20}, rounds={"low": 2, "high": 6})
    schedule = family.schedule({FIRST: 10, GROWTH: 2.0, ROUNDS: 5})
    assert schedule.queries == (10, *(1 + extra for extra in (20, 39, 79, 158)))


@pytest.mark.parametrize(
    ("clusters", "schedules", "text", "words"),
    [
        ("10,10", "5x2", None, "distinct numbers"),
        ("0,10", "5x2", None, "but got `0,10`"),
        ("many", "5x2", None, "`10..200`"),
        ("20..10", "5x2", None, "`20..10`"),
        ("10", None, None, "--schedules"),
        ("10", "5x2;6x2", None, "one total budget, but got 10 in 5x2, 12 in 6x2 labels"),
        ("10", "5x2;5,5", None, "`5x2` 2 times"),
        ("10", "5x2;", None, "labels x rounds"),
        ("10", None, "max_clusters: {type: int, low: 1, high: 9}\nschedules: [5x2]", "max_clusters once"),
        (None, "5x2", "schedules: [5x2]", "schedules once"),
        (None, None, "schedules: []", "--schedules"),
        (None, "5x2", "- a list", "hyperparameters by name"),
        (None, "5x2", "{broken", "Expected YAML"),
        (None, "5x2", "ridge: [1, 2]\nridge: [3]", "found `ridge` twice"),
        (None, "5x2", "n_clusters: [10, 010]", 'found `010` for a number in "'),
        (None, "5x2", "n_clusters: [1:30]", "found `1:30` for a number"),
        (None, "5x2", "ridge: [1:30.5]", "found `1:30.5` for a number"),
        (None, "5x2", "n_clusters: [2026-02-30]", "but got: day is out of range for month in "),
        (None, "5x2", "!!python/object:os.system {}", "Expected YAML"),
        (None, "5x2", "ridge: {type: float, low: 1, high: 0.5}", "low <= high"),
        (None, "5x2", "ridge: {type: float, low: 0, high: 1, log: true}", "low > 0"),
        (None, "5x2", "ridge: {type: float, low: 0, high: .inf}", "finite"),
        (
            None,
            "5x2",
            "ridge: {type: number, low: 0, high: 1}",
            "`ridge` is {'type': 'number', 'low': 0, 'high': 1}; give",
        ),
        (None, "5x2", "ridge: {type: float, low: 0, hihg: 1}", "`ridge.high` is missing and `ridge.hihg` is unknown"),
        (None, "5x2", "ridge: {type: float, low: little, high: 1}", "`ridge.low` is 'little'; give a list of values"),
        (None, "5x2", "ridge: 0.5", "`ridge` is 0.5; give a list of values such as [0.5, 1.0], {type: int"),
        (None, "5x2", "risk: {type: categorical, choices: []}", "`risk.choices` is []"),
        (None, "5x2", "risk: []", "`risk.choices` is []"),
        (None, "5x2", "risk: [[1]]", "`risk.choices.0` is [1]"),
        (None, None, "schedules: 5x2", "`schedules` is '5x2'; give a list such as [20x10, 50x4], or {budget: 200"),
        (None, None, FAMILY.replace("low: 10,", "low: 0,"), "`schedules.first.low` is 0; give"),
        (None, "5x2", "risk: {type: categorical, choices: [a, a]}", "`risk` has a choice twice"),
        (None, "5x2", "ridge: [1, 2, 1.0]", "`ridge` has a choice twice"),
        (None, None, FAMILY.replace("low: 10,", "low: 90,"), "has low 90 and high 40, not finite low <= high"),
        (None, None, FAMILY.replace("low: 1, high: 2", "low: 1.5"), "has low 1.5 and high 1, not finite low <= high"),
        (
            None,
            None,
            FAMILY.replace("low: 1, high: 2", "high: 1.0e+99"),
            "all numbers: 1e+99 times in each of 10",
        ),
        (None, None, FAMILY.replace("high: 40", "high: 199"), "within the budget of 200"),
        (None, None, FAMILY.replace("low: 3", "low: 1"), "has a low of 1 rounds, not at least 2"),
    ],
)
def test_what_is_no_space_is_refused_in_one_line(write, clusters, schedules, text, words):
    with pytest.raises(SpecError) as caught:
        make_space(clusters, schedules, write(text) if text else None)
    assert words in str(caught.value)
    assert str(caught.value).startswith("Expected")
    assert "\n" not in str(caught.value)


def test_a_range_has_no_grid():
    with pytest.raises(SpecError, match="list for `max_clusters` with --search grid"):
        make_space("10..50", "5x2", None).grid()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"readable file for --space, but got .*missing\.yaml"):
        make_space(None, "5x2", tmp_path / "missing.yaml")


def test_a_space_of_its_own_needs_no_file():
    assert list(Space({}, ("5x2",)).grid()) == [{"schedule": "5x2"}]
