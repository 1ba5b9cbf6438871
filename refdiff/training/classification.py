"""Training a classifier of noised images: cross-entropy in place of the squared error, in the same loop as a denoiser's."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array, Time, device_get
from ..networks import layers
from ..networks.classifier import classifier
from ..tree import Params, Vjp
from . import optim, parallel
from .loop import Batch, Network
from .parallel import Reduce


def as_network(p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers) -> tuple[Array, Vjp]:
    """The classifier with the signature of a network for `training.train`; the labels y are its target, so it ignores them as an input."""
    return classifier(p, x, t, L)


def value_and_grad(
    net: Network, params: Params, batch: Batch, L: ModuleType, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    r"""Summed cross-entropy of a batch in nats and its gradient: `training.value_and_grad` for a classifier.

    $$L = -\sum_B \log p_\theta(y | x_t)$$

    Source: G2 [Dhariwal & Nichol sec. 4].
    """

    def of_slice(part: Batch) -> tuple[float, Params]:
        logits, vjp = net(params, part.x, part.clock, None, L)
        loss, loss_vjp = L.cross_entropy(logits, part.y)
        grads, _ = vjp(loss_vjp(np.ones_like(loss)))
        return float(device_get(loss.sum())), grads

    optim.check_trees(params=params)
    return parallel.summed(of_slice, batch, batch.x.size * tree.size(params), workers, all_reduce)


def with_cross_entropy(L: ModuleType) -> Any:
    """The layers L with the cross-entropy as loss: `training.train(..., net=as_network, L=with_cross_entropy(L))` trains a classifier."""
    return SimpleNamespace(**vars(L) | {"value_and_grad": value_and_grad})


class CleanPath:
    """Path without noise, for a classifier of clean data: every time is 0."""

    def signal_sigma(self, t: Time) -> tuple[Array, Array]:
        """Signal 1 and noise 0: every state is the data."""
        return np.ones(np.shape(t)), np.zeros(np.shape(t))

    def rates(self, t: Time) -> tuple[Array, Array]:
        """Rates 0 and 0: signal and noise do not change."""
        return np.zeros(np.shape(t)), np.zeros(np.shape(t))

    def draw_time(self, uniform: Array) -> Array:
        """Times 0, one for each uniform number."""
        return np.zeros(np.shape(uniform))

    def clock(self, t: Time) -> Array:
        """Network times 0, those of clean data."""
        return np.zeros(np.shape(t))
