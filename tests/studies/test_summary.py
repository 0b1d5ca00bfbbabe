import json
from types import SimpleNamespace

import pandas as pd
import pytest

from studies.summary import _remarks

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
