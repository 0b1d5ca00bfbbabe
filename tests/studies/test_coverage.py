import os
import signal

import numpy as np
import pandas as pd
import pytest

from harness.data import Dataset, Fields
from harness.schedule import Schedule
from harness.trajectory import run_trajectory
from studies.compare import Comparison
from studies.coverage import Sphere, cover

FAST = ("--set", "learner.epochs=3", "--set", "learner.hidden=16")


@pytest.fixture(scope="module")
def plane():
    """Three classes in the plane, far from the origin and stretched."""
    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    return rng.normal(size=(150, 2)) * (3, 1) + 2.5 * np.array([(0, 0), (4, 0), (0, 3)])[y] + (40, -7), y


@pytest.fixture(scope="module")
def file(plane, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "plane.npz"
    np.savez(path, x_train=plane[0], y_train=plane[1], x_test=plane[0][:9], y_test=plane[1][:9])
    return path


@pytest.fixture(scope="module")
def study(plane):
    """Sphere, data set and, by strategy, specification and panel."""
    sphere = Sphere(plane[0])
    data = Dataset.from_arrays("plane", Fields(sphere.points, plane[1], sphere.points, plane[1]))
    names = ("coreset_self", "probcover", "ntkcpl_self", "entropy")
    specs = Comparison(names, Schedule((6,)), (3,), {"learner": {"epochs": "5", "hidden": "32"}}, {}).specs(data)
    return sphere, data, {spec.strategy: (spec, cover(spec, data, sphere)) for spec in specs}


def test_a_panel_is_the_first_round_of_the_trajectory(study):
    _, data, panels = study
    for spec, panel in panels.values():
        (record,) = run_trajectory(spec, data)
        order = np.argsort([n if n is not None else 1000 for n in panel["pick"]], kind="stable")
        assert order[:6].tolist() == record.picks.tolist()
        assert panel["covered_true"].mean() == record.accuracy
        if spec.strategy == "ntkcpl_self":
            assert panel["covered_estimated"].mean() == record.coverage_estimated
        if spec.strategy == "probcover":
            assert panel["covered_estimated"].mean() == record.stats["covered"]


def test_strategies_without_a_notion_of_coverage_estimate_none(study):
    panel = study[2]["entropy"][1]
    assert all(value is None for name in ("covered_estimated", "pseudo_label", "ball_radius") for value in panel[name])


def test_points_within_a_ball_are_those_that_count_as_covered(study, plane):
    for name in ("coreset_self", "probcover"):
        panel = study[2][name][1]
        balls = [(x, y, r) for x, y, r in zip(*(panel[f"ball_{k}"] for k in ("x", "y", "radius")), strict=True) if r]
        assert len(balls) == 6
        inside = [np.hypot(*(plane[0] - (x, y)).T) <= r * (1 + 1e-5) for x, y, r in balls]
        assert np.any(inside, axis=0).tolist() == panel["covered_estimated"].tolist()


def test_the_sphere_keeps_circles(plane):
    sphere = Sphere(plane[0])
    assert np.linalg.norm(sphere.points, axis=1) == pytest.approx(np.ones(150))
    for radius in (0.1, 0.5, 1.0):
        x, y, reach = sphere.circle(7, radius)
        near = np.linalg.norm(sphere.points - sphere.points[7], axis=1) <= radius
        assert (np.hypot(*(plane[0] - (x, y)).T) <= reach).tolist() == near.tolist()
    assert sphere.circle(7, 1.999) == (None, None, None)


def test_command(ntkcpl, file, tmp_path):
    words = ("picture", "--out", tmp_path, "--data", file, "--labels", 5, *FAST)
    result = ntkcpl(*words)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'coverage'}\n")
    table = pd.read_parquet(tmp_path / "coverage")
    assert table.groupby("strategy")["pick"].count().to_dict() == {"coreset_self": 5, "probcover": 5, "ntkcpl_self": 5}
    assert (table.groupby("strategy").size() == 150).all()
    assert table["data"].unique().tolist() == ["plane"]
    assert not list(tmp_path.rglob(".*.parquet"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "coverage").iterdir()}
    assert ntkcpl(*words).exit_code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "coverage").iterdir()} == before
    assert ntkcpl(*words, "--seed", 1, "--strategies", "random").exit_code == 0
    assert pd.read_parquet(tmp_path / "coverage")["picture"].nunique() == 2


def test_report_draws_what_was_written(ntkcpl, file, tmp_path):
    assert (
        ntkcpl("picture", "--out", tmp_path, "--labels", 5, "--strategies", "ntkcpl_self,random", *FAST).exit_code == 0
    )
    result = ntkcpl("report", tmp_path)
    assert result.exit_code == 0, result.stderr
    report = tmp_path / "report"
    assert {path.name for path in (report / "figures").iterdir()} == {f"coverage_2d.{x}" for x in ("svg", "pdf", "png")}
    shares = pd.read_csv(report / "tables" / "coverage_2d.csv").set_index("strategy")
    table = pd.read_parquet(tmp_path / "coverage")
    assert shares["true"].to_dict() == table.groupby("strategy")["covered_true"].mean().to_dict()
    assert shares["estimated"].isna().to_dict() == {"ntkcpl_self": False, "random": True}
    page = (report / "index.html").read_text()
    assert "Coverage in two dimensions: mixture" in page
    assert "Active learning on mixture" in page


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--data", "digits"], "2 features in digits"),
        (["--labels", "601"], "at most 600 labels"),
        (["--strategies", "nothing"], "nothing"),
        (["--set", "learner.lr=0"], "greater than 0"),
    ],
)
def test_bad_input_is_one_line(ntkcpl, tmp_path, options, word):
    result = ntkcpl("picture", "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Expected ")
    assert word in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_picture(ntkcpl, tmp_path, monkeypatch, number):
    monkeypatch.setattr("studies.coverage.cover", lambda *_: os.kill(os.getpid(), number))
    result = ntkcpl("picture", "--out", tmp_path / "out")
    said = "Interrupted: the picture is written as a whole or not at all.\n"
    assert (result.exit_code, result.stderr) == (130, said)
    assert not (tmp_path / "out").exists()
