"""Why NTKCPL's first query is poor: what it picks beside other strategies, and one thing of it changed at a time.

Pools are random parts of the training data, another one for each seed; feature files are cut as `ranks.py` cuts them.
In OUT, one row a query: `first.csv` (variants of the first query), `learners.csv` (classifiers trained on the same
queries), `rounds.csv` (the rounds after it), `strength.csv` (features made better: each point moved towards the mean of
its class). What is there already is not run again. `understand_figures.py` makes tables and figures of it.

    python benchmarks/understand.py digits mobilenet.npz patches.npz --out runs/understand
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # `strategies` is the package, not the script of that name.

import numpy as np
import pandas as pd

from benchmarks.ranks import cut
from harness.data import Dataset, load_dataset
from harness.learner import Classifier, Inputs, one_thread, train
from harness.learners.registry import named
from harness.schedule import Schedule, parse_seeds
from harness.spec import AnyLearner, LearnerSpec
from harness.streams import stream
from strategies.base import Compute, FloatArray, IndexArray, PoolView
from strategies.functional.clustering import kmeans
from strategies.functional.distances import normalise_rows, squared_distances
from strategies.functional.engine.local import make_block
from strategies.functional.engine.problem import Pick, Problem, Score, absolute_ridge, condition, one_hot
from strategies.functional.ntk import draw_network, make_kernel
from strategies.functional.scaling import fit_scaling
from strategies.functional.typicality import typicality
from strategies.registry import make_strategy
from strategies.typiclust import visits

BESIDE = ("typiclust", "maxherding", "random")
Rows = Iterator[dict[str, Any]]
PARTS = ("first", "learners", "rounds", "strength")
PULLS = (0.2, 0.4, 0.6)
"""How far a point is moved towards the mean of its class, as a share of the way."""
DEFAULT, GENTLE = "mlp", "mlp, lr=0.03"
LEARNERS: dict[str, AnyLearner] = {
    DEFAULT: LearnerSpec(),
    "mlp, lr=0.1": LearnerSpec(lr=0.1),
    GENTLE: LearnerSpec(lr=0.03),
    "mlp, lr=0.03, scaling=unit": LearnerSpec(lr=0.03, scaling="unit"),
    "linear": named("linear"),
    "ridge": named("ridge", {"ridge": 1e-2}),
    "knn": named("knn", {"neighbours": 1}),
}
"""Classifiers of the part `learners`."""
OF_EACH = {"accuracy": (DEFAULT, 2), "gentle": (GENTLE, 1), "ridge": ("ridge", 1), "knn": ("knn", 1)}
"""Those that every first query is measured with, by column, and how many draws of them are averaged."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A pool with its true labels, and the part of the test data to evaluate on."""

    seed: int
    x: FloatArray
    y: IndexArray
    x_test: FloatArray
    y_test: IndexArray
    n_classes: int

    @classmethod
    def of(cls, data: Dataset, seed: int, n_most: int, half: Any, pull: float = 0.0) -> Bench:
        """The pool of a seed: a random part of at most two thirds of the training data."""
        n = len(data.y_train)
        rows = np.sort(stream(seed, "pool").choice(n, min(n_most, 2 * n // 3), replace=False))
        tested = data.test_half(half)
        means = np.stack([data.x_train[data.y_train == c].mean(axis=0) for c in range(data.n_classes)])

        def pulled(x: FloatArray, y: IndexArray) -> FloatArray:
            return np.ascontiguousarray((1 - pull) * x + pull * means[y], dtype=np.float32)

        y, y_test = data.y_train[rows], data.y_test[tested]
        x, x_test = pulled(data.x_train[rows], y), pulled(data.x_test[tested], y_test)
        return cls(seed, x, y, x_test, y_test, data.n_classes)

    @cached_property
    def unit(self) -> FloatArray:
        """Features as they are clustered."""
        return normalise_rows(self.x)

    @cached_property
    def typicality(self) -> FloatArray:
        """Density at each point, by its twenty nearest neighbours."""
        return typicality(self.unit)

    @cached_property
    def _inputs(self) -> dict[Any, Inputs]:
        return {how: Inputs.of(self.x, how, "cpu") for how in ("rms", "unit")}

    @cached_property
    def kernel(self) -> Any:
        """The default kernel in float64."""
        rng = np.random.default_rng(0)  # the analytic kernel does not depend on the draw
        network = draw_network(self.x.shape[1], 1, 1, parameterisation="ntk", bias=True, rng=rng)
        return make_kernel("analytic", network, fit_scaling(self.x, "rms")(self.x).astype(np.float64))

    def regress(self, picks: IndexArray, labels: IndexArray) -> FloatArray:
        """Outputs at the pool of the default kernel regression, trained on the labels of the picks."""
        targets = one_hot(labels[picks], labels.max() + 1)
        f0 = np.zeros((len(self.x), targets.shape[1]))
        return condition(self.kernel, picks, targets, f0, absolute_ridge(self.kernel, 1e-2), Compute())[1]

    def risks(self, picks: IndexArray, n: int) -> dict[str, float]:
        """Share of the pool that the kernel regression gets wrong: from what NTKCPL estimates to what is true.

        `estimated_risk`: of the pseudo-labels of NTKCPL's first query of `n` points. `dominant_risk`: of the classes,
        if an output stands for the class that dominates its cluster (eq. 6). `kernel_risk`: after training on the true
        labels of the picks.
        """
        clusters = self.clusters(n)
        outputs = self.regress(picks, clusters)
        of_class = outputs @ np.eye(self.n_classes)[self.members(clusters).argmax(axis=1)]
        return {
            "estimated_risk": float((outputs.argmax(axis=1) != clusters).mean()),
            "dominant_risk": float((of_class.argmax(axis=1) != self.y).mean()),
            "kernel_risk": float((self.regress(picks, self.y).argmax(axis=1) != self.y).mean()),
        }

    def members(self, clusters: IndexArray) -> FloatArray:
        """Points of each class in each cluster, `n_clusters x n_classes`."""
        table = np.zeros((clusters.max() + 1, self.n_classes))
        np.add.at(table, (clusters, self.y), 1)
        return table

    @cached_property
    def _clusters(self) -> dict[int, IndexArray]:
        return {}

    def clusters(self, n: int) -> IndexArray:
        """The pseudo-labels of NTKCPL's first query of `n` points."""
        if n not in self._clusters:
            rng = stream(self.seed, "initial")
            points = np.sort(rng.choice(len(self.x), len(self.x), replace=False))
            self._clusters[n] = pseudo_labels(FirstQuery(), self, points, n, int(rng.integers(2**32)))
        return self._clusters[n]

    def view(self, **seen: Any) -> PoolView:
        """The pool as a strategy sees it."""
        nothing = np.empty(0, dtype=np.int64)
        return PoolView(
            **{"features": self.x, "labelled": nothing, "labels": nothing, "n_classes": self.n_classes} | seen
        )

    def learn(self, labelled: IndexArray, learner: str, round_: int) -> Classifier:
        """A classifier trained on the labels of some points."""
        spec = LEARNERS[learner]
        draw = partial(stream, self.seed, round_=round_)
        return train(self._inputs[spec.scaling], labelled, self.y[labelled], self.n_classes, spec, draw)

    def tested(self, classifier: Classifier, learner: str) -> float:
        """Accuracy on the test data."""
        inputs = self._inputs[LEARNERS[learner].scaling].scaled(self.x_test)
        return float((classifier.predict(inputs) == self.y_test).mean())

    def risk(self, classifier: Classifier) -> float:
        """Share of the pool that is wrong."""
        return float((classifier.predict_pool(np.arange(len(self.x))) != self.y).mean())


class Watched:
    """An engine that counts, at each pick, the candidates that share the best score, and may choose among them.

    Args:
        problem: the round.
        score: what is estimated.
        compute: threads.
        preference: of each of the N points; the largest among those that tie is taken, then the smallest index.
        then: another score that decides among those that tie.
    """

    def __init__(
        self,
        problem: Problem,
        score: Score,
        compute: Compute,
        *,
        preference: FloatArray | None = None,
        then: Score | None = None,
    ) -> None:
        whole = slice(0, len(problem.candidates))
        self._blocks = [make_block(problem, whole, each, compute) for each in (score, then) if each]
        self._ids = problem.pool_indices[problem.candidates]
        self._preference = np.zeros(problem.n_points) if preference is None else preference
        self._preference = self._preference[problem.candidates]
        self._free = np.ones(len(self._ids), dtype=bool)
        self.ties: list[float] = []

    undecided_share, stored_share = 0.0, 1.0

    def pick(self) -> Pick:
        """The best candidate, accepted."""
        first, *others = [block.scores() for block in self._blocks]
        best = first[self._free].min()
        tied = np.flatnonzero(self._free & (first == best))
        self.ties.append(len(tied) / self._free.sum())
        keys = [self._ids[tied], -self._preference[tied], *(scores[tied] for scores in others)]
        row = tied[np.lexsort(keys)[0]]
        self._free[row] = False
        for block in self._blocks:
            block.accept(int(self._ids[row]))
        return Pick(float(best), int(self._ids[row]))

    def scores(self) -> FloatArray | IndexArray:
        """Score of each candidate."""
        return self._blocks[0].scores()

    @property
    def predictions(self) -> FloatArray:
        """Outputs after all picks."""
        return self._blocks[0].predictions


@dataclass(frozen=True)
class FirstQuery:
    """NTKCPL's first query, every part of which can be another one. The defaults are those of `ntkcpl_self`.

    Attributes:
        clusters: how many; as many as labels to buy where None.
        restarts: of K-means, of which the best is kept.
        truth: pseudo-labels from the true ones: the classes, or each class in two by K-means (`halves`).
        scaling: of the kernel's inputs.
        kernel: `analytic`, `empirical`, `linear`, `rbf` on unit features, or `deep` with three hidden layers.
        initial: f0.
        parameterisation: of the network; `standard` draws it as torch does, so that f0 is small.
        ridge: relative to the mean of the kernel's diagonal.
        risk: what is estimated.
        ties: who wins among equal counts: the smallest index, the most typical point, or the least squared risk.
        candidates: all, the more typical half of the pool, or the most typical half or tenth of each cluster.
        risk_set: points drawn to be risk set and candidates; all where None.
        rule: by look-ahead; or from the clusters alone, largest first: any member, the most typical, the most central.
    """

    clusters: int | None = None
    restarts: int = 1
    truth: str = ""
    scaling: Any = "rms"
    kernel: str = "analytic"
    initial: str = "zero"
    parameterisation: Any = "ntk"
    ridge: float = 1e-2
    risk: Score = "zero_one"
    ties: str = "index"
    candidates: str = "all"
    risk_set: int | None = None
    rule: str = "look_ahead"


VARIANTS: dict[str, FirstQuery] = {
    "ntkcpl": FirstQuery(),
    "true classes": FirstQuery(truth="classes"),
    "true classes, halved": FirstQuery(truth="halves"),
    "any member": FirstQuery(rule="any"),
    "most typical member": FirstQuery(rule="typical"),
    "most central member": FirstQuery(rule="central"),
    "true classes, most typical": FirstQuery(truth="classes", rule="typical"),
    "true classes, any member": FirstQuery(truth="classes", rule="any"),
    "true halves, most typical": FirstQuery(truth="halves", rule="typical"),
    "10 clusters": FirstQuery(clusters=10),
    "20 clusters": FirstQuery(clusters=20),
    "50 clusters": FirstQuery(clusters=50),
    "100 clusters": FirstQuery(clusters=100),
    "10 restarts": FirstQuery(restarts=10),
    "scaling none": FirstQuery(scaling="none"),
    "scaling centred": FirstQuery(scaling="centred"),
    "scaling unit": FirstQuery(scaling="unit"),
    "empirical kernel": FirstQuery(kernel="empirical"),
    "three hidden layers": FirstQuery(kernel="deep"),
    "linear kernel": FirstQuery(kernel="linear"),
    "rbf kernel": FirstQuery(kernel="rbf"),
    "f0 network": FirstQuery(kernel="empirical", initial="network"),
    "f0 network, drawn as torch does": FirstQuery(kernel="empirical", initial="network", parameterisation="standard"),
    "ridge 1e-4": FirstQuery(ridge=1e-4),
    "ridge 1e-1": FirstQuery(ridge=1e-1),
    "ridge 1": FirstQuery(ridge=1.0),
    "paper": FirstQuery(kernel="empirical", initial="network", ridge=1e-4),
    "paper, raw features": FirstQuery(kernel="empirical", initial="network", ridge=1e-4, scaling="none"),
    "squared risk": FirstQuery(risk="squared"),
    "ties by typicality": FirstQuery(ties="typical"),
    "ties by squared risk": FirstQuery(ties="squared"),
    "typical half": FirstQuery(candidates="half"),
    "typical half of each cluster": FirstQuery(candidates="half of each"),
    "typical tenth of each cluster": FirstQuery(candidates="tenth of each"),
    "risk set of 500": FirstQuery(risk_set=500),
}


class MatrixKernel:
    """A kernel that is there as a whole."""

    def __init__(self, matrix: FloatArray) -> None:
        self._matrix = matrix.astype(np.float32)
        self.nbytes = self._matrix.nbytes

    def __call__(self, rows: slice | IndexArray, columns: slice | IndexArray) -> FloatArray:
        """The kernel between two sets of points, as a copy."""
        return np.array(self._matrix[rows][:, columns])

    def diagonal(self) -> FloatArray:
        """k(x, x) of every point."""
        return self._matrix.diagonal().astype(np.float64)


def deep_kernel(x: FloatArray, n_hidden: int) -> FloatArray:
    """The NTK of `n_hidden` wide ReLU layers with biases; with one it is the analytic kernel of the project."""
    covariance = x.astype(np.float64) @ x.T / x.shape[1] + 1
    tangent = covariance
    for _ in range(n_hidden):
        norms = np.sqrt(covariance.diagonal())
        scale = norms[:, None] * norms
        cosine = np.clip(covariance / scale, -1, 1)
        share = (np.pi - np.arccos(cosine)) / np.pi
        covariance = scale * (np.sqrt(1 - cosine**2) / np.pi + share * cosine) + 1
        tangent = tangent * share + covariance
    return tangent


@dataclass(frozen=True, eq=False)
class Found:
    """A query: its picks, the clusters behind it, and for a look-ahead its own estimate of the risk and its ties."""

    picks: IndexArray
    clusters: IndexArray
    own_estimate: float = np.nan
    ties: Sequence[float] = ()


def pseudo_labels(how: FirstQuery, bench: Bench, points: IndexArray, n: int, seed: int) -> IndexArray:
    """Cluster of each point, numbered from 0 without gaps."""
    unit = bench.unit[points]
    if not how.truth:
        clusters = kmeans(unit, how.clusters or n, seed=seed, n_init=how.restarts).labels
    else:
        clusters = bench.y[points] * 2
        for c in np.unique(clusters) if how.truth == "halves" else ():
            members = np.flatnonzero(bench.y[points] * 2 == c)
            clusters[members] += kmeans(unit[members], 2, seed=seed).labels
    return np.unique(clusters, return_inverse=True)[1].astype(np.int64)


def from_clusters(rule: str, bench: Bench, clusters: IndexArray, n: int, rng: np.random.Generator) -> IndexArray:
    """Points by a rule that looks at the clusters alone, in turns over them, largest first."""
    worth = {"any": rng.random(len(clusters)), "central": -to_centre(bench.unit, clusters)}.get(rule)
    free = np.ones(len(clusters), dtype=bool)
    picks = []
    for cluster in visits(clusters, free, 0)[:n]:
        members = np.flatnonzero(free & (clusters == cluster))
        best = typicality(bench.unit[members]) if worth is None else worth[members]
        picks.append(members[best.argmax()])
        free[picks[-1]] = False
    return np.array(picks)


def to_centre(unit: FloatArray, clusters: IndexArray) -> FloatArray:
    """Distance of each point to the mean of its cluster."""
    means = np.stack([unit[clusters == k].mean(axis=0) for k in range(clusters.max() + 1)])
    distances: FloatArray = np.linalg.norm(unit - means[clusters], axis=1)
    return distances


def first_query(how: FirstQuery, bench: Bench, n: int) -> Found:
    """The first query; with the defaults the picks of `ntkcpl_self`."""
    rng = stream(bench.seed, "initial")
    points = np.sort(rng.choice(len(bench.x), min(how.risk_set or len(bench.x), len(bench.x)), replace=False))
    clusters = pseudo_labels(how, bench, points, n, int(rng.integers(2**32)))
    if how.rule != "look_ahead":
        return Found(from_clusters(how.rule, bench, clusters, n, rng), clusters)
    order = np.argsort(clusters, kind="stable")
    rows, targets = points[order], clusters[order]
    n_clusters = int(targets[-1]) + 1
    n_outputs = max(n_clusters, bench.n_classes)
    network = draw_network(bench.x.shape[1], 512, n_outputs, parameterisation=how.parameterisation, bias=True, rng=rng)
    scaled = fit_scaling(bench.x, how.scaling)(bench.x[rows])
    kernel: Any
    if how.kernel in ("analytic", "empirical"):
        kernel = make_kernel(how.kernel, network, scaled)  # type: ignore[arg-type]
    elif how.kernel == "rbf":
        kernel = MatrixKernel(np.exp(-squared_distances(bench.unit[rows], bench.unit[rows])))
    else:
        kernel = MatrixKernel(deep_kernel(scaled, {"linear": 0, "deep": 3}[how.kernel]))
    initial = np.zeros((len(rows), n_clusters))
    if how.initial == "network":
        initial = network.outputs(scaled.astype(np.float64), n_clusters)
    typical = bench.typicality[rows]
    parts = [typical] if how.candidates in ("all", "half") else np.split(typical, np.flatnonzero(np.diff(targets)) + 1)
    least = {"all": 0.0, "half": 0.5, "half of each": 0.5, "tenth of each": 0.9}[how.candidates]
    allowed = np.concatenate([part >= np.quantile(part, least) for part in parts])
    problem = Problem(
        kernel=kernel,
        ridge=absolute_ridge(kernel, how.ridge),
        whitened=np.zeros((0, len(rows)), dtype=np.float32),
        predictions=initial.astype(np.float32),
        targets=targets,
        labels=targets,
        candidates=np.flatnonzero(allowed),
        pool_indices=rows,
    )
    engine = Watched(
        problem,
        how.risk,
        Compute(),
        preference=typical if how.ties == "typical" else None,
        then="squared" if how.ties == "squared" else None,
    )
    picks = np.array([engine.pick().pool_index for _ in range(n)])
    risk = float((engine.predictions.argmax(axis=1) != targets).mean())
    everywhere = clusters
    if len(points) < len(bench.x):
        nearest = squared_distances(bench.unit, bench.unit[points]).argmin(axis=1)
        everywhere = clusters[nearest]
    return Found(picks, everywhere, risk, engine.ties)


def ranks(values: FloatArray) -> FloatArray:
    """Rank of each value among all, from 0 (least) to 1."""
    return (pd.Series(values).rank().to_numpy() - 1) / max(len(values) - 1, 1)


def describe(bench: Bench, found: Found) -> dict[str, Any]:
    """What a query is like, by the true labels."""
    picks, clusters, y = found.picks, found.clusters, bench.y
    table = bench.members(clusters)
    majority = table.argmax(axis=1)
    central = np.empty(len(y))
    distances = to_centre(bench.unit, clusters)
    for k in range(len(table)):
        central[clusters == k] = ranks(-distances[clusters == k])
    return {
        "purity": table.max(axis=1).sum() / len(y),
        "recall": len(np.unique(majority)) / bench.n_classes,
        "classes_hit": len(np.unique(y[picks])),
        "clusters_hit": len(np.unique(clusters[picks])) / len(table),
        "of_majority": float((majority[clusters[picks]] == y[picks]).mean()),
        "density_rank": float(ranks(bench.typicality)[picks].mean()),
        "sparse_tenth": float((ranks(bench.typicality)[picks] < 0.1).mean()),
        "central_rank": float(central[picks].mean()),
        "norm_rank": float(ranks(np.linalg.norm(bench.x, axis=1))[picks].mean()),
        "own_estimate": found.own_estimate,
        "ties_first": found.ties[0] if found.ties else np.nan,
        "ties_median": float(np.median(found.ties)) if found.ties else np.nan,
        "density_ranks": " ".join(f"{rank:.3f}" for rank in ranks(bench.typicality)[picks]),
    }


def chosen(name: str, bench: Bench, n: int) -> IndexArray:
    """The first query of a strategy."""
    return make_strategy(name).select(bench.view(), n, rng=stream(bench.seed, "initial")).indices


def picked(variant: str, bench: Bench, n: int) -> Found:
    """The first query of a variant of NTKCPL, or of another strategy, seen with the clusters of NTKCPL."""
    if variant in VARIANTS:
        return first_query(VARIANTS[variant], bench, n)
    return Found(chosen(variant, bench, n), bench.clusters(n))


def measure_learners(bench: Bench, variant: str, n: int) -> Rows:
    """A row for each classifier that is trained on the same first query."""
    picks = picked(variant, bench, n).picks
    for name in LEARNERS:
        yield {"variant": variant, "n": n, "learner": name, "accuracy": bench.tested(bench.learn(picks, name, 0), name)}


def measure_first(bench: Bench, variant: str, n: int) -> Rows:
    """The row of a first query of `n` points."""
    found = picked(variant, bench, n)
    if variant == "ntkcpl" and bench.seed == 0:
        assert np.array_equal(chosen("ntkcpl_self", bench, n), found.picks)
    classifiers = {
        column: [(bench.learn(found.picks, name, k), name) for k in range(draws)]
        for column, (name, draws) in OF_EACH.items()
    }
    yield {
        "variant": variant,
        "n": n,
        **{column: np.mean([bench.tested(*each) for each in those]) for column, those in classifiers.items()},
        **bench.risks(found.picks, n),
        "true_risk": bench.risk(classifiers["accuracy"][0][0]),
        **describe(bench, found),
    }


def measure_rounds(bench: Bench, name: str, learner_name: str, queries: Sequence[int]) -> Rows:
    """A row for each round of a strategy."""
    strategy = make_strategy(name)
    labelled = np.empty(0, dtype=np.int64)
    learner = None
    for round_, n in enumerate(queries):
        engines: list[Watched] = []

        def watched(problem: Problem, score: Score, compute: Compute, kept: list[Watched] = engines) -> Watched:
            kept.append(Watched(problem, score, compute))
            return kept[-1]

        view = bench.view(
            labelled=labelled,
            labels=bench.y[labelled],
            model=learner,
            queries=tuple(queries[:round_]),
            compute=Compute(engine=watched),
        )
        rng = stream(bench.seed, "selection" if round_ else "initial", round_)
        selection = strategy.select(view, n, rng=rng)
        seen = selection.diagnostics
        if seen is None:
            clusters = kmeans(bench.unit, n * (1 + round_), seed=bench.seed).labels
            found = Found(selection.indices, np.unique(clusters, return_inverse=True)[1])
        else:
            clusters = np.empty(len(bench.x), dtype=np.int64)
            clusters[seen.risk_set] = seen.pseudo_labels
            risk = float((seen.outputs.argmax(axis=1) != seen.pseudo_labels).mean())
            found = Found(selection.indices, clusters, risk, engines[0].ties)
        labelled = np.concatenate([labelled, selection.indices])
        learner = bench.learn(labelled, learner_name, round_)
        yield {
            "variant": name,
            "learner": learner_name,
            "n": len(labelled),
            "accuracy": bench.tested(learner, learner_name),
            "true_risk": bench.risk(learner),
            "classes_so_far": len(np.unique(bench.y[labelled])),
            **describe(bench, found),
        }


AT_TEN = (
    *("ntkcpl", "true classes", "any member", "most typical member", "most central member", "10 restarts"),
    *("20 clusters", "scaling unit", "rbf kernel", "three hidden layers", "f0 network", "paper", "squared risk"),
    *("ties by typicality", "typical half of each cluster", "typical tenth of each cluster", *BESIDE),
)
"""What is measured with ten labels as well."""
FEW = ("ntkcpl", "paper", "most central member", "typical tenth of each cluster", *BESIDE)
"""What is measured with all classifiers, and on better features."""


def jobs(
    part: str, bench: Bench, queries: Sequence[int]
) -> Iterator[tuple[str, Callable[[], Iterator[dict[str, Any]]]]]:
    """Key and measurement of each piece of a part."""
    if part == "rounds":
        for name, learner in product(("ntkcpl_self", *BESIDE), (DEFAULT, GENTLE)):
            yield f"{name}, {learner}", partial(measure_rounds, bench, name, learner, queries)
        return
    measure = measure_learners if part == "learners" else measure_first
    for n in (20,) if part == "strength" else (20, 10):
        for name in [*VARIANTS, *BESIDE]:
            if (part == "first" and (n == 20 or name in AT_TEN)) or (part != "first" and name in FEW):
                yield f"{name}, {n}", partial(measure, bench, name, n)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not there yet, or draw what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", help="built-in data sets or .npz feature files")
    parser.add_argument("--out", type=Path, default=Path("runs/understand"))
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=parse_seeds, default="10")
    parser.add_argument("--schedule", type=Schedule.parse, default="20x4", help="of the rounds")
    parser.add_argument("--pool", type=int, default=2_000, help="points of a pool, at most")
    parser.add_argument("--half", choices=["tune", "confirm"], default="tune", help="of the test data")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for source in options.data:
        data = load_dataset(str(cut(Path(source), options.out)) if source.endswith(".npz") else source)
        for part, seed in product(options.parts, options.seeds):
            path = options.out / f"{part}.csv"
            done = set(pd.read_csv(path)["key"]) if path.exists() else set()
            for pull in PULLS if part == "strength" else (0.0,):
                bench = Bench.of(data, seed, options.pool, options.half, pull)
                for name, measure in jobs(part, bench, options.schedule.queries):
                    key = f"{data.name}, {pull}, {seed}, {name}"
                    if key not in done:
                        with one_thread():
                            rows = [
                                {"key": key, "data": data.name, "pull": pull, "seed": seed} | row for row in measure()
                            ]
                        pd.DataFrame(rows).to_csv(path, mode="a", header=not path.exists(), index=False)


if __name__ == "__main__":
    main()
