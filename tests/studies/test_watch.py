"""A report that follows a study."""

import pytest

from analysis.exceptions import SelectionError
from harness.store.writing import Store
from studies.report import report_store
from studies.watch import watch


def test_the_report_is_renewed_until_nobody_writes(run_serially, make_spec, tmp_path):
    """A study of two trajectories whose second one ends while the watcher sleeps."""
    specs = [make_spec(name) for name in ("random", "margin")]
    run_serially(specs[:1], Store(tmp_path))
    Store(tmp_path).write_study("compare", "ntkcpl compare", [spec.trajectory_id for spec in specs])
    said, slept = [], []
    writer = Store(tmp_path).writing()
    writer.__enter__()

    def sleep(seconds):
        slept.append(seconds)
        assert '<meta http-equiv="refresh" content="30">' in page()
        writer.__exit__(None, None, None)
        run_serially(specs[1:], Store(tmp_path))

    def page():
        return (tmp_path / "report" / "index.html").read_text()

    def report(renewed_every):
        report_store([tmp_path], formats=["html"], renewed_every=renewed_every)

    watch([tmp_path], report, said.append, 30, sleep)
    assert slept == [30]
    assert said == [
        "compare: 1 of 2 trajectories are finished; 1 not started",
        "compare: 2 of 2 trajectories are finished",
    ]
    assert "<meta http-equiv" not in page()
    assert "margin" in page()


def test_before_the_first_trajectory_is_finished_there_is_no_page(tmp_path):
    store, said = Store(tmp_path), []
    store.write_study("compare", "ntkcpl compare", ["a"])
    writer = store.writing()
    writer.__enter__()

    def report(renewed_every):
        report_store([tmp_path], formats=["html"], renewed_every=renewed_every)

    def sleep(seconds):
        assert said[-1] == "No trajectory is finished yet, so there is no page."
        writer.__exit__(None, None, None)

    with pytest.raises(SelectionError):
        watch([tmp_path], report, said.append, 5, sleep)
    assert not (tmp_path / "report" / "index.html").exists()


def test_a_study_that_is_over_is_reported_once(ntkcpl, run_serially, make_spec, tmp_path):
    run_serially([make_spec("random")], Store(tmp_path))
    result = ntkcpl("report", tmp_path, "--format", "html", "--watch", "60")
    assert result.exit_code == 0
    assert "<meta http-equiv" not in (tmp_path / "report" / "index.html").read_text()
