"""`ntkcpl compare`, from the command to the files."""

import json
import shutil
import signal
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from analysis import load
from analysis.exceptions import MixedSettingsError
from harness.store import schema
from harness.store.writing import Store

N_TRAJECTORIES, N_ROUNDS, N_LABELS = 12, 4, 20


def contents(folder):
    """All files that a reader sees, with the time of their last change."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_harder_pools_of_a_study(ntkcpl_without_ray, pool_file, fields, tmp_path):
    """Each is a data set of its own: paired across strategies and seeds, done once, and ranked over by the report."""
    outside = fields._replace(x_train=fields.x_train - 9)
    np.savez(tmp_path / "outside.npz", **outside._asdict())
    study = {
        "title": "Harder",
        "data": "pool",
        "features": {"recipe": "simsiam_cifar"},
        "strategies": ["random", "coreset_self"],
        "schedule": "8x2",
        "seeds": 2,
        "learner": {"epochs": 3, "hidden": 16},
        "pools": [{}, {"pool": "longtail:4", "label_noise": 0.3}, {"ood": f"{tmp_path / 'outside.npz'}:0.25"}],
    }
    (tmp_path / "hard.yaml").write_text(yaml.safe_dump(study))
    words = ["compare", "--study", tmp_path / "hard.yaml", "--data", pool_file, "--out", tmp_path / "out"]
    result = ntkcpl_without_ray(*words)
    assert result.exit_code == 0, result.stderr
    names = ["pool", "pool[longtail:4,noise:0.3]", "pool[ood:outside:0.25]"]
    results = load(tmp_path / "out")
    assert results.data_names == names
    assert results.trajectories.groupby("data")["data_hash"].nunique().to_list() == [1, 1, 1]
    assert results.rounds.groupby("trajectory_id")["n_labels"].apply(list).to_list() == [[8, 16]] * 12
    assert (
        f"{names[2]}: 120 of 120 points of pool, 0 of them with a wrong label, and 40 points of no class."
        in result.stderr
    )
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert [line for line in result.stdout.splitlines() if line.startswith("Data set")] == [
        f"Data set {name}" for name in names
    ]
    assert "Across data sets" in page
    assert all(name in page for name in names)
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert table["data"].unique().tolist() == names
    assert table.groupby("data").size().to_list() == [4, 4, 4]
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert pictures == ["curves-pool-longtail-4-noise-0.3.png", "curves-pool-ood-outside-0.25.png", "curves-pool.png"]
    metrics = pd.read_csv(tmp_path / "out" / "report" / "tables" / "pool-ood-outside-0.25" / "metrics.csv")
    lost = results.rounds[results.rounds["data"] == names[2]].set_index(["strategy", "n_labels"])["stats"]
    lost = lost.map(lambda text: json.loads(text).get("n_no_class", 0)).groupby(level=[0, 1]).mean()
    assert metrics.set_index(["configuration", "n_labels"])["n_no_class"].to_dict() == lost.to_dict()
    assert metrics["n_no_class"].max() > 0
    assert page.count("labels of no class</button>") == 1
    again = ntkcpl_without_ray(*words, "--dry-run")
    assert again.stderr.count("4 trajectories: 4 already done") == 3
    assert ntkcpl_without_ray("store", "check", tmp_path / "out").stdout.endswith("0 problems\n")


@pytest.mark.ray
class TestOutput:
    def test_what_is_printed(self, undisturbed):
        _, out, printed, progress = undisturbed
        for word in (
            "random",
            "badge",
            "ntkcpl_self",
            "over 4 seeds",
            "gain",
            out / "curves.png",
            out / "results.csv",
            out / "rounds",
        ):
            assert str(word) in printed
        assert progress.startswith("12 trajectories: 12 to run\n")
        assert progress.count("done  (") == N_TRAJECTORIES
        assert "Error" not in progress
        assert "Warning" not in progress

    def test_picture_and_table(self, undisturbed):
        _, out, *_ = undisturbed
        assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
        table = pd.read_csv(out / "results.csv")
        assert table.columns[0] == "data"
        assert sorted(set(table["configuration"])) == ["badge", "ntkcpl_self", "random"]
        assert sorted(set(table["n_labels"])) == [5, 10, 15, 20]
        assert (table["n_seeds"] == 4).all()
        rounds = pd.read_parquet(out / "rounds")
        for row in table.itertuples():
            values = rounds[(rounds["strategy"] == row.strategy) & (rounds["n_labels"] == row.n_labels)]["accuracy"]
            assert (row.mean, row.std) == pytest.approx((values.mean(), values.std(ddof=1)))

    @pytest.mark.parametrize(
        ("table", "n_rows"),
        [
            ("trajectories", N_TRAJECTORIES),
            ("rounds", N_TRAJECTORIES * N_ROUNDS),
            ("queries", N_TRAJECTORIES * N_LABELS),
            ("studies", N_TRAJECTORIES),
        ],
    )
    def test_tables(self, undisturbed, table, n_rows):
        frame = pd.read_parquet(undisturbed[1] / table)
        assert list(frame.columns) == schema.TABLES[table].names
        assert len(frame) == n_rows

    def test_nothing_else_is_written(self, undisturbed):
        _, out, *_ = undisturbed
        names = {path.name for path in out.iterdir()}
        assert names == {*schema.TABLES, ".lock", "curves.png", "results.csv"}
        assert {path.suffix for folder in schema.TABLES for path in (out / folder).iterdir()} == {".parquet"}

    def test_trajectories_say_how_they_came_about(self, undisturbed):
        frame = pd.read_parquet(undisturbed[1] / "trajectories")
        assert set(frame["status"]) == {"ok"}
        assert frame["message"].isna().all()
        assert set(frame["device"]) == {"cpu"}
        assert set(frame["schedule"]) == {"5x4"}
        assert all(json.loads(text)["learner"]["epochs"] == 3 for text in frame["spec"])
        assert frame["trajectory_id"].is_unique

    def test_paired_seeds_reach_the_store(self, undisturbed):
        queries = pd.read_parquet(undisturbed[1] / "queries").merge(pd.read_parquet(undisturbed[1] / "trajectories"))
        first = queries[(queries["round"] == 0) & queries["strategy"].isin(["random", "badge"])]
        picks = first.pivot(index=["seed", "position"], columns="strategy", values="pool_index")
        assert (picks["random"] == picks["badge"]).all()
        assert picks["random"].nunique() > 10

    def test_status(self, undisturbed, ntkcpl):
        result = ntkcpl("status", undisturbed[1])
        assert result.exit_code == 0
        assert "ntkcpl compare --data" in result.stdout
        assert "12/12" in result.stdout


@pytest.mark.ray
class TestAgain:
    def test_the_same_command_runs_nothing(self, undisturbed, ntkcpl, command, monkeypatch):
        study, out, *_ = undisturbed
        monkeypatch.setattr("studies.run.machine", None)
        before = {table: contents(out / table) for table in ("trajectories", "rounds", "queries")}
        result = ntkcpl(*command(out, **study))
        assert result.exit_code == 0
        assert result.stderr == "12 trajectories: 12 already done\n"
        assert {table: contents(out / table) for table in before} == before

    def test_another_command_says_that_the_store_has_more(self, undisturbed, ntkcpl, command, monkeypatch, tmp_path):
        study, out, printed, _ = undisturbed
        assert "other study" not in printed
        copied = shutil.copytree(out, tmp_path / "a [b]")
        monkeypatch.setattr("studies.run.machine", None)
        result = ntkcpl(*command(copied, **{**study, "strategies": "random"}))
        assert result.exit_code == 0
        assert f"`{copied}` also holds 1 other study; to see all, run: ntkcpl report '{copied}'\n" in result.stdout
        assert f"{copied / 'results.csv'}\n" in result.stdout
        assert set(pd.read_csv(copied / "results.csv")["configuration"]) == {"random"}

    def test_a_dry_run_of_the_same_command_writes_nothing(self, undisturbed, ntkcpl, command):
        study, out, *_ = undisturbed
        before = contents(out)
        result = ntkcpl(*command(out, **study, dry_run=True))
        assert (result.exit_code, result.stdout) == (0, "")
        assert contents(out) == before

    def test_a_dry_run_of_a_new_study_writes_nothing_and_reads_once(
        self, ntkcpl_on_ray, command, tmp_path, monkeypatch
    ):
        reads, read = [], Store.trajectories
        monkeypatch.setattr(Store, "trajectories", lambda self: reads.append(self) or read(self))
        result = ntkcpl_on_ray(*command(tmp_path / "out", dry_run=True))
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.splitlines() == [
            "4 trajectories: 4 to run",
            "2 at a time, with 1 CPU and 1 GPU each; no estimate of the time yet",
            "torch can use no GPU here, so all of this runs on the CPU.",
        ]
        assert not (tmp_path / "out").exists()
        assert len(reads) == 1

    @pytest.mark.parametrize(
        "resources",
        [pytest.param({"workers": 1, "cpus_per_trajectory": 2}, marks=pytest.mark.slow), {"workers": 3}],
        ids=["1 worker, 2 CPUs", "3 workers"],
    )
    def test_resources_change_no_result(self, undisturbed, ntkcpl_on_ray, command, tables, tmp_path, resources):
        study, out, *_ = undisturbed
        result = ntkcpl_on_ray(*command(tmp_path, **study | resources))
        assert result.exit_code == 0
        assert f"{resources['workers']} at a time" in result.stderr
        assert tables(tmp_path) == tables(out)

    def test_a_longer_schedule_continues(self, ntkcpl_without_ray, command, tables, tmp_path):
        options = {"strategies": "random,ntkcpl_al", "seeds": 1, "gpus_per_trajectory": 0, "workers": 1}
        short, long = ({**options, "schedule": schedule} for schedule in ("5x2", "5x2,10"))
        assert ntkcpl_without_ray(*command(tmp_path / "a", **short)).exit_code == 0
        before = contents(tmp_path / "a" / "rounds")
        result = ntkcpl_without_ray(*command(tmp_path / "a", **long))
        assert result.exit_code == 0
        assert result.stderr.startswith("2 trajectories: 2 continued from a shorter or longer schedule\n")
        assert result.stderr.count("round 2  labels 20") == 2
        assert "round 1 " not in result.stderr
        assert contents(tmp_path / "a" / "rounds").items() > before.items()

        assert ntkcpl_without_ray(*command(tmp_path / "b", **long)).exit_code == 0
        wanted = set(pd.read_parquet(tmp_path / "b" / "rounds")["trajectory_id"])
        continued, fresh = (pd.read_parquet(tmp_path / name / "queries") for name in "ab")
        continued = continued[continued["trajectory_id"].isin(wanted)]
        order = ["trajectory_id", "round", "position"]
        pd.testing.assert_frame_equal(
            continued.sort_values(order).reset_index(drop=True), fresh.sort_values(order).reset_index(drop=True)
        )


def test_failures_give_exit_code_1_and_are_tried_again(ntkcpl_without_ray, command, tmp_path):
    fault, out = tmp_path / "fault", tmp_path / "out"
    fault.touch()
    study = {"strategies": "random,plugins:Raises", "set": f"plugins:Raises.fault={fault}", "gpus_per_trajectory": 0}
    words = command(out, **study, workers=1)
    result = ntkcpl_without_ray(*words)
    assert result.exit_code == 1
    assert "plugins:Raises  seed 0  failed: RuntimeError: [the disk] is on fire" in result.stderr
    assert result.stderr.endswith("1 trajectory failed; the same command tries again.\n")
    assert "missing: plugins:Raises" in result.stdout
    assert "[the disk] is on fire" in ntkcpl_without_ray("status", out).stdout
    result = ntkcpl_without_ray(*words)
    assert result.exit_code == 0
    assert result.stderr.startswith("4 trajectories: 3 already done, 1 tried again after a failure\n")
    assert "missing" not in result.stdout


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_interrupted_studies_go_on_as_if_nothing_had_happened(undisturbed, start, command, tables, tmp_path):
    """Ctrl-C, a batch system's SIGTERM, a machine that dies; each in the middle of a round."""
    study, out, *_ = undisturbed
    words, rounds, finished = command(tmp_path, **study), tmp_path / "rounds", tmp_path / "trajectories"

    def interrupt(number, code):
        before = contents(rounds)
        with start(words) as process:
            while process.poll() is None and contents(rounds) == before:
                time.sleep(0.02)
            process.send_signal(number)
            _, stderr = process.communicate()
        assert process.returncode == code, stderr
        assert "Traceback" not in stderr
        assert ("Interrupted: finished rounds are in the store" in stderr) == (code == 130)
        assert len(before) <= len(contents(rounds)) < N_TRAJECTORIES

    def unfinished():
        return set(contents(rounds)) - set(contents(finished))  # a file for each trajectory

    interrupt(signal.SIGINT, 130)
    interrupt(signal.SIGTERM, 130)
    interrupt(signal.SIGKILL, -signal.SIGKILL)
    while not unfinished():  # it died between two trajectories
        interrupt(signal.SIGKILL, -signal.SIGKILL)
    left = f"{len(unfinished())} resumed after the last finished round"
    with start(words) as process:
        _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert left in stderr.splitlines()[0]
    assert tables(tmp_path) == tables(out)


def test_rule_5_other_learners_refuse_to_be_averaged(run_serially, make_spec, tmp_path):
    store = Store(tmp_path)
    specs = [make_spec(schedule="5x2", learner={"epochs": epochs, "hidden": 16}) for epochs in (3, 4)]
    run_serially(specs, store)
    for study, members in {"one": specs[:1], "both": specs}.items():
        store.write_study(study, "ntkcpl compare", [spec.trajectory_id for spec in members])
    assert len(load(tmp_path, study="one").trajectories) == 1
    with pytest.raises(MixedSettingsError, match="epochs=3 and epochs=4"):
        load(tmp_path, study="both")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "strategies",
            ["ntkcpl_al", "max_clusters=100", "probcover", "need features", "for random", "skactiveml:CoreSet"],
        ),
        ("learners", ["mlp", "hidden=512", "linear", "penalty=chosen", "features", "alfamix, refine, boss ask"]),
        ("data", ["digits", "1,437"]),
    ],
)
def test_list(ntkcpl, what, words):
    result = ntkcpl("list", what)
    assert result.exit_code == 0
    assert all(word in result.stdout for word in words)
