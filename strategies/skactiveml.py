"""Pool strategies of scikit-activeml, named `skactiveml:NAME`; needs the extra `skactiveml`.

Hyperparameters have the names and defaults that they have there; those that are added here say so. What the harness
knows and the library would guess is handed over: the number of classes, one seed for all that is random, the
classifier of the last round, which is asked and never trained.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from strategies.base import FloatArray, IndexArray, Model, PoolView, Selection, Strategy, fill_up
from strategies.exceptions import UnknownStrategyError, did_you_mean
from strategies.functional.distances import normalise_rows

try:
    RELEASE = version("scikit-activeml")
except PackageNotFoundError as error:
    raise UnknownStrategyError(
        "Expected scikit-activeml for strategies called `skactiveml:NAME`, but it is not installed: "
        "pip install 'ntkcpl[skactiveml]'."
    ) from error

ADAPTER = 1
"""Raised when this file changes the picks."""
FIXED_SEED = 0
"""Seed of what has to be the same in all rounds."""


def algorithm_version(release: str) -> int:
    """The adapter's number and a release of scikit-activeml in one: 1 and 1.0.1 are 1 01 00 01."""
    major, minor, patch = ([int(part) for part in re.findall(r"\d+", release)] + [0, 0, 0])[:3]
    return ((ADAPTER * 100 + major) * 100 + minor) * 100 + patch


class Adapted(Strategy):
    """A strategy that asks the class of the same name in `skactiveml.pool`.

    Where it returns a point twice, the first time counts, and what is missing is drawn at random (`n_random` in the
    stats). When all that is left is bought, it is not asked.
    """

    version: ClassVar[int] = algorithm_version(RELEASE)

    def __init_subclass__(cls) -> None:
        """Name the class; the name has no colon, at which a command line splits."""
        super().__init_subclass__()
        cls.name = f"skactiveml_{cls.__name__}"

    def _select(self, view: PoolView, n: int, *, rng: np.random.Generator) -> Selection:
        if n == len(view.unlabelled):
            return Selection(view.unlabelled)
        found = np.asarray(self._ask(view, n, rng))
        return fill_up(view, np.asarray(list(dict.fromkeys(found.tolist())), dtype=np.int64), n, rng)

    def _ask(self, view: PoolView, n: int, rng: np.random.Generator) -> Any:
        from skactiveml import pool

        seed = int(rng.integers(2**31))
        labels = np.full(len(view.features), np.nan)
        labels[view.labelled] = view.labels
        question = self._question(view, rng)
        with _contained(seed):
            asked = getattr(pool, type(self).__name__)(**self._arguments(view), random_state=seed)
            return asked.query(self._features(view), labels, batch_size=n, **question)

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {}

    def _features(self, view: PoolView) -> FloatArray:
        return view.features

    def _question(self, view: PoolView, rng: np.random.Generator) -> dict[str, Any]:
        """Arguments of `query` beyond features, labels and the size of the batch."""
        return {}


@contextmanager
def _contained(seed: int) -> Iterator[None]:
    """Neither warnings nor draws reach the outside; what draws from NumPy's global state is seeded, too."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


@dataclass(frozen=True)
class OnFeatures(Adapted):
    """A strategy that measures distances between features and needs no classifier."""

    chooses_first_round: ClassVar[bool] = True

    normalise: bool = False
    """Hand over features of Euclidean norm 1; added here."""

    def _features(self, view: PoolView) -> FloatArray:
        return normalise_rows(view.features) if self.normalise else view.features


class OnClassifier(Adapted):
    """A strategy that asks the classifier of the last round."""

    def _question(self, view: PoolView, rng: np.random.Generator) -> dict[str, Any]:
        assert view.model is not None
        return {"clf": as_classifier(view.model, view), "fit_clf": False}


@dataclass(frozen=True)
class OnEmbedding(OnClassifier):
    """A strategy that measures distances in the features or in the classifier."""

    embedding: bool = False
    """Measure distances between penultimate activations, not between features; added here."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"clf_embedding_flag_name": "with_embedding" if self.embedding else None}


@dataclass(frozen=True)
class OnCommittee(Adapted):
    """A strategy that asks several classifiers: bagging, each trained on the labels that a bootstrap sample draws."""

    members: Annotated[int, Field(ge=2, le=100)] = 5
    """Classifiers, each of which costs a training; added here."""

    def _question(self, view: PoolView, rng: np.random.Generator) -> dict[str, Any]:
        assert view.model is not None
        n_labels = len(view.labelled)
        samples = [np.unique(rng.integers(n_labels, size=n_labels)) for _ in range(self.members)]
        members = [as_classifier(view.model.refit(positions), view) for positions in samples]
        return {"ensemble": members, "fit_ensemble": False}


@dataclass(frozen=True)
class RandomSampling(Adapted):
    """Uniformly random points, of another random stream than `random`."""

    source: ClassVar[str] = "uniform sampling"
    chooses_first_round: ClassVar[bool] = True


@dataclass(frozen=True)
class CoreSet(OnFeatures):
    """Greedy k-centre, from a random point where there are no labels."""

    source: ClassVar[str] = "Sener and Savarese 2018, Active Learning for Convolutional Neural Networks, ICLR"

    metric: Literal["euclidean", "cosine", "manhattan"] = "euclidean"
    """Distance between features."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"metric": self.metric}


@dataclass(frozen=True)
class GreedySamplingX(OnFeatures):
    """Greedy k-centre, from the most central point where there are no labels; memory is O(N^2)."""

    source: ClassVar[str] = "Wu, Lin and Huang 2019, Active Learning for Regression Using Greedy Sampling, Inf. Sci."


@dataclass(frozen=True)
class TypiClust(OnFeatures):
    """The most typical point of each of the largest K-means clusters without a label."""

    source: ClassVar[str] = "Hacohen, Dekel and Weinshall 2022, Active Learning on a Budget, ICML"

    k: Annotated[int, Field(ge=1)] = 5
    """Nearest neighbours in the typicality; the paper has 20."""

    def _ask(self, view: PoolView, n: int, rng: np.random.Generator) -> Any:
        try:
            return super()._ask(view, n, rng)
        except UnboundLocalError:  # Every cluster has a label, as on pools of copies: it means to draw, and fails.
            return []

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"k": self.k}


@dataclass(frozen=True)
class ProbCover(OnFeatures):
    """The points whose balls cover most of what is not covered; one radius in all rounds. Memory is O(N^2)."""

    source: ClassVar[str] = "Yehuda et al. 2022, Active Learning Through a Covering Lens, NeurIPS"

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Purity that the largest of the radii 0.2, 0.4, ... 2.0 must have; meant for features of norm 1."""
    delta: Annotated[float, Field(gt=0)] | None = None
    """Radius, in place of that search: `deltas` with one entry."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "deltas": None if self.delta is None else [self.delta],
            "n_classes": max(2, min(view.n_classes, len(view.features))),
            "cluster_algo_dict": {"random_state": FIXED_SEED},
        }


@dataclass(frozen=True)
class MaxHerding(Adapted):
    """Greedy maximum of the mean similarity of the unlabelled points to their nearest label; memory is O(N^2)."""

    source: ClassVar[str] = "Bae et al. 2024, Generalized Coverage for More Robust Low-Budget Active Learning, ECCV"
    chooses_first_round: ClassVar[bool] = True

    normalize_samples: bool = True
    """Bring features to norm 1."""
    gamma: Annotated[float, Field(gt=0)] | None = None
    """Width of the kernel exp(-gamma d^2): `metric_dict` with this entry. None is 1 / dim; the paper has 1."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {
            "normalize_samples": self.normalize_samples,
            "metric_dict": None if self.gamma is None else {"gamma": self.gamma},
        }


@dataclass(frozen=True)
class CostEmbeddingAL(OnFeatures):
    """Support vector regressions into an embedding of the classes; the points far from all classes."""

    source: ClassVar[str] = (
        "Huang and Lin 2016, Uncertainty Sampling for Cost-Sensitive Multiclass Active Learning, ICDM"
    )
    chooses_first_round: ClassVar[bool] = False

    embed_dim: Annotated[int, Field(ge=1)] | None = None
    """Dimensions of the embedding; None is the number of classes."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"classes": list(range(view.n_classes)), "embed_dim": self.embed_dim}


@dataclass(frozen=True)
class UncertaintySampling(OnClassifier):
    """The points that the classifier is least sure of."""

    source: ClassVar[str] = "Settles 2009, Active Learning Literature Survey, University of Wisconsin-Madison"

    method: Literal["least_confident", "margin_sampling", "entropy", "expected_average_precision"] = "least_confident"
    """Measure of uncertainty."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"method": self.method}


@dataclass(frozen=True)
class Falcun(OnClassifier):
    """Random points by margin and by distance between predictions."""

    source: ClassVar[str] = "Gilhuber et al. 2024, FALCUN, ECML PKDD"

    gamma: Annotated[float, Field(ge=0, le=1000)] = 10.0
    """Power of a point's relevance in its probability; 0 is random."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"gamma": self.gamma}


@dataclass(frozen=True)
class ProbabilisticAL(OnClassifier):
    """Expected gain by the classifier and a density of the labels (`rbf`); memory is O(N C^(m_max + 2))."""

    source: ClassVar[str] = "Kottke et al. 2016, Multi-Class Probabilistic Active Learning, ECAI"

    prior: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Labels of each class that count as seen everywhere; with far more of them, all gains are rounding."""
    m_max: Annotated[int, Field(ge=1, le=3)] = 1
    """Most labels that are looked ahead."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"prior": self.prior, "m_max": self.m_max, "metric": "rbf"}


@dataclass(frozen=True)
class Badge(OnEmbedding):
    """K-means++ on gradients of the loss; memory is O(N C D). The paper has `embedding=true`."""

    source: ClassVar[str] = (
        "Ash et al. 2020, Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, ICLR"
    )


@dataclass(frozen=True)
class ContrastiveAL(OnEmbedding):
    """The points whose predictions differ most from those of labelled neighbours. The paper has `embedding=true`."""

    source: ClassVar[str] = "Margatina et al. 2021, Active Learning by Acquiring Contrastive Examples, EMNLP"

    n_neighbors: Annotated[int, Field(ge=1)] = 5
    """Labelled neighbours: `nearest_neighbors_dict` with this entry."""
    eps: Annotated[float, Field(gt=0, le=0.1)] = 1e-7
    """Smallest probability in a logarithm."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        nearest = {"nearest_neighbors_dict": {"n_neighbors": self.n_neighbors}, "eps": self.eps}
        return {**super()._arguments(view), **nearest}


@dataclass(frozen=True)
class Clue(OnEmbedding):
    """The points nearest to the centres of K-means with uncertainty as weight. The paper has `embedding=true`."""

    source: ClassVar[str] = (
        "Prabhu et al. 2021, Active Domain Adaptation via Clustering Uncertainty-weighted Embeddings, ICCV"
    )

    method: Literal["least_confident", "margin_sampling", "entropy"] = "entropy"
    """Measure of uncertainty."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        wanted = {"with_embedding": True} if self.embedding else None
        return {"method": self.method, "predict_dict": wanted}

    def _question(self, view: PoolView, rng: np.random.Generator) -> dict[str, Any]:
        return {"estimator": super()._question(view, rng)["clf"], "fit_estimator": False}


@dataclass(frozen=True)
class DropQuery(OnEmbedding):
    """K-means among the points whose predicted class changes in most passes with features set to 0."""

    source: ClassVar[str] = "Gupte et al. 2024, Revisiting Active Learning in the Era of Vision Foundation Models, TMLR"

    dropout_rate: Annotated[float, Field(gt=0, lt=1)] = 0.75
    """Probability that a feature is set to 0."""
    n_dropout_samples: Annotated[int, Field(ge=3, le=100)] = 5
    """Passes; the paper has 3."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {
            **super()._arguments(view),
            "dropout_rate": self.dropout_rate,
            "n_dropout_samples": self.n_dropout_samples,
        }


@dataclass(frozen=True)
class QueryByCommittee(OnCommittee):
    """The points that a committee disagrees on most."""

    source: ClassVar[str] = "Seung, Opper and Sompolinsky 1992, Query by Committee, COLT"

    method: Literal["KL_divergence", "vote_entropy", "variation_ratios"] = "KL_divergence"
    """Measure of disagreement."""
    eps: Annotated[float, Field(gt=0, le=0.1)] = 1e-7
    """Smallest probability in a logarithm."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"method": self.method, "eps": self.eps}


@dataclass(frozen=True)
class GreedyBALD(OnCommittee):
    """The points that tell most about a committee, each by itself."""

    source: ClassVar[str] = "Houlsby et al. 2011, Bayesian Active Learning for Classification and Preference Learning"

    eps: Annotated[float, Field(gt=0, le=0.1)] = 1e-7
    """Smallest probability in a logarithm."""

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"eps": self.eps}


@dataclass(frozen=True)
class BatchBALD(OnCommittee):
    """The points that tell most about a committee, all together."""

    source: ClassVar[str] = "Kirsch, van Amersfoort and Gal 2019, BatchBALD, NeurIPS"

    n_MC_samples: Annotated[int, Field(ge=1)] | None = None
    """Outcomes that joint entropies are estimated from; None is one for each member, the paper has 10,000."""
    eps: Annotated[float, Field(gt=0, le=0.1)] = 1e-7
    """Smallest probability in a logarithm."""

    def __post_init__(self) -> None:
        """Refuse fewer outcomes than members, of which each draws an equal share: none would be drawn."""
        if self.n_MC_samples is not None and self.n_MC_samples < self.members:
            raise ValueError(f"n_MC_samples must be at least members, which is {self.members}")

    def _arguments(self, view: PoolView) -> dict[str, Any]:
        return {"n_MC_samples": self.n_MC_samples, "eps": self.eps}

    def _question(self, view: PoolView, rng: np.random.Generator) -> dict[str, Any]:
        return {**super()._question(view, rng), "return_utilities": True}

    def _ask(self, view: PoolView, n: int, rng: np.random.Generator) -> Any:
        # It breaks ties twice: what it returns is not what it went on from, which the next utilities leave out.
        _, utilities = super()._ask(view, n, rng)
        is_out = np.isnan(utilities)
        picks = [row.argmax() for row in is_out[1:] & ~is_out[:-1] if row.sum() == 1]
        return picks if is_out[-1].all() else [*picks, np.nanargmax(utilities[-1])]


SUPPORTED: dict[str, type[Adapted]] = {
    cls.__name__: cls
    for cls in (
        RandomSampling,
        CoreSet,
        GreedySamplingX,
        TypiClust,
        ProbCover,
        MaxHerding,
        CostEmbeddingAL,
        UncertaintySampling,
        Falcun,
        ProbabilisticAL,
        Badge,
        ContrastiveAL,
        Clue,
        DropQuery,
        QueryByCommittee,
        GreedyBALD,
        BatchBALD,
    )
}

REGRESSION = "it is for regression, and asks a regressor"
RETRAINS = "it trains a classifier anew for every candidate and class"
REFUSED = {
    "EpistemicUncertaintySampling": "it is for two classes and for two kinds of classifier, none of them the learner",
    "ExpectedErrorReduction": "it is the base of MonteCarloEER and ValueOfInformationEER",
    "MonteCarloEER": RETRAINS,
    "ValueOfInformationEER": RETRAINS,
    "Quire": "its time grows with the third power of the pool, and 1,400 points did not end in two minutes",
    "FourDs": "it asks a mixture model, which the learner is not",
    "DiscriminativeAL": "it trains a second kind of classifier, which no study here describes",
    "ExpectedModelChangeMaximization": REGRESSION,
    "ExpectedModelOutputChange": REGRESSION,
    "ExpectedModelVarianceReduction": REGRESSION,
    "KLDivergenceMaximization": REGRESSION,
    "GreedySamplingTarget": REGRESSION,
    "RegressionTreeBasedAL": REGRESSION,
    "SubSamplingWrapper": "it is a wrapper of other strategies",
    "ParallelUtilityEstimationWrapper": "it is a wrapper of other strategies",
}
"""Why a strategy of scikit-activeml cannot be compared."""


def adapted(name: str) -> type[Adapted]:
    """The strategy that asks the class `name` of `skactiveml.pool`.

    Raises:
        UnknownStrategyError: there is none, or it cannot be compared; the message says why.
    """
    if name in SUPPORTED:
        return SUPPORTED[name]
    if name in REFUSED:
        raise UnknownStrategyError(
            f"Expected a strategy of scikit-activeml that can be compared, but `skactiveml:{name}` cannot: "
            f"{REFUSED[name]}."
        )
    raise UnknownStrategyError(
        f"Expected `skactiveml:` before one of {', '.join(SUPPORTED)}, but got `skactiveml:{name}`."
        + did_you_mean(name, SUPPORTED)
    )


def as_classifier(model: Model, view: PoolView) -> Any:
    """A trained classifier as scikit-activeml expects one.

    Rows of the pool are looked up; other rows are predicted.
    """
    from skactiveml.base import SkactivemlClassifier

    classes = np.arange(view.n_classes)
    askable = (view.unlabelled, np.sort(view.labelled))

    def rows_of(features: FloatArray) -> IndexArray | None:
        return next((rows for rows in askable if np.array_equal(features, view.features[rows])), None)

    class Trained(SkactivemlClassifier):  # type: ignore[misc]
        """Its state is that of the function around it, so that copies share it."""

        def fit(self, X: FloatArray, y: FloatArray, sample_weight: FloatArray | None = None) -> Any:
            raise AssertionError("The classifier of a round is trained by the harness.")

        def predict_proba(self, X: FloatArray, with_embedding: bool = False) -> Any:
            rows = rows_of(X)
            found = model.predict_proba(X) if rows is None else model.probabilities[rows]
            exact = found.astype(np.float64)
            exact /= exact.sum(axis=1, keepdims=True)
            return (exact, model.embedding[rows]) if with_embedding else exact

        def predict(self, X: FloatArray, **kwargs: Any) -> Any:
            found = self.predict_proba(X, **kwargs)
            return (found[0].argmax(axis=1), *found[1:]) if isinstance(found, tuple) else found.argmax(axis=1)

    trained = Trained(classes=classes)
    trained.classes_ = classes
    return trained
