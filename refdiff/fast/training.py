"""`training.value_and_grad` and `training.step` on worker processes, which are kept as long as the parameters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array
from ..networks.mlp import _context, mlp
from ..training import loop, parallel
from ..training.loop import Batch, Config, Network, State
from ..training.parallel import Reduce
from ..tree import Params
from . import buffers, flat_state
from .buffers import Packed
from .captured import captured
from .mlp import RecordedMLP
from .processes import WorkerPool


def value_and_grad(
    net: Network, params: Params, batch: Batch, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    """`training.value_and_grad`, on several processes if the parameters are in a flat buffer (see `fast.adopt`); the MLP uses recorded calls.

    A network that can change between steps, such as an object with attributes, is computed by threads, since processes would keep it
    as it was. The arrays of the gradients that all_reduce receives are overwritten by the next step.
    """
    with _pool(net, params, batch, L, workers) as pool:
        if pool is None or not isinstance(params, Packed):
            return loop.value_and_grad(net, params, batch, L, workers, all_reduce)
        losses = pool.differentiate(params, batch)
        reduce = flat_state.total if all_reduce is parallel.total else all_reduce
        loss, grads = reduce(list(zip(losses, pool.grads, strict=True)))
        return loss, buffers.copy(grads) if any(grads is each for each in pool.grads) else grads


def step(
    state: State, batch: Batch, config: Config, net: Network, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[State, float]:
    """`training.step`, in place on an adopted state, which is returned.

    If all_reduce is not the default function, or L has another gradient or update, `training.step` runs with these.
    """
    others = all_reduce is not parallel.total or any(getattr(L, f.__name__, f) is not f for f in (value_and_grad, flat_state.update))
    with _pool(net, None if others else state.params, batch, L, workers) as pool:
        if pool is None:
            return loop.step(state, batch, config, net, L, workers, all_reduce)
        loss = sum(pool.differentiate(state.params, batch))
        loop.check_loss(loss, state.step + 1, config)
        return flat_state.update(state, pool.total(), config), loss


@contextmanager
def _pool(net: Network, params: Any, batch: Batch, L: Any, workers: int | None) -> Iterator[_Pool | None]:
    """The workers for this network. They are kept with the parameters from one step to the next; during a step no other call can use them.

    None if the network can change, if there is nothing to share, or for parameters that are not packed or of another precision.
    Workers that were made for another network or number, or by another process, are replaced.
    """
    if not isinstance(params, Packed) or {batch.x.dtype, batch.target.dtype} != {params.buffer.dtype}:
        yield None
        return
    count = parallel.count(workers, batch.x.size * params.buffer.size)
    fixed = [mlp] if net is mlp else None if count == 1 else captured(net, L)
    if fixed is None:
        yield None
        return
    pool, key = params.cache.pop("pool", None), [os.getpid(), count, *fixed]
    if pool is None or pool.key != key:
        pool = _Pool(net, params, L, count, key)
    with parallel.blas_threads(workers):
        yield pool
    params.cache["pool"] = pool


class _Pool:
    """Workers, with a copy of the parameters and gradients in memory that all of them share."""

    def __init__(self, net: Network, params: Packed, L: Any, count: int, key: list[Any]) -> None:
        self.net, self.L, self.key = net, L, key
        self.params, *self.grads = (buffers.like(params, params.buffer.dtype, shared=True) for _ in range(count + 1))
        self.workers = WorkerPool([Worker(net, L, self.params, grads) for grads in self.grads])

    def differentiate(self, params: Packed, batch: Batch) -> list[float]:
        """The losses of the slices; their gradients are then in `grads`."""
        np.copyto(self.params.buffer, params.buffer)
        count, contexts = len(self.grads), [None] * len(self.grads)
        if self.net is mlp:
            context, _ = _context(params, len(batch.x), batch.x, batch.clock, batch.y, self.L)
            contexts = [context[part] for part in parallel.slices(len(batch.x), count)]
        return self.workers(list(zip(parallel.split(batch, count), contexts, strict=True)))

    def total(self) -> Packed:
        """The sum of the gradients, in the memory of the first."""
        first, *others = (grads.buffer for grads in self.grads)
        for other in others:
            np.add(first, other, first)
        return self.grads[0]


class Worker:
    """One of several workers. All read the same parameters, and each writes a gradient, in memory that their processes share."""

    def __init__(self, net: Network, L: Any, params: Packed, grads: Packed) -> None:
        self.net, self.L, self.params, self.grads = net, L, params, grads
        self.recorded: dict[int, RecordedMLP] = {}

    def __call__(self, message: tuple[Batch, Array | None]) -> float:
        """Loss of a slice of the batch; writes its gradient to this worker's array. The MLP is differentiated by recorded calls."""
        batch, context = message
        if context is not None:
            rows = len(batch.x)
            if rows not in self.recorded:
                self.recorded[rows] = RecordedMLP(self.params, self.grads, rows)
            return self.recorded[rows](batch, context)
        loss, grads = loop.value_and_grad(self.net, self.params, batch, self.L)
        tree.map(np.copyto, self.grads, grads)
        return loss
