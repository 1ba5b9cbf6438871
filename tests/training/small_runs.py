"""Small networks, batches and runs that several tests of training share."""

import numpy as np

from refdiff import flow, mlp, rng, training, tree
from refdiff.training import Batch, Config

from ..strategies import frozen


def network(seed, dtype=np.float64, **sizes):
    """A network with random parameters, none zero, in read-only arrays."""
    p = mlp.init(seed, dtype=dtype, **{"width": 6, "features": 4, "classes": 2} | sizes)
    return frozen(tree.map(lambda leaf: leaf + rng.normal(seed, 1, leaf.shape, stream=rng.START, dtype=dtype)[0] / 2, p))


def problem(dtype=np.float64, n=40):
    """Points of the plane with two labels."""
    return frozen(rng.normal(1, n, (2,), stream=rng.DATA, dtype=dtype)), frozen(np.arange(n) % 2)


def drawn(batch, dtype=np.float64, step=1):
    """A batch of flow matching in read-only arrays; without rows if batch is 0."""
    one = training.draw(step, *problem(dtype), flow.straight, Config(kind="velocity", batch=max(batch, 1)))
    return Batch(*(frozen(a[:batch]) for a in one))


def losses_and_states(config, state, dtype=np.float64, path=flow.straight, **options):
    """Losses and states of a run, each state copied."""
    run = training.train(state, *problem(dtype), path, config, **options)
    copies = [(loss, training.State(state.step, *map(frozen, (state.params, state.ema, state.moments)))) for state, loss in run]
    return [loss for loss, _ in copies], [state for _, state in copies]
