"""Every public equation as a call on named arrays, to compare device and host in the tests and in the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refdiff import rng
from refdiff.arrays import Array, read_only
from refdiff.objectives.flow import optimal_transport, straight, trigonometric
from refdiff.process import schedules
from refdiff.process.predict import KINDS

GRID = read_only(schedules.grid("linspace", 100, 4))


def arguments(dtype: Any = np.float64) -> dict[str, Any]:
    """The arguments of the cases: states, noise, times and labels of four examples, and a schedule."""
    names = "x", "noise", "p", "log_variance", "mix"
    arrays = {name: _draws(step, dtype=dtype) for step, name in enumerate(names)}
    times = {"t": np.array([7, 50, 99, 100]), "s": np.array([3, 49, 0, 60]), "tau": np.array([0.1, 0.25, 0.5, 0.9])}
    root = _draws(20, (3, 3, 3)) / 2
    return {
        **arrays,
        **times,
        "variance": np.exp(arrays["log_variance"]),
        "mix": (1 + np.tanh(arrays["mix"])) / 2,
        "states": [_draws(10 + i, dtype=dtype) for i in range(5)],
        "uniform": np.array([0.05, 0.4, 0.7, 0.95]),
        "labels": np.array([0, 1, 1, 0]),
        "matrix": root @ root.mT + np.eye(3),
        "vector": _draws(21, (4, 3)),
        "hessian": _draws(22, (4, 3, 3)),
        "schedule": schedules.linear(100),
    }


def _draws(step: int, shape: tuple[int, ...] = (4, 3, 2), dtype: Any = np.float64) -> Array:
    return rng.normal(5, shape[0], shape[1:], step, dtype=dtype)


def _plan(a: dict[str, Any]) -> Array:
    """Probabilities (3, 4) of the pairs of three noises and four data points."""
    weights = a["mix"][:, :, 0].T
    return weights / weights.sum()


def _vjp(d: Array) -> tuple[None, Array]:
    return None, d


def _linear_gaussian(rd: Any, a: dict[str, Any], name: str) -> Any:
    model = rd.latent.LinearGaussian(a["vector"][:3, :2], a["vector"][3], 0.5)
    z, x, covariance = a["vector"][:, :2], a["vector"], a["matrix"][0][:2, :2]
    inputs = {"log_likelihood": (x, z), "log_marginal": (x,), "posterior": (x,), "elbo": (x, z, covariance), "gap": (x, z, covariance)}
    return getattr(model, name)(*inputs[name])


def _schedule_net(a: dict[str, Any]) -> dict[str, Any]:
    layers = {name: {"w": a["tau"][:n], "b": a["uniform"][:n]} for name, n in (("l1", 1), ("l2", 4))}
    return {"ends": a["tau"][1:3], **layers, "l3": {"w": a["uniform"]}}


def _schedule_gradient(rd: Any, a: dict[str, Any]) -> Any:
    (gamma, rate), vjp = rd.learned_schedule.gamma(_schedule_net(a), a["tau"])
    error, slope = rd.learned_schedule.error_and_slope(
        lambda x, level: x / 2, a["x"].astype(np.float64), a["noise"].astype(np.float64), gamma
    )
    dp = rd.learned_schedule.gradient(error, slope, rate, vjp)
    return [gamma, rate, error, slope, dp["ends"], dp["l2"]["w"], dp["l3"]["w"]]


def _elbo(a: dict[str, Any], f: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """An ELBO with a model whose last step has a variance above 0."""
    return f(*inputs, GRID, a["schedule"], lambda x_t, t, s: (x_t / 2, np.ones_like(x_t)), **options)


CASES: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    # forward
    "forward.q_step": lambda rd, a: rd.forward.q_step(a["x"], a["t"], a["s"], a["schedule"]),
    "forward.q_step_sample": lambda rd, a: rd.forward.q_step_sample(a["x"], a["t"], a["s"], a["schedule"], a["noise"]),
    "forward.q_marginal": lambda rd, a: rd.forward.q_marginal(a["x"], a["t"], a["schedule"]),
    "forward.q_sample": lambda rd, a: rd.q_sample(a["x"], a["t"], a["schedule"], a["noise"]),
    "forward.q_sample at one time": lambda rd, a: rd.q_sample(a["x"], 30, a["schedule"], a["noise"]),
    "forward.posterior": lambda rd, a: rd.posterior(a["x"], a["p"], a["t"], a["s"], a["schedule"]),
    "forward.posterior_by_bayes": lambda rd, a: rd.forward.posterior_by_bayes(a["x"], a["p"], 50, 20, a["schedule"]),
    "forward.trajectory": lambda rd, a: rd.forward.trajectory(a["x"], GRID, a["schedule"], a["states"][:4]),
    "forward.trajectory_log_density": lambda rd, a: rd.forward.trajectory_log_density(a["states"], GRID, a["schedule"]),
    "forward.trajectory_log_density_reversed": lambda rd, a: rd.forward.trajectory_log_density_reversed(a["states"], GRID, a["schedule"]),
    "forward.prior_kl": lambda rd, a: rd.forward.prior_kl(a["x"], a["schedule"]),
    # predict
    **{
        f"predict.{name} from {kind}": partial(
            lambda name, kind, rd, a: getattr(rd.predict, name)(a["p"], a["x"], a["t"], a["schedule"], kind), name, kind
        )
        for name in ("to_x0", "to_eps")
        for kind in KINDS
    },
    **{
        f"predict.convert {one} to {two}": partial(
            lambda one, two, rd, a: rd.predict.convert(a["p"], a["x"], a["t"], a["schedule"], one, two), one, two
        )
        for one in KINDS
        for two in KINDS
    },
    "predict.target": lambda rd, a: rd.predict.target("v", a["x"], a["noise"], a["t"], a["schedule"]),
    "predict.clip_x0": lambda rd, a: rd.predict.clip_x0(a["p"], a["x"], a["t"], a["schedule"], "v", 0.5),
    "predict.tweedie_mean": lambda rd, a: rd.predict.tweedie_mean(a["x"], a["p"], a["t"], a["schedule"]),
    "predict.tweedie_covariance": lambda rd, a: rd.predict.tweedie_covariance(a["hessian"], 40, a["schedule"]),
    # reverse
    "reverse.mean_from_eps": lambda rd, a: rd.reverse.mean_from_eps(a["p"], a["x"], a["t"], a["s"], a["schedule"]),
    "reverse.kernel": lambda rd, a: rd.reverse.kernel(a["p"], a["x"], a["t"], a["s"], a["schedule"], "v"),
    "reverse.model_variance": lambda rd, a: rd.reverse.model_variance(a["x"], 50, 20, a["schedule"], "learned", a["mix"]),
    "reverse.trajectory_log_density": lambda rd, a: rd.reverse.trajectory_log_density(
        a["states"], GRID, lambda x_t, t, s: (x_t / 2, np.ones_like(x_t))
    ),
    # gaussian
    "gaussian.log_density": lambda rd, a: rd.gaussian.log_density(a["x"], a["p"], a["variance"]),
    "gaussian.score": lambda rd, a: rd.gaussian.score(a["x"], a["p"], a["variance"]),
    "gaussian.log_density_full": lambda rd, a: rd.gaussian.log_density_full(a["vector"], a["vector"][0], a["matrix"][0]),
    "gaussian.entropy": lambda rd, a: rd.gaussian.entropy(a["x"], a["variance"]),
    "gaussian.kl_isotropic": lambda rd, a: rd.gaussian.kl_isotropic(a["x"], a["variance"][:, 0, 0], a["p"], a["variance"][:, 1, 1]),
    "gaussian.kl_diagonal": lambda rd, a: rd.gaussian.kl_diagonal(a["x"], a["variance"], a["p"], a["variance"][::-1]),
    "gaussian.kl_full": lambda rd, a: rd.gaussian.kl_full(a["vector"][0], a["matrix"][0], a["vector"][1], a["matrix"][1]),
    "gaussian.product": lambda rd, a: rd.gaussian.product(a["x"], a["variance"], a["p"], a["variance"][::-1]),
    "gaussian.quotient": lambda rd, a: rd.gaussian.quotient(a["x"], a["variance"], a["p"], a["variance"] * 2),
    "gaussian.discretized_log_likelihood": lambda rd, a: rd.gaussian.discretized_log_likelihood(np.tanh(a["x"]), a["p"], a["variance"]),
    # elbo
    "elbo.elbo_joint": lambda rd, a: _elbo(a, rd.elbo.elbo_joint, a["states"]),
    "elbo.elbo_bayes": lambda rd, a: _elbo(a, rd.elbo.elbo_bayes, a["states"]),
    "elbo.elbo_terms": lambda rd, a: _elbo(a, rd.elbo.elbo_terms, a["x"], noise=a["states"][:4]),
    "elbo.weights": lambda rd, a: [
        f(a["t"], a["s"] // 2 + 1, a["schedule"]) for f in (rd.elbo.weight_mean, rd.elbo.weight_eps, rd.elbo.weight_x0)
    ],
    "elbo.squared_decoder": lambda rd, a: rd.elbo.squared_decoder(a["x"], a["p"], a["variance"]),
    "elbo.discretized_decoder": lambda rd, a: rd.elbo.discretized_decoder(np.tanh(a["x"]), a["p"], a["variance"]),
    "elbo.l_simple": lambda rd, a: rd.elbo.l_simple(a["x"], a["p"]),
    "elbo.hybrid": lambda rd, a: rd.elbo.hybrid(rd.elbo.l_simple(a["x"], a["p"]), a["tau"]),
    "elbo.min_snr_weight": lambda rd, a: [rd.elbo.min_snr_weight(a["t"], a["schedule"], kind=kind) for kind in ("x0", "eps", "v")],
    "elbo.bits_per_dim": lambda rd, a: rd.elbo.bits_per_dim(a["tau"], 6),
    "vdm.continuous_term": lambda rd, a: [rd.vdm.continuous_term(a["x"], a["p"], a["tau"], a["uniform"], kind) for kind in rd.vdm.KINDS],
    "vdm.finite_term": lambda rd, a: [rd.vdm.finite_term(a["x"], a["p"], a["tau"], a["tau"] / 2, 9, kind) for kind in rd.vdm.KINDS],
    "vdm.gaussian_mmse": lambda rd, a: rd.vdm.gaussian_mmse(a["tau"], a["uniform"]),
    "vdm.gaussian_step_loss": lambda rd, a: rd.vdm.gaussian_step_loss(a["tau"], a["uniform"], a["uniform"] - 1),
    "vdm.gaussian_loss": lambda rd, a: rd.vdm.gaussian_loss(a["tau"], a["uniform"], a["uniform"] - 1),
    "vdm.importance_weights": lambda rd, a: rd.vdm.importance_weights(rd.vdm.importance_probabilities(a["tau"])),
    "vdm.importance_probabilities": lambda rd, a: rd.vdm.importance_probabilities(a["tau"]),
    "vdm.draw_index": lambda rd, a: rd.vdm.draw_index(a["uniform"], rd.vdm.importance_probabilities(a["tau"])),
    "learned_schedule.gamma": _schedule_gradient,
    "learned_schedule.optimal_gamma": lambda rd, a: list(
        rd.learned_schedule.optimal_gamma(a["tau"], 0.25, -a["uniform"] - 2, a["uniform"])
    ),
    "elbo.weighted": lambda rd, a: rd.elbo.weighted(rd.elbo.l_simple(a["x"], a["p"]), a["tau"]),
    # latent
    "latent.log_mean_exp": lambda rd, a: rd.latent.log_mean_exp(a["vector"]),
    "latent.marginal_likelihood": lambda rd, a: rd.latent.marginal_likelihood(a["vector"]),
    "latent.importance_weighted": lambda rd, a: rd.latent.importance_weighted(a["vector"], -a["vector"]),
    **{
        f"latent.LinearGaussian.{name}": partial(lambda name, rd, a: _linear_gaussian(rd, a, name), name)
        for name in ("log_likelihood", "log_marginal", "posterior", "elbo", "gap")
    },
    # flow
    **{
        f"flow.interpolate, {path.name}": partial(lambda path, rd, a: rd.flow.interpolate(a["x"], a["noise"], a["tau"], path), path)
        for path in (straight, trigonometric, optimal_transport(0.1))
    },
    **{
        f"flow.velocity, {path.name}": partial(lambda path, rd, a: rd.flow.velocity(a["x"], a["noise"], a["tau"], path), path)
        for path in (straight, trigonometric, optimal_transport(0.1))
    },
    "flow.conditional_path": lambda rd, a: rd.flow.conditional_path(a["x"], a["noise"], a["tau"], 0.1),
    "flow.conditional_loss": lambda rd, a: rd.flow.conditional_loss(a["p"], a["x"], a["noise"], a["tau"]),
    "flow.marginal_loss": lambda rd, a: rd.flow.marginal_loss(a["p"], a["x"]),
    "bridge.brownian": lambda rd, a: rd.bridge.brownian(a["x"], a["noise"], a["tau"], 0.5),
    "bridge.targets": lambda rd, a: rd.bridge.targets(a["p"], a["x"], a["noise"], a["tau"], 0.5),
    "bridge.drift": lambda rd, a: rd.bridge.drift(a["p"], a["x"], a["noise"][:3], _plan(a), a["tau"], 1.5),
    "bridge.score": lambda rd, a: rd.bridge.score(a["p"], a["x"], a["noise"][:3], _plan(a), a["tau"], 1.5),
    "flow.flow_time": lambda rd, a: rd.flow.flow_time(a["vector"][0]),
    "flow.flow_log_snr": lambda rd, a: rd.flow.flow_log_snr(a["tau"]),
    "flow.to_flow": lambda rd, a: rd.flow.to_flow(a["x"], a["tau"], 1 - a["tau"]),
    "flow.from_flow": lambda rd, a: rd.flow.from_flow(a["x"], a["tau"]),
    # samplers
    "samplers.ddpm_step": lambda rd, a: rd.ddpm_step(a["p"], a["x"], a["t"], a["s"], a["schedule"], a["noise"]),
    "samplers.ddpm_step, learned variance": lambda rd, a: rd.ddpm_step(
        a["p"], a["x"], 50, 20, a["schedule"], a["noise"], "v", "learned", a["mix"]
    ),
    "samplers.ddpm_step, last": lambda rd, a: rd.ddpm_step(a["p"], a["x"], 50, 0, a["schedule"]),
    "samplers.ddim_step": lambda rd, a: rd.ddim_step(a["p"], a["x"], a["t"], a["s"], a["schedule"]),
    "samplers.ddim_step, noisy": lambda rd, a: rd.ddim_step(a["p"], a["x"], 50, 20, a["schedule"], a["noise"], eta=0.5, kind="v"),
    "samplers.ddim_inversion_step": lambda rd, a: rd.samplers.ddim_inversion_step(a["p"], a["x"], 20, 50, a["schedule"]),
    "samplers.shared_noise_interpolation": lambda rd, a: rd.samplers.shared_noise_interpolation(
        a["x"], a["p"], 0.3, 40, a["schedule"], a["noise"]
    ),
    "samplers.slerp": lambda rd, a: rd.samplers.slerp(a["x"], a["noise"], 0.3),
    "samplers.euler_step": lambda rd, a: rd.samplers.euler_step(lambda x, t: -x, a["x"], 0.1, 0.3),
    "samplers.heun_step": lambda rd, a: rd.samplers.heun_step(lambda x, t: -x * t, a["x"], 0.1, 0.3),
    "samplers.rk4_step": lambda rd, a: rd.samplers.rk4_step(lambda x, t: -x * t, a["x"], 0.1, 0.3),
    "samplers.velocity_field": lambda rd, a: rd.samplers.velocity_field(lambda x, t: -x, rd.flow.straight, "eps")(a["x"], 0.4),
    # guidance
    "guidance.classifier_score": lambda rd, a: rd.guidance.classifier_score(a["x"], a["p"], a["tau"]),
    "guidance.classifier_eps": lambda rd, a: rd.guidance.classifier_eps(a["x"], a["p"], 2.0, a["t"], a["schedule"]),
    "guidance.classifier_gradient": lambda rd, a: rd.guidance.classifier_gradient(a["vector"], _vjp, a["labels"]),
    "guidance.classifier_free": lambda rd, a: rd.guidance.classifier_free(a["x"], a["p"], a["tau"]),
    "guidance.drop_labels": lambda rd, a: rd.guidance.drop_labels(a["labels"], a["uniform"], 0.5, 2),
    "guidance.guided": lambda rd, a: rd.guidance.guided(lambda x, t, y: x * (1.0 + y)[:, None, None], a["labels"], 3.0, 2)(a["x"], a["t"]),
}
