"""Evaluation of sampled digits: a classifier of clean digits, the distance to the nearest training digit, and the ELBO."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from refdiff import classifier, elbo, fast, forward, gaussian, metrics, reverse, rng
from refdiff.arrays import Array, Model
from refdiff.data.images import Images
from refdiff.process.tables import Schedule
from refdiff.tree import Tree

from .generate import Method, on_all_cores, predict_x0
from .spec import Spec

BATCH = 256  # images at once


class Estimate(NamedTuple):
    """A mean over images, in bits per dimension, and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} +- {self.error:.4f}"


def evenly_spaced(images: Array, count: int) -> Array:
    """Indices of `count` evenly spaced images, because files may be sorted by class; of all images, if there are no more."""
    return np.arange(min(count, len(images))) * len(images) // min(count, len(images))


def classify(params: Tree, images: Array) -> tuple[Array, Array]:
    """Features (N, F) and predicted classes (N,) of the images (N, 28, 28, 1), by a classifier of clean digits."""
    features_of = on_all_cores(lambda x, t, y: classifier.features(params, x, t, fast)[0])
    features = np.concatenate([features_of(images[low : low + BATCH], 0.0) for low in range(0, len(images), BATCH)])
    return features, fast.linear(params["head"], features)[0].argmax(axis=1)


def frechet(a: Array, b: Array) -> float:
    """Frechet distance between two sets of features (N, F), as Gaussians. Source: [FID eq. 6]."""
    return metrics.frechet_distance(*metrics.sample_moments(a), *metrics.sample_moments(b))


def nearest_distance(images: Array, training: Array) -> Array:
    """Distance (N,) of every image to the nearest training image; 1 is one pixel changed from background to ink.

    The nearest image is found by float32 products. Its distance is then computed from the two images alone, because differences
    of squares cancel for copies.
    """
    x, k = (each.reshape(len(each), -1) for each in (images, training))
    norms = (k * k).sum(axis=1)
    batches = [x[low : low + BATCH] for low in range(0, len(x), BATCH)]
    nearest = np.concatenate([(norms - 2 * batch @ k.T).argmin(axis=1) for batch in batches])
    return np.array([cdist(x[i : i + 1], k[j : j + 1])[0, 0] for i, j in enumerate(nearest)]) / 2


def speckle(images: Array) -> float:
    """Share of the drawings, images (N, H, W, 1) on black, with more than 1 % of full ink on average in the outer two rows and columns.

    Digits do not reach this frame. Noise that a sampler leaves is everywhere.
    """
    inside = np.zeros(images.shape[1:3], bool)
    inside[2:-2, 2:-2] = True
    return float(np.mean((images[:, ~inside].mean(axis=(1, 2)) + 1) / 2 > 0.01))


def quality(params: Tree, spec: Spec, samples: Array, y: Array, digits: Images) -> list[tuple[str, str]]:
    """Rows of text: accuracy, Frechet distance and distance to the training digits, each for samples and for held-out digits."""
    held, train = evenly_spaced(digits.test, len(samples)), evenly_spaced(digits.train, len(samples))
    real, training = spec.to_model(digits.test[held]), spec.to_model(digits.train)
    features, classes = classify(params, samples)
    real_features, real_classes = classify(params, real)
    floor = frechet(classify(params, training[train])[0], real_features)
    speckled = [
        (f"speckled, with ink in the outer frame, {name}", f"{speckle(spec.crop(each)):.4f}")
        for name, each in ((("samples", samples), ("held-out", real)) if spec.ink else ())
    ]
    return [
        ("classified as the requested label, samples", f"{np.mean(classes == y):.4f}"),
        ("classified as their label, held-out digits", f"{np.mean(real_classes == digits.test_labels[held]):.4f}"),
        ("Frechet distance, samples to held-out", f"{frechet(features, real_features):.4f}"),
        (f"Frechet distance, {len(train)} training digits to held-out", f"{floor:.4f}"),
        *speckled,
        ("distance to the nearest training digit, samples", _quantiles(nearest_distance(samples, training))),
        ("distance to the nearest training digit, held-out", _quantiles(nearest_distance(real, training))),
    ]


def _quantiles(values: Array) -> str:
    low, middle = np.quantile(values, [0.05, 0.5])
    return f"minimum {values.min():.2f}, 5% {low:.2f}, median {middle:.2f}"


PUBLISHED = """\
Published for MNIST: Real NVP 1.06, Glow 1.05, FFJORD 0.99 (Grathwohl et al., arXiv 1810.01367, table 2), Residual Flow 0.97
(Chen et al., arXiv 1906.02735, table 1). These are likelihoods without labels, of pixels with uniform noise added, by networks
that learned from 60,000 digits for hours on GPUs. The negative ELBO is an upper bound, for whole grey levels, given the label;
without the label it rises by at most log2(10) / 784 = 0.004."""


def elbo_estimate(net: Model, spec: Spec, digits: Images, count: int, draws: int, seed: int) -> list[tuple[str, Estimate]]:
    r"""Negative ELBO of held-out digits given their labels, and its three parts, in bits per dimension.

    $$L_T + (T - 1)\, E_{t \sim U\{2..T\}} L_{t-1} + L_0$$

    The sum of the divergences is estimated at `draws` random times for each digit, one in each of as many equal strata; L_0 is
    that of the discretized decoder. The model is the one that is sampled, its x0 clipped to [-1, 1], without guidance; a flow
    is the diffusion on the linear schedule with the same prediction of x0. Source: E5, E7.
    """
    schedule = spec.diffusion()
    held = evenly_spaced(digits.test, count)
    x0, y = spec.to_model(digits.test[held], np.float64), spec.labels(len(held)) if digits.test_labels is None else digits.test_labels[held]
    inner = np.mean([_term(net, spec, schedule, x0, y, (draw, draws), seed) for draw in range(draws)], axis=0)
    parts = {
        "L_T, the divergence of x_T from pure noise": forward.prior_kl(x0, schedule),
        "L_1 + ... + L_{T-1}, the other divergences": (schedule.T - 1) * inner,
        "L_0, the discretized decoder": _term(net, spec, schedule, x0, y, None, seed),
    }
    parts["negative ELBO"] = sum(parts.values())
    return [(name, _estimate(elbo.bits_per_dim(nats, math.prod(spec.size)))) for name, nats in parts.items()]


def _term(net: Model, spec: Spec, schedule: Schedule, x0: Array, y: Array, stratum: tuple[int, int] | None, seed: int) -> Array:
    """L_{t-1} (B,) in nats at a random t in the stratum (index, number of strata) of 2..T, or L_0 for None.

    Everything but the network is computed in float64.
    """
    i, strata = stratum or (2**20, 1)
    t = np.ones(len(x0), np.int64)
    if stratum:
        t = 2 + np.floor((i + rng.uniform(seed, len(x0), 1, i, rng.TIME)[:, 0]) / strata * (schedule.T - 1)).astype(np.int64)
    x_t = forward.q_sample(x0, t, schedule, rng.normal(seed, len(x0), x0.shape[1:], i, rng.NOISE))
    batches = [slice(low, low + BATCH) for low in range(0, len(x0), BATCH)]
    method = Method("ddpm", 1, float(spec.classes > 0))
    models = [predict_x0(net, spec, y[batch], method) for batch in batches]
    x32 = x_t.astype(np.float32)
    x0_hat = np.concatenate([model(x32[batch], t[batch]) for model, batch in zip(models, batches, strict=True)]).astype(np.float64)
    # at s = 0 the posterior variance is 0, so beta is used instead
    mean, variance = reverse.kernel(x0_hat, x_t, t, t - 1, schedule, "x0", "posterior" if stratum else "beta")
    if stratum:
        return gaussian.kl_diagonal(*forward.posterior(x_t, x0, t, t - 1, schedule), mean, variance)
    return -elbo.discretized_decoder(x0, mean, variance)


def _estimate(values: Array) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
