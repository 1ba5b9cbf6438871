r"""Learned noise schedule: a monotone network $\gamma(t) = -\log \mathrm{SNR}(t)$ with its derivatives, and the schedule of least variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array, Model, Number, Time, as_array, cast, describe, holds, kind, like, sigmoid, softplus, sum_event
from ..checks import check_arrays, check_count, check_dtype, check_floats, check_number, check_real, check_scalar, per_example, together
from ..tree import Params
from .vdm import LIMIT, gaussian_loss

STEP = 1e-20  # of the complex steps, which have no truncation error
LAYERS = ("l1", "l2", "l3")
Pullback = Callable[[Array, Array], tuple[Params, Array]]  # vjp(dgamma, drate) -> dp, dt


def init(width: int = 32, gamma_0: float = -13.3, gamma_1: float = 5.0, dtype: Any = np.float64) -> Params:
    """Parameters of a nearly straight schedule from `gamma_0` to `gamma_1`: `width` sigmoids with centres evenly spaced over the time.

    Half of the slope is that of the sigmoids. The default ends are those of VDM's code. Raises unless gamma_0 < gamma_1. Source: V2.
    """
    width, dtype = check_count("width", width, 1, 2**20), check_dtype(dtype)
    gamma_0, gamma_1 = check_scalar("gamma_0", gamma_0, -LIMIT, LIMIT), check_scalar("gamma_1", gamma_1, -LIMIT, LIMIT)
    if not gamma_0 < gamma_1:
        raise ValueError(f"gamma_0 = {gamma_0!r}, gamma_1 = {gamma_1!r}; allowed: gamma_0 below gamma_1")
    centres, ones = (np.arange(width) + 0.5) / width, np.ones(width)
    p = {
        "ends": np.array([gamma_0, gamma_1]),
        "l1": {"w": _inverse_softplus(np.ones(1)), "b": np.zeros(1)},
        "l2": {"w": _inverse_softplus(2 * width * ones), "b": -2 * width * centres},
        "l3": {"w": _inverse_softplus(ones / width)},
    }
    return tree.map(lambda each: each.astype(dtype), p)


def gamma(p: Params, t: Time) -> tuple[tuple[Array, Array], Pullback]:
    r"""Monotone schedule $\gamma(t)$ and its derivative $\gamma'(t)$, shaped like `t`, () or (B,), in 0..1; p from `init`.

    $$\gamma(t) = \gamma_0 + (\gamma_1 - \gamma_0) \frac{h(t) - h(0)}{h(1) - h(0)}, \qquad h = l_1(t) + l_3(\varsigma(l_2(l_1(t))))$$

    The weights of the linear layers are $\log(1 + e^w) > 0$, so that $h$ increases for all parameters. `vjp(dgamma, drate)` gives dp and dt,
    also through $\gamma'$. `p["ends"]` are $\gamma_0, \gamma_1$. Raises unless $\gamma_0 < \gamma_1$. Source: V2 [VDM app. H].
    """
    _check(p)
    low, high = p["ends"][0], p["ends"][1]
    if not holds(low.real < high.real):
        raise ValueError(f"p at ends = {describe(p['ends'])}; allowed: the first below the second")
    t = np.asarray(cast("t", check_number("t", t, 0, 1), p["ends"]), like=p["ends"])
    if t.ndim > 1:
        raise ValueError(f"t has shape {t.shape}; allowed: () or (B,)")
    times = np.concatenate([t.reshape(-1), np.arange(2, like=t).astype(t.dtype)])
    h, slope, network_vjp = _network(p, times)
    done, total, span = h[:-2] - h[-2], h[-1] - h[-2], high - low
    share, pace = done / total, slope[:-2] / total

    def vjp(dgamma: Array, drate: Array) -> tuple[Params, Array]:
        dgamma, drate = dgamma.reshape(-1), drate.reshape(-1)
        through, rise = (dgamma * share).sum(), (drate * pace).sum()
        ddone, dtotal = dgamma * span / total, -(through + rise) * span / total
        dh = np.concatenate([ddone, np.stack([-ddone.sum() - dtotal, dtotal])])
        dp, dtimes = network_vjp(dh, np.concatenate([drate * span / total, np.zeros_like(dh[-2:])]))
        dp["ends"] = np.stack([dgamma.sum() - through - rise, through + rise])
        return dp, dtimes[:-2].reshape(t.shape)

    return (((1 - share) * low + share * high).reshape(t.shape), (span * pace).reshape(t.shape)), vjp


def optimal_gamma(t: Time, variance: Number, gamma_0: Number, gamma_1: Number) -> tuple[Array, Array]:
    r"""Schedule of least variance for the exact model of Gaussian data of variance $c$, one dimension: $\gamma(t)$ and $\gamma'(t)$.

    $$\log(1 + c\, e^{-\gamma(t)}) = (1 - t) \log(1 + c\, e^{-\gamma_0}) + t \log(1 + c\, e^{-\gamma_1})$$

    Along it $\gamma'$ times the error of $\epsilon$ is constant: the loss of `vdm.continuous_term` has the same second moment at every time.
    Raises unless $\gamma_0 < \gamma_1$ and $c > 0$. Source: V2.
    """
    for name, end in (("gamma_0", gamma_0), ("gamma_1", gamma_1)):
        check_number(name, end, -LIMIT, LIMIT)
    if not holds(as_array(gamma_0).real < as_array(gamma_1).real):
        raise ValueError(f"gamma_0 = {gamma_0!r}, gamma_1 = {gamma_1!r}; allowed: gamma_0 below gamma_1")
    variance = check_number("variance", variance, 1e-120, 1e120)
    t, variance, start, end = together(t=check_number("t", t, 0, 1), variance=variance, gamma_0=gamma_0, gamma_1=gamma_1)
    first, last = (np.log1p(variance * np.exp(-each)) for each in (start, end))
    log = (1 - t) * first + t * last
    return np.log(variance) - np.log(np.expm1(log)), 2 * gaussian_loss(variance, end, start) / -np.expm1(-log)


def error_and_slope(model: Model, x0: Array, noise: Array, gamma: Number) -> tuple[Array, Array]:
    r"""Squared error $e$ of a model of $\epsilon$ at the noise level $\gamma$, and its derivative in $\gamma$; both (B,).

    $$e(\gamma) = \|\epsilon - \epsilon_\theta(x_\gamma, \gamma)\|^2, \qquad x_\gamma = \sqrt{\varsigma(-\gamma)}\, x_0 + \sqrt{\varsigma(\gamma)}\, \epsilon$$

    The derivative is found by a complex step: `model(x, gamma)` has to accept complex numbers and to be analytic. `gamma` is () or (B,). Source: V2.
    """
    check_arrays(x0=x0, noise=noise)
    check_real(x0=x0, noise=noise, gamma=gamma)
    level = as_array(per_example("gamma", gamma, x0, -LIMIT, LIMIT)) + 1j * STEP
    x = like(np.sqrt(sigmoid(-level)), x0) * x0 + like(np.sqrt(sigmoid(level)), x0) * noise
    prediction = model(x, level)
    if kind(prediction) != "c":
        raise TypeError("model(x, gamma) is real for a complex x; allowed: a model that keeps complex numbers, for the complex step")
    check_arrays(**{"x": x, "model(x, gamma)": prediction})
    error = sum_event((noise - prediction) ** 2)
    return error.real.astype(x0.dtype), (error.imag / STEP).astype(x0.dtype)


def gradient(error: Array, slope: Array, rate: Array, vjp: Pullback) -> Params:
    r"""Gradient of a learned schedule: the diffusion loss decides on its ends, and the variance of the loss on its shape.

    $$\nabla_{ends} E[L], \qquad \nabla_{shape} E[L^2] = E[2 L\, \nabla L], \qquad
      L = \tfrac12 \gamma' e, \quad dL = \tfrac12 e\, d\gamma' + \tfrac12 \gamma' e'\, d\gamma$$

    $E$ is the mean over the batch. $e$, its slope $e'$ in $\gamma$ and the rate $\gamma'$ are (B,), B 1 or more; `vjp` is that of `gamma`. The mean of $L$
    over the time does not depend on the shape, so its variance and its second moment differ by a constant. The prior and the
    decoder depend on the ends too: add their gradients. Source: V2 [VDM app. I.2].
    """
    check_arrays(error=error, slope=slope, rate=rate)
    if error.ndim != 1 or not len(error):
        raise ValueError(f"error has shape {error.shape}; allowed: (B,), B 1 or more")
    dgamma, drate, loss = rate * slope / (2 * len(error)), error / (2 * len(error)), rate * error / 2
    shape, _ = vjp(2 * loss * dgamma, 2 * loss * drate)
    ends, _ = vjp(dgamma, drate)
    return shape | {"ends": ends["ends"]}


def _network(p: Params, t: Array) -> tuple[Array, Array, Pullback]:
    """h(t) and h'(t), (n,), and the vjp of both."""
    a1, a2, a3 = (softplus(p[name]["w"]) for name in LAYERS)
    a = a1 * t + p["l1"]["b"]
    gate = sigmoid(a[:, None] * a2 + p["l2"]["b"])  # (n, width)
    first = gate * (1 - gate)
    second = first * (1 - 2 * gate)
    inner = 1 + first @ (a2 * a3)

    def vjp(dh: Array, dslope: Array) -> tuple[Params, Array]:
        dinner = dslope * a1
        du = (dh[:, None] * first + dinner[:, None] * a2 * second) * a3
        da = dh + du @ a2
        da1 = ((dslope * inner).sum() + (da * t).sum())[None]
        da2 = a @ du + dinner @ first * a3
        da3 = dh @ gate + dinner @ first * a2
        dw = [d * sigmoid(p[name]["w"]) for name, d in zip(LAYERS, (da1, da2, da3), strict=True)]
        return {"l1": {"w": dw[0], "b": da.sum()[None]}, "l2": {"w": dw[1], "b": du.sum(axis=0)}, "l3": {"w": dw[2]}}, da * a1

    return a + gate @ a3, a1 * inner, vjp


def _inverse_softplus(y: Array) -> Array:
    return y + np.log(-np.expm1(-y))


def _check(p: Any) -> None:
    """Raise unless p has the arrays that `init` makes; values are not read."""
    leaves = tree.flatten(p) if isinstance(p, dict) else {}
    if leaves.keys() != {"ends", "l1/w", "l1/b", "l2/w", "l2/b", "l3/w"}:
        found = f"the entries {', '.join(map(str, p))}" if isinstance(p, dict) else f"type {type(p).__name__}"
        raise ValueError(f"p has {found}; allowed: the parameters that learned_schedule.init makes")
    width = np.shape(leaves["l3/w"])[:1]
    for path, array in leaves.items():
        check_floats(f"p at {path}", array)
        shape = {"en": (2,), "l1": (1,)}.get(path[:2], width)
        if array.shape != shape:
            raise ValueError(f"p at {path} has shape {array.shape}; allowed: {shape}")
