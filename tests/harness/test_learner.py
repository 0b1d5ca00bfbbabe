import math

import numpy as np
import pytest
import torch
from torch import nn

from harness.exceptions import SpecError
from harness.learner import LearnerSpec, _initialise, one_thread, to_inputs, train
from harness.streams import stream
from strategies.functional.scaling import fit_scaling


def fit(pool, labelled, spec=None, *, labels=None, seed=0):
    spec = spec or LearnerSpec(hidden=16, epochs=3)
    labelled = np.asarray(labelled, dtype=np.int64)
    labels = pool.y_train[labelled] if labels is None else np.asarray(labels, dtype=np.int64)
    inputs, _ = to_inputs(pool.x_train, pool.x_test, spec, "cpu")
    return train(inputs, labelled, labels, pool.n_classes, spec, stream(seed, "training"))


def inputs_of_test(pool):
    return to_inputs(pool.x_train, pool.x_test, LearnerSpec(), "cpu")[1]


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
    spec, unit = LearnerSpec(scaling=scaling), np.float32(unit)
    scaled = to_inputs(pool.x_train * unit, pool.x_test * unit, spec, "cpu")
    for found, expected in zip(scaled, to_inputs(pool.x_train, pool.x_test, spec, "cpu"), strict=True):
        assert torch.equal(found, expected)
