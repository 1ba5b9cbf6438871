"""The classifier: values by its formula, derivatives by complex step, initial parameters, float32, its layers, errors."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from refdiff import layers, rng, tree
from refdiff.networks import classifier

from ..strategies import frozen
from ..tolerances import IDENTITY, SIGMAS, UNET, relative
from .test_layers import numbers
from .test_residual import GROUPS, embedding_by_formula, value
from .test_unet import check_direction, normals

EPS = np.finfo(np.float64).eps
SMALL = {"channels": 3, "base": 4, "classes": 5, "embedding": 3, "groups": GROUPS}


def case(batch=2, size=(6, 9), one_time=False, dtype=np.float64):
    """(p, x, t) of a small classifier; no parameter is zero."""
    p = classifier.init(0, **SMALL, dtype=dtype)
    p = tree.map(lambda leaf, noise: leaf + np.asarray(0.3, dtype) * noise, p, normals(p, 1, dtype))
    return frozen(p), numbers(2, (batch, *size, 3), 1, dtype), 321.5 if one_time else frozen(1000 * rng.uniform(3, batch)[:, 0])


def features_by_formula(p, x, t):
    """Convolutions of strides 1, 2 and 2, each normalized, scaled and shifted by the embedding; one more, and the mean over pixels."""
    emb, h = embedding_by_formula(p, len(x), t, None), x
    for name, stride in ("0", 1), ("1", 2), ("2", 2):
        h = value(layers.conv, p["conv" + name], h)[:, ::stride, ::stride]
        modulation = (emb @ p["conditioning" + name]["w"] + p["conditioning" + name]["b"])[:, None, None]
        scale, shift = np.split(modulation, 2, axis=-1)
        h = value(layers.silu, {}, value(layers.normalize, {}, h, GROUPS) * (1 + scale) + shift)
    h = value(layers.group_norm, p["norm_out"], value(layers.conv, p["conv_out"], h), GROUPS)
    return value(layers.silu, {}, h).mean(axis=(1, 2))


@pytest.mark.parametrize("batch, size, one_time", [(0, (4, 4), False), (1, (1, 1), False), (2, (6, 5), False), (3, (4, 7), True)])
def test_value(batch, size, one_time):
    """G2: features and logits by the formula, for images of any size, one time or one for each image."""
    p, x, t = case(batch, size, one_time)
    expected = features_by_formula(p, x, t)
    assert expected.shape == (batch, 16) and relative(value(classifier.features, p, x, t, layers, GROUPS), expected) <= UNET
    logits = value(classifier.classifier, p, x, t, layers, GROUPS)
    assert logits.shape == (batch, 5) and relative(logits, expected @ p["head"]["w"] + p["head"]["b"]) <= UNET


def test_sizes_of_the_feature_maps():
    """G2: the first convolution keeps the size of the image; each of the other two halves it and doubles the channels."""
    seen = []
    ops = SimpleNamespace(**vars(layers) | {"conv": lambda p, x, stride=1: (seen.append(x.shape), layers.conv(p, x, stride))[1]})
    p, x, t = case(2, (12, 8))
    classifier.features(p, x, t, ops, GROUPS)
    assert seen == [(2, 12, 8, 3), (2, 12, 8, 4), (2, 6, 4, 8), (2, 3, 2, 16)]


def test_derivative():
    """G2: the gradients in x and in each parameter array equal the complex step along a direction in that array alone; none is zero."""
    p, x, t = case()
    logits, vjp = classifier.classifier(p, x, t, groups=GROUPS)
    dlogits = numbers(4, logits.shape)
    dp, dx = vjp(dlogits)
    arguments, dtree = {"p": p, "x": x}, {"p": dp, "x": dx}
    moves = tree.flatten(normals(arguments, 5))
    for moved in moves:
        direction = tree.unflatten({path: leaf * (path == moved) for path, leaf in moves.items()})
        check_direction(lambda a: (dlogits * classifier.classifier(a["p"], a["x"], t, groups=GROUPS)[0]).sum(), arguments, dtree, direction)
    assert all(np.abs(leaf).max() > 0 for leaf in tree.flatten(dtree).values())


def test_shapes_of_the_parameters():
    """G2: three convolutions, of base, 2 base and 4 base channels, each with scales and shifts from the embedding; one more; the head."""
    shapes = {f"time{i}/{k}": shape for i, fan_in in ((1, 4), (2, 3)) for k, shape in (("w", (fan_in, 3)), ("b", (3,)))}
    for name, fan_in, fan_out in ("conv0", 3, 4), ("conv1", 4, 8), ("conv2", 8, 16), ("conv_out", 16, 16):
        shapes |= {f"{name}/w": (3, 3, fan_in, fan_out), f"{name}/b": (fan_out,)}
    for i, width in enumerate((4, 8, 16)):
        shapes |= {f"conditioning{i}/w": (3, 2 * width), f"conditioning{i}/b": (2 * width,)}
    shapes |= {"norm_out/scale": (16,), "norm_out/shift": (16,), "head/w": (16, 5), "head/b": (5,)}
    assert {path: leaf.shape for path, leaf in tree.flatten(classifier.init(0, **SMALL)).items()} == shapes
    plain = tree.map(np.shape, classifier.init(0))
    assert (plain["conv0"]["w"], plain["head"]["w"], plain["time1"]["w"]) == ((3, 3, 1, 16), (64, 10), (16, 64))


def test_start():
    """G2: initial weights N(0, 1 / fan-in), each array with its own; shifts 0, scales 1; the head is 0, so all logits are equal."""
    p, seen = classifier.init(3, dtype=np.float64), []
    for path, leaf in tree.flatten(p).items():
        name, last = path.split("/")
        if last == "scale":
            np.testing.assert_array_equal(leaf, 1)
        elif last in ("b", "shift") or name == "head":
            np.testing.assert_array_equal(leaf, 0)
        else:
            z = leaf * np.sqrt(np.prod(leaf.shape[:-1]))
            seen.append(z.ravel())
            assert abs(z.mean()) < SIGMAS / np.sqrt(z.size) and abs((z * z).mean() - 1) < SIGMAS * np.sqrt(2 / z.size), path
    np.testing.assert_allclose(p["time1"]["w"], rng.normal(3, 1, (16, 64), 1, rng.INIT)[0] / 4, rtol=IDENTITY * EPS)
    assert len(np.unique(np.round(np.concatenate(seen), 13))) == sum(map(len, seen))
    single = classifier.init(3)
    assert {leaf.dtype for leaf in tree.flatten(single).values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(value(classifier.classifier, single, numbers(0, (2, 8, 8, 1), dtype=np.float32), 5.0), np.zeros((2, 10)))


def test_float32_is_preserved():
    """G2: float32 parameters and images give float32, forward and backward, whatever the precision of t."""
    p, x, t = case(dtype=np.float32)
    for time in t, t.astype(np.float32), 3, np.float64(7):
        logits, vjp = classifier.classifier(p, x, time, groups=GROUPS)
        dp, dx = vjp(logits)
        assert {leaf.dtype for leaf in tree.flatten({"a": logits, "b": dp, "c": dx}).values()} == {np.dtype(np.float32)}


def test_layers_are_an_argument():
    """G2: the classifier uses the layers of its argument L, and no others; 8 groups by default."""
    used = set()

    def recorded(name):
        return lambda *a, **k: (used.add(name), getattr(layers, name)(*a, **k))[1]

    names = {"adaptive_group_norm", "conv", "group_norm", "linear", "silu", "time_features"}
    p, x = classifier.init(0, base=8, embedding=3), numbers(0, (2, 4, 4, 1))
    p = p | {"head": {"w": numbers(1, (32, 10)), "b": numbers(2, (10,))}}
    logits = value(classifier.classifier, p, x, 5.0, SimpleNamespace(**{name: recorded(name) for name in names}))
    np.testing.assert_array_equal(logits, value(classifier.classifier, p, x, 5.0))
    np.testing.assert_array_equal(logits, value(classifier.classifier, p, x, 5.0, layers, 8))
    assert used == names
    with pytest.raises(ValueError, match=r"^groups = 8; allowed: a divisor of the 4 channels of x$"):
        classifier.features(case()[0], case()[1], 5.0)


@pytest.mark.parametrize(
    "choice, message",
    [
        ({"base": 3}, "base = 3; allowed: even, 4 or more, and a multiple of groups = 1"),
        ({"base": 2}, "base = 2; allowed: even, 4 or more, and a multiple of groups = 1"),
        ({"base": 5}, "base = 5; allowed: even, 4 or more, and a multiple of groups = 1"),
        ({"base": 12, "groups": 8}, "base = 12; allowed: even, 4 or more, and a multiple of groups = 8"),
        ({"channels": 0}, "channels = 0, classes = 10, embedding = 64; allowed: 1 or more, classes 2 or more"),
        ({"classes": 1}, "channels = 1, classes = 1, embedding = 64; allowed: 1 or more, classes 2 or more"),
        ({"embedding": 0}, "channels = 1, classes = 10, embedding = 0; allowed: 1 or more, classes 2 or more"),
    ],
)
def test_errors(choice, message):
    """Errors name the argument, its value, and what is allowed; the smallest that is allowed is accepted."""
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        classifier.init(0, **{"groups": 1} | choice)
    classifier.init(0, channels=1, base=4, classes=2, embedding=1, groups=4)
