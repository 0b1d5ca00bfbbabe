"""The conformance suite of learners: inherit `LearnerContract`, give it one fixture, run pytest.

    class TestMine(LearnerContract):
        @pytest.fixture
        def learner(self):
            return Mine()

Needs pytest, which nothing else of a study imports.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import numpy as np

from harness.exceptions import SpecError
from harness.learner import Classifier, Inputs, one_thread, train
from harness.learners.base import Learner
from harness.learners.registry import has_gradient, make_learner
from harness.spec import AnyLearner, LearnerSpec, NamedLearner
from harness.streams import stream
from strategies.base import FloatArray, IndexArray
from strategies.exceptions import InvalidQuestionError
from strategies.functional.tiles import map_each
from strategies.registry import parameter_names, resolved_parameters
from strategies.testing import (
    N_CLASSES,
    N_POOL,
    address,
    documented,
    global_random_state,
    globally_seeded,
    make_pool,
    other_process,
    same,
)

import pytest  # isort: skip  after a message that says how to install it

__all__ = ["LearnerContract"]

FEATURES, TRUTH = make_pool()
LABELLED = np.random.default_rng(0).permutation(N_POOL)[:24]
OTHERS = make_pool(1)[0]


def spec_of(learner: Learner | LearnerSpec) -> AnyLearner:
    """What a trajectory keeps of a learner."""
    if isinstance(learner, LearnerSpec):
        return learner
    return NamedLearner(name=address(learner), version=learner.version, params=resolved_parameters(learner))


def fitted(
    learner: Learner | LearnerSpec,
    labelled: Sequence[int] | IndexArray = LABELLED,
    labels: IndexArray | None = None,
    *,
    features: FloatArray = FEATURES,
    n_classes: int = N_CLASSES,
    seed: int = 0,
) -> Classifier:
    """A classifier as the harness makes one; labels are the true ones unless they are given."""
    rows = np.asarray(labelled, dtype=np.int64)
    known = TRUTH[rows] if labels is None else np.asarray(labels, dtype=np.int64)
    spec = spec_of(learner)
    with one_thread():
        return train(Inputs.of(features, spec.scaling, "cpu"), rows, known, n_classes, spec, partial(stream, seed))


def answers(learner: Learner | LearnerSpec, **changes: Any) -> FloatArray:
    """Probabilities of the pool, checked to be some."""
    with one_thread():
        found = fitted(learner, **changes).probabilities
    assert found.dtype == np.float32, f"Expected probabilities in float32, but got {found.dtype}."
    assert np.isfinite(found).all(), "Expected finite probabilities."
    assert (found >= 0).all(), "Expected probabilities of at least 0."
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-4, err_msg="Expected rows that add up to 1.")
    return found


class LearnerContract:
    """What every learner must keep to, each test with the reason; override the `learner` fixture.

    The fixture may be parametrised, so that one class runs on several settings of a learner.
    """

    @pytest.fixture
    def learner(self) -> Learner | LearnerSpec:
        """The learner under test."""
        pytest.fail("Expected a `learner` fixture that returns a learner, but the class overrides none.")

    # What is learned.

    def test_labels_are_learned(self, learner: Learner | LearnerSpec) -> None:
        """Three clouds that overlap a little, eight labels each: most points can be told."""
        accuracy = (answers(learner).argmax(axis=1) == TRUTH).mean()
        assert accuracy > 0.6, f"Expected more than 60 % right on three clouds, but got {accuracy:.0%}."

    def test_predictions_are_the_likeliest_classes(self, learner: Learner | LearnerSpec) -> None:
        """Accuracy counts the same classes that strategies see."""
        classifier = fitted(learner)
        inputs = Inputs.of(FEATURES, spec_of(learner).scaling, "cpu").scaled(OTHERS)
        likeliest = classifier.probabilities[:9].argmax(axis=1)
        same(classifier.predict_pool(np.arange(9)), likeliest, "the likeliest classes")
        same(classifier.predict(inputs), classifier.predict_proba(OTHERS).argmax(axis=1), "the likeliest classes")

    def test_rows_do_not_depend_on_one_another(self, learner: Learner | LearnerSpec) -> None:
        """The pool is asked about as a whole and in parts, and the answers must be about the points."""
        classifier = fitted(learner)
        for rows in (slice(None), slice(7, 9), slice(0, 0)):
            found = classifier.predict_proba(FEATURES[rows])
            np.testing.assert_allclose(found, classifier.probabilities[rows], atol=1e-4)

    def test_embedding_is_of_the_pool(self, learner: Learner | LearnerSpec) -> None:
        """Strategies measure distances in it, between all points of the pool, and may want one that is learnt."""
        classifier = fitted(learner)
        embedding = classifier.embedding
        assert embedding.dtype == np.float32
        assert embedding.ndim == 2
        assert len(embedding) == N_POOL
        assert np.isfinite(embedding).all()
        fewer = classifier.refit(np.arange(12))
        assert np.array_equal(fewer.embedding, embedding) != classifier.learns_embedding
        assert fewer.learns_embedding == classifier.learns_embedding

    def test_gradient_is_the_slope_of_the_cross_entropy(self, learner: Learner | LearnerSpec) -> None:
        """Strategies follow it; a learner without one says so instead of giving zeros."""
        classifier, rows, step = fitted(learner), np.arange(N_POOL), np.float32(2.0**-7)
        classes = classifier.probabilities.argmax(axis=1)
        if not has_gradient(spec_of(learner)):
            with pytest.raises(InvalidQuestionError, match="gradient"):
                classifier.gradient(FEATURES, classes)
            return
        found, slopes = classifier.gradient(FEATURES, classes), np.empty_like(FEATURES)
        for column in range(FEATURES.shape[1]):
            change = np.where(np.arange(FEATURES.shape[1]) == column, step, np.float32(0))
            there, here = (
                -np.log(np.maximum(classifier.predict_proba(x)[rows, classes].astype(np.float64), 1e-30))
                for x in (FEATURES + change, FEATURES - change)
            )
            slopes[:, column] = (there - here) / (2 * step)
        is_close = np.isclose(found, slopes, rtol=0, atol=0.03 * np.abs(found).max())
        assert is_close.mean() > 0.95, "Expected the slope of the cross entropy by the features."

    # The same answers, whoever asks and whenever.

    def test_same_stream_same_answers(self, learner: Learner | LearnerSpec) -> None:
        """An interrupted trajectory trains its last classifier again and compares it to the last bit."""
        same(answers(learner), answers(learner), "the same probabilities again")

    def test_same_answers_in_another_process(self, learner: Learner | LearnerSpec) -> None:
        """Trajectories move between workers: no hash of a string, no order of a set may reach a classifier."""
        try:
            elsewhere = other_process().submit(answers, learner).result()
        except BrokenProcessPool:
            other_process.cache_clear()
            pytest.fail("Expected probabilities from another process, but it died.")
        same(elsewhere, answers(learner), "the probabilities of this process")

    def test_nothing_is_kept_from_one_call_to_the_next(self, learner: Learner | LearnerSpec) -> None:
        """A worker runs many trajectories, one after the other."""
        first = answers(learner)
        answers(learner, labelled=LABELLED[:5], seed=3)
        same(answers(learner), first, "the same probabilities whatever was trained before")

    def test_global_random_state_is_left_alone(self, learner: Learner | LearnerSpec) -> None:
        """Seeds are paired through the named streams; draws from elsewhere would shift, or follow, other code."""
        before = global_random_state()
        first = answers(learner)
        assert global_random_state() == before, "Expected draws from `rng` alone, but a global random state has moved."
        with globally_seeded(1):
            same(answers(learner), first, "the same probabilities for any global random state")

    def test_arrays_are_unchanged(self, learner: Learner | LearnerSpec) -> None:
        """All trajectories on a machine share one copy of the pool."""
        features, labels = FEATURES.copy(), TRUTH[LABELLED].copy()
        answers(learner, features=features, labels=labels)
        same(features, FEATURES, "features as they were given")
        same(labels, TRUTH[LABELLED], "labels as they were given")

    def test_answers_do_not_depend_on_earlier_questions(self, learner: Learner | LearnerSpec) -> None:
        """A strategy may ask often, and write on what it was given."""
        classifier = fitted(learner)
        first = classifier.predict_proba(OTHERS)
        kept = first.copy()
        first[:] = -1
        same(classifier.predict_proba(OTHERS), kept, "the same probabilities again")

    # Trained again on some of the labels.

    def test_refit_knows_these_labels_alone(self, learner: Learner | LearnerSpec) -> None:
        """What is left out of a refit must not reach it: cross-validation and early snapshots rest on that."""
        changed, kept = TRUTH[LABELLED].copy(), np.arange(12)
        changed[12:] = (changed[12:] + 1) % N_CLASSES
        with one_thread():
            one, other = (fitted(learner, labels=labels).refit(kept).probabilities for labels in (None, changed))
        same(one, other, "the same classifier whatever the labels that are left out")

    def test_refits_do_not_depend_on_one_another(self, learner: Learner | LearnerSpec) -> None:
        """A strategy may ask for several, and another one for the same."""
        with one_thread():
            first, again = fitted(learner), fitted(learner)
            few, many = (first.refit(np.arange(n)).probabilities for n in (9, 15))
            same(again.refit(np.arange(15)).probabilities, many, "the same refit in another order")
            same(again.refit(np.arange(20)).refit(np.arange(9)).probabilities, few, "the same refit of a refit")

    def test_refits_at_once(self, learner: Learner | LearnerSpec) -> None:
        """A strategy with several threads may ask for several at the same time."""
        parts = [np.arange(start, 12 + start) for start in range(4)]
        with one_thread():
            one_by_one = [fitted(learner).refit(part).probabilities for part in parts]
            at_once = map_each(fitted(learner).refit, parts, n_threads=4)
            for alone, together in zip(one_by_one, at_once, strict=True):
                same(together.probabilities, alone, "the same refit in a thread")

    # Labels that are not nice.

    @pytest.mark.parametrize("n_labels", [1, 2, 3, 5, N_POOL])
    def test_any_number_of_labels(self, learner: Learner | LearnerSpec, n_labels: int) -> None:
        """A schedule may begin with one label and end with the pool."""
        answers(learner, labelled=np.arange(n_labels))

    def test_one_class_is_learned(self, learner: Learner | LearnerSpec) -> None:
        """The first labels may all be of one class."""
        found = answers(learner, labels=np.full(len(LABELLED), 2))
        same(found[LABELLED].argmax(axis=1), np.full(len(LABELLED), 2), "the only class there is")

    def test_one_label_a_class(self, learner: Learner | LearnerSpec) -> None:
        """Nothing can be held out to choose a setting with."""
        rows = np.array([np.flatnonzero(label == TRUTH)[0] for label in range(N_CLASSES)])
        answers(learner, labelled=rows)

    def test_a_class_without_labels(self, learner: Learner | LearnerSpec) -> None:
        """It takes rounds until all classes have been seen; classes that no point has are there from the start."""
        found = answers(learner, n_classes=N_CLASSES + 4)
        assert found.shape == (N_POOL, N_CLASSES + 4)
        assert found[:, N_CLASSES:].max() < 0.5, "Expected little belief in classes without a label."

    def test_contradictions(self, learner: Learner | LearnerSpec) -> None:
        """Pools hold duplicates, and people do not always agree on them."""
        rows = np.arange(N_POOL) % 2
        answers(learner, features=FEATURES[rows], labels=np.arange(len(LABELLED)) % N_CLASSES)

    def test_constant_features(self, learner: Learner | LearnerSpec) -> None:
        """Encoders have dead columns: variances and norms may be 0."""
        answers(learner, features=np.zeros_like(FEATURES))
        answers(learner, features=np.where(np.arange(FEATURES.shape[1]) == 0, FEATURES, np.float32(3)))

    @pytest.mark.parametrize("scale", [1e-3, 1e3])
    def test_features_of_any_unit(self, learner: Learner | LearnerSpec, scale: float) -> None:
        """Features come as the encoder left them."""
        answers(learner, features=FEATURES * np.float32(scale))

    # What a learner says about itself.

    def test_says_what_it_is(self, learner: Learner | LearnerSpec) -> None:
        """The store knows a learner by name, version and hyperparameters."""
        if isinstance(learner, LearnerSpec):
            return
        name, version, source = (getattr(type(learner), key, None) for key in ("name", "version", "source"))
        assert re.fullmatch(r"[\w-]+", str(name)), f"Expected a `name` of letters, digits, _ and -, but got {name!r}."
        assert type(version) is int, f"Expected `version` to be an integer, but got {version!r}."
        assert version >= 1, f"Expected `version` to be at least 1, but got {version}."
        assert isinstance(source, str), f"Expected `source` to be text, but got {source!r}."
        assert source.strip(), "Expected `source` to name a publication, but it is empty."
        missing = set(parameter_names(type(learner))) - documented(type(learner), Learner) - {"scaling"}
        assert not missing, f"Expected a line of documentation for each hyperparameter, but not for {sorted(missing)}."

    def test_is_its_hyperparameters(self, learner: Learner | LearnerSpec) -> None:
        """A trajectory's identity holds them, so they cannot change on the way, and a worker gets them as JSON."""
        assert pickle.loads(pickle.dumps(learner)) == learner  # noqa: S301
        if isinstance(learner, LearnerSpec):
            return
        with pytest.raises(FrozenInstanceError):
            learner.anything = 1  # type: ignore[attr-defined]
        parameters = json.loads(json.dumps(resolved_parameters(learner), allow_nan=False))
        assert make_learner(address(learner), parameters) == learner, (
            f"Expected the same learner from {parameters}, but got another: is every setting a field?"
        )
        for name in parameters:
            with pytest.raises(SpecError, match="Expected a valid"):
                make_learner(address(learner), {**parameters, name: object()})
