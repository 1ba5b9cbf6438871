"""`training.value_and_grad` and `training.step` for an adopted state, by workers that are kept with its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..networks import mlp
from ..networks.layers import Params
from ..training import loop as training
from ..training import parallel
from ..training.loop import Batch, Config, Network, State
from ..training.parallel import Reduce
from . import buffers as scratch
from . import flat_state as flat
from .buffers import Packed
from .flat_state import Advance, Flat
from .processes import Team
from .worker import Worker


def value_and_grad(
    net: Network, params: Params, batch: Batch, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    """`training.value_and_grad`; in a state of `adopt`'s by several processes, and the MLP's by calls made before.

    The gradients of the slices, which all_reduce is given, are in arrays that the next step writes over.
    """
    if not isinstance(params, Packed) or not _alike(params, batch):
        return training.value_and_grad(net, params, batch, L, workers, all_reduce)
    with _crew(net, params, batch, L, workers) as crew:
        losses = crew.differentiate(params, batch)
        reduce = flat.total if all_reduce is parallel.total else all_reduce
        loss, grads = reduce(list(zip(losses, crew.grads, strict=True)))
        return loss, scratch.copy(grads) if any(grads is each for each in crew.grads) else grads


def step(
    state: State, batch: Batch, config: Config, net: Network, L: Any, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[State, float]:
    """`training.step`, in place on a state of `adopt`'s, where also the sum and the update are shared out.

    A sum, gradient or update of another's, as an argument or in L, is used as the text does.
    """
    params = state.params
    others = all_reduce is not parallel.total or any(getattr(L, f.__name__, f) is not f for f in (value_and_grad, flat.update))
    if others or not isinstance(state, Flat) or not isinstance(params, Packed) or not _alike(params, batch):
        return training.step(state, batch, config, net, L, workers, all_reduce)
    with _crew(net, params, batch, L, workers, state.buffers) as crew:
        loss = sum(crew.differentiate(params, batch))
        training.check_loss(loss, state.step + 1, config)
        told = Advance.of(state.step + 1, sum(crew.all(params, "add")), config)
        crew.all(params, "advance", told)
    return flat.next_step(state), loss


def _alike(params: Packed, batch: Batch) -> bool:
    """Whether the batch is of the parameters' precision."""
    return {batch.x.dtype, batch.target.dtype} == {params.buffer.dtype}


@contextmanager
def _crew(net: Network, params: Packed, batch: Batch, L: Any, workers: int | None, buffers: Any = ()) -> Iterator[_Crew]:
    """The workers for this network, kept with the parameters from one step to the next, and nobody else's meanwhile."""
    count = parallel.count(workers, batch.x.size * params.buffer.size)
    key = net, id(L), count, bool(buffers)
    crew = params.kept.pop(key, None) or _Crew(net, params, L, count, buffers)
    with parallel.hold(workers):
        yield crew
    params.kept.clear()  # of workers made for another network or number, which would stay for nothing
    params.kept[key] = crew


class _Crew:
    """Workers with the gradients they leave, in memory all of them see."""

    def __init__(self, net: Network, params: Packed, L: Any, count: int, buffers: Any) -> None:
        self.net, self.L = net, L  # L is held, so that no other has its id
        self.grads = [scratch.like(params, params.buffer.dtype, shared=True) for _ in range(count)]
        self.team = Team([Worker(net, L, self.grads, number, buffers) for number in range(count)], params)

    def differentiate(self, params: Packed, batch: Batch) -> list[float]:
        """The losses of the slices, whose gradients are then in `grads`."""
        count, context = len(self.grads), None
        if self.net is mlp.mlp:
            context, _ = mlp._context(params, len(batch.x), batch.x, batch.clock, batch.y, self.L)
        contexts = [None if context is None else context[part] for part in parallel.slices(len(batch.x), count)]
        return self.team(params, [("differentiate", *each) for each in zip(parallel.split(batch, count), contexts, strict=True)])

    def all(self, params: Packed, *order: Any) -> list[Any]:
        """What every worker answers to the same order."""
        return self.team(params, [order] * len(self.grads))
