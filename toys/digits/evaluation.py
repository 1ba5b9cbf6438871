"""How good drawn digits are: by a classifier of clean digits, by nearness to the training data, and by the ELBO."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from refdiff import classifier, elbo, fast, forward, gaussian, metrics, mnist, reverse, rng
from refdiff.arrays import Array, Model
from refdiff.process.tables import Schedule
from refdiff.tree import Tree

from .generate import Method, on_all_cores, predict_x0
from .spec import Spec

DIMENSIONS = 784
TOGETHER = 256  # images at once


class Estimate(NamedTuple):
    """A mean over images, in bits per dimension, and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} +- {self.error:.4f}"


def spread_out(images: Array, count: int) -> Array:
    """Which of the images to take: `count` evenly spaced ones, as files may be sorted by class; all, if there are no more."""
    return np.arange(min(count, len(images))) * len(images) // min(count, len(images))


def judge(params: Tree, images: Array) -> tuple[Array, Array]:
    """Features (N, F) and classes (N,) that a classifier of clean digits gives to x (N, 28, 28, 1)."""
    features = on_all_cores(lambda x, t, y: classifier.features(params, x, t, fast)[0])
    parts = [features(images[low : low + TOGETHER], 0.0) for low in range(0, len(images), TOGETHER)]
    found = np.concatenate(parts)
    return found, fast.linear(params["head"], found)[0].argmax(axis=1)


def frechet(a: Array, b: Array) -> float:
    """Frechet distance between two sets of features (N, F), as Gaussians. Source: [FID eq. 6]."""
    return metrics.frechet_distance(*metrics.sample_moments(a), *metrics.sample_moments(b))


def nearest(images: Array, known: Array) -> Array:
    """The distance of every image to the nearest known one, in units of a pixel wholly turned from paper to ink; (N,).

    Found by products of float32, then measured again between the two alone, as differences of squares cancel for copies.
    """
    x, k = (each.reshape(len(each), -1) for each in (images, known))
    norms = (k * k).sum(axis=1)
    parts = [x[low : low + TOGETHER] for low in range(0, len(x), TOGETHER)]
    closest = np.concatenate([(norms - 2 * part @ k.T).argmin(axis=1) for part in parts])
    return np.array([cdist(x[i : i + 1], k[j : j + 1])[0, 0] for i, j in enumerate(closest)]) / 2


def quality(params: Tree, drawn: Array, asked: Array, digits: mnist.Digits) -> list[tuple[str, str]]:
    """Rows of text: accuracy, Frechet distance and nearness to the training digits, each beside what real digits have."""
    held, train = spread_out(digits.test, len(drawn)), spread_out(digits.train, len(drawn))
    real, learned = mnist.to_model(digits.test[held]), mnist.to_model(digits.train)
    found, classes = judge(params, drawn)
    real_found, real_classes = judge(params, real)
    floor = frechet(judge(params, learned[train])[0], real_found)
    near, real_near = nearest(drawn, learned), nearest(real, learned)
    return [
        ("recognised as asked, samples", f"{np.mean(classes == asked):.4f}"),
        ("recognised, held-out digits", f"{np.mean(real_classes == digits.test_labels[held]):.4f}"),
        ("Frechet distance, samples to held-out", f"{frechet(found, real_found):.4f}"),
        (f"Frechet distance, {len(train)} training digits to held-out", f"{floor:.4f}"),
        ("nearest training digit, samples", _quantiles(near)),
        ("nearest training digit, held-out", _quantiles(real_near)),
    ]


def _quantiles(values: Array) -> str:
    low, middle = np.quantile(values, [0.05, 0.5])
    return f"least {values.min():.2f}, 5% {low:.2f}, median {middle:.2f}"


def bound(net: Model, spec: Spec, digits: mnist.Digits, count: int, draws: int, seed: int) -> list[tuple[str, Estimate]]:
    r"""The negative ELBO of held-out digits given their labels, and its three parts, in bits per dimension.

    $$L_T + (T - 1)\, E_{t \sim U\{2..T\}} L_{t-1} + L_0$$

    The sum of divergences is estimated at `draws` random times for each digit, one in each stretch of as many equal ones; L_0 is the discretized decoder's.
    The model is the one that is sampled, its x0 held to [-1, 1], without guidance. Source: E5, E7.
    """
    schedule = spec.path()
    assert isinstance(schedule, Schedule)
    held = spread_out(digits.test, count)
    x0, y = mnist.to_model(digits.test[held], np.float64), digits.test_labels[held]
    inner = np.mean([_term(net, spec, schedule, x0, y, (draw, draws), seed) for draw in range(draws)], axis=0)
    parts = {
        "L_T, what noising leaves over": forward.prior_kl(x0, schedule),
        "sum of the divergences": (schedule.T - 1) * inner,
        "L_0, the discretized decoder": _term(net, spec, schedule, x0, y, None, seed),
    }
    parts["negative ELBO"] = sum(parts.values())
    return [(name, _estimate(elbo.bits_per_dim(nats, DIMENSIONS))) for name, nats in parts.items()]


def _term(net: Model, spec: Spec, schedule: Schedule, x0: Array, y: Array, stratum: tuple[int, int] | None, seed: int) -> Array:
    """A divergence at a random time of a stratum (i, of how many) of 2..T, or L_0 for None; (B,) nats, in float64 but for the network."""
    i, strata = stratum or (2**20, 1)
    t = np.ones(len(x0), np.int64)
    if stratum:
        t = 2 + np.floor((i + rng.uniform(seed, len(x0), 1, i, rng.TIME)[:, 0]) / strata * (schedule.T - 1)).astype(np.int64)
    x_t = forward.q_sample(x0, t, schedule, rng.normal(seed, len(x0), x0.shape[1:], i, rng.NOISE))
    parts = [slice(low, low + TOGETHER) for low in range(0, len(x0), TOGETHER)]
    models = [predict_x0(net, spec, y[part], Method("ddpm", 1)) for part in parts]
    x32 = x_t.astype(np.float32)
    x0_hat = np.concatenate([model(x32[part], t[part]) for model, part in zip(models, parts, strict=True)]).astype(np.float64)
    # at s = 0 the posterior's variance is 0, and beta stands in
    mean, variance = reverse.kernel(x0_hat, x_t, t, t - 1, schedule, "x0", "posterior" if stratum else "beta")
    if stratum:
        return gaussian.kl_diagonal(*forward.posterior(x_t, x0, t, t - 1, schedule), mean, variance)
    return -elbo.discretized_decoder(x0, mean, variance)


def _estimate(values: Array) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
