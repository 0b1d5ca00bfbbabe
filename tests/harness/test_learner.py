import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from harness.exceptions import SpecError
from harness.learner import Inputs, _initialise, one_thread, train
from harness.spec import LearnerSpec
from harness.streams import stream
from strategies.exceptions import InvalidQuestionError
from strategies.functional.scaling import fit_scaling


def fit(pool, labelled, spec=None, *, labels=None, seed=0):
    spec = spec or LearnerSpec(hidden=16, epochs=3)
    labelled = np.asarray(labelled, dtype=np.int64)
    labels = pool.y_train[labelled] if labels is None else np.asarray(labels, dtype=np.int64)
    inputs = Inputs.of(pool.x_train, spec.scaling, "cpu")
    return train(inputs, labelled, labels, pool.n_classes, spec, partial(stream, seed))


def inputs_of_test(pool):
    return Inputs.of(pool.x_train, LearnerSpec().scaling, "cpu").scaled(pool.x_test)


class Reference(nn.Module):
    """The recipe written out: modules by name, the update rule by hand."""

    def __init__(self, initial: nn.Sequential) -> None:
        super().__init__()
        self.first, self.last = initial[0], initial[3]
        self.norm = nn.BatchNorm1d(self.first.out_features)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x))))

    def fit(self, x, y, spec, generator, batches):
        velocity = {name: torch.zeros_like(weight) for name, weight in self.named_parameters()}
        total, step = spec.epochs * len(batches), 0
        for _ in range(spec.epochs):
            order = torch.randperm(len(x), generator=generator)
            for first, last in batches:
                rows = order[first:last]
                self.zero_grad()
                log_odds = self(x[rows]).log_softmax(dim=1)
                (-log_odds[torch.arange(len(rows)), y[rows]].mean()).backward()
                rate = spec.lr * math.cos(7 * math.pi / 16 * step / total)
                with torch.no_grad():
                    for name, weight in self.named_parameters():
                        gradient = weight.grad + spec.weight_decay * weight
                        velocity[name] = spec.momentum * velocity[name] + gradient
                        weight -= rate * (gradient + spec.momentum * velocity[name])
                step += 1
        return self.eval()


@pytest.mark.parametrize(
    ("n_labels", "batches"),
    [(24, [(0, 8), (8, 16), (16, 24)]), (17, [(0, 8), (8, 17)]), (18, [(0, 8), (8, 16), (16, 18)])],
)
def test_agrees_with_a_plain_training_loop(pool, n_labels, batches):
    spec = LearnerSpec(hidden=16, epochs=4, batch_size=8, lr=0.1, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(int(stream(0, "training").integers(2**63)))
    reference = Reference(_initialise(pool.x_train.shape[1], pool.n_classes, spec, generator))
    x = torch.tensor(fit_scaling(pool.x_train, "rms")(pool.x_train))
    reference.fit(x[:n_labels], torch.tensor(pool.y_train[:n_labels]), spec, generator, batches)
    learner = fit(pool, range(n_labels), spec)
    with torch.no_grad():
        logits = reference(x)
        embedding = torch.relu(reference.norm(reference.first(x)))
        test = reference(torch.tensor(fit_scaling(pool.x_train, "rms")(pool.x_test)))
    np.testing.assert_allclose(learner.probabilities, logits.softmax(dim=1).numpy(), atol=1e-4)
    np.testing.assert_allclose(learner.embedding, embedding.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(learner.predict_pool(np.arange(9)), logits[:9].argmax(dim=1).numpy())
    np.testing.assert_array_equal(learner.predict(inputs_of_test(pool)), test.argmax(dim=1).numpy())


def test_initial_weights_are_those_of_torch_linear_layers():
    network = _initialise(100, 10, LearnerSpec(hidden=400), torch.Generator().manual_seed(0))
    for layer in (network[0], network[3]):
        bound = 1 / math.sqrt(layer.in_features)
        for values in (layer.weight, layer.bias):
            assert values.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    ("n_labels", "batch_size"),
    [(1, 128), (2, 128), (1, 2), (2, 2), (3, 2), (5, 2), (118, 117), (120, 128)],
)
def test_any_number_of_labels_trains(pool, n_labels, batch_size):
    learner = fit(pool, range(n_labels), LearnerSpec(hidden=16, epochs=3, batch_size=batch_size))
    np.testing.assert_allclose(learner.probabilities.sum(axis=1), 1, atol=1e-6)
    assert learner.probabilities.shape == (len(pool.x_train), pool.n_classes)
    assert learner.embedding.shape == (len(pool.x_train), 16)
    assert (learner.embedding >= 0).all()
    assert set(learner.predict(inputs_of_test(pool))) <= set(range(pool.n_classes))


def test_a_last_batch_of_one_joins_the_one_before(pool, monkeypatch):
    sizes = []
    forward = nn.BatchNorm1d.forward

    def spy(self, x):
        if self.training:
            sizes.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(nn.BatchNorm1d, "forward", spy)
    fit(pool, np.arange(129) % 120, LearnerSpec(hidden=16, epochs=1))
    fit(pool, range(5), LearnerSpec(hidden=16, epochs=1, batch_size=2))
    assert sizes == [129, 2, 3]


def test_one_class_is_learned(pool):
    labelled = np.flatnonzero(pool.y_train == 2)
    assert (fit(pool, labelled).predict_pool(labelled) == 2).all()


def test_labels_are_learned(pool):
    learner = fit(pool, range(120), LearnerSpec(hidden=64, epochs=50))
    assert (learner.predict(inputs_of_test(pool)) == pool.y_test).mean() > 0.7


def test_every_call_starts_from_new_weights(pool):
    first = fit(pool, range(20))
    fit(pool, range(60), seed=3)
    np.testing.assert_array_equal(fit(pool, range(20)).probabilities, first.probabilities)
    assert (fit(pool, range(20), seed=1).probabilities != first.probabilities).any()


@pytest.mark.parametrize("lr", [1e20, 1e38])
def test_weights_that_diverge_are_refused(pool, lr):
    with pytest.raises(SpecError, match=r"lower learner\.lr") as caught:
        fit(pool, range(20), LearnerSpec(hidden=16, epochs=3, lr=lr))
    assert len(str(caught.value).splitlines()) == 1


def test_torchs_default_dtype_does_not_reach_the_network(pool):
    expected = fit(pool, range(9))
    torch.set_default_dtype(torch.float64)
    try:
        found = fit(pool, range(9))
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    finally:
        torch.set_default_dtype(torch.float32)


def test_thread_settings_are_put_back():
    def settings():
        return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()

    def fail():
        with one_thread():
            raise RuntimeError(settings())

    before = settings()
    with pytest.raises(RuntimeError) as caught:
        fail()
    assert caught.value.args == ((1, True),)
    assert settings() == before


@pytest.mark.parametrize("unit", [2.0**66, 2.0**-76, 2.0**120, 2.0**-100])
@pytest.mark.parametrize("scaling", ["rms", "centred", "unit"])
def test_the_unit_of_the_features_changes_no_bit(pool, scaling, unit):
    expected, found = (Inputs.of(pool.x_train * unit, scaling, "cpu") for unit in (np.float32(1), np.float32(unit)))
    assert torch.equal(found.pool, expected.pool)
    assert torch.equal(found.scaled(pool.x_test * np.float32(unit)), expected.scaled(pool.x_test))


class TestPredictProba:
    def test_is_the_function_behind_the_pools_probabilities(self, pool):
        learner = fit(pool, range(40))
        np.testing.assert_allclose(learner.predict_proba(pool.x_train), learner.probabilities, atol=1e-6)
        np.testing.assert_allclose(learner.predict_proba(pool.x_train[7:9]), learner.probabilities[7:9], atol=1e-6)

    def test_of_other_features_agrees_with_predict(self, pool):
        learner = fit(pool, range(40))
        found = learner.predict_proba(pool.x_test)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_array_equal(found.argmax(axis=1), learner.predict(inputs_of_test(pool)))

    def test_answers_do_not_depend_on_earlier_questions(self, pool):
        learner = fit(pool, range(40))
        before = learner.predict_proba(pool.x_test)
        before[:] = -1
        learner.predict_proba(pool.x_train[:5])
        assert learner.predict_proba(pool.x_test).min() >= 0
        assert learner.probabilities.min() >= 0

    def test_no_rows(self, pool):
        assert fit(pool, range(40)).predict_proba(pool.x_test[:0]).shape == (0, pool.n_classes)

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            (lambda x: x[0], "to predict, but got shape (6,)"),
            (lambda x: x[:, :3], "shape n x 6 to predict, but got shape (60, 3)"),
            (lambda x: np.where(np.arange(len(x))[:, None] == 4, np.nan, x), "row 4 has NaN"),
        ],
    )
    def test_other_features_are_refused(self, pool, change, found):
        with pytest.raises(InvalidQuestionError, match=re.escape(found)):
            fit(pool, range(40)).predict_proba(change(pool.x_test))


class TestGradient:
    @pytest.mark.parametrize("scaling", ["rms", "centred", "unit", "none"])
    def test_is_the_slope_of_the_cross_entropy(self, pool, scaling):
        learner = fit(pool, range(40), spec=LearnerSpec(hidden=16, epochs=5, lr=0.05, scaling=scaling))
        points, classes = pool.x_test[:20], pool.y_test[:20]
        rows, step = np.arange(len(points)), 2.0**-7

        def losses(features):
            return -np.log(learner.predict_proba(features)[rows, classes].astype(np.float64))

        found = learner.gradient(points, classes)
        assert found.dtype == np.float32
        slopes = np.empty_like(found)
        for column in range(points.shape[1]):
            change = np.where(np.arange(points.shape[1]) == column, np.float32(step), np.float32(0))
            slopes[:, column] = (losses(points + change) - losses(points - change)) / (2 * step)
        is_close = np.isclose(found, slopes, rtol=0, atol=0.02 * np.abs(found).max())
        assert is_close.mean() > 0.95  # a step may cross a kink of the ReLU

    def test_of_a_row_without_a_norm_is_finite(self, pool):
        learner = fit(pool, range(40), spec=LearnerSpec(hidden=16, epochs=5, scaling="unit"))
        assert np.isfinite(learner.gradient(np.zeros_like(pool.x_test[:1]), pool.y_test[:1])).all()

    def test_leaves_the_classifier_as_it_was(self, pool):
        learner = fit(pool, range(40))
        before = learner.predict_proba(pool.x_test)
        learner.gradient(pool.x_test, pool.y_test)
        np.testing.assert_array_equal(learner.predict_proba(pool.x_test), before)
        assert learner.gradient(pool.x_test[:0], pool.y_test[:0]).shape == (0, pool.x_test.shape[1])

    @pytest.mark.parametrize(
        ("classes", "found"),
        [
            (lambda y: y[:5], "Expected 60 classes, one a row, but got int64 of shape (5,)."),
            (lambda y: y.astype(float), "Expected 60 classes, one a row, but got float64 of shape (60,)."),
            (lambda y: y + 9, "Expected classes from 0 to"),
        ],
    )
    def test_other_classes_are_refused(self, pool, classes, found):
        with pytest.raises(InvalidQuestionError, match=re.escape(found)):
            fit(pool, range(40)).gradient(pool.x_test, classes(pool.y_test))


class TestRefit:
    def test_is_a_classifier_trained_on_these_labels_alone(self, pool):
        labelled = np.arange(60)
        known, unknown = pool.y_train[labelled], pool.y_train[labelled].copy()
        unknown[30:] = (unknown[30:] + 1) % pool.n_classes
        kept = np.arange(30)
        one, other = (fit(pool, labelled, labels=labels).refit(kept) for labels in (known, unknown))
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert (one.probabilities != fit(pool, kept).probabilities).any()  # a stream of its own

    def test_depends_neither_on_other_calls_nor_on_their_order(self, pool):
        learner, again = fit(pool, range(60)), fit(pool, range(60))
        first, second = (learner.refit(np.arange(n)).probabilities for n in (20, 40))
        np.testing.assert_array_equal(again.refit(np.arange(40)).probabilities, second)
        np.testing.assert_array_equal(again.refit(np.arange(20)).probabilities, first)
        np.testing.assert_array_equal(again.refit(np.arange(50)).refit(np.arange(20)).probabilities, first)

    def test_costs_nothing_and_changes_nothing_where_nobody_asks(self, pool):
        drawn = []

        def draw(purpose):
            drawn.append(purpose)
            return stream(0, purpose)

        labelled = np.arange(40)
        inputs = Inputs.of(pool.x_train, "rms", "cpu")
        spec = LearnerSpec(hidden=16, epochs=3)
        learner = train(inputs, labelled, pool.y_train[labelled], pool.n_classes, spec, draw)
        before = learner.probabilities.copy()
        assert drawn == ["training"]
        learner.refit(labelled[:9])
        assert drawn == ["training", "refit"]
        np.testing.assert_array_equal(learner.probabilities, before)

    @pytest.mark.parametrize(
        ("positions", "found"),
        [
            ([], "one or more positions"),
            ([0.5], "one or more positions"),
            ([[1, 2]], "one or more positions"),
            ([0, 40], "from 0 to 39"),
            ([-1], "from 0 to 39"),
            ([3, 3], "distinct positions"),
        ],
    )
    def test_other_positions_are_refused(self, pool, positions, found):
        with pytest.raises(InvalidQuestionError, match=found):
            fit(pool, range(40)).refit(np.array(positions))
