import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure

from analysis import load
from analysis.diagnostics import share_table
from analysis.figures.axes import framed
from analysis.figures.plane import draw_picture, draw_plane, picture_height
from analysis.report import make_report, write_report
from harness.exceptions import StoreError
from harness.store import schema


def rows(strategy, estimated, true, **changes):
    """Five points of a picture, the first and the last of them bought, in the other order."""
    base = {"picture": "picture-1", "command": "ntkcpl picture", "data": "plane", "strategy": strategy, "seed": 0}
    picks = [1, None, None, None, 0]
    return [
        {**base, "point": i, "x": float(i), "y": float(i % 2), "class": "ab"[i % 2], "pick": picks[i]}
        | {"covered_estimated": estimated[i], "covered_true": true[i]}
        | {key: value[i] for key, value in changes.items()}
        for i in range(5)
    ]


@pytest.fixture
def store(tmp_path, trajectory, write_store):
    """A store with a comparison and a picture of three strategies."""
    root = write_store(tmp_path / "store", [trajectory(name, s) for name in ("random", "badge") for s in range(2)])
    right, ball = [True, True, False, False, True], [None] * 4 + [1.5]
    content = [
        *rows("z_ball", [False, False, False, True, True], right, ball_x=ball, ball_y=ball, ball_radius=ball),
        *rows("clusters", [True] * 5, right, pseudo_label=[0, 0, 0, 1, 1]),
        *rows("random", [None] * 5, right),
    ]
    (root / "coverage").mkdir()
    pq.write_table(pa.Table.from_pylist(content, schema=schema.COVERAGE), root / "coverage" / "picture-1.parquet")
    return root


def test_shares(store):
    shares = share_table(load(store).coverage)
    assert shares["strategy"].tolist() == ["z_ball", "clusters", "random"]
    assert shares["n_labels"].tolist() == [2, 2, 2]
    assert shares["estimated"].tolist() == pytest.approx([0.4, 1.0, np.nan], nan_ok=True)
    assert shares["true"].tolist() == [0.6] * 3
    assert shares["agreement"].tolist() == pytest.approx([0.4, 0.6, np.nan], nan_ok=True)


def test_a_panel_fills_what_is_covered(store):
    coverage = load(store).coverage
    panel = coverage[coverage["strategy"] == "z_ball"]
    ax = Figure().add_subplot()
    assert draw_plane(panel, ax, "estimated") is ax
    filled = [tuple(point) for points in ax.collections if is_blue(points) for point in points.get_offsets()]
    assert sorted(filled) == [(3, 1), (4, 0)]
    assert [text.get_text() for text in ax.texts] == ["1", "2"]
    assert ax.texts[0].get_position() == (4, 0)
    (circle,) = ax.collections[0].get_paths()
    assert circle.get_extents().get_points() == pytest.approx(np.array([(0, 0), (3, 3)]))


def is_blue(points):
    faces = points.get_facecolor()
    return len(faces) > 0 and faces[0][2] > 0.6 and faces[0][0] < 0.1


def test_titles_tell_estimated_and_true_share(store):
    picture = load(store).coverage
    ax = Figure(figsize=(7.2, picture_height(picture))).add_subplot()
    assert draw_picture(picture, ax) is ax
    assert [panel.get_title() for panel in ax.child_axes] == [
        *("network: true 60 %", "z_ball: estimated 40 %"),
        *("network: true 60 %", "clusters: estimated 100 %"),
        *("network: true 60 %", "random: no estimate"),
    ]


@pytest.mark.parametrize("n", [3, 4, 5, 9])
def test_titles_and_panels_do_not_lie_on_one_another(n):
    estimated = [True] * 5
    picture = pd.DataFrame([row for i in range(n) for row in rows(f"graphherding{i}", estimated, estimated)])
    picture = picture.assign(pseudo_label=np.nan, ball_x=np.nan, ball_y=np.nan, ball_radius=np.nan, y=picture["x"])
    figure = framed("T", "n", lambda ax: draw_picture(picture, ax), height=picture_height(picture))
    figure.draw_without_rendering()
    panels = figure.axes[0].child_axes
    boxes = [panel.get_window_extent() for panel in panels] + [panel.title.get_window_extent() for panel in panels]
    boxes += [panel.yaxis.label.get_window_extent() for panel in panels if panel.get_ylabel()]
    assert len(panels) == 2 * n
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_report_has_the_picture_beside_the_comparison(store, tmp_path):
    folder = write_report(make_report(load(store)), tmp_path / "report", ["html", "csv", "svg"])
    assert {path.name for path in (folder / "figures").iterdir()} >= {"coverage_2d.svg", "curves.svg"}
    assert len(pd.read_csv(folder / "tables" / "coverage_2d.csv")) == 3
    page = (folder / "index.html").read_text()
    assert page.count('id="plane"') == 1
    assert "ntkcpl picture" in page


def test_a_picture_in_two_stores_counts_once_and_belongs_to_no_study(store):
    assert load(store, store).coverage.equals(load(store).coverage)
    assert load(store, study="example").coverage.empty


def test_a_store_without_pictures(tmp_path, trajectory, write_store):
    results = load(write_store(tmp_path, [trajectory()]))
    assert results.coverage.empty
    assert list(results.coverage) == schema.COVERAGE.names
    assert make_report(results).plane == []


def test_a_damaged_picture_is_named(store):
    path = store / "coverage" / "picture-1.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match=r"picture-1\.parquet"):
        load(store)
    assert load(store, skip_damaged=True).unread == (str(path),)
