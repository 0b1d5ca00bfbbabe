import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import load
from analysis.report import make_report, write_report
from analysis.report.sweeps import confirmation_lines, figure_files, sweep_figures
from harness.store import schema


def test_figures_of_a_sweep(swept_results):
    names = [figure.name for figure in sweep_figures(swept_results, "sweep-x")]
    assert names == [
        "ablation-max_clusters-10x4",
        "ablation-max_clusters-20x2",
        "interaction-max_clusters",
        "history",
        "importances",
    ]


def test_figures_are_files(swept_results):
    files = dict(figure_files(swept_results))
    assert len(files) == 10
    assert files["history.png"].startswith(b"\x89PNG")
    assert files["history.svg"].startswith(b"<?xml")


def test_parameters_with_foreign_letters_have_figures_of_their_own(swept):
    path = swept / "trials" / "sweep-x.parquet"
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        cap = json.loads(row["params"])["max_clusters"]
        row["params"] = json.dumps({"α": cap, "β": cap + 1})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.TRIALS), path)
    names = [figure.name for figure in sweep_figures(load(swept), "sweep-x")]
    assert [name for name in names if name.startswith("interaction")] == ["interaction-data", "interaction-data_"]
    assert len(names) == len(set(names)) == 8


def test_the_report_has_a_section_for_the_sweep(swept_results, tmp_path):
    write_report(make_report(swept_results), tmp_path, ["html", "csv"])
    page = (tmp_path / "index.html").read_text()
    assert "sweep-x: 7 trials: 6 complete, 1 stopped." in page
    assert "<h2>Sweep of ntkcpl_al on digits</h2>" in page
    assert len(pd.read_csv(tmp_path / "tables" / "trials-sweep-x.csv")) == 7


def test_two_sweeps_of_one_kind_are_told_apart_and_stay_in_the_folder(swept, tmp_path):
    rows = pq.read_table(swept / "trials" / "sweep-x.parquet").to_pylist()
    name = f"sweep/../{'long' * 60}"
    rows = [row | {"study": name} for row in rows]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.TRIALS), swept / "trials" / "other.parquet")
    report = make_report(load(swept))
    titles = [sweep.title for sweep in report.sweeps]
    assert titles == [f"Sweep of ntkcpl_al on digits ({study})" for study in ("sweep-x", name)]
    write_report(report, tmp_path / "out", ["csv"])
    tables = [path.name for path in (tmp_path / "out" / "tables").iterdir() if path.name.startswith("trials-")]
    assert len(tables) == 2
    assert "trials-sweep-x.csv" in tables


@pytest.mark.parametrize(
    ("version", "metric", "words"),
    [("3", "macro_f1", "macro-F1"), ("3", "accuracy", "accuracy"), ("2", None, "the metric that was searched for")],
)
def test_the_metric_that_was_searched_for_is_named(swept, version, metric, words):
    path = swept / "trials" / "sweep-x.parquet"
    content = pq.read_table(path).drop_columns(["metric"])
    if metric:
        content = content.append_column("metric", pa.array([metric] * len(content)))
    pq.write_table(content.replace_schema_metadata({schema.VERSION_KEY: version.encode()}), path)
    (section,) = make_report(load(swept)).sweeps
    table = next(table for table in section.tables if table.title == "Trials")
    assert table.note.startswith(f"Objective and final value of {words}, in %")
    assert set(table.frame["metric"].dropna()) == ({metric} if metric else set())


def test_a_store_without_trials_has_no_section(trajectory, write_store, tmp_path):
    results = load(write_store(tmp_path / "plain", [trajectory(seed=seed) for seed in range(2)]))
    assert results.trials.empty
    assert make_report(results).sweeps == []


def confirmation(trial=2, searched=(0.04, 0.01, 0.07), confirmed=(0.01, 0.002, 0.02), **row):
    ends = {
        f"{name}{end}": value
        for name, values in (("searched", searched), ("confirmed", confirmed))
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
    return (
        {"study": "sweep-x", "trial": trial, "status": "compared", "default": "ridge=0.01", "seeds": [3, 4]}
        | ends
        | row
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "with seeds 3 to 4 on the other half of the test data: confirmed; 25 % of the advantage survived."),
        ({"confirmed": (0.05, 0.01, 0.09)}, ": confirmed; all of the advantage survived."),
        (
            {"confirmed": (0.01, -0.1, 0.12)},
            "the interval includes 0; by the estimate, 25 % of the advantage survived.",
        ),
        ({"confirmed": (-3.0, -9.0, 3.0)}, "includes 0; by the estimate, none of the advantage survived."),
        ({"confirmed": (-0.02, -0.03, -0.01)}, "data: none of the advantage survived; it is worse than the default."),
        (
            {"confirmed": (0.01, None, None), "seeds": [3]},
            "with seed 3 on the other half of the test data: 25 % of the advantage survived, with one seed, which shows"
            " no spread.",
        ),
        (
            {"confirmed": (0.01, None, None)},
            "25 % of the advantage survived; the seeds do not differ, so there is no spread to judge by.",
        ),
        ({"confirmed": (-0.02, -0.02, -0.02)}, "survived; the seeds do not differ, so there is no spread to judge by."),
        ({"searched": (-0.01, -0.02, 0.0)}, "; there was no advantage to confirm."),
        ({"status": "default"}, "Trial 2 is the default (ridge=0.01): nothing to confirm."),
        ({"status": "failed"}, "Trial 2 is unconfirmed: a trajectory of it or of the default failed."),
    ],
)
def test_what_is_left_of_an_advantage_is_said_as_the_interval_allows(row, words):
    frame = pa.Table.from_pylist([confirmation(**row)], schema=schema.CONFIRMATIONS).to_pandas()
    (line,) = confirmation_lines(schema.TRIALS.empty_table().to_pandas(), frame)
    assert line.endswith(words)


def test_a_confirmation_is_in_the_report(swept, tmp_path):
    def reported(folder):
        write_report(make_report(load(swept)), folder, ["html", "csv"])
        return (folder / "index.html").read_text()

    assert "The best trial, number 3, is unconfirmed" in reported(tmp_path / "before")
    (swept / "confirmations").mkdir()
    rows = pa.Table.from_pylist([confirmation(trial=3)], schema=schema.CONFIRMATIONS)
    pq.write_table(rows, swept / "confirmations" / "sweep-x.parquet")
    page = reported(tmp_path / "after")
    assert "unconfirmed" not in page
    assert "+4.00 points [+1.00, +7.00] in the search, +1.00 points [+0.20, +2.00]" in page
    (row,) = pd.read_csv(tmp_path / "after" / "tables" / "confirmation-sweep-x.csv").to_dict("records")
    assert (row["trial"], row["confirmed"], row["seeds"]) == (3, 0.01, "3 4")
