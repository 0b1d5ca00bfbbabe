"""A study in this process is a study: the same rows as on Ray, resumed and retried in the same way."""

import pytest
from plugins import Raises

from analysis import load
from harness import SpecError, Store, TrajectorySpec, run_study
from harness.plan import make_plan
from harness.spec import LearnerSpec
from harness.store import schema
from harness.store.check import check_store
from harness.store.merging import merge
from harness.store.reading import from_json, read_rows
from harness.workers import serial
from harness.workers.events import RoundDone
from harness.workers.fingerprint import digest

FAST = LearnerSpec(hidden=16, epochs=3)
OTHER = {"machine": "other"}
ON_FIRE = f"at plugins.py:{Raises.fail.__code__.co_firstlineno + 1} in fail"


def specs(pool, *names, schedule="5x3", seeds=2):
    return [TrajectorySpec.of(pool, name, schedule, seed, learner=FAST) for name in names for seed in range(seeds)]


def test_rows_are_those_of_every_other_study(pool, run_serially, tmp_path):
    wanted = specs(pool, "random", "ntkcpl_al")
    there, here = Store(tmp_path / "there"), Store(str(tmp_path / "here"))
    run_serially(wanted, there)
    assert len(run_study(wanted, pool, here, name="mine").jobs) == 4
    for spec in wanted:
        (own, picks, _), (other, other_picks, _) = (store.rounds(spec.trajectory_id) for store in (here, there))
        assert [row["accuracy"] for row in own] == [row["accuracy"] for row in other]
        assert [each.tolist() for each in picks] == [each.tolist() for each in other_picks]
    assert list(here.studies()) == ["mine"]
    assert {row["status"] for row in here.trajectories().values()} == {"ok"}
    assert len(run_study(wanted, pool, here).done) == 4


def test_an_interrupted_study_goes_on(pool, tmp_path):
    wanted, store = specs(pool, "random", seeds=1), Store(tmp_path)

    def stop(event):
        if getattr(getattr(event, "record", None), "round", None) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(wanted, pool, store, listen=stop)
    (job,) = run_study(wanted, pool, store).jobs
    assert job.origin == "resumed"


@pytest.mark.parametrize("is_merged", [False, True])
@pytest.mark.parametrize("table", schema.MERGEABLE)
def test_nothing_is_left_of_what_is_run_again(pool, tmp_path, monkeypatch, table, is_merged):
    """Whichever files somebody removed, and although another machine is interrupted on the way."""
    wanted, store = specs(pool, "random", schedule="5x2"), Store(tmp_path)
    run_study(wanted, pool, store)
    if is_merged:
        with store.writing():
            merge(store)
    for path in store.files(table):
        path.unlink()
    monkeypatch.setattr(serial, "fingerprint", lambda _: OTHER)

    def stop(event):
        if isinstance(event, RoundDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(wanted, pool, Store(tmp_path), listen=stop)
    assert make_plan(wanted, Store(tmp_path)).done == []
    run_study(wanted, pool, Store(tmp_path))
    assert check_store(tmp_path).problems == []
    assert load(tmp_path).rounds["n_labels"].tolist() == [5, 10] * 2
    assert {from_json(row["stats"])["fingerprint"] for row in read_rows(tmp_path, "rounds")} == {digest(OTHER)}


def test_what_raises_is_a_row_and_an_error_and_is_tried_again(pool, tmp_path):
    (tmp_path / "fault").touch()
    faulty = {"params": {"fault": str(tmp_path / "fault")}, "learner": FAST}
    wanted, store = [TrajectorySpec.of(pool, "plugins:Raises", "5x3", **faulty)], Store(tmp_path / "store")
    with pytest.raises(RuntimeError, match="on fire"):
        run_study(wanted, pool, store)
    (row,) = store.trajectories().values()
    assert (row["status"], row["message"]) == ("failed", f"RuntimeError: [the disk] is on fire ({ON_FIRE})")
    (job,) = run_study(wanted, pool, store).jobs
    assert job.origin == "retried"


def test_trajectories_of_other_data_are_refused(pool, tmp_path):
    other = [specs(pool, "random", seeds=1)[0].model_copy(update={"data_hash": "0"})]
    with pytest.raises(SpecError, match="of other data"):
        run_study(other, pool, Store(tmp_path))
    assert not list(tmp_path.iterdir())
