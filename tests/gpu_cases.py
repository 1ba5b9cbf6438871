"""Every public equation, called with arrays: what the tests of the guard array and of a real card run on both sides."""

from __future__ import annotations

from functools import partial

import numpy as np

import refdiff as rd
from refdiff import rng

SCHEDULE = rd.schedules.linear(100)
GRID = rd.schedules.grid("linspace", 100, 4)


def draws(step, shape=(4, 3, 2), dtype=np.float64):
    """Normal numbers."""
    return rng.normal(5, shape[0], shape[1:], step, dtype=dtype)


def arguments(dtype=np.float64):
    """Arrays for the equations, by name: states, noise, per-example times."""
    x, noise, prediction = (draws(step, dtype=dtype) for step in range(3))
    variance = np.exp(draws(3, dtype=dtype))
    t, s, tau = np.array([7, 50, 99, 100]), np.array([3, 49, 0, 60]), np.array([0.1, 0.25, 0.5, 0.9])
    states = [draws(10 + i, dtype=dtype) for i in range(5)]
    uniform, labels = np.array([0.05, 0.4, 0.7, 0.95]), np.array([0, 1, 1, 0])
    root = draws(20, (3, 3, 3)) / 2
    return {
        "x": x,
        "noise": noise,
        "p": prediction,
        "variance": variance,
        "t": t,
        "s": s,
        "tau": tau,
        "states": states,
        "uniform": uniform,
        "labels": labels,
    } | {
        "matrix": root @ root.mT + np.eye(3),
        "vector": draws(21, (4, 3)),
        "hessian": draws(22, (4, 3, 3)),
        "mix": (1 + np.tanh(draws(23, dtype=dtype))) / 2,
    }


def _vjp(d):
    return None, d


def _linear_gaussian(a, name, *more):
    model = rd.latent.LinearGaussian(a["vector"][:3, :2], a["vector"][3], 0.5)
    z, x = a["vector"][:, :2], a["vector"]
    covariance = a["matrix"][0][:2, :2]
    inputs = {"log_likelihood": (x, z), "log_marginal": (x,), "posterior": (x,), "elbo": (x, z, covariance), "gap": (x, z, covariance)}
    return getattr(model, name)(*inputs[name])


def _kernel(a):
    return lambda x_t, t, s: rd.reverse.kernel(x_t / 2, x_t, t, s, SCHEDULE)


def _elbo(a, f, *inputs, **options):
    """A bound, whose last step has a variance above 0."""
    return f(*inputs, GRID, SCHEDULE, lambda x_t, t, s: (x_t / 2, np.ones_like(x_t)), **options)


CASES = {
    # forward
    "forward.q_step": lambda a: rd.forward.q_step(a["x"], a["t"], a["s"], SCHEDULE),
    "forward.q_step_sample": lambda a: rd.forward.q_step_sample(a["x"], a["t"], a["s"], SCHEDULE, a["noise"]),
    "forward.q_marginal": lambda a: rd.forward.q_marginal(a["x"], a["t"], SCHEDULE),
    "forward.q_sample": lambda a: rd.q_sample(a["x"], a["t"], SCHEDULE, a["noise"]),
    "forward.q_sample at one time": lambda a: rd.q_sample(a["x"], 30, SCHEDULE, a["noise"]),
    "forward.posterior": lambda a: rd.posterior(a["x"], a["p"], a["t"], a["s"], SCHEDULE),
    "forward.posterior_by_bayes": lambda a: rd.forward.posterior_by_bayes(a["x"], a["p"], 50, 20, SCHEDULE),
    "forward.trajectory": lambda a: rd.forward.trajectory(a["x"], GRID, SCHEDULE, a["states"][:4]),
    "forward.trajectory_log_density": lambda a: rd.forward.trajectory_log_density(a["states"], GRID, SCHEDULE),
    "forward.trajectory_log_density_reversed": lambda a: rd.forward.trajectory_log_density_reversed(a["states"], GRID, SCHEDULE),
    "forward.prior_kl": lambda a: rd.forward.prior_kl(a["x"], SCHEDULE),
    # predict
    **{
        f"predict.{name} from {kind}": partial(
            lambda name, kind, a: getattr(rd.predict, name)(a["p"], a["x"], a["t"], SCHEDULE, kind), name, kind
        )
        for name in ("to_x0", "to_eps")
        for kind in rd.predict.KINDS
    },
    **{
        f"predict.convert {one} to {two}": partial(
            lambda one, two, a: rd.predict.convert(a["p"], a["x"], a["t"], SCHEDULE, one, two), one, two
        )
        for one in rd.predict.KINDS
        for two in rd.predict.KINDS
    },
    "predict.target": lambda a: rd.predict.target("v", a["x"], a["noise"], a["t"], SCHEDULE),
    "predict.tweedie_mean": lambda a: rd.predict.tweedie_mean(a["x"], a["p"], a["t"], SCHEDULE),
    "predict.tweedie_covariance": lambda a: rd.predict.tweedie_covariance(a["hessian"], 40, SCHEDULE),
    # reverse
    "reverse.mean_from_eps": lambda a: rd.reverse.mean_from_eps(a["p"], a["x"], a["t"], a["s"], SCHEDULE),
    "reverse.kernel": lambda a: rd.reverse.kernel(a["p"], a["x"], a["t"], a["s"], SCHEDULE, "v"),
    "reverse.model_variance": lambda a: rd.reverse.model_variance(a["x"], 50, 20, SCHEDULE, "learned", a["mix"]),
    "reverse.trajectory_log_density": lambda a: rd.reverse.trajectory_log_density(
        a["states"], GRID, lambda x_t, t, s: (x_t / 2, np.ones_like(x_t))
    ),
    # gaussian
    "gaussian.log_density": lambda a: rd.gaussian.log_density(a["x"], a["p"], a["variance"]),
    "gaussian.score": lambda a: rd.gaussian.score(a["x"], a["p"], a["variance"]),
    "gaussian.log_density_full": lambda a: rd.gaussian.log_density_full(a["vector"], a["vector"][0], a["matrix"][0]),
    "gaussian.entropy": lambda a: rd.gaussian.entropy(a["x"], a["variance"]),
    "gaussian.kl_isotropic": lambda a: rd.gaussian.kl_isotropic(a["x"], a["variance"][:, 0, 0], a["p"], a["variance"][:, 1, 1]),
    "gaussian.kl_diagonal": lambda a: rd.gaussian.kl_diagonal(a["x"], a["variance"], a["p"], a["variance"][::-1]),
    "gaussian.kl_full": lambda a: rd.gaussian.kl_full(a["vector"][0], a["matrix"][0], a["vector"][1], a["matrix"][1]),
    "gaussian.product": lambda a: rd.gaussian.product(a["x"], a["variance"], a["p"], a["variance"][::-1]),
    "gaussian.quotient": lambda a: rd.gaussian.quotient(a["x"], a["variance"], a["p"], a["variance"] * 2),
    "gaussian.discretized_log_likelihood": lambda a: rd.gaussian.discretized_log_likelihood(np.tanh(a["x"]), a["p"], a["variance"]),
    # elbo
    "elbo.elbo_joint": lambda a: _elbo(a, rd.elbo.elbo_joint, a["states"]),
    "elbo.elbo_bayes": lambda a: _elbo(a, rd.elbo.elbo_bayes, a["states"]),
    "elbo.elbo_terms": lambda a: _elbo(a, rd.elbo.elbo_terms, a["x"], noise=a["states"][:4]),
    "elbo.weights": lambda a: [f(a["t"], a["s"] // 2 + 1, SCHEDULE) for f in (rd.elbo.weight_mean, rd.elbo.weight_eps, rd.elbo.weight_x0)],
    "elbo.squared_decoder": lambda a: rd.elbo.squared_decoder(a["x"], a["p"], a["variance"]),
    "elbo.discretized_decoder": lambda a: rd.elbo.discretized_decoder(np.tanh(a["x"]), a["p"], a["variance"]),
    "elbo.l_simple": lambda a: rd.elbo.l_simple(a["x"], a["p"]),
    "elbo.hybrid": lambda a: rd.elbo.hybrid(rd.elbo.l_simple(a["x"], a["p"]), a["tau"]),
    "elbo.min_snr_weight": lambda a: [rd.elbo.min_snr_weight(a["t"], SCHEDULE, kind=kind) for kind in ("x0", "eps", "v")],
    "elbo.bits_per_dim": lambda a: rd.elbo.bits_per_dim(a["tau"], 6),
    "elbo.weighted": lambda a: rd.elbo.weighted(rd.elbo.l_simple(a["x"], a["p"]), a["tau"]),
    # latent
    "latent.log_mean_exp": lambda a: rd.latent.log_mean_exp(a["vector"]),
    "latent.marginal_likelihood": lambda a: rd.latent.marginal_likelihood(a["vector"]),
    "latent.importance_weighted": lambda a: rd.latent.importance_weighted(a["vector"], -a["vector"]),
    **{
        f"latent.LinearGaussian.{name}": partial(lambda name, a: _linear_gaussian(a, name), name)
        for name in ("log_likelihood", "log_marginal", "posterior", "elbo", "gap")
    },
    # flow
    **{
        f"flow.interpolate, {path.name}": partial(lambda path, a: rd.flow.interpolate(a["x"], a["noise"], a["tau"], path), path)
        for path in (rd.flow.straight, rd.flow.trigonometric, rd.flow.optimal_transport(0.1))
    },
    **{
        f"flow.velocity, {path.name}": partial(lambda path, a: rd.flow.velocity(a["x"], a["noise"], a["tau"], path), path)
        for path in (rd.flow.straight, rd.flow.trigonometric, rd.flow.optimal_transport(0.1))
    },
    "flow.conditional_path": lambda a: rd.flow.conditional_path(a["x"], a["noise"], a["tau"], 0.1),
    "flow.conditional_loss": lambda a: rd.flow.conditional_loss(a["p"], a["x"], a["noise"], a["tau"]),
    "flow.marginal_loss": lambda a: rd.flow.marginal_loss(a["p"], a["x"]),
    "flow.flow_time": lambda a: rd.flow.flow_time(a["vector"][0]),
    "flow.flow_log_snr": lambda a: rd.flow.flow_log_snr(a["tau"]),
    "flow.to_flow": lambda a: rd.flow.to_flow(a["x"], a["tau"], 1 - a["tau"]),
    "flow.from_flow": lambda a: rd.flow.from_flow(a["x"], a["tau"]),
    # samplers
    "samplers.ddpm_step": lambda a: rd.ddpm_step(a["p"], a["x"], a["t"], a["s"], SCHEDULE, a["noise"]),
    "samplers.ddpm_step, learned variance": lambda a: rd.ddpm_step(a["p"], a["x"], 50, 20, SCHEDULE, a["noise"], "v", "learned", a["mix"]),
    "samplers.ddpm_step, last": lambda a: rd.ddpm_step(a["p"], a["x"], 50, 0, SCHEDULE),
    "samplers.ddim_step": lambda a: rd.ddim_step(a["p"], a["x"], a["t"], a["s"], SCHEDULE),
    "samplers.ddim_step, noisy": lambda a: rd.ddim_step(a["p"], a["x"], 50, 20, SCHEDULE, a["noise"], eta=0.5, kind="v"),
    "samplers.ddim_inversion_step": lambda a: rd.samplers.ddim_inversion_step(a["p"], a["x"], 20, 50, SCHEDULE),
    "samplers.shared_noise_interpolation": lambda a: rd.samplers.shared_noise_interpolation(a["x"], a["p"], 0.3, 40, SCHEDULE, a["noise"]),
    "samplers.slerp": lambda a: rd.samplers.slerp(a["x"], a["noise"], 0.3),
    "samplers.euler_step": lambda a: rd.samplers.euler_step(lambda x, t: -x, a["x"], 0.1, 0.3),
    "samplers.heun_step": lambda a: rd.samplers.heun_step(lambda x, t: -x * t, a["x"], 0.1, 0.3),
    "samplers.rk4_step": lambda a: rd.samplers.rk4_step(lambda x, t: -x * t, a["x"], 0.1, 0.3),
    "samplers.velocity_field": lambda a: rd.samplers.velocity_field(lambda x, t: -x, SCHEDULE, "eps")(a["x"], 40),
    # guidance
    "guidance.classifier_score": lambda a: rd.guidance.classifier_score(a["x"], a["p"], a["tau"]),
    "guidance.classifier_eps": lambda a: rd.guidance.classifier_eps(a["x"], a["p"], 2.0, a["t"], SCHEDULE),
    "guidance.classifier_gradient": lambda a: rd.guidance.classifier_gradient(a["vector"], _vjp, a["labels"]),
    "guidance.classifier_free": lambda a: rd.guidance.classifier_free(a["x"], a["p"], a["tau"]),
    "guidance.drop_labels": lambda a: rd.guidance.drop_labels(a["labels"], a["uniform"], 0.5, 2),
    "guidance.guided": lambda a: rd.guidance.guided(lambda x, t, y: x * (1.0 + y)[:, None, None], a["labels"], 3.0, 2)(a["x"], a["t"]),
}
