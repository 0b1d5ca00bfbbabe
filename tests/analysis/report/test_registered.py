"""A report follows what was registered, and says what goes beyond it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load
from analysis.registration import Registration
from analysis.report import make_report, write_report
from analysis.report.sweeps import registration_lines, sweep_sections
from harness.store import schema


def write(root, *registrations):
    (root / "registrations").mkdir(exist_ok=True)
    for each in registrations:
        table = pa.Table.from_pylist([each.row()], schema=schema.REGISTRATIONS)
        pq.write_table(table, root / "registrations" / f"{each.study}-{each.registered_at:%f}.parquet")


@pytest.fixture
def planned(trajectory):
    """Random and margin, three seeds, on one schedule."""
    return [
        trajectory(name, seed, [level + 0.01 * seed + 0.003 * k * seed for k in range(3)])
        for seed in range(3)
        for name, level in (("random", 0.5), ("margin", 0.6))
    ]


@pytest.fixture
def registration(planned):
    return Registration(
        study="example",
        registered_at=datetime(2026, 11, 28, tzinfo=UTC),
        n_begun=0,
        subject="compare",
        data="digits",
        data_hash="h1",
        configurations="[{},{}]",
        seeds=(0, 1, 2),
        baseline="random",
        maximised="area",
        metric="accuracy",
        window=(10, 40),
        trajectory_ids=tuple(each["trajectory_id"] for each in planned),
    )


@pytest.fixture
def later(trajectory):
    """Another schedule, which would move the window, and another seed."""
    other = {"n_labels": (20, 30), "schedule": "20x1,10x1"}
    return [
        *(
            trajectory(name, seed, [0.5, 0.6 + seed / 100], **other)
            for name in ("random", "badge")
            for seed in range(3)
        ),
        trajectory("margin", 9, [0.9, 0.9, 0.9]),
    ]


def verdict(section):
    (table,) = (table for table in section.tables if table.name == "verdict")
    return table


def test_what_came_later_moves_nothing(planned, later, registration, write_store, tmp_path):
    root = write_store(tmp_path / "s", planned)
    (plain,) = make_report(load(root)).sections
    write(root, registration)
    (alone,) = make_report(load(root)).sections
    assert alone.registered == [registration.sentence]
    assert not alone.is_exploratory
    write_store(root, later, study="later")
    as_registered, beyond = make_report(load(root)).sections
    for section in (alone, as_registered):
        assert section.headline == plain.headline
        assert verdict(section).frame.equals(verdict(plain).frame)
    assert (as_registered.name, beyond.name) == ("digits", "digits, exploratory")
    assert beyond.headline.startswith("Exploratory: ")
    assert "margin" in beyond.registered[0]
    assert "(seed 9)" in beyond.registered[0]
    assert "badge (seeds 0 to 2)" in beyond.registered[0]
    assert "over 20 to 30 labels" in verdict(beyond).note
    folder = write_report(make_report(load(root)), tmp_path / "report", ["html", "csv"])
    assert "As registered" in (folder / "index.html").read_text()
    assert (folder / "tables" / "digits-exploratory" / "verdict.csv").exists()


def test_the_window_is_the_registered_one(planned, registration, write_store, tmp_path):
    root = write_store(tmp_path / "s", planned)
    write(root, replace(registration, window=(20, 40)))
    (section,) = make_report(load(root)).sections
    assert "over 20 to 40 labels" in verdict(section).note
    (area,) = (table for table in section.tables if table.name == "area")
    assert set(area.frame["area_from"]) == {20}
    assert "the window that was registered" in area.note


def test_metric_and_baseline_are_the_registered_ones(planned, registration, write_store, tmp_path):
    for each in planned:
        each["rounds"] = [{"macro_f1": 0.1 * k + each["seed"] / 100, "nll": 1.0, "recall": [1.0]} for k in range(3)]
    root = write_store(tmp_path / "s", planned)
    write(root, replace(registration, baseline="margin", metric="macro_f1"))
    results = load(root, metric=None)
    assert results.metric == "macro_f1"
    (section,) = make_report(results).sections
    assert not section.is_exploratory
    assert set(verdict(section).frame["baseline"]) == {"margin"}
    for other, baseline, said in ((load(root), None, "looks at accuracy"), (results, "random", "compares with random")):
        (section,) = make_report(other, baseline=baseline).sections
        assert section.is_exploratory
        assert said in section.registered[0]


def test_without_the_baseline_that_every_comparison_registers_nothing_is_as_registered(
    planned, registration, write_store, tmp_path
):
    root = write_store(tmp_path / "s", planned)
    write(root, replace(registration, baseline=None))
    (section,) = make_report(load(root)).sections
    assert section.is_exploratory
    assert "it compares with random" in section.registered[0]


def test_what_is_missing_is_said(planned, registration, write_store, tmp_path):
    planned[0]["status"] = "failed"
    root = write_store(tmp_path / "s", planned[:-1])
    write(root, registration)
    (section,) = make_report(load(root)).sections
    assert "not yet all that was registered: of its 6 trajectories, 2 are missing (1 failed)" in section.registered[1]


def test_of_two_registrations_the_earlier_counts(planned, registration, write_store, tmp_path):
    root = write_store(tmp_path / "s", planned)
    second = replace(
        registration, registered_at=registration.registered_at + timedelta(days=1, microseconds=1), seeds=(0,)
    )
    write(root, registration, second)
    (section,) = make_report(load(root)).sections
    assert section.registered[0] == registration.sentence
    assert section.registered[1].startswith(f"A later registration, of {second.when}, is not followed")


def test_nothing_of_it_is_finished(later, registration, write_store, tmp_path):
    root = write_store(tmp_path / "s", later)
    write(root, registration)
    (section,) = make_report(load(root)).sections
    assert section.is_exploratory
    assert section.registered[0].startswith("Nothing that was registered on")


def test_ranks_across_data_sets_are_of_what_was_registered(
    planned, later, registration, trajectory, write_store, tmp_path
):
    other = [trajectory(name, seed, data="b", data_hash="h2") for name in ("random", "margin") for seed in range(3)]
    root = write_store(tmp_path / "s", [*planned, *other])
    write(root, registration)
    before = make_report(load(root)).across
    write_store(root, later, study="later")
    after = make_report(load(root)).across
    assert [table.frame.to_csv() for table in before] == [table.frame.to_csv() for table in after]


class TestSweeps:
    @pytest.fixture
    def registered(self, registration):
        return replace(
            registration, study="sweep-x", subject="sweep of ntkcpl_al", n_trials=7, confirm_seeds=(3, 4), baseline=None
        )

    def look(self, root, *looks):
        rows = [
            {"study": "sweep-x", "trial": 1, "status": "failed", "default": "d", "seeds": seeds, "looked_at": at}
            for seeds, at in looks
        ]
        (root / "confirmations").mkdir(exist_ok=True)
        pq.write_table(
            pa.Table.from_pylist(rows, schema=schema.CONFIRMATIONS), root / "confirmations" / "sweep-x.parquet"
        )

    def test_as_registered(self, swept, registered):
        write(swept, registered)
        assert registration_lines(load(swept), "sweep-x") == [registered.sentence]

    def test_trials_that_were_added(self, swept, registered):
        write(swept, replace(registered, n_trials=5))
        assert registration_lines(load(swept), "sweep-x")[1] == (
            "Exploratory: trials 5 and 6 were added to the 5 that were registered."
        )

    def test_another_sweep(self, swept, registered):
        write(swept, replace(registered, study="sweep-y"))
        (line,) = registration_lines(load(swept), "sweep-x")
        assert line.endswith("another sweep was registered, sweep-y.")

    def test_looks_are_counted(self, swept, registered):
        days = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
        self.look(swept, ([3, 4], None))
        assert registration_lines(load(swept), "sweep-x") == []
        self.look(swept, ([3, 4], None), ([3, 4], days[0]), ([3, 4, 5, 6], days[1]))
        results = load(swept)
        (row,) = results.confirmations.to_dict("records")
        assert list(row["seeds"]) == [3, 4, 5, 6]
        (line,) = registration_lines(results, "sweep-x")
        assert line.startswith(
            "The confirmation was looked at 3 times: seeds 3 and 4 (2 times), seeds 3 to 6 (once). Seeds that are added"
        )
        write(swept, registered)
        assert "other seeds than those that were registered, 3 and 4" in registration_lines(load(swept), "sweep-x")[2]

    def test_the_objective_is_said(self, swept):
        path = swept / "trials" / "sweep-x.parquet"
        rows = pq.read_table(path).to_pylist()
        (section,) = sweep_sections(load(swept))
        assert "Objective" not in section.facts
        kept = [{**row, "maximised": "area", "window_from": 20, "window_to": 40} for row in rows]
        pq.write_table(pa.Table.from_pylist(kept, schema=schema.TRIALS), path)
        (section,) = sweep_sections(load(swept))
        assert section.facts.endswith("Objective: area over 20 to 40 labels.")

    def test_a_store_of_version_2_says_as_much_as_it_has(self, swept):
        self.look(swept, ([3, 4], None))
        for name in ("trials", "confirmations"):
            path = swept / name / "sweep-x.parquet"
            content = pq.read_table(path).drop_columns(list(schema.ADDED["2"][name]))
            pq.write_table(content.replace_schema_metadata({schema.VERSION_KEY: b"2"}), path)
        results = load(swept)
        assert results.trials["maximised"].isna().all()
        assert len(results.confirmations) == len(results.looks) == 1
        assert "Objective" not in sweep_sections(results)[0].facts
