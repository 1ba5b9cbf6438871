"""`training.value_and_grad` for the parameters of an adopted state, by workers that are kept with them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from . import parallel, scratch, training, tree
from .layers import Params
from .mlp import mlp
from .parallel import Reduce
from .replay import Replay
from .scratch import Packed
from .team import Team
from .training import Batch, Network


def value_and_grad(
    net: Network, params: Params, batch: Batch, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    """`training.value_and_grad`; in a state of `adopt`'s the MLP's by calls made before, any other network's by processes.

    The gradients of the slices, which all_reduce is given, are in arrays that the next step writes over.
    """
    if not isinstance(params, Packed) or {batch.x.dtype, batch.target.dtype} != {params.buffer.dtype}:
        return training.value_and_grad(net, params, batch, L, workers, all_reduce)
    count = parallel.count(workers, batch.x.size * params.buffer.size)
    key = net, id(L), count
    with parallel.hold(workers):
        kept = params.kept.pop(key, None) or (Replay(params, L, count) if net is mlp else _Forked(net, params, L, count))
        slices = kept(params, batch)
        loss, grads = all_reduce(slices)
    if any(grads is each for _, each in slices):
        grads = scratch.copy(grads)
    params.kept.clear()  # of workers made for another network or number, which would stay for nothing
    params.kept[key] = kept
    return loss, grads


class _Forked:
    """Workers of any network: processes that leave their gradients in memory shared with this one."""

    def __init__(self, net: Network, params: Packed, L: Any, count: int) -> None:
        self.L = L  # held, so that no other has its id
        self.grads = [scratch.like(params, params.buffer.dtype, shared=True) for _ in range(count)]
        self.team = Team([partial(_gradient, net, L, into) for into in self.grads], params)

    def __call__(self, params: Packed, batch: Batch) -> list[tuple[float, Params]]:
        losses = self.team(params, parallel.split(batch, len(self.grads)))
        return list(zip(losses, self.grads, strict=True))


def _gradient(net: Network, L: Any, into: Packed, params: Packed, batch: Batch) -> float:
    loss, grads = training.value_and_grad(net, params, batch, L)
    tree.map(np.copyto, into, grads)
    return loss
