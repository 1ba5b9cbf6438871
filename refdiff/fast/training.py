"""`training.value_and_grad` and `training.step` for a state in flat buffers, on worker processes that are kept as long as its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..networks import mlp
from ..training import loop, parallel
from ..training.loop import Batch, Config, Network, State
from ..training.parallel import Reduce
from ..tree import Params
from . import buffers, flat_state
from .buffers import Packed
from .flat_state import FlatState, Update
from .processes import WorkerPool
from .worker import Worker


def value_and_grad(
    net: Network, params: Params, batch: Batch, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    """`training.value_and_grad`, on several processes if the parameters are in flat buffers (see `fast.adopt`); the MLP uses recorded calls.

    The arrays of the gradients that all_reduce receives are overwritten by the next step.
    """
    if not isinstance(params, Packed) or not _same_dtype(params, batch):
        return loop.value_and_grad(net, params, batch, L, workers, all_reduce)
    with _pool(net, params, batch, L, workers) as pool:
        losses = pool.differentiate(params, batch)
        reduce = flat_state.total if all_reduce is parallel.total else all_reduce
        loss, grads = reduce(list(zip(losses, pool.grads, strict=True)))
        return loss, buffers.copy(grads) if any(grads is each for each in pool.grads) else grads


def step(
    state: State, batch: Batch, config: Config, net: Network, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[State, float]:
    """`training.step`, in place on a state in flat buffers; the sum of the gradients and the update are divided among the workers too.

    If all_reduce is not the default function, or L has another gradient or update, `training.step` runs with these.
    """
    params = state.params
    others = all_reduce is not parallel.total or any(getattr(L, f.__name__, f) is not f for f in (value_and_grad, flat_state.update))
    if others or not isinstance(state, FlatState) or not isinstance(params, Packed) or not _same_dtype(params, batch):
        return loop.step(state, batch, config, net, L, workers, all_reduce)
    with _pool(net, params, batch, L, workers, state.buffers) as pool:
        loss = sum(pool.differentiate(params, batch))
        loop.check_loss(loss, state.step + 1, config)
        update = Update.of(state.step + 1, sum(pool.broadcast(params, "add")), config)
        pool.broadcast(params, "update", update)
    return flat_state.next_step(state), loss


def _same_dtype(params: Packed, batch: Batch) -> bool:
    """Whether the batch has the precision of the parameters."""
    return {batch.x.dtype, batch.target.dtype} == {params.buffer.dtype}


@contextmanager
def _pool(net: Network, params: Packed, batch: Batch, L: Any, workers: int | None, state_buffers: Any = ()) -> Iterator[_Pool]:
    """The workers for this network. They are kept with the parameters from one step to the next; during a step no other call can use them."""
    count = parallel.count(workers, batch.x.size * params.buffer.size)
    key = net, id(L), count, bool(state_buffers)
    pool = params.cache.pop(key, None) or _Pool(net, params, L, count, state_buffers)
    with parallel.blas_threads(workers):
        yield pool
    params.cache.clear()  # of workers made for another network or number, which nobody needs any more
    params.cache[key] = pool


class _Pool:
    """Workers and their gradients, in memory that all of them share."""

    def __init__(self, net: Network, params: Packed, L: Any, count: int, state_buffers: Any) -> None:
        self.net, self.L = net, L  # L is held, so that no other has its id
        self.grads = [buffers.like(params, params.buffer.dtype, shared=True) for _ in range(count)]
        self.workers = WorkerPool([Worker(net, L, self.grads, number, state_buffers) for number in range(count)], params)

    def differentiate(self, params: Packed, batch: Batch) -> list[float]:
        """The losses of the slices; their gradients are then in `grads`."""
        count, context = len(self.grads), None
        if self.net is mlp.mlp:
            context, _ = mlp._context(params, len(batch.x), batch.x, batch.clock, batch.y, self.L)
        contexts = [None if context is None else context[part] for part in parallel.slices(len(batch.x), count)]
        return self.workers(params, [("differentiate", *each) for each in zip(parallel.split(batch, count), contexts, strict=True)])

    def broadcast(self, params: Packed, *message: Any) -> list[Any]:
        """The results of all workers for the same message."""
        return self.workers(params, [message] * len(self.grads))
