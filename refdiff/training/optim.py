"""Adam, the EMA of parameters, gradient clipping and the learning rate, as pure functions: inputs stay unchanged, results are new arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import tree
from ..arrays import FARTHEST, Array, describe, device_get
from ..checks import check_count, check_counts, check_number, check_real, check_scalar, check_shape
from ..tree import Tree

HIGH = FARTHEST["f4"]
STEPS = 2**53  # the largest number of a step


def init(params: Tree) -> Tree:
    """Initial state of `adam`: zero moments, shaped like the parameters."""
    check_trees(params=params)
    return {"m": tree.map(np.zeros_like, params), "v": tree.map(np.zeros_like, params)}


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
    r"""One step of Adam, or of AdamW with decay > 0; step counts from 1. Returns new parameters and new state.

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
      \theta \leftarrow \theta - rate \Bigl(\frac{m / (1 - \beta_1^k)}{\sqrt{v / (1 - \beta_2^k)} + \epsilon} + decay\, \theta\Bigr)$$

    Here $g$ is the gradient and $k$ the step. The divisors correct the bias of the moments $m$ and $v$, which start at zero. The weight
    decay acts on the parameters directly and not through the gradient. It is multiplied by the rate, so the paper's $\lambda$ is decay
    times the peak rate. Source: T1 [Adam alg. 1], [AdamW alg. 2].
    """
    step, rate, beta1, beta2, eps, decay = check_settings(step, rate, beta1, beta2, eps, decay)
    check_trees(params=params, grads=grads, **check_moments(state))
    m = tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state["m"], grads)
    v = tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state["v"], grads)
    debias1, debias2 = debias(beta1, step), debias(beta2, step)

    def update(theta: Array, m: Array, v: Array) -> Array:
        return theta - rate * (m / debias1 / (np.sqrt(v / debias2) + eps) + decay * theta)

    return tree.map(update, params, m, v), {"m": m, "v": v}


def ema(average: Tree, params: Tree, decay: float = 0.999) -> Tree:
    r"""One step of the exponential moving average (EMA) of parameters, $a \leftarrow decay\, a + (1 - decay)\, \theta$, started at zero.

    `ema_debiased` corrects the bias of the start at zero. Source: T1 [Adam sec. 7.2].
    """
    check_trees(average=average, params=params)
    decay = check_scalar("decay", decay, 0, 1)
    return tree.map(lambda a, theta: decay * a + (1 - decay) * theta, average, params)


def ema_debiased(average: Tree, step: int, decay: float = 0.999) -> Tree:
    r"""EMA without the bias of its start at zero, $a / (1 - decay^{step})$; after one step it equals the parameters.

    Source: T1 [Adam sec. 7.2].
    """
    check_trees(average=average)
    bias = debias(check_decay("decay", decay), check_count("step", step, 1, STEPS))
    return tree.map(lambda a: a / bias, average)


def debias(beta: float, step: int) -> float:
    r"""Divisor $1 - \beta^k$ of an average that starts at zero, without the cancellation of the subtraction. Source: T1 [Adam alg. 1]."""
    log = math.log(beta) if beta else -math.inf
    return (1 - beta) * (math.expm1(step * log) / math.expm1(log))


def global_norm(grads: Tree) -> float:
    r"""Global gradient norm, $\|g\| = \sqrt{\sum g_i^2}$ over all parameters. Source: T1 [Pascanu et al. alg. 1]."""
    check_trees(grads=grads)
    check_real(**tree.flatten(grads, "grads"))
    return float(np.sqrt(sum(float(device_get((g * g).sum(dtype=np.float64))) for g in tree.flatten(grads).values())))


def clip(grads: Tree, limit: float) -> tuple[Tree, float]:
    r"""Clip gradients to a global norm of at most limit, $g \min(1, limit / \|g\|)$; limit = inf leaves them unchanged.

    Returns the clipped gradients and the norm before clipping.

    Source: T1 [Pascanu et al. alg. 1].
    """
    limit = limit if isinstance(limit, float) and limit == math.inf else check_scalar("limit", limit)
    if limit <= 0:
        raise ValueError(f"limit = {limit!r}; allowed: above 0, inf for no limit")
    norm = global_norm(grads)
    factor = limit / norm if norm > limit else 1.0
    return tree.map(lambda g: g * factor, grads), norm


def learning_rate(step: int, peak: float, warmup: int, total: int, floor: float = 0.0) -> float:
    r"""Learning rate: linear warm-up over `warmup` steps, then cosine decay to `floor` at step `total`.

    $$peak \frac{k}{warmup}, \qquad floor + \frac{peak - floor}2 \Bigl(1 + \cos \pi \frac{k - warmup}{total - warmup}\Bigr)$$

    Here $k$ is the step, counted from 1. After step `total` the rate stays at `floor`. Source: T1 [SGDR eq. 5].
    """
    step, peak, floor = check_count("step", step, 1, STEPS), check_scalar("peak", peak), check_scalar("floor", floor)
    warmup, total = check_counts(warmup=warmup, total=total)
    if not 0 <= warmup < total:
        raise ValueError(f"warmup = {warmup}; allowed: 0..total - 1 = {total - 1}")
    if step <= warmup:
        return peak * step / warmup
    left = max(0.0, (total - step) / (total - warmup))
    return floor + (peak - floor) * math.sin(math.pi / 2 * left) ** 2  # (1 + cos) / 2 would cancel near the end


def check_settings(step: Any, rate: Any, beta1: Any, beta2: Any, eps: Any, decay: Any) -> tuple[int, float, float, float, float, float]:
    """The settings of Adam as Python numbers; raises unless they are finite, and the averages move."""
    named = {"rate": rate, "eps": eps, "decay": decay}
    rate, eps, decay = (check_scalar(name, value, -HIGH, HIGH) for name, value in named.items())
    return check_count("step", step, 1, STEPS), rate, check_decay("beta1", beta1), check_decay("beta2", beta2), eps, decay


def check_decay(name: str, decay: Any) -> float:
    """The decay of an average as a Python number; raises unless it is in [0, 1)."""
    decay = check_scalar(name, decay)
    check_number(f"1 - {name}", 1 - decay, 0, 1, open_low=True)
    return decay


def check_moments(state: Any) -> dict[str, Tree]:
    """The moments m and v; raises unless the state is what `init` makes."""
    if not isinstance(state, dict) or state.keys() != {"m", "v"}:
        raise ValueError(f"state = {describe(state)}; allowed: the moments m and v, as `init` makes them")
    return {"state m": state["m"], "state v": state["v"]}


def check_trees(**named: Tree) -> None:
    """Raise unless all trees hold floating-point arrays of the same shapes, by the same names; values are not read."""
    first, arrays = next((name, tree.flatten(value)) for name, value in named.items())
    for name, value in named.items():
        found = tree.flatten(value)
        if found.keys() != arrays.keys():
            raise ValueError(f"{name} has the arrays {', '.join(found)}; allowed: {', '.join(arrays)}, as {first} has")
        for path, array in found.items():
            check_shape(f"{name} at {path}", array, *getattr(arrays[path], "shape", ()))
