"""`ntkcpl sweep`, from the command to the files, with Tune for real on logical GPUs."""

import importlib
import json
import os
import re
import signal
import time

import numpy as np
import optuna
import pandas as pd
import pytest

from analysis import load
from harness.store import schema
from harness.store.writing import Store

pytestmark = pytest.mark.ray

N_TRIALS, N_TRAJECTORIES = 6, 12


def trials(out):
    """The table of trials, timings aside."""
    return pd.read_parquet(out / "trials").sort_values("trial", ignore_index=True).drop(columns="seconds")


def files(folder):
    whole = [path for path in sorted(folder.glob("*.parquet")) if not path.name.startswith(".")]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in whole}


@pytest.fixture(scope="module")
def grid(start, sweep_command, tmp_path_factory):
    """A grid in a process of its own: store, output, progress."""
    out = tmp_path_factory.mktemp("grid") / "out"
    with start(sweep_command(out, gpus_per_trajectory=0)) as process:
        printed, progress = process.communicate()
    assert process.returncode == 0, progress
    return out, printed, progress


class TestGrid:
    def test_what_is_printed(self, grid):
        out, printed, progress = grid
        assert "over 10 to 20 labels" in printed
        assert "unconfirmed" in printed
        assert "runs as 10, as no round asks for more clusters" in printed
        assert str(out / "trials") in printed
        assert progress.startswith("6 trials with 2 seeds each; 12 trajectories: 12 to run\n")
        # Rounds in which another trial of the same lineage picks the same are taken over, if it is done in time.
        assert len(re.findall(r"^trial \d  seed \d  round \d  labels \d", progress, re.MULTILINE)) <= 6 * 4 + 6 * 2
        assert len(re.findall(r"^trial \d  seed \d  round \d  labels 20 ", progress, re.MULTILINE)) == 12
        assert len(re.findall(r"^trial \d  \d+\.\d+%", progress, re.MULTILINE)) == N_TRIALS
        assert "(6/6, 0 running, best " in progress
        assert "Error" not in progress
        assert "Traceback" not in progress

    def test_a_trial_is_a_configuration_over_all_its_seeds(self, grid):
        out, *_ = grid
        frame = pd.read_parquet(out / "trials")
        assert list(frame.columns) == schema.TRIALS.names
        rounds = pd.read_parquet(out / "rounds")
        for row in frame.itertuples():
            assert (row.status, row.n_seeds, row.labels_reached) == ("complete", 2, 20)
            curves = rounds[rounds["trajectory_id"].isin(row.trajectory_ids)]
            areas = [
                np.interp(np.linspace(10, 20, 1001), curve["n_labels"], curve["accuracy"]).mean()
                for _, curve in curves.sort_values("n_labels").groupby("seed")
            ]
            assert row.objective == pytest.approx(np.mean(areas), abs=1e-3)
            assert row.objective_std == pytest.approx(np.std(areas, ddof=1), abs=1e-3)
            last = curves[curves["n_labels"] == 20]["accuracy"]
            assert row.final_accuracy == pytest.approx(last.mean())

    def test_trajectories_see_the_tune_half_alone(self, grid):
        frame = pd.read_parquet(grid[0] / "trajectories")
        assert set(frame["evaluate_on"]) == {"tune"}
        assert len(frame) == N_TRAJECTORIES

    def test_figures_and_report(self, grid, ntkcpl):
        out, *_ = grid
        names = {path.name for path in next(out.glob("sweep-*")).iterdir()}
        for name in (
            "ablation-max_clusters-5x4",
            "ablation-max_clusters-10x2",
            "interaction-max_clusters",
            "history",
            "importances",
        ):
            assert {f"{name}.png", f"{name}.svg"} <= names
        result = ntkcpl("report", out, "--format", "html,csv")
        assert result.exit_code == 0
        page = (out / "report" / "index.html").read_text()
        assert "6 trials: 6 complete." in page
        assert page.count("data:image/svg+xml") >= 5
        (table,) = (out / "report" / "tables").glob("trials-*.csv")
        assert len(pd.read_csv(table)) == N_TRIALS

    def test_the_interval_is_students(self, grid):
        out, printed, _ = grid
        results = load(out, queries=False)
        best = results.trials.sort_values("objective").iloc[-1]
        areas = results.rounds[results.rounds["trajectory_id"].isin(best["trajectory_ids"])]
        assert areas["trajectory_id"].nunique() == 2
        assert f"{100 * best['objective']:.2f}" in printed

    def test_again_it_runs_nothing_and_starts_nothing(self, grid, ntkcpl, sweep_command, monkeypatch):
        out, *_ = grid
        importlib.import_module("studies.sweeps.run")
        monkeypatch.setattr("studies.sweeps.run.machine", None)
        before = {table: files(out / table) for table in ("trajectories", "rounds", "queries")}
        wanted = trials(out)
        result = ntkcpl(*sweep_command(out, gpus_per_trajectory=0))
        assert result.exit_code == 0
        assert result.stderr == "6 trials with 2 seeds each; 6 already done\n"
        assert {table: files(out / table) for table in before} == before
        pd.testing.assert_frame_equal(trials(out), wanted)

    def test_another_sweep_takes_what_is_there(self, grid, ntkcpl, sweep_command, monkeypatch):
        """A trial is a cache hit whichever study ran its trajectories; without a worker, without Tune."""
        out, *_ = grid
        importlib.import_module("studies.sweeps.run")
        monkeypatch.setattr("studies.sweeps.run.machine", None)
        result = ntkcpl(*sweep_command(out, gpus_per_trajectory=0, search="random", trials=3, max_clusters="6,3,99"))
        assert result.exit_code == 0
        assert result.stderr == "3 trials with 2 seeds each; 3 already done\n"
        assert len(trials(out)) == N_TRIALS + 3
        (mine,) = (path for path in (out / "trials").iterdir() if len(pd.read_parquet(path)) == 3)
        mine.unlink()

    def test_status_counts_trials(self, grid, ntkcpl):
        result = ntkcpl("status", grid[0])
        assert result.exit_code == 0
        assert re.search(r"ok +12/12", result.stdout)
        assert re.search(r"complete trials +6\b", result.stdout)


class TestOnLogicalGPUs:
    """The cluster has 4 CPUs and 2 GPUs; trials hold none of them."""

    @pytest.mark.slow  # the next test asks the same of two trials that are sure to run at the same time
    def test_every_trajectory_actor_sees_its_own_gpu(self, ntkcpl_on_ray, sweep_command, tmp_path):
        words = sweep_command(tmp_path, strategy="plugins:ShowsGPU", max_clusters=None, schedules="5x2;2x5;10")
        result = ntkcpl_on_ray(*words)
        assert result.exit_code == 0, result.stderr
        assert "2 at a time, with 1 CPU and 1 GPU each" in result.stderr
        stats = [json.loads(text) for text in pd.read_parquet(tmp_path / "rounds")["stats"]]
        assert len(stats) == 2 * (2 + 5 + 1)
        assert {values["gpus"] for values in stats} <= {"0", "1"}
        assert all(values["visible"] == values["gpus"] for values in stats)
        assert list(trials(tmp_path)["status"]) == ["complete"] * 3

    def test_trials_at_the_same_time_have_both_gpus(self, ntkcpl_on_ray, sweep_command, tmp_path):
        """Two trials wait for each other, so that neither actor runs both."""
        pipe, space, out = tmp_path / "pipe", tmp_path / "space.yaml", tmp_path / "out"
        os.mkfifo(pipe)
        space.write_text("end: [r, w]")
        options = {
            "strategy": "plugins:Meets",
            "max_clusters": None,
            "space": space,
            "set": f"plugins:Meets.pipe={pipe}",
        }
        result = ntkcpl_on_ray(*sweep_command(out, **options, schedules="5", seeds=1))
        assert result.exit_code == 0, result.stderr
        assert "2 at a time, with 1 CPU and 1 GPU each" in result.stderr
        stats = [json.loads(text) for text in pd.read_parquet(out / "rounds")["stats"]]
        assert sorted(values["gpus"] for values in stats) == ["0", "1"]
        assert all(values["visible"] == values["gpus"] for values in stats)
        assert list(trials(out)["status"]) == ["complete"] * 2

    def test_asha_marks_what_it_stops_and_confirmation_uses_what_the_search_never_saw(
        self, ntkcpl_on_tune, sweep_command, tmp_path
    ):
        options = {"max_clusters": "2,3,4,8", "schedules": "5x4", "gpus_per_trajectory": 0, "concurrent_trials": 1}
        mirror = tmp_path / "optuna.db"
        words = sweep_command(tmp_path, **options, scheduler="asha", confirm_seeds=2, optuna_storage=mirror)
        result = ntkcpl_on_tune(*words)
        assert result.exit_code == 0, result.stderr
        frame = pd.read_parquet(tmp_path / "trials")
        stopped, complete = (frame[frame["status"] == status] for status in ("stopped", "complete"))
        assert len(stopped) >= 1
        assert len(stopped) + len(complete) == 4
        assert stopped["objective"].isna().all()
        assert set(stopped["labels_reached"]) <= {5, 10}
        rounds = pd.read_parquet(tmp_path / "rounds")
        for row in stopped.itertuples():  # a stopped trial costs nothing more
            assert rounds[rounds["trajectory_id"].isin(row.trajectory_ids)]["n_labels"].max() == row.labels_reached
        assert f"{len(stopped)} stopped" in result.stderr

        store = Store(tmp_path)
        confirm = [row for row in store.trajectories().values() if row["evaluate_on"] == "confirm"]
        assert {row["seed"] for row in confirm} == {2, 3}
        assert "survived" in result.stdout or "no advantage to confirm" in result.stdout
        assert "unconfirmed" not in result.stdout

        (summary,) = optuna.get_all_study_summaries(f"sqlite:///{mirror}")
        states = [
            trial.state.name
            for trial in optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{mirror}").trials
        ]
        assert sorted(states) == sorted(["COMPLETE"] * len(complete) + ["PRUNED"] * len(stopped))

        wanted = trials(tmp_path)
        again = ntkcpl_on_tune(*words)
        assert again.stderr == "4 trials with 2 seeds each; 4 already done\n"
        assert again.stdout == result.stdout
        pd.testing.assert_frame_equal(trials(tmp_path), wanted)

    def test_more_trials_continue_a_search_and_failures_are_rows(self, ntkcpl_on_tune, sweep_command, tmp_path):
        fault = tmp_path / "fault"
        fault.touch()
        options = {
            "strategy": "plugins:Raises",
            "max_clusters": None,
            "schedules": "5x2;2x5",
            "set": f"plugins:Raises.fault={fault}",
            "search": "tpe",
            "concurrent_trials": 1,
            "gpus_per_trajectory": 0,
        }
        result = ntkcpl_on_tune(*sweep_command(tmp_path, **options, trials=2))
        assert result.exit_code == 1
        assert "1 trial and 0 trajectories of the confirmation failed" in result.stderr
        assert list(trials(tmp_path)["status"]) == ["failed", "complete"]
        result = ntkcpl_on_tune(*sweep_command(tmp_path, **options, trials=4))
        assert result.exit_code == 0, result.stderr
        assert result.stderr.startswith("4 trials with 2 seeds each; 1 already done; up to 6 trajectories to run\n")
        assert list(trials(tmp_path)["status"]) == ["complete"] * 4


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"schedules": "5x4;10x3"}, ["one total budget", "20 in 5x4", "30 in 10x3"]),
            ({"max_clusters": "5..50"}, ["`max_clusters`", "--search grid"]),
            ({"max_clusters": "5,x"}, ["--max-clusters", "`5,x`"]),
            ({"max_clusters": "0,5"}, ["`0,5`"]),
            ({"strategy": "entropy"}, ["`entropy`", "none to search", "`max_clusters`"]),
            ({"strategy": "entropi"}, ["entropi", "Did you mean `entropy`?"]),
            ({"max_clusters": None, "space": "SPACE"}, ["ridge, ", "`rigde`. Did you mean `ridge`?"]),
            ({"strategy": "random,entropy"}, ["one strategy to sweep"]),
            ({"schedules": "60x3"}, ["at most 120 labels", "180"]),
            ({"space": "missing.yaml"}, ["--space", "missing.yaml"]),
            ({"set": "ntkcpl_al.max_clusters=5"}, ["searched or set"]),
            ({"set": "ntkcpl_al.ridge=-1"}, ["ntkcpl_al.ridge"]),
            ({"set": "ntkcpl_al.ridge=1e-5"}, ["ntkcpl_al.ridge", "1e-5", "greater than or equal to 0.0001"]),
            ({"set": "entropy.x=1"}, ["ntkcpl_al or learner"]),
            ({"strategy": "ntkcpl_al,random"}, ["one strategy to sweep", "`ntkcpl_al,random`", "`ntkcpl compare`"]),
            ({"max_clusters": "200..10"}, ["lower end of --max-clusters first", "`200..10`"]),
            ({"strategy": ["ntkcpl_al", "ntkcpl_self"]}, ["--strategy once"]),
            ({"workers": 3}, ["3 at a time, each with 1 CPU and 1 GPU", "room for 2"]),
            ({"gpus_per_trajectory": 3}, ["1 at a time, each with 1 CPU and 3 GPUs"]),
            ({"scheduler": "asha", "second_objective": "seconds"}, ["no --second-objective with --scheduler asha"]),
        ],
        ids=str,
    )
    def test_is_one_line_and_nothing_is_written(self, ntkcpl_on_ray, sweep_command, tmp_path, options, words):
        out, space = tmp_path / "out", tmp_path / "space.yaml"
        space.write_text("rigde: [1e-3, 1e-2]")
        words_of = [space if word == "SPACE" else word for word in sweep_command(out, **options)]
        result = ntkcpl_on_ray(*words_of)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: Expected ")
        for word in words:
            assert word in line
        assert result.stdout == ""
        assert not out.exists()

    @pytest.mark.parametrize("ridges", ["[1.0e-6, 0.01]", "{type: float, low: 1e-6, high: 0.1, log: true}"])
    def test_a_ridge_that_float32_does_not_bear_is_refused(self, ntkcpl_on_ray, sweep_command, tmp_path, ridges):
        (tmp_path / "space.yaml").write_text(f"ridge: {ridges}")
        options = {"max_clusters": None, "space": tmp_path / "space.yaml", "search": "random"}
        result = ntkcpl_on_ray(*sweep_command(tmp_path / "out", **options))
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert "`ntkcpl_al.ridge`, but got 1e-06: Input should be greater than or equal to 0.0001" in line

    def test_a_dry_run_writes_nothing(self, ntkcpl_on_ray, sweep_command, tmp_path):
        result = ntkcpl_on_ray(*sweep_command(tmp_path / "out", dry_run=True))
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.splitlines() == [
            "6 trials with 2 seeds each; 12 trajectories: 12 to run",
            "2 at a time, with 1 CPU and 1 GPU each; no estimate of the time yet",
            "torch can use no GPU here, so all of this runs on the CPU.",
        ]
        assert not (tmp_path / "out").exists()


INTERRUPTED = {
    "grid": {},
    "random": {"search": "random", "trials": 8, "max_clusters": "2..12"},
    "tpe": {"search": "tpe", "trials": 12, "max_clusters": "2..12", "concurrent_trials": 1},
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("search", INTERRUPTED)
def test_sweeps_that_are_killed_end_as_undisturbed_ones(start, sweep_command, tables, tmp_path, search):
    """The driver dies at three moments, each in the middle of a round, and the command is repeated."""
    options = {**INTERRUPTED[search], "gpus_per_trajectory": 0}
    with start(sweep_command(tmp_path / "whole", **options)) as process:
        _, progress = process.communicate()
    assert process.returncode == 0, progress
    out = tmp_path / "killed"
    words, rounds = sweep_command(out, **options), out / "rounds"
    rng = np.random.default_rng(len(search))
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        before, n_changes = files(rounds), int(rng.integers(1, 12))
        with start(words) as process:
            seen = before
            while process.poll() is None and n_changes:
                time.sleep(0.02)
                now = files(rounds) if rounds.exists() else {}
                n_changes -= now != seen
                seen = now
            process.send_signal(number)
            _, stderr = process.communicate()
        assert "Traceback" not in stderr
        assert process.returncode in ((130, 0) if number == signal.SIGTERM else (-signal.SIGKILL, 0))
    with start(words) as process:
        _, progress = process.communicate()
    assert process.returncode == 0, progress
    pd.testing.assert_frame_equal(trials(out), trials(tmp_path / "whole"))
    assert tables(out) == tables(tmp_path / "whole")


def test_the_sweep_of_a_study_on_features_of_ones_own(ntkcpl_on_tune, pool_file, tmp_path):
    words = ["sweep", "--study", "cifar10_clusters", "--data", pool_file, "--out", tmp_path / "out", "--seeds", 1]
    words += ["--max-clusters", "3,9", "--schedules", "10x3", "--objective-from", 15, "--set", "learner.epochs=3"]
    done = ntkcpl_on_tune(*words)
    assert done.exit_code == 0, done.output
    assert "Trials of ntkcpl_al: area over 15 to 30 labels" in done.output
    (study,) = set(trials(tmp_path / "out")["study"])
    assert study.startswith("cifar10_clusters-")
    assert ntkcpl_on_tune("report", tmp_path / "out", "--format", "html").exit_code == 0
    assert "Not stated by the source (values)" in (tmp_path / "out" / "report" / "index.html").read_text()


def test_the_sweep_of_a_study_says_what_its_images_lack(ntkcpl_on_tune, tmp_path):
    words = ["sweep", "--study", "cifar10_clusters", "--root", tmp_path, "--out", tmp_path / "out"]
    done = ntkcpl_on_tune(*words, "--dry-run")
    assert done.exit_code == 0
    assert "Images of cifar10 are missing" in done.stderr
    assert "Trajectories: 20, " in done.stderr
    assert "only without --data" in ntkcpl_on_tune(*words, "--data", "digits").stderr
    assert not (tmp_path / "out").exists()
