"""Coverage in two dimensions: what strategies believe to have covered, and what the classifier gets right.

The plane is laid on a sphere by stereographic projection before anything else happens: strategies compare features
by direction, as is usual for self-supervised ones, and would fold a plane onto a circle. Circles stay circles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data import Dataset, Fields
from harness.exceptions import DataError
from harness.learner import Inputs, one_thread, train
from harness.schedule import Schedule
from harness.spec import TrajectorySpec, study_name
from harness.store.location import Location
from harness.store.reading import Row
from harness.store.writing import Store
from harness.streams import stream
from strategies.base import FloatArray, IndexArray, PoolView, Selection, Strategy
from strategies.coreset_self import CoresetSelf
from strategies.functional.balls import members, near
from strategies.functional.distances import normalise_rows, squared_distances_to
from strategies.probcover import ProbCover
from strategies.registry import make_strategy
from studies.compare import Comparison
from studies.reading import read_dataset

MIXTURE = (
    (0, 150, (-2.2, 1.4), (0.9, 0.25), 35),
    (0, 40, (-0.2, 2.6), (0.3, 0.3), 0),
    (1, 150, (1.7, 1.5), (0.55, 0.55), 0),
    (2, 120, (-1.4, -1.3), (0.3, 0.9), 20),
    (3, 120, (1.6, -1.6), (1.0, 0.3), -25),
    (3, 20, (0.3, 0.1), (0.25, 0.25), 0),
)
"""The built-in set, made of Gaussians: class, points, centre, standard deviations, turn in degrees."""
_REACH = 0.7
"""Radius of the data on the plane that touches the unit sphere at its pole; 1 would be half of the sphere."""


def run_coverage(
    data: str | None,
    out: Location,
    *,
    strategies: Sequence[str],
    labels: int,
    seed: int,
    settings: Mapping[str, Mapping[str, str]],
    command: str,
) -> Location:
    """Buy labels in one round with each strategy, train on them, and write which points are covered.

    Args:
        data: source of a data set with two features (`read_dataset`), whose training half is the pool; None takes
            `MIXTURE`.
        out: folder of the store.
        strategies: names.
        labels: to buy.
        seed: of selection and training.
        settings: parameters by owner, a strategy or `learner`.
        command: the command line, kept with the picture.

    Returns:
        The table written, a folder of Parquet files (`harness.store.schema.COVERAGE`).

    Raises:
        DataError: the data cannot be read or has another number of features.
        HarnessError, StrategyError: bad input, or a store that cannot be written.
    """
    name, plane, classes = _mixture() if data is None else _read(data)
    sphere = Sphere(plane)
    dataset = Dataset.from_arrays(name, Fields(sphere.points, classes, sphere.points, classes))
    comparison = Comparison(tuple(strategies), Schedule((labels,)), (seed,), settings, {})
    specs = comparison.specs(dataset)
    picture = study_name("picture", specs)
    columns = {"x": plane[:, 0], "y": plane[:, 1], "class": np.array(dataset.class_names)[dataset.y_train]}
    rows = []
    for spec in specs:
        shared = {"picture": picture, "command": command, **_identity(spec)}
        found = {**columns, **cover(spec, dataset, sphere)}
        rows += [
            {**shared, "point": point, **{key: _plain(values[point]) for key, values in found.items()}}
            for point in range(len(plane))
        ]
    store = Store(out)
    with store.writing():
        store.write_coverage(picture, rows)
    return out / "coverage"


def cover(spec: TrajectorySpec, data: Dataset, sphere: Sphere) -> dict[str, NDArray[Any]]:
    """One panel: the first round of a trajectory, point by point.

    Args:
        spec: what to run; its schedule has one round.
        data: the pool on the sphere.
        sphere: where the pool lies.

    Returns:
        Columns of `harness.store.schema.COVERAGE` with a value for each point of the pool.
    """
    strategy = make_strategy(spec.strategy, spec.params)
    nothing = np.empty(0, dtype=np.int64)
    view = PoolView(data.x_train, nothing, nothing, data.n_classes)
    with one_thread():
        selection = strategy.select(view, spec.queries[0], rng=stream(spec.seed, "initial", 0))
        picks = np.asarray(selection.indices)
        inputs = Inputs.of(data.x_train, spec.learner.scaling, "cpu")
        draw = partial(stream, spec.seed)
        learner = train(inputs, picks, data.y_train[picks], data.n_classes, spec.learner, draw)
        predicted = learner.predict_pool(np.arange(len(data.x_train)))
    n = len(data.x_train)
    order, pseudo_labels = _nothing(n), _nothing(n)
    order[picks] = range(len(picks))
    if found := selection.diagnostics:
        pseudo_labels[found.risk_set] = found.pseudo_labels
    estimated, radius = _estimate(strategy, selection, view)
    balls = np.full((n, 3), None, dtype=object)
    if radius is not None:
        balls[picks] = [sphere.circle(pick, radius) for pick in picks]
    return {
        "pick": order,
        "pseudo_label": pseudo_labels,
        "predicted": np.array(data.class_names)[predicted],
        "covered_estimated": estimated,
        "covered_true": predicted == data.y_train,
        **dict(zip(("ball_x", "ball_y", "ball_radius"), balls.T, strict=True)),
    }


def _estimate(strategy: Strategy, selection: Selection, view: PoolView) -> tuple[NDArray[Any], float | None]:
    """Which points a strategy believes to have covered, and the radius of its balls; null where it has no belief."""
    picks = np.asarray(selection.indices)
    covered = _nothing(len(view.features))
    if found := selection.diagnostics:
        covered[found.risk_set] = found.outputs.argmax(axis=1) == found.pseudo_labels
        return covered, None
    if isinstance(strategy, ProbCover):
        radius = float(selection.stats["delta"])
        unit = normalise_rows(view.features)
        covered[:] = members(near(unit[picks], unit, radius), len(unit)).any(axis=0)
        return covered, radius
    if isinstance(strategy, CoresetSelf):
        # The covering radius is the least that covers all: what it takes depends on the picks, not how much it covers.
        squared = np.min([squared_distances_to(view.features[pick], view.features) for pick in picks], axis=0)
        covered[:] = True
        return covered, float(np.sqrt(squared.max()))
    return covered, None


class Sphere:
    """Points of a plane laid on the unit sphere: `points`, `n x 3`."""

    def __init__(self, plane: FloatArray) -> None:
        self._middle = plane.mean(axis=0)
        size = np.linalg.norm(plane - self._middle, axis=1).max() or 1.0
        self._unit = float(size / _REACH)
        chart = (plane - self._middle) / self._unit
        square = (chart**2).sum(axis=1, keepdims=True)
        self.points: FloatArray = np.hstack([2 * chart, square - 1]) / (1 + square)

    def circle(self, centre: int, radius: float) -> tuple[float, float, float] | tuple[None, None, None]:
        """The points at one distance from a point, as a circle of the plane.

        Args:
            centre: index of a point.
            radius: distance between points of the sphere, straight through it.

        Returns:
            Middle and radius of the circle; None where it would be turned inside out around the far pole.
        """
        x, y, z = self.points[centre]
        cosine = 1 - radius**2 / 2
        if cosine <= z:
            return None, None, None
        middle = np.array([x, y]) / (cosine - z)
        reach = np.sqrt(max(middle @ middle - (cosine + z) / (cosine - z), 0))
        return (*(middle * self._unit + self._middle).tolist(), float(reach * self._unit))


def _mixture() -> tuple[str, FloatArray, IndexArray]:
    rng = np.random.default_rng(0)
    parts = []
    for _, n, centre, spread, degrees in MIXTURE:
        sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
        parts.append(rng.normal(size=(n, 2)) * spread @ np.array([[cosine, sine], [-sine, cosine]]) + centre)
    classes = np.repeat([part[0] for part in MIXTURE], [part[1] for part in MIXTURE])
    return "mixture", np.concatenate(parts), classes


def _read(source: str) -> tuple[str, FloatArray, NDArray[Any]]:
    data = read_dataset(source)
    if data.x_train.shape[1] != 2:
        raise DataError(f"Expected 2 features in {source} to draw a picture, but got {data.x_train.shape[1]}.")
    return data.name, data.x_train.astype(np.float64), np.array(data.class_names)[data.y_train]


def _identity(spec: TrajectorySpec) -> Row:
    own = {key: getattr(spec, key) for key in ("trajectory_id", "data", "strategy", "seed")}
    return {**own, "params": spec.params_json}


def _nothing(n: int) -> NDArray[Any]:
    return np.full(n, None, dtype=object)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
