from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import load
from analysis.published import against_published, published_names, published_table
from analysis.report import make_report
from analysis.tables import accuracy_table

HEADINGS = {
    "random": "Random",
    "entropy": "Entropy",
    "coreset_self": "Coreset(self)",
    "badge": "BADGE",
    "typiclust": "TypiClust",
    "lookahead": "LookAhead",
    "ntkcpl_self": "NTKCPL(self)",
    "ntkcpl_al": "NTKCPL(al)",
}


@pytest.mark.parametrize(("value", "file"), [("mean", "table1.csv"), ("std", "table1_std.csv")])
def test_the_shipped_table_is_the_papers(value, file):
    paper = pd.read_csv(Path(__file__).parent / file, index_col="labels").rename(
        columns={heading: name for name, heading in HEADINGS.items()}
    )
    shipped = published_table("cifar10").pivot(index="n_labels", columns="strategy", values=value)
    assert np.allclose(100 * shipped[paper.columns], paper)


def renamed(store, study):
    results = load(store)
    results.studies["study"] = study
    return results


def test_the_papers_own_numbers_differ_by_nothing(published):
    results = renamed(published, "cifar10-0123456789ab")
    frame = against_published(results, accuracy_table(results))
    assert len(frame) == 8 * 12
    assert frame["difference"].abs().max() < 1e-9
    assert np.allclose(frame["std"], frame["published_std"])


def test_differences_are_in_published_deviations(published):
    results = renamed(published, "cifar10-0123456789ab")
    ours = accuracy_table(results)
    ours["mean"] += 2 * ours["std"]
    assert np.allclose(against_published(results, ours)["in_stds"], 2)


@pytest.mark.parametrize("study", ["compare-0123456789ab", "mycifar10-0123456789ab", "cifar10"])
def test_other_studies_are_not_set_against_it(published, study):
    results = renamed(published, study)
    assert against_published(results, accuracy_table(results)).empty


def test_the_report_has_the_sheet(published):
    tables = {table.name: table for table in make_report(renamed(published, "cifar10-0123456789ab")).sections[0].tables}
    table = tables["published"]
    assert len(table.rows) == 12
    cells = dict(zip(table.headings, (cell.text for cell in table.rows[0]), strict=True))
    assert cells["ntkcpl_self"] == "54.31 / 54.31 (0.0)"
    assert "published" not in {table.name for table in make_report(load(published)).sections[0].tables}


def test_names():
    assert published_names() == ["cifar10"]
