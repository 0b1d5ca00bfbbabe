"""What a user gets wrong is one line on stderr, exit code 2, and nothing written."""

from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.store import schema
from harness.store.writing import Store
from strategies.registry import strategy_names

MANY_CPUS = 10_000
NEEDS_SKACTIVEML = pytest.mark.skipif(not find_spec("skactiveml"), reason="the extra `skactiveml` is not installed")


def check(result, out, *words):
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Expected ")
    for word in words:
        assert str(word) in line
    assert result.stdout == ""
    assert not out.exists() or not list(out.rglob("*.parquet"))


SWEEP = ["sweep", "--data", "digits", "--strategy", "ntkcpl_al", "--max-clusters", "5,10", "--schedules", "10x2"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategies": "random,entopy"}, ["entopy", "Did you mean `entropy`?", *strategy_names()]),
        ({"strategies": "random,"}, ["empty name"]),
        ({"strategies": "random,entropy, random"}, ["`random` 2 times"]),
        ({"strategies": "no_module:Class"}, ["No module named 'no_module'", "Install its package", "PYTHONPATH=."]),
        ({"strategies": "plugins:NoClass"}, ["has no attribute 'NoClass'"]),
        ({"strategies": "plugins:Path"}, ["subclass of strategies.Strategy"]),
        ({"strategies": "ntkcpl_al", "set": "ntkcpl_al.rigde=1"}, ["rigde", "Did you mean `ridge`?", "max_clusters"]),
        pytest.param(
            {"strategies": "random,skactiveml:Quire"}, ["`skactiveml:Quire`", "third power"], marks=NEEDS_SKACTIVEML
        ),
        pytest.param(
            {"strategies": "skactiveml:ProbCover", "set": "skactiveml:ProbCover.detla=1"},
            ["normalise, alpha, delta", "Did you mean `delta`?"],
            marks=NEEDS_SKACTIVEML,
        ),
        ({"pool": "longtail:0.5"}, ["an imbalance of at least 1", "`longtail:0.5`"]),
        ({"pool": "subset:121"}, ["1 to 120 points of pool"]),
        ({"label_noise": "1"}, ["label noise in [0, 1)"]),
        ({"ood": "digits:0.1"}, ["6 features in digits, as in pool", "64"]),
        ({"pool_seed": 1}, ["to draw with pool seed 1"]),
        ({"set": "entropy.temperature=1"}, ["temperature", "which has none"]),
        ({"strategies": "ntkcpl_al", "set": "ntkcpl_al.ridge=much"}, ["ntkcpl_al.ridge", "'much'", "number"]),
        (
            {"strategies": "ntkcpl_al", "set": "ntkcpl_al.ridge=-1"},
            ["ntkcpl_al.ridge", "greater than or equal to 0.0001"],
        ),
        ({"strategies": "ntkcpl_al", "set": "ntkcpl_al.risk=none"}, ["ntkcpl_al.risk", "zero_one"]),
        ({"strategies": "ntkcpl_al", "max_clusters": 0}, ["ntkcpl_al.max_clusters", "greater than or equal to 1"]),
        ({"strategies": "ntkcpl_al", "candidates": "some"}, ["ntkcpl_al.candidates", "'some'", "all"]),
        ({"max_clusters": 10}, ["`max_clusters`", "none has it"]),
        ({"learner": "liner"}, ["mlp, linear, knn, ridge", "Did you mean `linear`?"]),
        ({"learner": "plugins:Path"}, ["subclass of harness.learners.Learner"]),
        ({"learner": "no_module:Class"}, ["importable learner", "No module named 'no_module'"]),
        ({"learner": "linear"}, ["`linear` among scaling, penalty", "`epochs`"]),  # of the network
        ({"set": "learner.name=knn"}, ["--learner", "`learner.name=knn`"]),
        ({"set": "learner.depth=3"}, ["depth", "hidden, epochs"]),
        ({"set": "learner.epoch=3"}, ["`epoch`", "Did you mean `epochs`?"]),
        ({"set": "entropi.x=1"}, ["random, entropy or learner", "`entropi.x=1`. Did you mean `entropy`?"]),
        ({"set": "learner.lr=fast"}, ["learner.lr", "'fast'"]),
        ({"set": "learner.lr=0"}, ["learner.lr", "greater than 0"]),
        ({"set": "learner.lr=nan"}, ["learner.lr"]),
        ({"set": "learner.lr=inf"}, ["learner.lr", "finite"]),
        ({"set": "margin.x=1"}, ["margin.x=1", "random, entropy or learner"]),
        ({"set": "learner.lr"}, ["`learner.lr`", "such as"]),
        ({"set": "lr=1"}, ["`lr=1`", "such as"]),
        ({"set": "learner.=1"}, ["`learner.=1`", "such as"]),
        ({"set": ["learner.lr=1", "learner.lr=2"]}, ["`learner.lr` once"]),
        ({"schedule": "5x"}, ["'5x'", "20x5,100x4"]),
        ({"schedule": "0x3"}, ["'0x3'"]),
        ({"schedule": ""}, ["schedule"]),
        ({"schedule": "60x2,1"}, ["at most 120 labels", "121"]),
        ({"seeds": "many"}, ["'many'", "range `10-14`"]),
        ({"seeds": "0"}, ["'0'"]),
        ({"seeds": "5-3"}, ["'5-3'"]),
        ({"seeds": "1,1"}, ["'1,1'", "distinct"]),
        ({"gpus_per_trajectory": 1.5}, ["1.5", "whole number"]),
        ({"memory_limit": "much"}, ["`much`", "8GiB"]),
        ({"memory_limit": "-1GiB"}, ["`-1GiB`", "8GiB"]),
        ({"time_limit": "0s"}, ["`0s`", "90s"]),
        ({"time_limit": "-5"}, ["`-5`", "90s"]),
        ({"time_limit": "2 weeks"}, ["`2 weeks`", "90s"]),
        ({"time_limit": "nan"}, ["`nan`", "90s"]),
        ({"schedule": "1x100001"}, ["at most 100000 rounds"]),
        ({"schedule": "٣x2"}, ["'٣x2'"]),
        ({"schedule": "5;2"}, ["'5;2'"]),
        ({"seeds": "0-100000"}, ["'0-100000'", "100000"]),
        ({"seeds": "1.5"}, ["'1.5'"]),
        ({"shards": 1001}, ["1 to 1000 shards", "1001"]),
        ({"gpus_per_trajectory": "inf"}, ["inf", "whole number"]),
        ({"address": "ray://10.0.0.1:10001"}, ["ray://10.0.0.1:10001", "Ray job"]),
        ({"address": "10.0.0.1:6379", "num_gpus": 1}, ["--num-gpus", "--address"]),
        ({"set": "learner.weight_decay=-1"}, ["learner.weight_decay", "greater than or equal to 0"]),
        ({"set": "learner.batch_size=1"}, ["learner.batch_size"]),
        ({"set": "learner.momentum=1"}, ["learner.momentum", "less than 1"]),
        ({"set": "learner.scaling=best"}, ["learner.scaling"]),
        ({"strategies": "<b>random</b>"}, ["`<b>random</b>`"]),
        ({"strategies": "../../etc/passwd"}, ["../../etc/passwd"]),
        ({"data": "digitz"}, ["digitz", "which does not exist. Did you mean `digits`?"]),
        ({"data": "/proc/self/environ"}, ["/proc/self/environ"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_options(ntkcpl, command, out, options, words):
    check(ntkcpl(*command(out, **options)), out, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategies": ["random", "entropy"]}, ["--strategies once", "2 times", "one option has all values"]),
        ({"seeds": [2, 3, 4]}, ["--seeds once", "3 times"]),
        ({"schedule": ["5x2", "5x2"]}, ["--schedule once"]),
        ({"dry_run": True, "workers": [1, 2]}, ["--workers once"]),
    ],
    ids=str,
)
def test_options_of_one_value_are_given_once(ntkcpl, command, out, options, words):
    check(ntkcpl(*command(out, **options)), out, *words)


def test_every_command_counts_its_options(ntkcpl, tmp_path):
    words = ["--out", tmp_path / "a", "--out", tmp_path / "b"]
    for command in ("picture", "features pretrain", "features extract", "features import", "features compact"):
        check(ntkcpl(*command.split(), *words), tmp_path / "a", "--out once, but it is given 2 times")
    check(ntkcpl("report", "runs", "--format", "md", "--format", "csv"), tmp_path / "a", "--format once")


def test_options_that_add_up_may_be_repeated(ntkcpl, command, out):
    twice = command(out, set=["entropy.x=1", "entropy.y=2"])
    check(ntkcpl(*twice), out, "which has none")


@pytest.mark.parametrize("inside", ["rounds", "trajectories", "queries/deeper", "coverage"])
def test_a_store_in_a_table_of_another_is_refused(ntkcpl, command, sweep_command, tmp_path, inside):
    with Store(tmp_path / "first").writing():
        pass
    out = tmp_path / "first" / inside
    for words in (command(out), sweep_command(out), ["picture", "--out", out]):
        check(ntkcpl(*words), out, f"`{out}`", f"the tables of the store `{tmp_path / 'first'}`")


def test_a_folder_that_is_called_like_a_table_is_none(ntkcpl, command, tmp_path):
    Store(tmp_path / "rounds" / "mine")
    Store(tmp_path / "rounds")


def _npz(path, fields, **changed):
    np.savez(path, **fields._asdict() | changed)


def _truncated(path, fields):
    _npz(path, fields)
    path.write_bytes(path.read_bytes()[:-100])


BAD_DATA = {
    "missing.npz": (lambda path, fields: None, ["missing.npz"]),
    "folder/missing.npz": (lambda path, fields: None, ["missing.npz"]),
    "truncated.npz": (_truncated, ["truncated.npz", "cut off"]),
    "empty.npz": (lambda path, fields: path.touch(), ["empty.npz"]),
    "features.csv": (lambda path, fields: path.write_text("1,2"), [".csv", ".npz"]),
    "nan.npz": (
        lambda path, fields: _npz(path, fields, x_train=fields.x_train * np.nan),
        ["`x_train`", "NaN", "nan.npz"],
    ),
    "lengths.npz": (lambda path, fields: _npz(path, fields, y_test=fields.y_test[1:]), ["`y_test`", "(60,)", "(59,)"]),
    "width.npz": (lambda path, fields: _npz(path, fields, x_test=fields.x_test[:, 1:]), ["`x_test`", "6 columns"]),
    "pickled.npz": (
        lambda path, fields: _npz(path, fields, y_train=fields.y_train.astype(object)),
        ["`y_train`", "pickled objects", "np.array(y.tolist())"],
    ),
    "class.npz": (lambda path, fields: _npz(path, fields, y_test=fields.y_test + 1), ["`y_test`", "y_train lacks: 3"]),
    "line\nbreak.npz": (lambda path, fields: path.touch(), ["line break.npz"]),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(ntkcpl, command, tmp_path, out, fields, name):
    write, words = BAD_DATA[name]
    write(tmp_path / name, fields)
    check(ntkcpl(*command(out, data=tmp_path / name)), out, *words)


@pytest.mark.parametrize("further", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        (
            "compare",
            ["--strategies", "random,alfamix", "--learner", "knn"],
            ["a gradient for alfamix", "`knn` has none"],
        ),
        ("compare", ["--set", "learner.epoch=5"], ["but got `epoch`", "Did you mean `epochs`?"]),
        ("compare", ["--set", "features.epoch=5"], ["but got `epoch`", "Did you mean `epochs`?"]),
        ("compare", ["--pool", "longtial:10"], ["a pool such as", "`longtial:10`"]),
        ("sweep", ["--ood", "other.npz"], ["a share in (0, 1)", "`other.npz`"]),
        ("sweep", ["--learner", "knn", "--set", "learner.epochs=5"], ["but got `epochs`"]),
    ],
)
def test_nothing_is_made_of_images_for_what_cannot_be(ntkcpl, out, command, options, words, further):
    """Features may take days, and are neither looked for nor begun."""
    study = "cifar10" if command == "compare" else "cifar10_clusters"
    check(ntkcpl(command, "--study", study, *options, "--out", out, *further), out, *words)
    assert not (out / "features").exists()


@pytest.mark.parametrize("below", ["", "store"])
def test_out_is_a_file(ntkcpl, command, out, below):
    out.write_text("mine")
    check(ntkcpl(*command(out / below)), out, "is a file", out)
    assert out.read_text() == "mine"


def test_out_is_empty(ntkcpl, command, tmp_path, monkeypatch):
    """As of a variable of the shell that is not set."""
    monkeypatch.chdir(tmp_path)
    result = ntkcpl(*command(""))
    assert (result.exit_code, "an empty text" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", schema.ALL_TABLES)
def test_out_holds_another_schema_version(ntkcpl, command, out, table):
    path = out / table / "a.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(schema.ALL_TABLES[table].empty_table().replace_schema_metadata({schema.VERSION_KEY: b"0"}), path)
    before = path.read_bytes()
    result = ntkcpl(*command(out))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Expected a store of schema version 3, but ")
    assert "has 0" in line
    assert [file for file in out.rglob("*") if file.is_file()] == [path]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["report", "OUT"], ["OUT", "no such folder"]),
        (["report", "OUT", "--format", "docx"], []),
        (["report", "OUT/missing", "OUT"], ["OUT/missing", "no such folder"]),
        (["report", "OUT", "--metric", "nll"], ["macro_f1, but got `nll`", "Less of it is better"]),
        ([*SWEEP, "--metric", "ece", "--out", "OUT"], ["macro_f1, but got `ece`", "Less of it is better"]),
        (["status", "OUT"], ["OUT", "no such folder"]),
        (["store", "check", "OUT"], ["OUT", "no such folder"]),
        (["store", "compact", "OUT"], ["OUT", "no such folder"]),
        (["picture", "--out", "OUT", "--strategies", "nobody"], ["nobody"]),
        (["picture", "--out", "OUT", "--labels", "601"], ["600", "601"]),
    ],
    ids=" ".join,
)
def test_other_commands(ntkcpl, out, words, found):
    words = [word.replace("OUT", str(out)) for word in words]
    check(ntkcpl(*words), out, *(word.replace("OUT", str(out)) for word in found))


@pytest.mark.parametrize(
    ("column", "value"),
    [("spec", "{"), ("spec", "[]"), ("spec", None), ("spec", '{"seed":"x"}'), ("trajectory_id", None)],
)
@pytest.mark.parametrize("words", [["compare"], ["report"], ["status"]], ids=" ".join)
def test_a_store_whose_rows_were_tampered_with(ntkcpl, command, run_serially, make_spec, out, words, column, value):
    store = Store(out)
    run_serially([make_spec("random", seed=seed, schedule="5x2") for seed in range(2)], store)
    row = {**next(iter(store.trajectories().values())), column: value, "status": "failed"}
    if words != ["status"]:
        row["status"] = "ok"
    name = next(iter(store.trajectories()))
    content = pa.Table.from_pylist([row], schema=schema.TRAJECTORIES)
    pq.write_table(content, out / "trajectories" / f"{name}.parquet")
    store.write_study("s", "ntkcpl compare", [name])
    before = sorted(out.rglob("*"))
    result = ntkcpl(*(command(out) if words == ["compare"] else [*words, out]))
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Expected ")
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize("words", [["report"], ["status"], ["store", "check"], ["store", "compact"]], ids=" ".join)
def test_a_folder_that_is_no_store(ntkcpl, out, words):
    out.mkdir()
    check(ntkcpl(*words, out), out, "trajectories", out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("words", [["compare"], ["compare", "--workers", "0"], ["list", "nothing"], ["unknown"]])
def test_usage_errors(ntkcpl, words):
    result = ntkcpl(*words)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.ray
class TestResources:
    def check(self, stderr, out, *words):
        (line,) = stderr.splitlines()
        assert line.startswith("Error: Expected ")
        assert all(word in line for word in words)
        assert not out.exists()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"workers": 3}, ["3 at a time, each with 1 CPU and 1 GPU", "room for 2"]),
            (
                {"workers": 3, "cpus_per_trajectory": 2, "gpus_per_trajectory": 0},
                ["3 at a time, each with 2 CPUs and 0 GPUs", "4 CPUs"],
            ),
            ({"gpus_per_trajectory": 3}, ["1 at a time, each with 1 CPU and 3 GPUs", "2 GPUs"]),
            ({"shards": 3}, ["1 at a time, each with 1 CPU and 3 GPUs", "room for 0"]),
            ({"workers": 3, "dry_run": True}, ["room for 2"]),
        ],
        ids=str,
    )
    def test_more_than_the_cluster_has(self, ntkcpl_on_ray, command, out, options, words):
        result = ntkcpl_on_ray(*command(out, **options))
        assert result.exit_code == 2
        self.check(result.stderr, out, *words)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"workers": MANY_CPUS, "num_gpus": 0}, [f"{MANY_CPUS} at a time, each with 1 CPU and 0 GPUs", "0 GPUs"]),
            ({"address": "127.0.0.1:1"}, ["`127.0.0.1:1`"]),
        ],
        ids=str,
    )
    def test_more_than_there_is(self, start, command, out, options, words):
        with start(command(out, **options)) as process:
            _, stderr = process.communicate()
        assert process.returncode == 2
        self.check(stderr, out, *words)
