"""`refdiff.optim` with a step of Adam, and of the running average, in one kernel for each array; `training.update` takes all arrays at once."""

from __future__ import annotations

from functools import wraps

from refdiff import tree
from refdiff.arrays import Array, check_number
from refdiff.training import optim as text
from refdiff.training.optim import clip, ema_debiased, global_norm, init, learning_rate
from refdiff.tree import Tree

from ..device.launch import launch
from ..device.precision import real

__all__ = ["adam", "clip", "ema", "ema_debiased", "global_norm", "init", "learning_rate"]


@wraps(text.adam)
def adam(
    params: Tree,
    grads: Tree,
    state: Tree,
    step: int,
    rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.0,
) -> tuple[Tree, Tree]:
    if not _real(params, grads, state["m"], state["v"]):
        return text.adam(params, grads, state, step, rate, beta1, beta2, eps, decay)
    check_number("step", step, 1)
    check_number("1 - beta1", 1 - beta1, 0, 1, open_low=True)
    check_number("1 - beta2", 1 - beta2, 0, 1, open_low=True)
    rate, beta1, beta2, eps, decay = (float(value) for value in (rate, beta1, beta2, eps, decay))
    numbers = {"rest1": 1 - beta1, "rest2": 1 - beta2, "debias1": 1 - beta1**step, "debias2": 1 - beta2**step}
    numbers |= {"beta1": beta1, "beta2": beta2, "eps": eps, "rate": rate, "decay": decay}
    alone = {"batch": 1, "factor": 1.0, "keep": 0.0, "fresh": 1.0}  # of the gradient as it is; the average is not asked for

    def change(theta: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        theta, _, m, v = launch("adam", theta, theta, m, v, g, **numbers, **alone)
        return theta, m, v

    changed = tree.map(change, params, grads, state["m"], state["v"])
    params, m, v = (tree.map(lambda of, i=i: of[i], changed) for i in range(3))
    return params, {"m": m, "v": v}


@wraps(text.ema)
def ema(average: Tree, params: Tree, decay: float = 0.999) -> Tree:
    if not _real(average, params):
        return text.ema(average, params, decay)
    check_number("decay", decay, 0, 1)
    keep = float(decay)
    return tree.map(lambda a, theta: launch("ema", a, theta, keep=keep, fresh=1 - keep), average, params)


def _real(*trees: Tree) -> bool:
    """Whether all arrays of all trees have one precision."""
    return real(*(leaf for each in trees for leaf in tree.flatten(each).values()))
