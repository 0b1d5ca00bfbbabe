import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel

from analysis import load
from analysis.exceptions import SelectionError
from analysis.report import FORMATS, make_report, write_report
from analysis.report import page as page_module
from harness.exceptions import StoreError
from studies.report import report_store

EVIL = "</script><b>&|_"
TABLES = {
    "accuracy",
    "area",
    "configurations",
    "cost",
    "effective_budget",
    "environments",
    "gain",
    "labels_saved",
    "pairwise_penalties",
    "phase_transition",
    "spending",
    "verdict",
    "win_tie_loss",
}


@pytest.fixture
def small(tmp_path, trajectory, write_store, diagnosis):
    """Two strategies and Random, five seeds; NTKCPL leaves diagnoses; one failure; a name that is markup."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(5):
        noise = rng.normal(0, 0.01, 3)
        rows.append(trajectory("random", seed, list(0.5 + noise)))
        rows.append(trajectory("ntkcpl_al", seed, list(0.6 + noise + rng.normal(0, 0.01, 3)), rounds=diagnosis))
        rows.append(trajectory(EVIL, seed, list(np.array([0.6, 0.5, 0.45]) + noise + rng.normal(0, 0.005, 3))))
    rows.append(trajectory("badge", 0, status="failed"))
    return write_store(tmp_path / "small", rows)


def page(store, folder, formats=("html",)):
    return (write_report(make_report(load(store)), folder, formats) / "index.html").read_text()


def test_published_table_through_the_whole_report(published, tmp_path):
    folder = write_report(make_report(load(published)), tmp_path / "report", ["csv"])
    effective = pd.read_csv(folder / "tables" / "effective_budget.csv")
    assert list(effective)[:3] == ["configuration", "effective_points", "total_points"]
    assert {row.configuration: f"{row.effective_points}/{row.total_points}" for row in effective.itertuples()} == {
        "entropy": "0/12",
        "coreset_self": "2/12",
        "badge": "4/12",
        "typiclust": "8/12",
        "lookahead": "4/12",
        "ntkcpl_self": "9/12",
        "ntkcpl_al": "11/12",
    }
    areas = (
        (100 * pd.read_csv(folder / "tables" / "area.csv").set_index("configuration")["area_mean"]).round(2).to_dict()
    )
    expected = {"random": 84.55, "badge": 84.82, "typiclust": 84.95, "lookahead": 84.62, "ntkcpl_self": 85.76}
    assert areas.items() >= {**expected, "ntkcpl_al": 85.59}.items()
    transition = pd.read_csv(folder / "tables" / "phase_transition.csv").set_index("configuration")
    assert 500 < transition.loc["typiclust", "crossing"] < 1000
    accuracy = pd.read_csv(folder / "tables" / "accuracy.csv")
    cell = accuracy[(accuracy["configuration"] == "ntkcpl_self") & (accuracy["n_labels"] == 60)].iloc[0]
    assert (100 * cell["mean"], 100 * cell["std"]) == pytest.approx((75.09, 1.69))


def test_all_formats(small, tmp_path):
    folder = write_report(make_report(load(small)), tmp_path / "report")
    names = {path.name for path in (folder / "tables").iterdir()}
    for table in TABLES | {"missing", "coverage_and_errors"}:
        assert {f"{table}.csv", f"{table}.md", f"{table}.tex"} <= names
    figures = {path.name for path in (folder / "figures").iterdir()}
    for figure in (
        "curves",
        "gain",
        "phase_transition",
        "pairwise_penalties",
        "spending",
        "cost",
        "coverage-1-ntkcpl_al",
    ):
        assert {f"{figure}.svg", f"{figure}.pdf", f"{figure}.png"} <= figures
    assert (folder / "figures" / "errors-1-ntkcpl_al.svg").read_text().startswith("<?xml")
    assert (folder / "index.html").exists()
    assert not list(folder.rglob(".*"))


def test_a_report_is_the_same_each_time(small, tmp_path):
    for name in ("a", "b"):
        write_report(make_report(load(small)), tmp_path / name, ["html", "csv", "svg", "pdf"])
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b")
    )
    assert first == second


def test_many_figures_are_drawn_by_several_processes_into_the_same_bytes(small, tmp_path, monkeypatch):
    report = make_report(load(small))
    here = dict(page_module.report_files(report))
    monkeypatch.setattr(page_module, "_FIGURES_OF_A_PROCESS", 2)
    monkeypatch.setattr(page_module.joblib, "cpu_count", lambda: 2)
    drawn_by = set()
    monkeypatch.setattr(
        page_module.joblib, "Parallel", lambda n_jobs, **options: drawn_by.add(n_jobs) or Parallel(n_jobs, **options)
    )
    assert dict(page_module.report_files(report)) == here
    assert drawn_by == {2}


def test_formats_are_chosen_and_checked(small, tmp_path):
    report = make_report(load(small))
    write_report(report, tmp_path / "r", ["md"])
    assert {path.suffix for path in (tmp_path / "r").rglob("*.*")} == {".md"}
    with pytest.raises(SelectionError, match=f"formats among {', '.join(FORMATS)}, but got docx"):
        write_report(report, tmp_path / "r", ["docx"])


def test_page_needs_no_network_and_escapes_all(small, tmp_path):
    html = page(small, tmp_path)
    assert not re.search(r"""(src|href)=["']?(https?:|//)|@import|url\(""", html)
    assert EVIL not in html
    assert "<b>&|" not in html
    assert "&lt;wbr" not in html
    assert "ntkcpl_<wbr>al" in html
    assert "&lt;/script&gt;&lt;b&gt;&amp;|" in html
    assert html.count("</script>") == 2
    assert "undefined" not in re.sub(r"<script>.*?</script>", "", html, flags=re.S)
    data = json.loads(re.search(r'<script type="application/json" id="curves-1">(.*?)</script>', html)[1])
    assert {series["name"] for series in data["series"]} == {"random", "ntkcpl_al", EVIL}


def test_page_says_what_was_run_and_what_is_missing(small, tmp_path):
    html = page(small, tmp_path)
    for expected in (
        "ntkcpl example",
        "15 trajectories finished, 1 failed",
        "1 trajectory failed",
        "out of memory",
        "What these seeds cannot show",
        "0.0625",
        "better than random",
    ):
        assert expected in html


def test_refusals_are_on_the_page(tmp_path, trajectory, write_store):
    store = write_store(tmp_path / "store", [trajectory("badge"), trajectory("entropy")])
    report = make_report(load(store))
    section = report.sections[0]
    assert section.headline is None
    refused = {refusal.title: refusal.reason for refusal in section.refused}
    assert "one baseline `random` for badge" in refused["Effective budget"]
    assert {table.name for table in section.tables} >= {"accuracy", "area", "cost"}
    assert "Not computed" in page(store, tmp_path / "report")


def test_without_anything_to_compare_there_is_no_empty_figure(tmp_path, trajectory, write_store):
    rows = [trajectory(seed=0), trajectory(seed=1), trajectory("badge", status="failed")]
    section = make_report(load(write_store(tmp_path, rows))).sections[0]
    assert section.headline == "There is nothing to compare with random."
    assert [figure.name for figure in section.figures] == ["curves", "spending", "cost"]


def test_unequal_seeds_are_refused_and_marked(tmp_path, trajectory, write_store):
    rows = [trajectory("random", 0), trajectory("random", 1), trajectory("badge", 0)]
    section = make_report(load(write_store(tmp_path, rows))).sections[0]
    refused = {refusal.title for refusal in section.refused}
    assert {"Effective budget", "Phase transition", "Pairwise penalties", "Gain by label count"} <= refused
    assert "Verdict on whole curves" not in refused  # pairs the shared seeds and says how many
    assert {table.name for table in section.tables} >= {"missing", "verdict"}


def test_what_has_no_baseline_takes_nothing_from_the_others(tmp_path, trajectory, write_store):
    rows = [trajectory(name, seed, [0.4 + seed / 100] * 3) for name in ("random", "badge") for seed in range(3)]
    rows += [trajectory("badge", seed, (0.5, 0.7), n_labels=(20, 40), schedule="20x2") for seed in range(3)]
    store = write_store(tmp_path / "store", rows)
    section = make_report(load(store)).sections[0]
    verdict = next(table for table in section.tables if table.name == "verdict").frame
    assert list(verdict["configuration"]) == ["badge[schedule=10x2,20x1]"]
    assert {"gain", "effective_budget", "phase_transition"} <= {table.name for table in section.tables}
    (refusal,) = section.refused
    assert refusal.reason == (
        "Expected one baseline `random` for badge[schedule=20x2] (schedule 20x2, evaluated on all), but got none."
    )
    assert "Comparisons with random" in page(store, tmp_path / "report")


def test_unequal_seeds_take_nothing_from_the_others(tmp_path, trajectory, write_store):
    rows = [trajectory(name, seed) for name in ("random", "badge", "entropy") for seed in range(3)]
    store = write_store(tmp_path / "store", rows[:-1])
    section = make_report(load(store)).sections[0]
    frames = {table.name: table.frame for table in section.tables}
    assert set(frames["gain"]["configuration"]) == set(frames["effective_budget"]["configuration"]) == {"badge"}
    assert set(frames["pairwise_penalties"]["configuration"]) == {"badge", "random"}
    assert list(frames["verdict"]["n_pairs"]) == [3, 2]
    assert len(section.refused) == 2
    reasons = {refusal.title: refusal.reason for refusal in section.refused}
    assert "equal seeds of entropy and random, but not both have [2]" in reasons["Comparisons at each label count"]
    assert reasons["Pairwise penalties"] == "Left out because seeds are missing: entropy."


def test_other_seeds_of_another_schedule_are_not_missing(tmp_path, trajectory, write_store):
    rows = [trajectory(name, seed, [0.5 + seed / 100] * 3) for name in ("random", "badge") for seed in range(3)]
    short = {"n_labels": (20, 40), "accuracy": (0.5, 0.6), "schedule": "20x2"}
    rows += [trajectory(name, seed, **short) for name in ("random", "badge") for seed in range(2)]
    section = make_report(load(write_store(tmp_path, rows))).sections[0]
    penalties = next(table for table in section.tables if table.name == "pairwise_penalties").frame
    assert len(penalties) == 4
    assert not section.refused


def test_a_baseline_that_is_ambiguous_everywhere_is_refused(tmp_path, trajectory, write_store):
    rows = [trajectory("badge", params={"a": a}) for a in (1, 2)] + [trajectory()]
    results = load(write_store(tmp_path, rows))
    with pytest.raises(
        SelectionError, match=r"but got badge\[a=1\] and badge\[a=2\]\. --baseline also takes the whole name"
    ):
        make_report(results, baseline="badge")
    assert make_report(results, baseline="badge[a=2]").sections[0].headline


def test_a_baseline_by_its_whole_name_is_the_same_where_a_section_calls_it_by_less(tmp_path, trajectory, write_store):
    runs = [
        ("badge", "one", 1),
        ("badge", "one", 2),
        ("badge", "other", 1),
        ("random", "one", 0),
        ("random", "other", 0),
    ]
    rows = [
        trajectory(name, seed, (0.4 + a / 10, 0.6 + seed / 50, 0.8), data=data, data_hash=data, params={"a": a})
        for name, data, a in runs
        for seed in range(2)
    ]
    report = make_report(load(write_store(tmp_path, rows)), baseline="badge[a=1]")
    (one, other) = report.sections
    assert one.headline
    assert other.headline.endswith("badge[a=1] over the whole curve.")
    assert [table.name for table in report.across] == ["ranks", "iqm", "effective_budgets"]


def test_areas_of_one_section_have_one_window(tmp_path, trajectory, write_store):
    rows = [trajectory(name, seed, [0.4 + seed / 100] * 3) for name in ("random", "badge") for seed in range(3)]
    rows += [trajectory("badge", seed, (0.5, 0.7), n_labels=(20, 40), schedule="20x2") for seed in range(3)]
    section = make_report(load(write_store(tmp_path, rows))).sections[0]
    tables = {table.name: table for table in section.tables}
    assert "over 20 to 40 labels" in tables["area"].note
    assert "over 20 to 40 labels" in tables["verdict"].note


def test_one_reason_is_said_once(tmp_path, trajectory, write_store):
    store = write_store(tmp_path / "store", [trajectory("badge"), trajectory("entropy")])
    (reason,) = make_report(load(store)).sections[0].refused_by_reason
    assert page(store, tmp_path / "report").count(reason) == 1


def test_halves_of_the_test_data_are_apart(swept, trajectory, write_store, tmp_path):
    compared = write_store(tmp_path / "compared", [trajectory(seed=seed) for seed in range(3)])
    report = make_report(load(compared, swept))
    assert [(section.name, section.is_half) for section in report.sections] == [
        ("digits", False),
        ("digits, tune half", True),
    ]
    folder = write_report(report, tmp_path / "report", ["html", "csv"])
    assert set(pd.read_csv(folder / "tables" / "digits" / "area.csv")["configuration"]) == {"random"}
    html = (folder / "index.html").read_text()
    places = [html.index(f'<article id="{name}">') for name in ("data-1", "sweep-1", "data-2")]
    assert places == sorted(places)
    assert not report.notes


@pytest.mark.parametrize("n_whole", [0, 1, 2])
def test_sweeps_on_several_data_sets_have_a_report(tmp_path, trajectory, write_store, n_whole):
    names = ("a", "b", "c")
    rows = [trajectory("badge", seed, data=name, evaluate_on="tune") for name in names for seed in range(2)]
    rows += [
        trajectory(strategy, seed, data=name)
        for strategy in ("badge", "random")
        for name in names[:n_whole]
        for seed in range(2)
    ]
    report = make_report(load(write_store(tmp_path / "store", rows)))
    assert len(report.sections) == 3 + n_whole
    assert [table.name for table in report.across] == (["ranks", "iqm", "effective_budgets"] if n_whole == 2 else [])
    assert n_whole == 2 or f"but got {n_whole} evaluated on all test data." in report.notes[-1]
    write_report(report, tmp_path / "report", ["html"])


def test_several_data_sets(tmp_path, trajectory, write_store):
    rows = [
        trajectory(name, seed, [height + seed / 100] * 3, data=data, data_hash=data)
        for data in ("one", "../two")
        for name, height in {"random": 0.5, "badge": 0.6}.items()
        for seed in range(5)
    ]
    folder = write_report(make_report(load(write_store(tmp_path / "store", rows))), tmp_path / "report")
    assert {path.name for path in (folder / "tables").iterdir() if path.is_dir()} == {"one", "two"}
    assert (folder / "tables" / "ranks.csv").exists()
    budgets = (folder / "tables" / "effective_budgets.md").read_text()
    assert "| badge | 3/3 | 3/3 | **100.00** |" in budgets
    assert (folder / "tables" / "one" / "effective_budget.csv").exists()
    assert (folder / "figures" / "two" / "curves.pdf").exists()
    assert "2 data sets are too few for a test" in (folder / "index.html").read_text()


def test_numbers_across_data_sets_are_of_the_metric(tmp_path, trajectory, write_store):
    rows = [
        trajectory(name, seed, data=data, data_hash=data)
        for data in ("one", "two")
        for name in ("random", "badge")
        for seed in range(2)
    ]
    report = make_report(replace(load(write_store(tmp_path, rows)), metric="macro_f1"))
    assert "label counts have a mean macro-F1 above" in report.across[-1].note


def test_data_sets_whose_names_differ_in_signs_alone_keep_apart(tmp_path, trajectory, write_store):
    names = ("a&b", "a+b", "A b")
    rows = [trajectory("random", accuracy=[k / 10] * 3, data=name, data_hash=name) for k, name in enumerate(names)]
    folder = write_report(make_report(load(write_store(tmp_path / "store", rows))), tmp_path / "report", ["csv"])
    found = {path.parent.name: pd.read_csv(path)["final_mean"].item() for path in folder.glob("tables/*/area.csv")}
    assert len({name.lower() for name in found}) == 3
    assert sorted(found.values()) == pytest.approx([0, 0.1, 0.2])


def test_names_that_look_like_formulas_of_any_kind(tmp_path, trajectory, write_store):
    names = ("=1+1", "[2] $\\frac$", "$\\nothing$", "*a&b_c%")
    rows = [
        trajectory(name, seed, [0.5 + k / 50 + seed / 100 * k] * 3, data="$\\alpha$")
        for k, name in enumerate(("random", *names))
        for seed in range(3)
    ]
    folder = write_report(make_report(load(write_store(tmp_path / "store", rows))), tmp_path / "report")
    assert "'=1+1" in (folder / "tables" / "area.csv").read_text()
    rows = (folder / "tables" / "area.tex").read_text().splitlines()
    assert not [row for row in rows if row.startswith(("[", "*"))]
    assert r"{}[2] \$\textbackslash{}frac\$ &" in "\n".join(rows)
    assert "$\\nothing$" in (folder / "figures" / "curves.svg").read_text()
    assert "$\\alpha$" in (folder / "index.html").read_text()


def test_one_seed_and_one_round(tmp_path, trajectory, write_store):
    rows = [trajectory(name, accuracy=(0.5,), n_labels=(10,), schedule="10x1") for name in ("random", "badge")]
    html = page(write_store(tmp_path / "store", rows), tmp_path / "report")
    assert "One seed shows no spread" in html


def test_nothing_finished_is_refused(tmp_path, trajectory, write_store):
    with pytest.raises(SelectionError, match="finished trajectories to report on"):
        make_report(load(write_store(tmp_path, [trajectory(status="failed")])))


def test_report_of_a_store(small, tmp_path):
    assert report_store([small], formats=["csv"]) == small / "report"
    assert (small / "report" / "tables" / "verdict.csv").exists()
    file = min((small / "rounds").iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreError, match=file.name):
        report_store([small])
    options = {"skip_damaged": True, "shared_seeds": True, "baseline": "ntkcpl_al"}
    folder = report_store([small], formats=["html", "csv"], out=tmp_path / "out", **options)
    assert file.name in (folder / "index.html").read_text()
    effective = pd.read_csv(folder / "tables" / "effective_budget.csv")
    assert set(effective["configuration"]) == {"random", EVIL}
    assert (effective["n_seeds"] == 4).all()


def test_many_configurations_that_share_no_label_count_have_figures(tmp_path, trajectory, write_store):
    names = ["random", *(f"s{i}" for i in range(6))]
    late = {"n_labels": (100, 200, 300), "schedule": "100x3"}
    rows = [trajectory(name, accuracy=[0.1, 0.2, 0.3 + i / 100]) for i, name in enumerate(names)]
    rows += [trajectory(name, accuracy=[0.5, 0.6, 0.7], **late) for name in names]
    (section,) = make_report(load(write_store(tmp_path, rows))).sections
    curves = next(figure for figure in section.figures if figure.name == "curves")
    assert curves.note.endswith("of 14, the 12 best by final value and random")


def test_fewer_data_sets_with_results_than_names_prove_nothing_either(tmp_path, trajectory, write_store):
    rows = [trajectory(name, data=data) for data in "abcde" for name in ("random", "badge")]
    rows += [trajectory("badge", data="f", status="failed")]
    notes = make_report(load(write_store(tmp_path, rows))).notes
    assert any(note.startswith("5 data sets are too few for a test") for note in notes)


def test_long_names_leave_room_for_the_axes(tmp_path, trajectory, write_store, recwarn):
    long = {"first_setting_of_all": 1, "another_long_name": "something", "a_third_one_besides": 0.125}
    rows = [trajectory("random"), *(trajectory("a_strategy", params={**long, "number": n}) for n in range(3))]
    rows += [trajectory("a_strategy", params=dict.fromkeys((*long, "number"), 7))]
    (section,) = make_report(load(write_store(tmp_path, rows))).sections
    assert max(map(len, section.curves["series"][1]["name"].split("["))) > 80
    for figure in section.figures:
        figure.images({"svg"})
    assert not [warning for warning in recwarn if "constrained_layout" in str(warning.message)]


def test_a_configuration_looks_the_same_in_all_sections_and_has_a_table_of_its_own_in_each(
    tmp_path, trajectory, write_store
):
    rows = [trajectory(name, data="my-data") for name in ("badge", "random")]
    rows += [trajectory(name, data="my_data") for name in ("random", "typiclust")]
    report = make_report(load(write_store(tmp_path / "store", rows)))
    colours = [{each["name"]: each["colour"] for each in section.curves["series"]} for section in report.sections]
    assert colours[0]["random"] == colours[1]["random"]
    folder = write_report(report, tmp_path / "report", ["tex"]) / "tables"
    assert r"\caption{Accuracy by label count: my-data. " in (folder / "my-data" / "accuracy.tex").read_text()
    assert r"\label{tab:my_data-accuracy}" in (folder / "my_data" / "accuracy.tex").read_text()


def test_labels_in_latex_are_told_apart_like_files(tmp_path, trajectory, write_store):
    rows = [trajectory(name, data=data) for name in ("badge", "random") for data in ("a=1", "a.1")]
    folder = write_report(make_report(load(write_store(tmp_path / "store", rows))), tmp_path / "report", ["tex"])
    files = [path.read_text() for path in (folder / "tables").rglob("*.tex")]
    labels = [label for text in files for label in re.findall(r"\\label\{[^}]*\}", text)]
    assert len(labels) == len(set(labels)) == len(files)
