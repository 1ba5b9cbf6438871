"""The demo with exact models: a Gaussian mixture in place of the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.cluster.vq import kmeans2

from .. import rng
from ..arrays import Array
from ..data import toy2d
from ..data.toy2d import Points
from ..objectives import flow
from ..process import schedules
from ..sampling import oracles
from ..sampling.oracles import Mixture
from .experiment import Models, on_threads


def fit_mixture(dataset: str, per_label: int = 4, blur: float = 0.2) -> Mixture:
    """A Gaussian mixture similar to a data set: k-means clusters of each label, a Gaussian per cluster, widened by `blur`."""
    points, labels = toy2d.load(dataset, 4000)
    means, covariances, weights, classes = [], [], [], []
    for y in range(int(labels.max()) + 1):
        of_label = points[labels == y]
        centers, cluster = kmeans2(of_label, of_label[:per_label], iter=50, minit="matrix")
        for k in range(per_label):
            members = of_label[cluster == k]
            means.append(centers[k])
            covariances.append(np.cov(members.T, bias=True) + blur**2 * np.eye(2))
            weights.append(len(members))
            classes.append(y)
    return oracles.mixture(means, covariances, weights, classes)


def as_dataset(mixture: Mixture) -> Callable[[int, int], Points]:
    """The mixture as a data set: a function (count, seed) -> points (count, 2), labels (count,), as in `toy2d.DATASETS`."""

    def draw(count: int, seed: int) -> Points:
        choice = rng.uniform(seed, count, 1, 0, rng.DATA)[:, 0]
        component = np.minimum(np.searchsorted(np.cumsum(np.exp(mixture.log_weights)), choice, side="right"), len(mixture.means) - 1)
        return mixture.sample(choice, rng.normal(seed, count, (2,), 1, rng.DATA)), mixture.labels[component]

    return draw


def exact_models(mixture: Mixture, T: int) -> Models:
    """The exact noise prediction and velocity of the mixture: what perfectly trained networks would give."""
    schedule = schedules.linear(T)

    def eps(x: Array, t: Any, y: Array | None = None) -> Array:
        return mixture.eps(x, *schedule.signal_sigma(t), y)

    return Models(schedule, on_threads(eps), on_threads(mixture.model(flow.straight, "velocity")), {})
