"""Layers of channels: batches 1 and 2, points and images, 1 to C groups, numbers so large that a naive exponential overflows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import Case, numbers, refused

NO_GROUPS = "groups that do not divide the channels, or 0 groups"
NO_LABEL = "a label below 0 or beyond the last"


def cases() -> Iterator[Case]:
    yield from _embeddings()
    yield from _dense()
    yield from _softmax()
    yield from _cross_entropy()
    yield from _norms()
    yield from _films()
    yield from _errors()


def pair(name: str, inputs: dict[str, Any], y: tuple[int, ...], tolerance: str = "tensor", level: str = "must") -> Iterator[Case]:
    """The layer, and its derivative for a dy of y's shape."""
    yield Case(name, inputs, level, tolerance, minimal=True)
    yield Case(f"{name}_vjp", {**inputs, "dy": numbers(y, 77)}, level, tolerance, minimal=True)


def _embeddings() -> Iterator[Case]:
    for features, t in (
        (4, [0.0, 1000.0]),
        (4, [1.0]),
        (6, [0.5, 999.0, 250.0]),
        (8, [0.0, 1.0, 2.0, 500.0]),
        (16, [37.0, 1000.0]),
        (32, [1000.0]),
        (128, [999.0]),
    ):
        yield Case("time_features", {"t": np.array(t), "features": features}, minimal=features < 100)
    for labels, entries, out in (([0], 1, 2), ([2, 0], 3, 2), ([1, 1, 3], 4, 3), ([0, 4], 5, 1), ([1], 2, 4)):
        yield from pair("embedding", {"labels": np.array(labels), "table": numbers((entries, out), entries)}, (len(labels), out), "exact")


def _dense() -> Iterator[Case]:
    for number, (leading, fan_in, fan_out) in enumerate(
        (((1,), 1, 1), ((2,), 3, 2), ((1,), 4, 4), ((2,), 2, 2), ((3,), 2, 5), ((2,), 4, 3))
    ):
        x, w, b = numbers((*leading, fan_in), number), numbers((fan_in, fan_out), number + 10), numbers((fan_out,), number + 20)
        yield from pair("linear_layer", {"x": x, "w": w, "b": b}, (*leading, fan_out))
    tokens, w, b = numbers((2, 3, 2), 21), numbers((2, 3), 22), numbers((3,), 23)
    yield from pair("linear_layer", {"x": tokens, "w": w, "b": b}, (2, 3, 3))
    for x in (
        numbers((2, 3)),
        numbers((1, 5)) * 25,
        np.array([[0.0, -50.0, 50.0, 20.0, -20.0]]),
        numbers((2, 2, 2, 1), 3),
        np.array([[800.0, -1.5]]),
    ):
        yield from pair("silu", {"x": x}, x.shape, "each")


def _softmax() -> Iterator[Case]:
    large = np.array([[100.0, -100.0, 99.0], [-100.0, -100.5, -101.0]])
    for z in (numbers((2, 3)), numbers((1, 5), 1), large, np.array([[800.0, 799.0]]), numbers((1, 2, 2, 4), 2), numbers((2, 1), 3)):
        yield from pair("softmax", {"z": z}, z.shape)
    far = np.array([[1.0, -0.5, 0.25], [-2000.0, -2000.5, -1999.0]])  # one largest number for both rows leaves 0 / 0
    yield from pair("softmax", {"z": far}, far.shape)


def _cross_entropy() -> Iterator[Case]:
    for z, labels in (
        (numbers((2, 3)), [0, 2]),
        (numbers((1, 4), 1), [3]),
        (np.array([[100.0, -100.0, 99.0], [-100.0, -100.5, -101.0]]), [1, 0]),
        (np.array([[800.0, 799.0]]), [1]),
        (numbers((3, 2), 2), [1, 1, 0]),
    ):
        yield from pair("cross_entropy", {"logits": z, "labels": np.array(labels)}, (len(z),), "each")


def _norms() -> Iterator[Case]:
    shapes = (((2, 6), 2), ((1, 4), 1), ((2, 3, 2, 4), 1), ((1, 2, 3, 4), 2), ((2, 2, 2, 4), 4), ((1, 3, 2), 2), ((2, 1, 1, 6), 2))
    for number, (shape, groups) in enumerate(shapes):
        C = shape[-1]
        x, scale, shift = numbers(shape, number) + number, numbers((C,), number + 10), numbers((C,), number + 20)
        yield from pair("normalize", {"x": x, "groups": groups}, shape)
        yield from pair("group_norm", {"x": x, "scale": scale, "shift": shift, "groups": groups}, shape)
        emb, w, b = numbers((len(x), 3), number + 30), numbers((3, 2 * C), number + 40) / 2, numbers((2 * C,), number + 50) / 2
        yield from pair("adaptive_group_norm", {"x": x, "emb": emb, "w": w, "b": b, "groups": groups}, shape)
    for scale in (2.0**-8, 2.0**-10, 2.0**-30, 2.0**10):
        yield from pair("normalize", {"x": numbers((1, 2, 2, 4), 5) * scale, "groups": 2}, (1, 2, 2, 4))
    yield from pair("normalize", {"x": np.ones((1, 2, 2, 2)) * 3, "groups": 1}, (1, 2, 2, 2))


def _films() -> Iterator[Case]:
    for number, shape in enumerate(((2, 3), (1, 2), (2, 2, 3, 2), (1, 2, 1, 3), (2, 3, 4))):
        scale, shift = (numbers((shape[0], shape[-1]), number + seed) for seed in (10, 20))
        yield from pair("film", {"x": numbers(shape, number), "scale": scale, "shift": shift}, shape)


def _errors() -> Iterator[Case]:
    x, ones = numbers((2, 2, 2, 4)), np.ones(4)
    for groups in (3, 0, 8):
        yield refused("normalize", NO_GROUPS, x=x, groups=groups)
        yield refused("group_norm", NO_GROUPS, x=x, scale=ones, shift=ones, groups=groups)
    for labels in ([3, 0], [0, -1]):
        yield refused("embedding", NO_LABEL, labels=np.array(labels), table=numbers((3, 2)))
        yield refused("cross_entropy", NO_LABEL, logits=numbers((2, 3)), labels=np.array(labels))
    for features in (5, 2):
        yield refused("time_features", "features that are odd or fewer than 4", t=np.array([1.0]), features=features)
    yield refused("linear_layer", "a w whose rows are not the channels of x", x=numbers((2, 3)), w=numbers((2, 3)), b=numbers((3,)))
    yield refused("film", "a scale and shift of other channels than x has", x=x, scale=numbers((2, 3)), shift=numbers((2, 3)))
