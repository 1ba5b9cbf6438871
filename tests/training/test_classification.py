"""Training a classifier: the summed cross-entropy, its gradient, the loop with it, and the path without noise."""

import numpy as np
import pytest

from refdiff import layers, rng, training, tree
from refdiff.networks import classifier
from refdiff.training import Batch, Config, classification

from ..strategies import frozen, tree_gradient
from ..tolerances import COMPLEX_STEP, IDENTITY, relative

EPS = np.finfo(np.float64).eps


def linear(p, x, t, y, L):
    """Logits of points, with a term in the time; labels are not looked at."""
    assert y is None
    logits, vjp = L.linear(p, x)
    return logits + t[:, None] * np.arange(3), vjp


def problem(batch=6):
    """Parameters of a linear classifier of the plane into three classes, and a batch."""
    p = frozen({"w": rng.normal(0, 2, (3,)), "b": rng.normal(1, 3)})
    return p, Batch(rng.normal(2, batch, (2,)), rng.uniform(3, batch)[:, 0], np.arange(batch) % 3, np.full(batch, np.nan))


def cross_entropy(p, batch):
    """-sum of log softmax at the label, example by example."""
    logits = batch.x @ p["w"] + p["b"] + batch.clock[:, None] * np.arange(3)
    return sum(np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, batch.y, strict=True))


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("workers", [1, 2])
def test_value_and_grad(batch, workers):
    """T1, G2: the cross-entropy, summed over the batch, and its gradient by complex step; the target of a denoiser plays no part."""
    p, one = problem(batch)
    loss, grads = classification.value_and_grad(linear, p, one, layers, workers)
    assert isinstance(loss, float) and relative(loss, cross_entropy(p, one)) <= IDENTITY * EPS
    expected = tree_gradient(lambda shifted: cross_entropy(shifted, one), p)
    assert relative(tree.pack(grads)[0], tree.pack(expected)[0]) <= COMPLEX_STEP
    calls = []
    classification.value_and_grad(lambda *a: (calls.append(a), linear(*a))[1], p, one, layers)
    assert len(calls) == 1, "one worker by default"


def test_as_network():
    """G2: as a network, the classifier ignores the labels; layers are passed on, the reference ones by default."""
    p, x = classifier.init(0, base=8, dtype=np.float64), rng.normal(0, 2, (4, 4, 1))
    p = p | {"head": {"w": rng.normal(1, 32, (10,)), "b": rng.normal(2, 10)}}
    expected, vjp = classifier.classifier(p, x, 3.0)
    for y in None, np.array([4, 5]):
        logits, own = classification.as_network(p, x, 3.0, y)
        np.testing.assert_array_equal(logits, expected)
        np.testing.assert_array_equal(own(logits)[1], vjp(logits)[1])
    with pytest.raises(AttributeError, match="time_features"):
        classification.as_network(p, x, 3.0, None, object())


def test_training_with_the_cross_entropy():
    """T1, G2: the loop takes the cross-entropy for its loss: its mean over the batch falls to less than half on separable points."""
    data, labels = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0]]), np.arange(3)
    p, _ = problem()
    config = Config("x0", 100, batch=30, rate=0.1, warmup=5, label_dropout=0.0, classes=3)
    L = classification.with_cross_entropy(layers)
    run = training.train(training.start(p), data, labels, classification.CleanPath(), config, linear, L)
    losses = [loss for _, loss in run]
    first = training.draw(1, data, labels, classification.CleanPath(), config)
    assert relative(losses[0], cross_entropy(p, first) / 30) <= IDENTITY * EPS and losses[-1] < losses[0] / 2
    assert L.conv is layers.conv and L.value_and_grad is classification.value_and_grad


@pytest.mark.parametrize("t", [0.5, np.array([0.1, 0.9, 1.0])])
def test_clean_path(t):
    """The path without noise: signal 1, noise 0, neither changes, every time is 0, each shaped like the times."""
    path = classification.CleanPath()
    for found, number in zip((*path.signal_sigma(t), *path.rates(t), path.draw_time(t), path.clock(t)), (1, 0, 0, 0, 0, 0), strict=True):
        assert found.dtype == np.float64 and found.shape == np.shape(t)
        np.testing.assert_array_equal(found, np.full(np.shape(t), number))
