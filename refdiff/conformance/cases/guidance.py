"""Guidance: scales of 0 and 1, above and below, for the batch and for each example, in both conventions."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from . import Case, Table, numbers, refused

SCALES = (0.0, 1.0, 0.5, 3.0, 7.5, -1.0)
SHAPES = ((2, 2), (1, 3), (2, 2, 2, 1))


def cases() -> Iterator[Case]:
    for gamma, shape in product(SCALES, SHAPES):
        a, b, small = numbers(shape, 1), numbers(shape, 2), shape == (2, 2)
        yield Case("classifier_free", {"unconditional": a, "conditional": b, "gamma": gamma}, minimal=small)
        yield Case("classifier_free_w", {"unconditional": a, "conditional": b, "w": gamma}, minimal=small)
        yield Case("classifier_score", {"score": a, "gradient": b, "gamma": gamma}, minimal=small)
        for t, table in ((1, "three"), (3, "three"), (1, "linear-1000"), (1000, "linear-1000")):
            inputs = {"eps": a, "gradient": b, "gamma": gamma, "t": t, "betas": Table(table)}
            yield Case("classifier_eps", inputs, minimal=small and table == "three")
    each = np.array([0.0, 1.0, 2.5])
    a, b = numbers((3, 2), 3), numbers((3, 2), 4)
    yield Case("classifier_free", {"unconditional": a, "conditional": b, "gamma": each}, minimal=True)
    yield Case("classifier_score", {"score": a, "gradient": b, "gamma": each}, minimal=True)
    inputs = {"eps": a, "gradient": b, "gamma": each, "t": np.array([3, 1, 2]), "betas": Table("three")}
    yield Case("classifier_eps", inputs, minimal=True)
    a, b = numbers((3, 2, 2, 1), 5), numbers((3, 2, 2, 1), 6)
    yield Case("classifier_free", {"unconditional": a, "conditional": b, "gamma": each[::-1].copy()}, minimal=True)
    yield Case("classifier_score", {"score": a, "gradient": b, "gamma": each[::-1].copy()}, minimal=True)
    yield Case("classifier_eps", inputs | {"eps": a, "gradient": b}, minimal=True)
    for K in (2, 3, 5):
        x, weight, bias = numbers((3, 2), K), numbers((2, K), K + 1), numbers((K,), K + 2)
        yield Case("classifier_gradient_linear", {"x": x, "y": np.array([0, K - 1, 1]), "weight": weight, "bias": bias}, minimal=True)
    yield refused("classifier_gradient_linear", "a class beyond the last", x=x, y=np.array([0, 5, 1]), weight=weight, bias=bias)
    uniform = np.array([0.0, 0.0625, 0.125, 0.5, 0.96875])
    for probability in (0.0, 0.125, 0.5, 1.0):
        inputs = {"y": np.array([3, 1, 0, 2, 1]), "uniform": uniform, "probability": probability, "no_label": 4}
        yield Case("drop_labels", inputs, tolerance="exact", minimal=True)
    inputs = {"y": np.array([0]), "uniform": np.array([0.5]), "probability": 1.5, "no_label": 4}
    yield refused("drop_labels", "a probability outside [0, 1]", **inputs)
    yield from _mixtures()
    yield from _channels()


def _mixtures() -> Iterator[Case]:
    """Two, three and four Gaussians, from clear data to nearly pure noise."""
    for K, d, (table, t) in product((2, 3, 4), (1, 2), (("three", 1), ("three", 3), ("linear-1000", 1), ("linear-1000", 400), ("one", 1))):
        inputs = {"x": numbers((3, d), K), "t": t, "means": numbers((K, d), K + d), "variance": 0.25, "betas": Table(table)}
        yield Case("mixture_score", inputs, minimal=d == 2)
        yield Case("mixture_class_gradient", inputs | {"y": np.array([0, K - 1, 1])}, minimal=d == 2)
    yield refused("mixture_class_gradient", "a class beyond the last", **inputs | {"y": np.array([0, 9, 1])})


def _channels() -> Iterator[Case]:
    """Latent images of four channels, and of five: all of them are guided."""
    for shape in ((1, 2, 1, 4), (2, 1, 2, 5)):
        a, b = numbers(shape, 11), numbers(shape, 12)
        yield Case("classifier_free", {"unconditional": a, "conditional": b, "gamma": 3.0}, minimal=True)
        yield Case("classifier_free_w", {"unconditional": a, "conditional": b, "w": 2.0}, minimal=True)
        yield Case("classifier_score", {"score": a, "gradient": b, "gamma": 3.0}, minimal=True)
        yield Case("classifier_eps", {"eps": a, "gradient": b, "gamma": 3.0, "t": 2, "betas": Table("three")}, minimal=True)
