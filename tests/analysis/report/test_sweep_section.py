import pandas as pd

from analysis import load
from analysis.report import make_report, write_report
from analysis.report.sweeps import picture_files, sweep_pictures


def test_pictures_of_a_sweep(swept_results):
    names = [picture.name for picture in sweep_pictures(swept_results, "sweep-x")]
    assert names == ["ablation-10x4", "ablation-20x2", "interaction", "history", "importances"]


def test_pictures_are_files(swept_results):
    files = dict(picture_files(swept_results))
    assert len(files) == 10
    assert files["history.png"].startswith(b"\x89PNG")
    assert files["history.svg"].startswith(b"<?xml")


def test_the_report_has_a_section_for_the_sweep(swept_results, tmp_path):
    write_report(make_report(swept_results), tmp_path, ["html", "csv"])
    page = (tmp_path / "index.html").read_text()
    assert "sweep-x: 7 trials: 6 complete, 1 stopped." in page
    assert len(pd.read_csv(tmp_path / "tables" / "trials-sweep-x.csv")) == 7


def test_a_store_without_trials_has_no_section(trajectory, write_store, tmp_path):
    results = load(write_store(tmp_path / "plain", [trajectory(seed=seed) for seed in range(2)]))
    assert results.trials.empty
    assert make_report(results).sweeps == []
