"""The Python of docs/report.md runs, and gives what it says."""

import re
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

DOCUMENT = Path(__file__).parents[2] / "docs" / "report.md"


def test_example_of_the_python_interface(published, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "digits").symlink_to(published)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.S)
    names = {"ax": Figure().add_subplot()}
    values = [run(line, names) for line in example.splitlines() if line.strip()]
    tables = [value for value in values if isinstance(value, pd.DataFrame)]
    assert len(tables) == 3
    assert tables[0].loc[60, "ntkcpl_self"].round(4) == 0.7509
    assert set(tables[1]["verdict"]) <= {"better", "worse", "open"}
    assert tables[2].set_index("label").loc["ntkcpl_al", "effective_points"] == 11
    assert [text.get_text() for text in names["ax"].texts if text.get_text()]
    assert values[-1] is names["ax"]


def run(line, names):
    """The value of an expression; None of a statement."""
    names["value"] = None
    try:
        exec(f"value = {line}", names)
    except SyntaxError:
        exec(line, names)
    return names["value"]
