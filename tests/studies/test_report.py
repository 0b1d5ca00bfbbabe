"""`ntkcpl report` on the same folder again."""

import json
import re

import pandas as pd
import pytest

from harness.store.writing import Store


@pytest.fixture
def root(run_serially, make_spec, tmp_path):
    """Two strategies with two seeds each."""
    run_serially([make_spec(name, seed=seed) for name in ("random", "margin") for seed in range(2)], Store(tmp_path))
    return tmp_path


def test_nothing_of_an_earlier_report_contradicts_the_page(ntkcpl, run_serially, make_spec, root):
    assert ntkcpl("report", root, "--format", "html,csv,tex").exit_code == 0
    report = root / "report"
    (report / "tables" / "mine.csv").write_text("own")
    assert (report / "tables" / "gain.csv").exists()
    run_serially([make_spec("margin", seed=2)], Store(root))  # unequal seeds: the gain is refused
    assert ntkcpl("report", root, "--format", "html,csv").exit_code == 0
    assert not (report / "tables" / "gain.csv").exists()
    assert (report / "tables" / "gain.tex").exists()  # no LaTeX was asked for, so its tables are those of before
    assert (report / "tables" / "mine.csv").read_text() == "own"
    assert {"tables/verdict.csv", "index.html"} <= set(json.loads((report / "files.json").read_bytes()))


@pytest.mark.parametrize("listed", ["../mine.csv", "tables/../../mine.csv", "/mine.csv", "elsewhere/mine.csv"])
def test_a_list_that_leads_elsewhere_removes_nothing(ntkcpl, root, listed):
    (root / "report" / "elsewhere").mkdir(parents=True)
    own = [root / "mine.csv", root / "report" / "elsewhere" / "mine.csv"]
    for path in own:
        path.write_text("own")
    (root / "report" / "files.json").write_text(json.dumps([listed]))
    assert ntkcpl("report", root, "--format", "csv").exit_code == 0
    assert all(path.exists() for path in own)


@pytest.mark.parametrize("content", ["[", "7"])
def test_a_list_that_cannot_be_read_is_one_line(ntkcpl, root, content):
    (root / "report").mkdir()
    (root / "report" / "files.json").write_text(content)
    result = ntkcpl("report", root, "--format", "csv")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: Expected a list of files in")


def test_a_study_of_the_paper_says_what_it_does_otherwise(ntkcpl, root):
    assert ntkcpl("report", root, "--format", "html").exit_code == 0
    assert "What to know of the study" not in (root / "report" / "index.html").read_text()
    names = [path.stem for path in (root / "trajectories").iterdir()]
    Store(root).write_study("svhn-0123456789ab", "ntkcpl compare --study svhn", names)
    assert ntkcpl("report", root, "--format", "html").exit_code == 0
    page = (root / "report" / "index.html").read_text()
    assert "What to know of the study svhn" in page
    assert "Not stated by the source (seeds): Which five" in page
    assert "Different from the source (ridge)" in page


def test_many_small_files_are_told_how_to_become_few(ntkcpl, root, monkeypatch):
    assert not ntkcpl("report", root, "--format", "csv").stderr
    monkeypatch.setattr("studies.report.MANY_FILES", 4)
    result = ntkcpl("report", root, "--format", "csv")
    assert result.stdout == f"{root / 'report'}\n"
    assert f"in 4 files; `ntkcpl store compact {root}` merges them" in result.stderr
    assert ntkcpl("store", "compact", root).exit_code == 0
    assert not ntkcpl("report", root, "--format", "csv").stderr


def test_an_unknown_baseline_is_refused_and_the_page_stays(ntkcpl, root):
    assert ntkcpl("report", root, "--format", "html").exit_code == 0
    before = (root / "report" / "index.html").read_bytes()
    result = ntkcpl("report", root, "--baseline", "margn")
    assert result.exit_code == 2
    assert "among margin, random, but got `margn`. Did you mean `margin`?" in result.stderr
    assert (root / "report" / "index.html").read_bytes() == before


def test_another_metric(ntkcpl, root):
    """All numbers and words are of that metric, and its own columns are a table."""
    result = ntkcpl("report", root, "--format", "html,csv,md", "--metric", "balanced_accuracy")
    assert result.exit_code == 0, result.stderr
    rounds = pd.concat(pd.read_parquet(path) for path in sorted((root / "rounds").glob("*.parquet")))
    means = rounds[rounds["strategy"] == "random"].groupby("n_labels")["balanced_accuracy"].mean()
    table = pd.read_csv(root / "report" / "tables" / "accuracy.csv").query("configuration == 'random'")
    assert table["mean"].to_list() == pytest.approx(means.to_list())
    page = (root / "report" / "index.html").read_text()
    assert "<h1>Active learning on pool: balanced accuracy</h1>" in page
    assert "Balanced accuracy by label count" in page
    assert not re.search(r"(?<!alanced )accuracy\b", re.sub(r"(?s)<script.*?</script>", "", page))
    metrics = pd.read_csv(root / "report" / "tables" / "metrics.csv")
    assert len(metrics) == 8
    assert metrics["classes_reached"].between(1, 3).all()
    assert len((root / "report" / "tables" / "metrics.md").read_text().split("random")) == 2
