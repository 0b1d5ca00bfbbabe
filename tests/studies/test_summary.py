import io
import json
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from harness.store.location import locate
from studies import summary
from studies.summary import _accuracies, _remarks, _totals, write_summary
from studies.terminal import show_table

NO_STATS: dict[str, float] = {}
LONG_NAME = "ntkcpl_al[max_clusters=100,ridge=0.01,schedule=20x5,100x4]"


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        ([NO_STATS, NO_STATS], []),
        ([{"cap_bound": 0, "stored_share": 1.0}, {"cap_bound": 1, "stored_share": 1.0}], []),
        (
            [{"cap_bound": 0}, {"cap_bound": 0}],
            ["own: no round asked for more clusters than max_clusters, so a larger one gives the same picks"],
        ),
        ([{"stored_share": 1.0}, {"stored_share": 0.25}], ["own: memory held 25% of the residual kernel"]),
    ],
)
def test_remarks_on_rounds(stats, said):
    texts = [json.dumps(each) for each in stats]
    curves = pd.DataFrame({"configuration": ["own"] * 2 + ["random"] * 2, "stats": [*texts, "{}", "{}"]})
    lines = _remarks(SimpleNamespace(curves=curves))
    assert len(lines) == len(said)
    assert all(line.startswith(beginning) for line, beginning in zip(lines, said, strict=True))


@pytest.mark.parametrize("n", [1, 8, 24])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_accuracy_is_broken_whatever_the_width(n, width):
    names = [LONG_NAME, *(f"strategy_{k}" for k in range(1, n))]
    rows = [
        {"configuration": name, "n_labels": n_labels, "mean": 0.1 + k / 100, "std": 0.112, "complete": True}
        for k, name in enumerate(names)
        for n_labels in (5, 1000)
    ]
    numbers = rows_of("1000", width, *_accuracies(pd.DataFrame(rows)))
    assert [number for row in numbers for number in row] == [f"{10 + k:.1f}±11.2" for k in range(n)]
    if n == 8:
        assert len(numbers) == {40: 4, 80: 2, 200: 1}[width]


@pytest.mark.parametrize(
    ("name", "width", "n_tables"),
    [("own", 40, 3), ("own", 80, 1), (LONG_NAME, 40, 4), (LONG_NAME, 80, 3), (LONG_NAME, 200, 1)],
)
def test_no_total_is_broken_whatever_the_width(name, width, n_tables):
    row = {"area_mean": 0.857, "area_std": 0.108, "final_mean": 0.927, "final_std": 0.008, "won": 10, "total": 10}
    row |= {"difference": 0.115, "low": 0.054, "high": 0.176, "select_seconds": 1234.5, "train_seconds": 1.0}
    rows = [{"configuration": "graphherding", **row}, {"configuration": name, **row, "difference": None, "won": None}]
    numbers = rows_of("graphherding", width, *_totals(pd.DataFrame(rows), paired=True))
    expected = "85.7±10.8 92.7±0.8 +11.5 [+5.4, +17.6] 10/10 1234.5 1.0"
    assert [number for row in numbers for number in row] == expected.split()
    assert len(numbers) == n_tables


def rows_of(name, width, first, columns):
    """What stands after the name of a row, in each of the tables."""
    shown = io.StringIO()
    show_table(Console(file=shown, width=width), "a title", first, columns)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [line.split()[1:] for line in lines if line.split()[:1] == [name]]


def test_data_sets_whose_names_differ_in_a_sign_have_pictures_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "accuracy_table", lambda results: pd.DataFrame({"mean": [0.5]}))
    monkeypatch.setattr(summary, "save_curves", lambda results, file: file.write(results.data_names[0].encode()))
    every = [SimpleNamespace(data_names=[name]) for name in ("a b", "a+b")]
    for position, each in enumerate(every):
        table, _ = write_summary(each, locate(str(tmp_path)), every[:position])
    assert list(pd.read_csv(str(table))["data"]) == ["a b", "a+b"]
    pictures = {path.name: path.read_text() for path in tmp_path.glob("*.png")}
    assert pictures == {"curves-a-b.png": "a b", "curves-a-b_.png": "a+b"}
