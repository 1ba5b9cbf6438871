"""A small network for points: with and without labels, at times from 0 to 1000, and trained for 1, 10 and 100 steps; losses of score matching."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import Case, Table, numbers, refused
from .layers import pair

ADAM = {"rate": 2.0**-7, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def cases() -> Iterator[Case]:
    for number, (t, labels, width, features) in enumerate(
        (([0.0, 1000.0], [0, 2], 3, 4), ([500.5], [1], 2, 6), ([3.0, 20.0, 7.0], [2, 1, 1], 2, 4), ([999.0, 1.0], [0, 0], 4, 4))
    ):
        x, B = numbers((len(t), 2), number), len(t)
        inputs = {"x": x, "t": np.array(t), **weights(features, width, number)}
        labelled = {"table": numbers((3, features), number + 5), "labels": np.array(labels)}
        yield Case("mlp", inputs, minimal=True)
        yield from pair("mlp", {**inputs, **labelled}, (B, 2))
        yield Case("mlp_loss", {**inputs, **labelled, "target": numbers((B, 2), number + 7)}, minimal=True)
    yield refused("mlp", "a label beyond the last", **{**inputs, **labelled, "labels": np.array([3, 0])})
    yield from _trained()
    yield from _score_matching()


def weights(features: int, width: int, seed: int) -> dict[str, Any]:
    """Weights of about 1 / sqrt(fan-in) and biases of the network 2 -> width -> width -> 2."""
    sizes, found = (2 + features, width, width, 2), dict[str, Any]()
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        found |= {f"w{i}": numbers((fan_in, fan_out), 10 * seed + i) / 2, f"b{i}": numbers((fan_out,), 10 * seed + i + 5) / 4}
    return found


def _trained() -> Iterator[Case]:
    x0, noise = numbers((2, 2), 1), numbers((5, 2, 2), 2)
    for number, (kind, name, t) in enumerate(
        (
            ("eps", "linear-1000", [[1, 1000], [500, 3], [700, 200], [20, 999], [333, 90]]),
            ("x0", "cosine-20", [[1, 20], [10, 3], [14, 4], [2, 19], [6, 9]]),
            ("v", "linear-50", [[1, 50], [25, 3], [35, 10], [2, 49], [16, 9]]),
        )
    ):
        inputs = {**weights(4, 8, number), "x0": x0, "t": np.array(t), "noise": noise, "betas": Table(name), "kind": kind, **ADAM}
        if kind != "eps":
            inputs["eps"] = 2.0**-6
        yield Case("train_mlp", {**inputs, "checkpoints": np.array([1, 10])}, "must", "long", minimal=True)
        if kind == "eps":
            yield Case("train_mlp", {**inputs, "checkpoints": np.array([1, 10, 100])}, "must", "long")
    times = np.array([[0.0, 1.0], [0.5, 0.125], [0.75, 0.25], [0.0625, 0.875], [0.375, 0.625]])
    inputs = {**weights(4, 8, 5), "data": x0, "t": times, "noise": noise, **ADAM, "eps": 2.0**-6}
    yield Case("train_mlp_flow", {**inputs, "checkpoints": np.array([1, 10])}, "must", "long", minimal=True)


def _score_matching() -> Iterator[Case]:
    for number, shape in enumerate(((2, 2), (1, 1), (2, 2, 2, 1), (3, 2))):
        score, noise, B = numbers(shape, number), numbers(shape, number + 10), shape[0]
        yield Case("explicit_score_matching", {"score": score, "exact": noise}, minimal=True)
        for sigma, weight in ((0.25, 0.0625), (2.0, 1.0), (np.array([0.5, 1.5, 0.125][:B]), np.array([0.25, 2.25, 3.0][:B]))):
            yield Case("denoising_score_matching", {"score": score, "noise": noise, "sigma": sigma, "weight": weight}, minimal=True)
    yield refused("denoising_score_matching", "a state without noise", score=score, noise=noise, sigma=0.0, weight=1.0)
    for B, d in ((2, 2), (1, 1), (3, 4)):
        inputs = {"score": numbers((B, d), d), "jacobian": numbers((B, d, d), d + 5)}
        yield Case("implicit_score_matching", inputs, minimal=True)
        for reduced, probe in (
            ("yes", np.sign(numbers((B, d), d + 10) + 1 / 128)),
            ("no", numbers((B, d), d + 15)),
            ("yes", numbers((B, d), d + 20)),
        ):
            yield Case("sliced_score_matching", {**inputs, "probe": probe, "reduced": reduced}, minimal=True)
    for kind, t in itertools.product(("variance", "likelihood"), (0.0, 0.125, 1.0, np.array([0.5, 0.25]))):
        yield Case("score_weight", {"t": t, "beta_min": 0.125, "beta_max": 16.0, "kind": kind}, minimal=True)
    yield refused("score_weight", "a time after the end", t=1.5, beta_min=0.125, beta_max=16.0, kind="likelihood")
