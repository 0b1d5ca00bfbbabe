"""`ntkcpl features` and `ntkcpl compare --study` as a user runs them."""

import html
import importlib.util
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.datasets import load_digits

from harness.data import load_dataset
from harness.exceptions import CheckpointError
from harness.features.checkpoints import read_checkpoint
from harness.store.location import only_maker
from harness.unlabelled import load_pool
from studies.stages import is_made
from studies.study import load_study

TINY = ["--backbone", "wrn10_1", "--limit", "128", "--set", "batch_size=32", "--threads", "1"]


@pytest.fixture(autouse=True)
def _needs_the_extra():
    missing = [name for name in ("PIL", "torchvision", "lightly", "safetensors") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"the extra `features` is not installed: {', '.join(missing)}")


def pretrain(out, epochs=2, *more):
    return ["features", "pretrain", "--data", "digits", "--out", out, "--epochs", epochs, *TINY, *more]


@pytest.mark.timeout(280)
def test_a_pretraining_killed_in_between_ends_as_an_undisturbed_one(ntkcpl, start, tmp_path):
    assert ntkcpl(*pretrain(tmp_path / "whole.pt", 3)).exit_code == 0
    with start([str(word) for word in pretrain(tmp_path / "killed.pt", 3)]) as process:
        for line in process.stderr:
            if line.startswith("epoch 1/3"):
                process.kill()
                break
    assert read_checkpoint(tmp_path / "killed.pt")["history"][-1]["epoch"] < 3
    again = ntkcpl(*pretrain(tmp_path / "killed.pt", 3))
    assert "resumed after epoch" in again.output
    whole, killed = (read_checkpoint(tmp_path / f"{name}.pt") for name in ("whole", "killed"))
    assert all(torch.equal(value, killed["model"][name]) for name, value in whole["model"].items())
    assert whole["history"][1:] == killed["history"][1:]


@pytest.mark.parametrize("name", ["c.pt", "f.npz"])
def test_two_commands_do_not_make_one_file_at_the_same_time(ntkcpl, tmp_path, name):
    out = tmp_path / name
    extract = ["features", "extract", "--data", "digits", "--checkpoint", "untrained", "--backbone", "wrn10_1"]
    words = pretrain(out, 1) if name == "c.pt" else [*extract, "--image-size", 8, "--limit", 300, "--out", out]
    with only_maker(out):
        result = ntkcpl(*words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(
        f"Error: Expected to be the only one that makes `{out}`, but process"
    )
    assert not list(tmp_path.iterdir())
    assert ntkcpl(*words).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.fixture
def together(tmp_path):
    """A command of the program in two processes that share each batch."""
    script = tmp_path / "program.py"
    script.write_text("from studies.cli import main\n\nmain()\n")

    def command(words):
        on_a_free_port = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        return [*on_a_free_port, str(script), *map(str, words)]

    return command


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simsiam", "simclr"])
def test_several_processes_share_each_batch_and_one_of_them_speaks(method, together, tmp_path):
    out = tmp_path / "encoder.pt"
    for _ in range(2):
        done = subprocess.run(
            together(pretrain(out, 1, "--method", method)), capture_output=True, text=True, check=True
        )
        assert done.stdout.count("finished: 1 epoch") == 1
    assert read_checkpoint(out)["run"]["processes"] == 2
    assert [row["epoch"] for row in read_checkpoint(out)["history"]] == [0, 1]


@pytest.mark.slow
def test_several_processes_killed_in_between_end_as_undisturbed_ones(together, tmp_path):
    whole, killed = tmp_path / "whole.pt", tmp_path / "killed.pt"
    subprocess.run(together(pretrain(whole, 3)), capture_output=True, check=True)
    command = together(pretrain(killed, 3))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        for line in process.stderr:
            if line.startswith("epoch 1/3"):
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert read_checkpoint(killed)["history"][-1]["epoch"] < 3
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "resumed after epoch" in again.stdout
    ends = [read_checkpoint(path) for path in (whole, killed)]
    assert all(torch.equal(value, ends[1]["model"][name]) for name, value in ends[0]["model"].items())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own
def test_compiled_steps_train_as_plain_ones_do(ntkcpl, tmp_path):
    """On the CPU's backend; the losses differ by roundings."""
    losses = []
    for name, more in (("plain", []), ("compiled", ["--compile"])):
        done = ntkcpl(*pretrain(tmp_path / f"{name}.pt", 1, *more))
        assert done.exit_code == 0, done.stderr
        losses.append(read_checkpoint(tmp_path / f"{name}.pt")["history"][-1]["loss"])
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_from_images_to_a_comparison(ntkcpl, tmp_path):
    encoder, features = tmp_path / "encoder.pt", tmp_path / "digits.npz"
    done = ntkcpl(*pretrain(encoder))
    assert done.exit_code == 0
    assert re.search(r"untrained  kNN \d+\.\d%\nepoch 1/2  loss -?\d\.\d{4}  spread \d\.\d\d .* images/s", done.stderr)
    extract = ["features", "extract", "--data", "digits", "--checkpoint", encoder, "--out", features, "--limit", "300"]
    done = ntkcpl(*extract)
    assert done.exit_code == 0
    assert "wrn10_1 with a small stem: all" in done.stderr
    assert "600 images encoded, 0 encoded before" in done.stderr
    assert re.search(
        r"300 train and 300 test rows, 64 columns, 10 classes\n.* kNN \d+\.\d%, linear \d+\.\d%", done.stdout
    )
    assert "0 images encoded, 600 encoded before" in ntkcpl(*extract).stderr
    small = ntkcpl("features", "compact", features, "--dim", 16, "--out", tmp_path / "small.npz")
    assert "16 of 64 columns" in small.stdout
    assert load_dataset(str(tmp_path / "small.npz")).x_train.shape == (300, 16)


def test_import_shows_what_is_what(ntkcpl, pool_file, tmp_path):
    done = ntkcpl("features", "import", pool_file, "--out", tmp_path / "f.npz", "--no-probe")
    assert done.exit_code == 0
    assert re.search(r"x_train +120 x 6 +float32 +x", done.stderr)
    assert load_dataset(str(tmp_path / "f.npz")).content_hash == load_dataset(str(pool_file)).content_hash


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["pretrain", "--data", "cifar10", "--root", "{tmp}"], "Expected cifar10 as torchvision keeps it in"),
        (["pretrain", "--data", "nothing"], "Expected images to be one of digits"),
        (["pretrain", "--data", "digits", "--recipe", "moco"], "Expected a recipe among"),
        (["pretrain", "--data", "digits", "--set", "lr"], "Expected a setting such as `lr=0.05`"),
        (["pretrain", "--data", "digits", "--backbone", "vgg"], "Expected a backbone among"),
        (["extract", "--data", "digits", "--checkpoint", "{tmp}/no.pt"], "but there is no such file"),
        (
            ["extract", "--data", "digits", "--checkpoint", "{tmp}/bad.pt", "--backbone", "resnet18"],
            "complete checkpoint",
        ),
        (["extract", "--data", "digits", "--checkpoint", "untrained"], "give it with --backbone"),
        (["extract", "--data", "no", "--checkpoint", "no.pt"], "Expected a checkpoint in no.pt, but there is no such"),
        (
            ["extract", "--data", "no", "--checkpoint", "untrained", "--backbone", "wrn10"],
            "Expected a backbone among resnet18, ",
        ),
        (
            ["extract", "--data", "no", "--checkpoint", "{tmp}/bad.pt", "--backbone", "vgg"],
            "Expected a backbone among resnet18, ",
        ),
        (
            ["extract", "--data", "no", "--checkpoint", "untrained", "--backbone", "wrn10_1", "--image-size", "2000"],
            "an image size of 8 to 1024 pixels, but got 2000",
        ),
        (["pretrain", "--data", "no", "--backbone", "vgg"], "Expected a backbone among resnet18, "),
        (
            ["extract", "--data", "no", "--checkpoint", "untrained", "--backbone", "wrn10_1"],
            "got `no`, which is none of them and does not exist",
        ),
        (["pretrain", "--data", "{tmp}", "--root", "{tmp}"], "leave them out"),
        (["pretrain", "--data", "{tmp}/nothere", "--root", "{tmp}"], "does not exist"),
        (["extract", "--data", "{tmp}", "--checkpoint", "untrained", "--download"], "leave them out"),
        (["pretrain", "--data", "{tmp}", "--unlabelled", "--knn-every", "1"], "because kNN needs labels; leave it out"),
        (["pretrain", "--data", "digits", "--unlabelled"], "`digits`, whose images have labels"),
        (["pretrain", "--data", "{tmp}", "--unlabelled"], "no file with a suffix of an image"),
        (["extract", "--data", "digits", "--unlabelled", "--checkpoint", "untrained"], "whose images have labels"),
        (["extract", "--data", "{tmp}", "--unlabelled", "--checkpoint", "untrained", "--test", "a"], "got `--test a`"),
        (
            ["extract", "--data", "{tmp}", "--unlabelled", "--checkpoint", "untrained", "--label-column", "label"],
            "got `--label-column label`",
        ),
        (["import", "{tmp}/no.npz"], "which does not exist"),
        (["compact", "digits", "--dim", "99"], "Expected 1 to 64 components"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(ntkcpl, tmp_path, words, complaint):
    (tmp_path / "bad.pt").write_bytes(b"PK not a checkpoint")
    done = ntkcpl("features", *(word.format(tmp=tmp_path) for word in words), "--out", tmp_path / "out.npz")
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pt"]


@pytest.mark.parametrize("words", [["import"], ["compact"], ["extract", "--data", "digits", "--checkpoint"]])
def test_a_file_is_not_written_over_itself(ntkcpl, pool_file, tmp_path, words):
    path = tmp_path / "own.npz"
    path.write_bytes(Path(pool_file).read_bytes())
    done = ntkcpl("features", *words, path, "--out", tmp_path / "." / "own.npz")
    assert (done.exit_code, "own.npz` is; choose another name" in done.stderr) == (2, True)
    assert path.read_bytes() == Path(pool_file).read_bytes()


def test_a_precision_that_the_cpu_lacks_is_said_at_once(ntkcpl, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.features.costs.has_bfloat16", lambda: False)
    done = ntkcpl(*pretrain(tmp_path / "c.pt"), "--set", "precision=bfloat16", "--device", "cpu")
    assert "\nWarning: this CPU has no instructions for bfloat16" in done.stderr
    assert re.match(r"Recipe \w+: \w+, \w+, \d+ images at 16 x 16 pixels, .*\.\nA step takes about ", done.stderr)
    assert done.exit_code == 0


def test_cuda_without_a_gpu_is_refused(ntkcpl, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "torch sees none" in ntkcpl(*pretrain(tmp_path / "c.pt"), "--device", "cuda").stderr


@pytest.fixture
def study_file(tmp_path):
    study = {
        "title": "digits from images",
        "data": "digits",
        "features": {
            "recipe": "simsiam_digits",
            "settings": {"backbone": "wrn10_1", "epochs": 1, "batch_size": 32},
            "limit": 200,
        },
        "strategies": ["random", "entropy"],
        "schedule": "10x2",
        "seeds": 2,
        "learner": {"epochs": 3, "hidden": 16},
    }
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def test_a_study_goes_from_images_to_the_report_and_keeps_each_stage(ntkcpl_without_ray, study_file, tmp_path, capfd):
    words = ["compare", "--study", study_file, "--out", tmp_path / "run"]
    plan = ntkcpl_without_ray(*words, "--dry-run")
    assert plan.exit_code == 0
    assert not (tmp_path / "run").exists()
    done = ntkcpl_without_ray(*words)
    assert done.exit_code == 0, done.output
    rounds = pd.read_parquet(tmp_path / "run" / "rounds")
    assert set(rounds["data"]) == {"digits"}
    assert rounds.groupby(["strategy", "seed"])["n_labels"].apply(list).map(lambda labels: labels == [10, 20]).all()
    assert (tmp_path / "run" / "report" / "index.html").exists()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run" / "features").iterdir()}
    capfd.readouterr()
    other = [*words, "--set", "features.epochs=2"]
    refused = [ntkcpl_without_ray(*other, *further) for further in ([], ["--dry-run"])]
    assert [each.exit_code for each in refused] == [2, 2]
    assert "differs in epochs (1 there, 2 here). Choose another --out." in refused[0].stderr
    assert refused[0].stderr.splitlines()[-1] == refused[1].stderr.splitlines()[-1]
    _, plan = load_study(str(study_file))
    here = tmp_path / "run"
    assert is_made("digits", plan.features, None, here)
    with pytest.raises(CheckpointError, match=r"differs in images \("):
        is_made("digits", plan.features.changed({"limit": "100"}), None, here)
    untrained = plan.features.model_copy(update={"checkpoint": "untrained", "backbone": "wrn10_1", "settings": {}})
    assert not is_made("digits", untrained, None, here)
    assert not is_made("digits", plan.features, None, tmp_path / "elsewhere")
    assert not is_made("cifar10", plan.features, tmp_path, here)
    assert ntkcpl_without_ray(*words, "--dry-run").stderr.endswith("4 trajectories: 4 already done\n")
    again = ntkcpl_without_ray(*words)
    assert "0 images encoded, 400 encoded before" in capfd.readouterr().err  # said by another process
    assert "4 already done" in again.stderr
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run" / "features").iterdir()}


def test_own_features_with_the_schedule_of_a_study(ntkcpl_without_ray, pool_file, tmp_path):
    done = ntkcpl_without_ray(
        "compare",
        "--study",
        "cifar10",
        "--data",
        pool_file,
        "--strategies",
        "random,entropy",
        "--schedule",
        "20x2",
        "--seeds",
        2,
        "--set",
        "learner.epochs=2",
        "--out",
        tmp_path / "run",
    )
    assert done.exit_code == 0, done.output
    rounds = pd.read_parquet(tmp_path / "run" / "rounds")
    assert sorted(np.unique(rounds["n_labels"])) == [20, 40]
    # The labels 20 and 40 are published, so the report sets them beside ours.
    assert (tmp_path / "run" / "report" / "tables" / "published.csv").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "Expected --strategies and --schedule, or a --study"),
        (["--strategies", "random", "--schedule", "5x2"], "Expected --data, or a --study that starts from images"),
        (["--study", "cifar11"], "Expected a study among cifar10"),
        (["--study", "{tmp}/.mine.yaml"], "without a dot before it, but got `.mine.yaml`"),
        (["--study", "cifar10", "--root", "{tmp}"], "Expected cifar10 as torchvision keeps it in"),
        (["--study", "cifar10", "--data", "digits", "--root", "{tmp}"], "only without --data"),
        (["--study", "cifar10", "--set", "features.depth=3", "--root", "{tmp}"], "Expected a setting of a recipe"),
        (["--study", "cifar10", "--set", "features.backbone=vgg", "--root", "{tmp}"], "Expected a backbone among"),
    ],
)
def test_studies_that_cannot_start(ntkcpl, tmp_path, words, complaint):
    (tmp_path / ".mine.yaml").touch()
    done = ntkcpl("compare", *(word.format(tmp=tmp_path) for word in words), "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_study_of_given_features_needs_no_images(ntkcpl, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: x\nstrategies: [random, margin]\nschedule: 10x2\nseeds: 2\n")
    words = "compare", "--study", path, "--out", tmp_path / "run", "--dry-run"
    done = ntkcpl(*words, "--data", "digits")
    assert (done.exit_code, "4 trajectories: 4 to run" in done.output) == (0, True)
    done = ntkcpl(*words)
    assert (done.exit_code, "Expected --data, or a --study that starts from images" in done.output) == (2, True)


def test_studies_are_listed(ntkcpl):
    listed = ntkcpl("list", "studies").output
    assert "imagenet100" in listed
    assert max(len(line) for line in listed.splitlines()) <= 80


def test_a_study_is_listed_with_what_the_paper_leaves_open(ntkcpl):
    listed = ntkcpl("list", "studies", "cifar100").output
    assert "- Not stated by the source (schedule): " in listed
    assert "- Different from the source (ridge): " in listed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [(["studies", "cifar"], "Expected a study among"), (["data", "digits"], "but got `data digits`")],
)
def test_what_is_no_study_is_not_listed(ntkcpl, words, complaint):
    done = ntkcpl("list", *words)
    assert done.exit_code == 2
    assert complaint in done.stderr


@pytest.mark.parametrize("command", ["pretrain", "extract", "import", "compact"])
def test_an_address_is_no_folder(ntkcpl, pool_file, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    words = {
        "pretrain": ["--data", "digits"],
        "extract": ["--data", "digits", "--checkpoint", "untrained", "--backbone", "wrn10_1"],
    }.get(command, [pool_file])
    result = ntkcpl("features", command, *words, "--out", "s3://bucket/f.npz")
    assert result.exit_code == 2
    assert "Expected a local file, but got the address `s3://bucket/f.npz`" in result.stderr
    assert not list(tmp_path.iterdir())


def test_labels_that_are_read_otherwise_are_said(ntkcpl, tmp_path):
    y = np.array(["cat", "dog", "cat ", "dog"] * 10)
    np.savez(tmp_path / "a.npz", x=np.arange(80.0).reshape(40, 2), y=y)
    result = ntkcpl("features", "import", tmp_path / "a.npz", "--no-probe", "--out", tmp_path / "b.npz")
    assert result.exit_code == 0
    assert "32 train and 8 test rows, 2 columns, 2 classes" in result.stdout
    said = [line for line in result.stderr.splitlines() if line.startswith("Labels of ")]
    assert len(said) == 1
    assert said[0].endswith("composed form: 'cat ' as 'cat'.")


def test_extract_does_not_replace_a_file_of_somebody_else(ntkcpl, tmp_path):
    out = tmp_path / "precious.npz"
    np.savez(out, a=np.arange(3))
    before = out.read_bytes()
    words = ("--checkpoint", "untrained", "--backbone", "wrn10_2", "--image-size", 16)
    result = ntkcpl("features", "extract", "--data", "digits", *words, "--no-probe", "--out", out)
    assert result.exit_code == 2
    assert "is something else" in result.stderr
    assert out.read_bytes() == before


@pytest.mark.parametrize("command", ["import", "compact"])
def test_a_file_of_somebody_else_is_not_replaced(ntkcpl, pool_file, tmp_path, command):
    out = tmp_path / "precious.npz"
    np.savez(out, a=np.arange(3))
    before = out.read_bytes()
    dim = ["--dim", "2"] if command == "compact" else []
    result = ntkcpl("features", command, pool_file, *dim, "--no-probe", "--out", out)
    assert result.exit_code == 2
    assert "is something else; choose another name" in result.stderr
    assert out.read_bytes() == before
    for _ in range(2):
        assert ntkcpl("features", command, pool_file, *dim, "--no-probe", "--out", tmp_path / "own.npz").exit_code == 0


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_an_extraction_replaces_no_file_of_somebody_else(ntkcpl, tmp_path, suffix):
    from safetensors.numpy import save

    out = tmp_path / f"f.{suffix}"
    words = ["features", "extract", "--data", "digits", "--checkpoint", "untrained", "--backbone", "wrn10_1"]
    words += ["--image-size", 8, "--limit", 300, "--no-probe", "--out", out]
    arrays = io.BytesIO()
    np.savez(arrays, weights=np.arange(3))
    for content in (arrays.getvalue(), save({"weights": np.arange(3)}), b"a text that somebody wrote"):
        out.write_bytes(content)
        result = ntkcpl(*words)
        assert (result.exit_code, "is something else; choose another name" in result.stderr) == (2, True)
        assert out.read_bytes() == content
    out.unlink()
    assert ntkcpl(*words).exit_code == 0
    whole = out.read_bytes()
    for content in (b"", whole[:100], whole[: len(whole) // 2]):
        out.write_bytes(content)
        assert ntkcpl(*words).exit_code == 0
        assert out.read_bytes() == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["import", "compact"])
def test_a_signal_while_features_are_measured_does_not_deny_the_file(
    ntkcpl, pool_file, tmp_path, monkeypatch, command, number
):
    out = tmp_path / "f.npz"
    monkeypatch.setattr("studies.features_cli._say_worth", lambda *_: os.kill(os.getpid(), number))
    dim = ["--dim", 2] if command == "compact" else []
    result = ntkcpl("features", command, pool_file, *dim, "--out", out)
    assert result.exit_code == 130
    assert result.stderr.endswith(f"Interrupted: {out} is written as a whole or not at all.\n")
    assert len(load_dataset(str(out)).x_train)


@pytest.fixture
def photos(tmp_path):
    """300 digits as pictures with odd names, two levels deep, and their classes by name."""
    from PIL import Image

    classes = {}
    for row, (image, label) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
        if row == 300:
            break
        name = ["{}.png", "two words/{} .PNG", "é/a,b/{}.Png", "é/=1+{}.png", 'a "b"/#{}.png'][row % 5].format(row)
        (tmp_path / "my photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15.9).astype(np.uint8)).save(tmp_path / "my photos" / name)
        classes[name] = int(label)
    return tmp_path / "my photos", classes


def test_from_pictures_without_labels_to_the_second_round(ntkcpl, photos, tmp_path):
    folder, classes = photos
    encoder, pool = tmp_path / "encoder.pt", tmp_path / "my pool.npz"
    words = [*pretrain(encoder)[4:], "--recipe", "simsiam_digits", "--unlabelled"]
    for resumed in ("", ", resumed after epoch 2"):
        done = ntkcpl("features", "pretrain", "--data", folder, *words)
        assert done.exit_code == 0, done.stderr
        assert re.search(
            rf"^finished: 2 epochs{resumed}; loss -?\d\.\d{{4}}, spread \d\.\d\d; no kNN is measured without labels$",
            done.stdout,
            re.MULTILINE,
        )
        assert "kNN" not in done.stderr
        assert "untrained" not in done.stderr
    extract = ["features", "extract", "--data", folder, "--unlabelled", "--checkpoint", encoder, "--out", pool]
    assert "300 images encoded, 0 encoded before" in ntkcpl(*extract).stderr
    done = ntkcpl(*extract)
    assert "0 images encoded, 300 encoded before" in done.stderr
    said, _, command = done.stdout.partition("; choose some to label: ntkcpl ")
    assert said == f"{pool}: 300 images without labels, 64 columns"

    round0, sheet, round1 = tmp_path / "round0.csv", tmp_path / "sheet.html", tmp_path / "round1.csv"
    given = {"NAMES": "10", "round0.csv": round0, "round0.html": sheet}
    done = ntkcpl(*(given.get(word, word) for word in shlex.split(command)))
    assert done.exit_code == 0, done.stderr
    picks = pd.read_csv(round0)
    assert sheet.read_text().count("<figure>") == 10
    assert all(html.escape(name) in sheet.read_text() for name in picks["name"])
    picks.assign(label=picks["name"].map(classes)).drop(columns="index").to_csv(round0, index=False)
    words = ["--strategy", "graphherding", "-n", 10, "--classes", ",".join(map(str, range(10)))]
    done = ntkcpl("select", "--data", pool, *words, "--labels", round0, "--out", round1)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("10 labels so far, in 1 round: ")
    second = pd.read_csv(round1)
    assert set(second["name"]) < set(classes) - set(picks["name"])


def test_an_extraction_without_labels_that_is_killed_goes_on(ntkcpl, start, photos, tmp_path):
    folder, _ = photos
    for number in range(1748):  # to two chunks in all
        os.link(folder / "0.png", folder / f"copy {number}.png")
    words = ["features", "extract", "--data", folder, "--unlabelled", "--checkpoint", "untrained"]
    words += ["--backbone", "wrn10_1", "--image-size", 16, "--threads", 1, "--out"]
    with start([str(word) for word in [*words, tmp_path / "pool.npz"]]) as process:
        for line in process.stderr:
            if line.startswith("1024/2048 images"):
                process.kill()
                break
    assert not (tmp_path / "pool.npz").exists()
    assert "1024 images encoded, 1024 encoded before" in ntkcpl(*words, tmp_path / "pool.npz").stderr
    assert not list(tmp_path.glob(".pool*"))
    assert ntkcpl(*words, tmp_path / "whole.npz").exit_code == 0
    assert (tmp_path / "pool.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_pictures_without_class_folders_are_told_of_the_flag(ntkcpl, photos, tmp_path):
    done = ntkcpl("features", "pretrain", "--data", photos[0], "--out", tmp_path / "c.pt")
    assert done.exit_code == 2
    assert "add --unlabelled if they have no labels" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_pool_in_parquet_keeps_its_names(ntkcpl, photos, tmp_path):
    folder, classes = photos
    table = pd.DataFrame({"name": list(classes), "picture": [(folder / name).read_bytes() for name in classes]})
    table.to_parquet(tmp_path / "photos.parquet")
    words = ["--checkpoint", "untrained", "--backbone", "wrn10_1", "--image-size", 16, "--out", tmp_path / "pool.npz"]
    data = ["--data", tmp_path / "photos.parquet", "--image-column", "picture"]
    assert "add --unlabelled if there are no labels" in ntkcpl("features", "extract", *data, *words).stderr
    done = ntkcpl("features", "extract", *data, "--unlabelled", *words)
    assert done.exit_code == 0, done.stderr
    assert "--images" not in done.stdout
    assert load_pool(tmp_path / "pool.npz").names == tuple(classes)


def test_of_a_pool_of_a_few_pictures_no_more_are_asked_for(ntkcpl, photos, tmp_path):
    words = ["--checkpoint", "untrained", "--backbone", "wrn10_1", "--image-size", 16, "--out", tmp_path / "pool.npz"]
    for image in list(photos[0].rglob("*.*"))[3:]:
        image.unlink()
    done = ntkcpl("features", "extract", "--data", photos[0], "--unlabelled", *words)
    command = done.stdout.partition("ntkcpl ")[2].replace("NAMES", "2").replace("round0", str(tmp_path / "round0"))
    done = ntkcpl(*shlex.split(command))
    assert done.exit_code == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "round0.csv")) == 3
