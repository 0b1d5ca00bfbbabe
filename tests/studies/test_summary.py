import io
import json
from types import SimpleNamespace

import pandas as pd
import pytest
from rich.console import Console

from studies.summary import _accuracies, _remarks

NO_STATS: dict[str, float] = {}


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
def test_no_number_is_broken_whatever_the_width(n, width):
    names = ["ntkcpl_al[max_clusters=100,ridge=0.01]", *(f"strategy_{k}" for k in range(1, n))]
    rows = [
        {"configuration": name, "n_labels": n_labels, "mean": 0.1 + k / 100, "std": 0.112, "complete": True}
        for k, name in enumerate(names)
        for n_labels in (5, 1000)
    ]
    shown = io.StringIO()
    console = Console(file=shown, width=width)
    for table in _accuracies(pd.DataFrame(rows), width):
        console.print(table)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    numbers = [line.split()[1:] for line in lines if line.split()[:1] == ["1000"]]
    assert [number for each in numbers for number in each] == [f"{10 + k:.1f}±11.2" for k in range(n)]
    if n == 8:
        assert len(numbers) == {40: 4, 80: 2, 200: 1}[width]
