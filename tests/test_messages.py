"""What an error says: the argument, what was found and what is allowed, word for word."""

import re

import numpy as np
import pytest

from refdiff import (
    arrays,
    attention,
    classifier,
    flow,
    gaussian,
    guidance,
    images,
    latent,
    layers,
    mlp,
    normalize,
    optim,
    oracles,
    predict,
    schedules,
    unet,
)
from refdiff.networks import inputs

ONE, TWO, THREE, FOUR = (np.ones((2,) * n) for n in (1, 2, 3, 4))
MODEL = latent.LinearGaussian(np.ones((3, 2)), np.ones(3), 0.5)
MIXTURE = oracles.gaussian([0.5], [[2.0]])
HEADS = {name: {"w": np.ones((4, 4)), "b": np.ones(4)} for name in ("q", "k", "v", "out")}
MODULATION = {"w": np.ones((4, 6)), "b": np.ones(6)}
CLASSIFIER = classifier.init(0, base=8, classes=3, embedding=8)
MLP = mlp.init(0, width=8, depth=2, features=4)
SHAPES = {  # a call with an array of another shape, and the message
    "log_density_full": (lambda: gaussian.log_density_full(THREE, ONE, TWO + np.eye(2)), "x has shape (2, 2, 2); allowed: (B, d)"),
    "kl_full": (lambda: gaussian.kl_full(TWO, np.eye(2), ONE, np.eye(2)), "mean1 has shape (2, 2); allowed: (d,)"),
    "weights": (lambda: latent.LinearGaussian(ONE, ONE, 1.0), "weights has shape (2,); allowed: (d, k)"),
    "LinearGaussian x": (lambda: MODEL.log_likelihood(ONE, ONE), "x has shape (2,); allowed: (B, 3)"),
    "LinearGaussian z": (lambda: MODEL.log_likelihood(np.ones((4, 3)), ONE), "z has shape (2,); allowed: (B, 2)"),
    "logits": (lambda: guidance.classifier_gradient(ONE, lambda d: ({}, d), [0]), "logits has shape (2,); allowed: (B, K)"),
    "cross-entropy": (lambda: layers.cross_entropy(ONE, [0]), "logits has shape (2,); allowed: (B, K) with K 1 or more"),
    "softmax": (lambda: attention.softmax({}, np.ones((2, 0))), "z has shape (2, 0); allowed: (..., K) with K 1 or more"),
    "attention x": (lambda: attention.cross_attention(HEADS, TWO, TWO, 2), "x has shape (2, 2); allowed: (B, N, 4)"),
    "attention context": (
        lambda: attention.cross_attention(HEADS, np.ones((2, 3, 4)), np.ones((2, 3, 5)), 2),
        "context has shape (2, 3, 5); allowed: (2, M, 4)",
    ),
    "normalize": (lambda: normalize.normalize({}, ONE, 1), "x has shape (2,); allowed: (B, ..., C) with C 1 or more"),
    "film": (lambda: normalize.film({}, ONE, ONE, ONE), "x has shape (2,); allowed: (B, ..., C)"),
    "modulated x": (lambda: inputs.check_modulation(MODULATION, TWO, TWO), "x has shape (2, 2); allowed: (B, ..., 3)"),
    "modulated emb": (lambda: inputs.check_modulation(MODULATION, np.ones((2, 3)), TWO), "emb has shape (2, 2); allowed: (2, 4)"),
    "classifier": (lambda: classifier.classifier(CLASSIFIER, THREE.astype(np.float32), 1.0), "x has shape (2, 2, 2); allowed: (B, H, W, 1) with H and W 1 or more"),
    "data": (lambda: inputs.check_data(np.ones(()), None), "data has shape (); allowed: (N, ...)"),
    "hessian": (lambda: predict.tweedie_covariance(TWO, 1, schedules.cosine(10)), "hessian has shape (2, 2); allowed: (B, d, d)"),
    "noise of a mixture": (lambda: MIXTURE.sample([0.5], ONE), "noise has shape (2,); allowed: (B, 1)"),
    "complex choice": (lambda: MIXTURE.sample(np.array([0.5j]), np.ones((1, 1))), "choice = array([0.+0.5j]); allowed: real numbers"),
    "complex noise": (lambda: MIXTURE.sample(np.array([0.5]), np.ones((1, 1)) * 1j), "noise = array([[0.+1.j]]); allowed: real numbers"),
    "uniform": (lambda: flow.straight.draw_time(np.array([1.5])), "uniform = array([1.5]); allowed: finite, in [0, 1]"),
    "eps": (lambda: normalize.normalize({}, TWO, 1, 0.0), "eps = 0.0; allowed: finite, in (0, inf]"),
    "labels of another shape": (
        lambda: guidance.classifier_gradient(np.ones((2, 3)), lambda d: ({}, d), [0]),
        "y has shape (1,); allowed: (2,), one label for each example of x",
    ),
    "dtype of images": (lambda: images.to_model(np.zeros((1, 4, 4), np.uint8), complex), "dtype = <class 'complex'>; allowed: a floating-point dtype"),
    "moments": (
        lambda: optim.adam({"a": ONE}, {"a": ONE}, {"m": {"a": ONE}}, 1),
        "state = {'m': {'a': array([1., 1.])}}; allowed: the moments m and v, as `init` makes them",
    ),
    "times": (lambda: inputs.check_times(TWO), "t has shape (2, 2); allowed: (B,)"),
    "points": (
        lambda: inputs.check_points(MLP, np.ones((2, 4))),
        "x has 4 columns, the network was made for inputs = 2; allowed: data of 2 columns, or mlp.init(..., inputs=4)",
    ),
    "rows": (
        lambda: inputs.check_points(MLP, FOUR),
        "x has shape (2, 2, 2, 2), the network was made for inputs = 2; allowed: data of 2 columns, or mlp.init(..., inputs=8) and one row per example",
    ),
    "labels": (lambda: inputs.check_data(TWO, np.ones(2)), "labels = array([1., 1.]); allowed: integers (N,), or None"),
    "examples": (lambda: inputs.check_data(TWO, np.ones(3, int)), "data has 2 examples, labels 3; allowed: 1 or more, and as many labels"),
}  # fmt: skip
NETWORKS = {
    "mlp": (mlp.mlp, mlp.init(0, width=8, depth=2, features=4), np.ones((2, 2), np.float32), ["layer0"]),
    "unet": (
        unet.unet,
        unet.init(0, base=8, multipliers=(1, 2), embedding=8),
        np.ones((2, 4, 4, 1), np.float32),
        ["time1", "time2", "conv_in", "mid_block0", "norm_out", "conv_out"],
    ),
    "classifier": (
        classifier.classifier,
        CLASSIFIER,
        np.ones((2, 4, 4, 1), np.float32),
        ["head", "time1", "time2", "conv0", "conv_out", "norm_out"],
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    """A shape is refused with the one that is allowed, in the letters of the docstring."""
    call, message = SHAPES[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(("network", "entry"), [(name, entry) for name, case in NETWORKS.items() for entry in case[3]])
def test_parameters_that_are_missing(network, entry):
    """Parameters without one of the entries that every init makes are refused; the message lists what was found and what is needed."""
    net, p, x, _ = NETWORKS[network]
    with pytest.raises(
        ValueError, match=re.escape(f"p has the entries {', '.join(key for key in p if key != entry)}; allowed: the parameters")
    ):
        net({key: value for key, value in p.items() if key != entry}, x, np.ones(2))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("wrong", [None, [1], 3.0])
def test_parameters_of_another_type(network, wrong):
    """Parameters that are no dict are refused with their type, and the names of those that are needed."""
    net, _, x, entries = NETWORKS[network]
    needed = entries if network != "classifier" else entries[:1]
    message = f"p has type {type(wrong).__name__}; allowed: the parameters that the network's init makes, among them {', '.join(needed)}"
    with pytest.raises(ValueError) as caught:
        net(wrong, x, np.ones(2))
    assert str(caught.value) == message


def test_unsigned_labels():
    """Labels of any integer type are labels."""
    for dtype in np.uint8, np.int8, np.uint64:
        inputs.check_data(TWO, np.ones(2, dtype))


@pytest.mark.parametrize("length", [398, 399, 500])
def test_long_values_are_cut(length):
    """A value of more than 400 characters is cut after 400; an array of more than 8 numbers is described."""
    text = repr("x" * length)
    assert arrays.describe("x" * length) == (text if length <= 398 else text[:400] + "...")
    assert arrays.describe(np.arange(9)) == "an array of dtype int64, shape (9,), from 0 to 8"
    assert arrays.describe(np.array(["a"] * 9)) == "an array of dtype <U1, shape (9,)"
