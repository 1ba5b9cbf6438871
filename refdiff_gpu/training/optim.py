"""`refdiff.optim` with one kernel launch per array for a step of Adam or EMA.

`training.update` needs one launch for all arrays.
"""

from __future__ import annotations

from functools import wraps

from refdiff import tree
from refdiff.arrays import Array
from refdiff.checks import check_scalar
from refdiff.training import optim as reference
from refdiff.training.optim import check_decay as check_decay
from refdiff.training.optim import check_moments, check_settings, check_trees, clip, debias, ema_debiased, global_norm, init, learning_rate
from refdiff.tree import Tree

from ..device.arrays import same_float_dtype
from ..device.launch import launch

__all__ = ["adam", "clip", "debias", "ema", "ema_debiased", "global_norm", "init", "learning_rate"]


@wraps(reference.adam)
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
    check_trees(params=params, grads=grads, **check_moments(state))
    if not _same_float_dtype(params, grads, state["m"], state["v"]):
        return reference.adam(params, grads, state, step, rate, beta1, beta2, eps, decay)
    step, rate, beta1, beta2, eps, decay = check_settings(step, rate, beta1, beta2, eps, decay)
    numbers = {"beta1": beta1, "one_minus_beta1": 1 - beta1, "beta2": beta2, "one_minus_beta2": 1 - beta2}
    numbers |= {"bias_correction1": debias(beta1, step), "bias_correction2": debias(beta2, step)}
    numbers |= {"eps": eps, "rate": rate, "weight_decay": decay}
    numbers |= {"batch": 1, "factor": 1.0, "ema_decay": 0.0, "one_minus_ema_decay": 1.0}  # no mean over a batch, no clipping, no EMA

    def update(theta: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        theta, _, m, v = launch("adam", theta, theta, m, v, g, **numbers)
        return theta, m, v

    updated = tree.map(update, params, grads, state["m"], state["v"])
    params, m, v = (tree.map(lambda arrays, i=i: arrays[i], updated) for i in range(3))
    return params, {"m": m, "v": v}


@wraps(reference.ema)
def ema(average: Tree, params: Tree, decay: float = 0.999) -> Tree:
    check_trees(average=average, params=params)
    if not _same_float_dtype(average, params):
        return reference.ema(average, params, decay)
    decay = check_scalar("decay", decay, 0, 1)
    return tree.map(lambda ema, theta: launch("ema", ema, theta, decay=decay, one_minus_decay=1 - decay), average, params)


def _same_float_dtype(*trees: Tree) -> bool:
    """Whether all arrays of all trees are float32, or all are float64."""
    return same_float_dtype(*(leaf for each in trees for leaf in tree.flatten(each).values()))
