import io

import pandas as pd
import pytest

from analysis.report.render import (
    Cell,
    Column,
    Table,
    integer,
    latex,
    p_value,
    percent,
    points,
    table_of,
    text,
    to_csv,
    to_latex,
    to_markdown,
)

NASTY = "a|b_c%&$#{}~^\\<b>*\n[x]"


@pytest.fixture
def table():
    frame = pd.DataFrame({"configuration": [NASTY, "=1+1"], "mean": [0.5, -0.25], "n": [3, None]})
    columns = [
        Column("configuration", "configuration", text),
        Column("mean", "accuracy", percent),
        Column("n", "seeds", integer),
    ]
    return table_of("t", "Title_1", frame, columns, "A note, 95 %.")


def test_cells_are_formed_and_sort_by_value(table):
    assert table.headings == ["configuration", "accuracy", "seeds"]
    assert table.rows[0][1] == Cell("50.00", 0.5)
    assert table.rows[1][2] == Cell("", None)
    assert [table.is_text(i) for i in range(3)] == [True, False, False]


def test_csv_has_plain_numbers_and_no_formula(table):
    read = pd.read_csv(io.StringIO(to_csv(table)))
    assert read["mean"].tolist() == [0.5, -0.25]
    assert read["configuration"].tolist() == [NASTY, "'=1+1"]
    assert pd.isna(read["n"][1])


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_defuses_formulas_in_headings_too(start):
    table = Table("t", "t", pd.DataFrame({f"{start}x": [f"{start}cmd"]}), [], [], "")
    assert to_csv(table).replace('"', "").startswith(f"'{start}x\n'{start}cmd")


def test_markdown_keeps_its_columns(table):
    lines = to_markdown(table).splitlines()
    assert lines[0] == r"**Title\_1**"
    assert lines[4] == r"| a\|b\_c%\&$\#{}\~^\\\<b\>\* \[x\] | 50.00 | 3 |"
    assert lines[5].count("|") == 4


def test_latex_escapes_all_special_characters(table):
    assert latex(NASTY) == (
        r"a\textbar{}b\_c\%\&\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}"
        r"\textless{}b\textgreater{}* [x]"
    )
    written = to_latex(table)
    assert r"\begin{tabular}{lrr}" in written
    assert r"\caption{Title\_1. A note, 95 \%.}" in written
    assert latex("41.80 ± 3.82, −1") == r"41.80 $\pm$ 3.82, $-$1"


def test_marks():
    table = Table("t", "t", pd.DataFrame(), ["a"], [[Cell("1", 1.0, "best"), Cell("2", 2.0, "second")]], "")
    assert "| **1** | <u>2</u> |" in to_markdown(table)
    assert r"\textbf{1} & \underline{2} \\" in to_latex(table)


def test_forms():
    assert [points(value) for value in (0.0123, -0.0123, -0.00001, 0.0)] == ["+1.23", "−1.23", "0.00", "0.00"]
    assert [p_value(value) for value in (0.0004, 0.0404)] == ["<0.001", "0.040"]
    assert integer(12345.4) == "12\u2009345"
