import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ray.util.placement_group import placement_group, remove_placement_group

from harness.exceptions import ResourceError
from harness.plan import make_plan
from harness.store.writing import Store
from harness.trajectory import run_trajectory
from harness.workers.cluster import _temporary_folder, cluster, settle
from harness.workers.driver import drive
from harness.workers.events import Finished, Paused, RoundDone
from harness.workers.resources import Resources, this_machine

ONE = Resources(workers=1, gpus_per_trajectory=0)


class TestTemporaryFolder:
    """Names of sockets have at most 107 characters."""

    def test_a_short_one_is_rays_own_choice(self, monkeypatch):
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setattr("tempfile.tempdir", "/var/tmp")
        assert _temporary_folder() is None

    @pytest.mark.parametrize("is_rays", [False, True])
    def test_a_long_one_is_replaced(self, monkeypatch, is_rays):
        long = f"/tmp/{'x' * 100}"
        monkeypatch.setattr("tempfile.tempdir", "/tmp" if is_rays else long)
        monkeypatch.setenv("RAY_TMPDIR", long) if is_rays else monkeypatch.delenv("RAY_TMPDIR", raising=False)
        assert len(_temporary_folder()) < 40

    def test_without_a_short_one_it_is_said(self, monkeypatch):
        monkeypatch.setenv("RAY_TMPDIR", "/data/" + "x" * 100)
        monkeypatch.setattr("os.access", lambda path, mode: False)
        with pytest.raises(ResourceError, match=r"at most 40 characters for .*, but got `/data/x+`; set TMPDIR"):
            _temporary_folder()


def test_sigterm_while_ray_starts_is_an_interruption(monkeypatch):
    """Ray's own handler ended the command with the exit code 15 and without a word."""

    def init(**_):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does first
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("ray.init", init)
    try:
        with pytest.raises(KeyboardInterrupt), cluster(ONE, 0):
            pass
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_local_cluster_has_the_cpus_that_this_process_may_use(monkeypatch):
    """Inside an allocation of Slurm, there was a worker for each CPU of the whole machine."""
    asked = {}

    def init(**given):
        asked.update(given)
        raise RuntimeError

    monkeypatch.setattr("ray.init", init)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        with pytest.raises(ResourceError), cluster(Resources(), 0):
            pass
        assert asked["num_cpus"] == this_machine()["CPU"] == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
class TestSettle:
    """The cluster has 4 CPUs and 2 GPUs."""

    @pytest.mark.parametrize(
        ("resources", "n_jobs", "workers", "gpus"),
        [
            (Resources(), 9, 2, 1),
            (Resources(), 1, 1, 1),
            (Resources(gpus_per_trajectory=0), 9, 4, 0),
            (Resources(gpus_per_trajectory=0, cpus_per_trajectory=2), 9, 2, 0),
            (Resources(gpus_per_trajectory=0.5), 9, 4, 0.5),
            (Resources(gpus_per_trajectory=2), 9, 1, 2),
            (Resources(workers=3, gpus_per_trajectory=0), 9, 3, 0),
        ],
    )
    def test_takes_what_there_is_room_for(self, resources, n_jobs, workers, gpus):
        settled = settle(resources, n_jobs)
        assert (settled.workers, settled.gpus_per_trajectory) == (workers, gpus)

    @pytest.mark.parametrize(
        "resources",
        [
            Resources(workers=3),
            Resources(workers=5, gpus_per_trajectory=0),
            Resources(workers=3, cpus_per_trajectory=2, gpus_per_trajectory=0),
            Resources(cpus_per_trajectory=5),
            Resources(gpus_per_trajectory=3),
            Resources(workers=4, gpus_per_trajectory=0.6),
        ],
    )
    def test_refuses_what_does_not_fit(self, resources):
        with pytest.raises(ResourceError, match=r"cluster has 4 CPUs and 2 GPUs, room for \d"):
            settle(resources, 9)


def run(specs, data, store, resources=ONE):
    """Plan and drive; returns the events and the failures."""
    events = []
    with store.writing():
        failures = drive(make_plan(list(specs), store).jobs, data, store, resources, events.append)
    return events, failures


def kinds(events):
    return [type(event).__name__ for event in events]


ALTERED = {
    "another fingerprint": lambda row: {
        "stats": json.dumps(json.loads(row["stats"]) | {"fingerprint": "another machine"})
    },
    "no fingerprint": lambda row: {"stats": "{}"},
    "another accuracy": lambda row: {"accuracy": np.nextafter(row["accuracy"], 1)},
}
FAILING = {
    "raises": "RuntimeError: [the disk] is on fire",
    "complains": r"ComplaintError: no sleep in M\udcfcnchen",
    "misbehaves": "InvalidSelectionError: Expected 5 distinct unlabelled pool indices from `misbehaves`, but got [0",
    "diverges": "SpecError: Expected finite weights after training",
    "devours": "Out of memory: Unable to allocate ",
    "dies": "The worker died (killed, or out of memory); run the command again to retry.",
}


@pytest.fixture(scope="module")
def specs(make_spec, tmp_path_factory):
    """By name; each plug-in fails the first of its trajectories that comes to its second round."""
    names = ("Raises", "Complains", "Misbehaves", "Devours", "Dies")
    faults = {name: tmp_path_factory.mktemp("faults") / name for name in names}
    for path in faults.values():
        path.touch()
    faulty = {
        f"{name.lower()}{again}": make_spec(f"plugins:{name}", {"fault": str(path)}, seed=seed, schedule="5x3")
        for name, path in faults.items()
        for seed, again in enumerate(["", " again"])
    }
    return {
        "plain": make_spec("ntkcpl_al", schedule="5x2"),
        **{name: make_spec("entropy", schedule="5x3", seed=seed) for seed, name in enumerate(ALTERED)},
        "diverges": make_spec(learner={"lr": 1e30, "epochs": 3}),
        **faulty,
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store") / "out")


@pytest.fixture(scope="module")
def first_run(ray_cluster, specs, pool, store):
    """All specs on one worker: events, failures by name, and what the store holds."""
    events, failures = run(specs.values(), pool, store)
    names = {spec.trajectory_id: name for name, spec in specs.items()}
    rounds = {name: store.rounds(spec.trajectory_id) for name, spec in specs.items()}
    return events, {names[found.job.spec.trajectory_id]: found for found in failures}, store.trajectories(), rounds


@pytest.fixture(scope="module")
def second_run(first_run, specs, pool, store):
    """The same again but for the one that cannot succeed, after some rounds were altered: events by name."""
    with store.writing():
        for name, alter in ALTERED.items():
            trajectory_id = specs[name].trajectory_id
            rounds, _, queries = store.rounds(trajectory_id)
            store.write_rounds(trajectory_id, [{**row, **alter(row)} for row in rounds[:2]], queries[:2])
            (store.root / "trajectories" / f"{trajectory_id}.parquet").unlink()
    wanted = {name: spec for name, spec in specs.items() if name != "diverges"}
    events, failures = run(wanted.values(), pool, store)
    assert failures == []
    return {name: [event for event in events if event.job.spec == spec] for name, spec in wanted.items()}


@pytest.mark.ray
class TestWorkers:
    def test_a_worker_gives_what_the_loop_gives(self, first_run, specs, pool):
        events, _, trajectories, stored = first_run
        spec = specs["plain"]
        assert kinds(event for event in events if event.job.spec == spec) == [
            "Started",
            "RoundDone",
            "RoundDone",
            "Finished",
        ]
        rounds, picks, queries = stored["plain"]
        for record, row, bought, rows in zip(run_trajectory(spec, pool), rounds, picks, queries, strict=True):
            np.testing.assert_array_equal(bought, record.picks)
            assert [query["score"] for query in rows] == record.scores.tolist()
            for column in (
                "accuracy",
                "n_clusters",
                "n_labels",
                "coverage_true",
                "coverage_ntk_true",
                "coverage_estimated",
            ):
                assert row[column] == getattr(record, column)
        row = trajectories[spec.trajectory_id]
        assert (row["status"], row["message"], row["device"], row["seed"]) == ("ok", None, "cpu", 0)
        assert row["peak_bytes"] > 0
        assert row["seconds"] >= sum(values["train_seconds"] for values in rounds) > 0
        assert json.loads(row["versions"])["fingerprint"]["device"] == "cpu"

    def test_no_other_trajectory_fails(self, first_run, specs):
        _, failures, trajectories, _ = first_run
        assert failures.keys() == FAILING.keys()
        assert {
            name for name, spec in specs.items() if trajectories[spec.trajectory_id]["status"] == "failed"
        } == FAILING.keys()

    @pytest.mark.parametrize("name", FAILING)
    def test_a_failure_is_a_row_with_its_message_in_one_line(self, first_run, specs, name):
        _, failures, trajectories, _ = first_run
        message = trajectories[specs[name].trajectory_id]["message"]
        assert message.startswith(FAILING[name])
        assert message.endswith("in fail)") == (name in ("raises", "complains", "devours"))
        assert len(message.splitlines()) == 1
        assert failures[name].message == message

    @pytest.mark.parametrize("name", ["raises", "complains", "misbehaves", "devours", "dies"])
    def test_a_failure_is_retried_from_its_last_round(self, first_run, second_run, specs, store, pool, name):
        assert len(first_run[3][name][0]) == 1
        assert [event.record.round for event in second_run[name] if isinstance(event, RoundDone)] == [1, 2]
        assert store.trajectories()[specs[name].trajectory_id]["status"] == "ok"
        _, picks, _ = store.rounds(specs[name].trajectory_id)
        expected = [record.picks for record in run_trajectory(specs[name], pool)]
        np.testing.assert_array_equal(picks, expected)

    @pytest.mark.parametrize("name", ALTERED)
    def test_rounds_that_cannot_be_repeated_are_replaced(self, first_run, second_run, specs, store, name):
        assert kinds(second_run[name]) == ["Started", "Restarted", *["RoundDone"] * 3, "Finished"]
        (rounds, picks, _), (expected, expected_picks, _) = store.rounds(specs[name].trajectory_id), first_run[3][name]
        np.testing.assert_array_equal(picks, expected_picks)
        for column in ("accuracy", "n_labels", "round"):
            assert [row[column] for row in rounds] == [row[column] for row in expected]
        assert {json.loads(row["stats"])["fingerprint"] for row in rounds} == {
            json.loads(expected[0]["stats"])["fingerprint"]
        }

    def test_what_is_done_is_not_run_again(self, second_run):
        assert [name for name, events in second_run.items() if not events] == [
            "plain",
            "raises again",
            "complains again",
            "misbehaves again",
            "devours again",
            "dies again",
        ]

    def test_a_live_queue_in_legs_gives_what_one_run_gives(self, ray_cluster, pool, make_spec, tmp_path):
        """Jobs come when others have ended; a leg stops before its round, the next goes on from the store."""
        specs = [make_spec("ntkcpl_al", seed=seed, schedule="5x3") for seed in range(2)]
        store, events = Store(tmp_path), []

        def jobs():
            for leg, until in enumerate((1, 2, None), start=1):
                for job in make_plan(specs, store).jobs:
                    job.until = until
                    yield job
                while sum(isinstance(event, Paused | Finished) for event in events) < leg * len(specs):
                    yield None

        with store.writing():
            assert drive(jobs(), pool, store, ONE, events.append) == []
        assert kinds(event for event in events if event.job.spec == specs[0]) == [
            *["Started", "RoundDone", "Paused"] * 2,
            *["Started", "RoundDone", "Finished"],
        ]
        for spec in specs:
            _, picks, _ = store.rounds(spec.trajectory_id)
            np.testing.assert_array_equal(picks, [record.picks for record in run_trajectory(spec, pool)])
        assert {row["status"] for row in store.trajectories().values()} == {"ok"}

    def test_every_worker_sees_its_own_gpu(self, ray_cluster, pool, make_spec, tmp_path):
        os.mkfifo(pipe := tmp_path / "pipe")  # else one worker may be through before the other is there
        specs = [make_spec("plugins:Meets", {"pipe": str(pipe), "end": end}, schedule="5") for end in "rw"]
        run(specs, pool, Store(tmp_path), settle(Resources(), 2))
        stats = [json.loads(text) for text in pd.read_parquet(tmp_path / "rounds")["stats"]]
        assert len(stats) == 2
        assert {values["gpus"] for values in stats} == {"0", "1"}
        assert all(values["visible"] == values["gpus"] for values in stats)

    def test_a_trajectory_over_the_time_limit_is_given_up_and_the_rest_goes_on(
        self, ray_cluster, pool, make_spec, tmp_path, monkeypatch
    ):
        def monotonic():
            """The clock of the driver; it is ahead as soon as a trajectory hangs whose first round is stored."""
            hangs = not fault.exists() and any((tmp_path / "out" / "rounds").glob("*.parquet"))
            return time.monotonic() + 1000 * hangs

        monkeypatch.setattr("harness.workers.cluster.time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))
        (fault := tmp_path / "fault").touch()
        specs = [make_spec("plugins:Hangs", {"fault": str(fault)}, seed=seed, schedule="5x3") for seed in range(3)]
        store = Store(tmp_path / "out")
        _, (failure,) = run(specs, pool, store, replace(ONE, time_limit=20.0))
        assert failure.message == (
            "It took longer than the time limit of 20 s; run it again with a longer --time-limit to retry."
        )
        assert [row["status"] for row in store.trajectories().values()].count("ok") == 2
        assert len(store.rounds(failure.job.spec.trajectory_id)[0]) == 1
        assert run(specs, pool, store)[1] == []

    def test_shards_that_cannot_be_reserved_are_refused_at_once(self, ray_cluster, monkeypatch):
        held = placement_group([{"CPU": 3}])
        assert held.wait(60)
        try:
            monkeypatch.setattr("harness.workers.cluster._RESERVATION_SECONDS", 2)
            with pytest.raises(ResourceError, match="but the cluster is busy"):
                settle(Resources(gpus_per_trajectory=0, cpus_per_trajectory=4, shards=2), 1)
        finally:
            monkeypatch.undo()
            remove_placement_group(held)
        assert settle(Resources(gpus_per_trajectory=0, cpus_per_trajectory=4, shards=2), 1).workers == 1


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.ray
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; elsewhere Ray is on loopback by itself")
def test_a_local_cluster_has_what_was_counted_and_listens_on_loopback_alone():
    command = [sys.executable, str(Path(__file__).with_name("listening.py"))]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    has = [line.split()[2:] for line in printed.splitlines() if line.startswith("has")]
    assert len(has) == 2
    assert all(float(there) == float(counted) for there, counted in has)
    found = [line.split()[1] for line in printed.splitlines() if line.startswith("listens")]
    assert len(found) >= 4
    assert set(found) <= LOOPBACK
