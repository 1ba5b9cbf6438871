"""Operations of refdiff: the small network and its training, and score matching."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import tree
from ...arrays import like
from ...networks import layers
from ...networks.mlp import mlp as network
from ...objectives import elbo, flow, score_matching
from ...process import predict, schedules, sde
from ...sampling import likelihood
from ...training import loop, optim


def mlp(x: Any, t: Any, table: Any = None, labels: Any = None, **weights: Any) -> Any:
    return network(_params(weights, table), x, t, labels)[0]


def mlp_vjp(x: Any, t: Any, table: Any, labels: Any, dy: Any, **weights: Any) -> Any:
    dp, dx = network(_params(weights, table), x, t, labels)[1](dy)
    return {"dx": dx, **_named(dp)}


def mlp_loss(x: Any, t: Any, target: Any, table: Any, labels: Any, **weights: Any) -> Any:
    loss, dp = loop.value_and_grad(network, _params(weights, table), loop.Batch(x, t, labels, target))
    return {"loss": loss, **_named(dp)}


def train_mlp(x0: Any, t: Any, noise: Any, betas: Any, kind: str, **arguments: Any) -> Any:
    return _trained(schedules.from_betas(betas), x0, t, noise, kind, **arguments)


def train_mlp_flow(data: Any, t: Any, noise: Any, **arguments: Any) -> Any:
    return _trained(flow.straight, data, t, noise, "velocity", **arguments)


def explicit_score_matching(score: Any, exact: Any) -> Any:
    return score_matching.explicit(score, exact)


def denoising_score_matching(score: Any, noise: Any, sigma: Any, weight: Any) -> Any:
    return elbo.weighted(score_matching.denoising(score, noise, sigma), weight)


def implicit_score_matching(score: Any, jacobian: Any) -> Any:
    return score_matching.implicit(score, likelihood.divergence(_linear(jacobian), 0 * score, 0.0))


def sliced_score_matching(score: Any, jacobian: Any, probe: Any, reduced: str) -> Any:
    slope = likelihood.hutchinson(_linear(jacobian), 0 * probe, 0.0, probe)
    return score_matching.sliced(score, probe, slope, {"yes": True, "no": False}[reduced])


def score_weight(t: Any, beta_min: Any, beta_max: Any, kind: str) -> Any:
    return score_matching.weight(t, sde.vp(beta_min, beta_max), kind)


def _linear(jacobian: Any) -> Any:
    """A field that has this Jacobian (B, d, d) everywhere."""
    return lambda x, t: np.einsum("bij,bj->bi", jacobian, x)


def _trained(
    path: Any, x0: Any, t: Any, noise: Any, kind: str, rate: Any, beta1: Any, beta2: Any, eps: Any, checkpoints: Any, **weights: Any
) -> Any:
    batches = [_batch(path, x0, t_i, noise_i, kind) for t_i, noise_i in zip(t, noise, strict=True)]
    params = _params(weights)
    state, saved = optim.init(params), []
    for step in range(1, max(checkpoints) + 1):
        _, grads = loop.value_and_grad(network, params, batches[(step - 1) % len(batches)], layers)
        grads = tree.map(lambda g: g / len(x0), grads)
        params, state = optim.adam(params, grads, state, step, rate, beta1, beta2, eps)
        if step in checkpoints:
            saved.append(_flat(params))
    return np.stack(saved)


def _batch(path: Any, x0: Any, t: Any, noise: Any, kind: str) -> loop.Batch:
    signal, sigma = path.signal_sigma(t)
    x_t = like(signal, x0) * x0 + like(sigma, x0) * noise
    return loop.Batch(x_t, path.clock(t), None, predict.target(kind, x0, noise, t, path))


def _params(weights: dict[str, Any], table: Any = None) -> Any:
    """The parameters w0, b0, w1, ... as a tree of layers."""
    p: dict[str, Any] = {f"layer{i}": {"w": weights[f"w{i}"], "b": weights[f"b{i}"]} for i in range(len(weights) // 2)}
    return p if table is None else p | {"label": {"table": table}}


def _named(dp: Any) -> dict[str, Any]:
    named = {f"d{part}{name.removeprefix('layer')}": d for name, of in dp.items() if name != "label" for part, d in of.items()}
    return named | {"dtable": dp["label"]["table"]}


def _flat(params: Any) -> Any:
    return np.concatenate([params[name][part].ravel() for name in sorted(params) for part in ("w", "b")])
