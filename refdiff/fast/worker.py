"""A worker's part of a training step: its slice of the batch differentiated, then its slice of all numbers changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array
from ..networks.mlp import mlp
from ..training import loop as training
from ..training import parallel
from ..training.loop import Batch, Network
from . import flat_state as flat
from .buffers import Packed
from .flat_state import Advance
from .mlp import Replay

LINE = 16  # numbers: parts that begin with a line of the cache


class Worker:
    """One of several, who see the same parameters and each other's gradients; told what to do by the name of a method."""

    def __init__(self, net: Network, L: Any, grads: list[Packed], number: int, buffers: list[Array]) -> None:
        self.net, self.L, self.grads, self.own, self.buffers = net, L, grads, grads[number], buffers
        rows = parallel.slices(-(-self.own.buffer.size // LINE), len(grads))[number]
        self.part = slice(LINE * rows.start, LINE * rows.stop)
        self.replays: dict[int, Replay] = {}

    def __call__(self, params: Packed, order: tuple[Any, ...]) -> Any:
        what, *told = order
        return getattr(self, what)(params, *told)

    def differentiate(self, params: Packed, batch: Batch, context: Array | None) -> float:
        """The loss of a slice, its gradient left in an array of this worker's; the MLP's by calls made before."""
        if self.net is mlp and context is not None:
            rows = len(batch.x)
            if rows not in self.replays:
                self.replays[rows] = Replay(params, self.own, rows)
            return self.replays[rows](batch, context)
        loss, grads = training.value_and_grad(self.net, params, batch, self.L)
        tree.map(np.copyto, self.own, grads)
        return loss

    def add(self, params: Packed) -> float:
        """This worker's part of all gradients added up in the first; the sum of its squares."""
        total, *others = (each.buffer[self.part] for each in self.grads)
        for other in others:
            total += other
        return float(np.dot(total, total))

    def advance(self, params: Packed, told: Advance) -> None:
        """This worker's part of the state changed for the gradient that was added up."""
        flat.advance(self.buffers, self.grads[0].buffer, self.part, told)
