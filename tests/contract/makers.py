"""Valid arguments for every parameter of every public function, by the parameter's name; a longer key is for one function or class.

All numbers are exact in every float format, so that an argument in another format is the same argument. A new parameter needs a maker
only if its name is new.
"""

from typing import NamedTuple

import numpy as np

from refdiff import (
    fast,
    flow,
    layers,
    learned_schedule,
    maps,
    mlp,
    optim,
    oracles,
    predict,
    samplers,
    schedules,
    sde,
    solvers,
    training,
    tree,
)
from refdiff.networks import classifier, unet
from refdiff.objectives.latent import LinearGaussian
from refdiff.process.brownian import Increments
from refdiff.rng import Normals
from refdiff.training import parallel

SCHEDULE = schedules.from_betas([0.125, 0.25, 0.25, 0.375, 0.5, 0.5, 0.625, 0.75])  # T = 8
GRID = np.array([8, 5, 2, 0])


class Variant(NamedTuple):
    """One way to make the arguments of all functions: a precision, and whether times and coefficients are one per example."""

    dtype: type
    many: bool


VARIANTS = [Variant(dtype, many) for dtype in (np.float32, np.float64) for many in (False, True)]


def numbers(shape, seed=0):
    """Multiples of 1/8 in -2..2, none of them 0; the same numbers for the same shape and seed."""
    steps = (np.arange(np.prod(shape, dtype=int)) * (7 + 4 * seed) + 3 * seed) % 16
    return ((steps - 8 + (steps >= 8)) / 8).reshape(shape)


def array(*shape, seed=0):
    return lambda v: numbers(shape, seed).astype(v.dtype)


def positive(*shape, seed=0):
    return lambda v: abs(numbers(shape, seed)).astype(v.dtype)


def unit(*shape, seed=0):
    """Numbers in [0, 1]."""
    return lambda v: (abs(numbers(shape, seed)) / 2).astype(v.dtype)


def each(one, *many):
    """One number for the batch, or one for each of its examples."""
    return lambda v: np.array(many) if v.many else one


def this(value):
    return lambda v: value


def copies(value):
    return lambda v: np.array(value)


def covariance(scale=1.0):
    return lambda v: (scale * np.array([[2.0, 0.5], [0.5, 1.0]])).astype(v.dtype)


def parameters(**shapes):
    return lambda v: {name: numbers(shape, i + 1).astype(v.dtype) / 4 for i, (name, shape) in enumerate(shapes.items())}


def trained(init, *arguments, **options):
    """Parameters of a network, none of whose arrays is 0."""

    def make(v):
        return tree.map(lambda leaf: leaf + numbers(leaf.shape, 1).astype(v.dtype) / 8, init(*arguments, **options, dtype=v.dtype))

    return make


MLP = trained(mlp.init, 0, width=8, depth=2, features=4, classes=2)
UNET = trained(unet.init, 0, channels=1, base=8, multipliers=(1, 2), attention=(1,), embedding=8, classes=2)
CLASSIFIER = trained(classifier.init, 0, base=8, classes=3, embedding=8, groups=4)
SCHEDULE_NET = trained(learned_schedule.init, 3, -2.0, 3.0)
ATTENTION = dict.fromkeys("qkv", (8, 8)) | {"out": (8, 8)}
CONFIG = training.Config(steps=3, batch=4, warmup=1, rate=0.125, ema=0.5, label_dropout=0.25)
OBJECTS = {type(SCHEDULE), type(flow.straight)}


def attention(v):
    return {name: parameters(w=shape, b=shape[1:])(v) for name, shape in ATTENTION.items()}


def model(x, t, y=None):
    return x * x.dtype.type(0.5)


def reverse(x, t, s):
    return x * x.dtype.type(0.5), np.full_like(x, 0.5)


def batch(v):
    return training.Batch(array(4, 2)(v), np.array([125.0, 250, 500, 750]), np.array([0, 1, 2, 0]), array(4, 2, seed=1)(v))


def state(v):
    return training.start(MLP(v))


def mixture(v):
    return oracles.mixture([[0.0, 0.5], [1.0, -1.0]], [[[1.0, 0.25], [0.25, 0.5]]] * 2, labels=[0, 1])


def linear_gaussian(v):
    return LinearGaussian(array(3, 2)(v), array(3)(v), 0.5)


INSTANCES = {  # for the methods of a class
    "CleanPath": lambda v: training.classification.CleanPath(),
    "Affine": lambda v: maps.Affine(np.eye(2), np.eye(2) / 2, np.ones(2)),
    "Config": lambda v: CONFIG,
    "LinearGaussian": linear_gaussian,
    "Mixture": mixture,
    "Increments": lambda v: Increments(3, 4, np.array([0.75, 0.5, 0.25]), (2,)),
    "Normals": lambda v: Normals(3, 4, (2,)),
    "Path": lambda v: flow.trigonometric,
    "Schedule": lambda v: SCHEDULE,
    "Sde": lambda v: sde.vp(),
    "State": lambda v: training.update(state(v), MLP(v), CONFIG),
}
POINTS = "x x0 x_t x_s x_tau x0_a x0_b prediction noise eps score gradient target data unconditional conditional marginal_velocity a b"
MAKERS = {name: array(3, 2, seed=i) for i, name in enumerate(POINTS.split())} | {
    # times and coefficients
    "t": each(5, 5, 8, 4), "s": each(3, 3, 6, 2), "flow.t": each(0.5, 0.5, 0.25, 0.75), "ode.t": this(0.25), "ode.s": this(0.75),
    "Path.t": each(0.5, 0.5, 0.25, 0.75), "tau": each(0.5, 0.5, 0.25, 0.75), "schedules.tau": this(2.0), "uniform": unit(3),
    "gamma": each(1.5, 1.5, 0.5, 2.0), "weight": each(0.25, 0.25, 0.5, 1.0), "hybrid.weight": this(0.5), "slerp.weight": this(0.25),
    "signal": each(0.75, 0.75, 0.5, 0.25), "sigma": each(0.5, 0.5, 0.25, 0.75), "log_snr": array(3), "eta": this(0.5), "w": this(0.5),
    "limit": this(1.0), "width": this(0.5), "flow.Path.signal": this(np.square), "flow.Path.sigma": this(np.sqrt), "signal_rate": this(np.sin), "sigma_rate": this(np.cos), "sigma_min": this(0.125), "choice": unit(3),
    # SDEs and exact maps
    "sde": this(sde.vp(0.125, 4.0)), "sde.t": each(0.5, 0.5, 0.25, 0.75), "sde.s": each(0.25, 0.25, 0.125, 0.5), "Sde.t": each(0.5, 0.5, 0.25, 0.75),
    "k": this(0.5), "beta_min": this(0.125), "sde.beta_max": this(4.0), "sigma_max": this(8.0), "log_signal": this(np.negative), "Sde.end": this(1.0),
    "drift_rate": this(lambda t: 0 * t - 1), "Sde.variance": this(np.square), "variance_rate": this(lambda t: 2 * t),
    "maps.oracle": lambda v: oracles.mixture([[-1.0], [0.5]], [[[0.25]], [[0.5]]]), "condition.oracle": mixture, "maps.path": this(flow.trigonometric),
    "maps.t": each(0.5, 0.5, 0.25, 0.75), "maps.s": each(0.25, 0.25, 0.125, 0.5), "d": this(2), "A": array(2, 2), "condition.y": array(2),
    "condition.noise": this(0.5), "affine_of.step": this(lambda x, noise: 0.5 * x + 0.25 * noise + 1),
    "Affine.mean": array(2), "Affine.covariance": covariance(),
    # schedules and grids
    "schedule": this(SCHEDULE), "path": this(SCHEDULE), "flow.path": this(flow.trigonometric), "ode.path": this(flow.trigonometric),
    "grid": copies(GRID), "times": copies(GRID), "entries": lambda v: [array(3, 2)(v)] * 4, "T": this(8), "S": this(4),
    "betas": copies([0.125, 0.25, 0.5]), "alpha_bars": copies([0.75, 0.5, 0.25]), "from_log_snr.log_snr": copies([2.0, 1.0, -1.0]),
    "beta_start": this(0.0009765625), "beta_end": this(0.001953125), "offset": this(0.125), "beta_max": this(0.875),
    "start": this(-3.0), "end": this(3.0), "low": this(0), "log_alpha_bar": copies([0.0, -0.5, -1.0]),
    "remainder": copies([0.0, 0.0, 0.0]), "log_alpha": copies([-0.5, -0.5]), "name": this("t"), "states": lambda v: [array(3, 2, seed=i)(v) for i in range(4)],
    "trajectory.noise": lambda v: [array(3, 2, seed=i)(v) for i in range(3)], "elbo_terms.noise": lambda v: [array(3, 2, seed=i)(v) for i in range(3)],
    "sample.noise": lambda v: [array(3, 2, seed=i)(v) for i in range(3)], "Mixture.sample.noise": array(3, 2), "sample.grid": copies([8, 5, 4, 2]),
    # solvers and EDM
    "solvers.path": this(sde.vp(0.125, 4.0)), "solvers.t": each(0.5, 0.5, 0.25, 0.75), "solvers.s": each(0.25, 0.25, 0.125, 0.5),
    "solvers.times": lambda v: [np.array([0.5, 0.25, 0.75]), np.array([0.625, 0.5, 0.875])] if v.many else [0.5, 0.625],
    "dpmpp_step.x0": lambda v: [array(3, 2, seed=i)(v) for i in (1, 2)], "solvers.eps": lambda v: [array(3, 2, seed=i)(v) for i in (1, 2)],
    "variant": this("taylor"), "variable": this("t"), "phi.z": array(3), "phi.k": this(2), "r": lambda v: [0.0, -0.5],
    "weights.moments": lambda v: [1.0, 0.5], "solver.name": this("dpmpp_2m"), "solver.grid": this(None), "singlestep.order": this(2),
    "singlestep.formula": this(solvers.dpm_solver_step), "time_at.value": this(0.5), "fraction": this(0.25), "spacing": this("angle"), "solver_grid.variance": this(0.5),
    "time_between.t": this(0.5), "time_between.s": this(0.25), "solver_grid.t": this(0.5), "solver_grid.s": this(0.0), "solvers.kind": this("eps"),
    "edm.sigma": each(0.5, 0.5, 0.25, 0.75), "sigma_data": this(0.5), "network": this(model), "normal": array(3), "draw_sigma.mean": this(-1.0), "draw_sigma.std": this(0.5),
    "rho": this(3.0), "churn.sigma": this(0.5), "churn.gamma": this(0.25), "s_noise": this(1.0), "s_churn": this(1.0), "s_min": this(0.0), "s_max": this(8.0),
    "edm.t": each(0.5, 0.5, 0.25, 0.75), "edm.s": each(0.25, 0.25, 0.125, 0.5),
    "flow_times.path": this(flow.trigonometric), "flow_times.mean": this(0.25), "flow_times.std": this(0.5), "logit_normal_density.t": each(0.5, 0.5, 0.25, 0.75), "draw_logit_normal.normal": array(3),
    "edm_training.mean": this(-1.0), "edm_training.std": this(0.5),
    "noise_of_stages.formula": this(solvers.dpmpp_step), "noise_of_stages.noise": lambda v: [array(3, 2, seed=i)(v) for i in (1, 2)],
    "noise_of_stages.ends": lambda v: [np.array([0.375, 0.1875, 0.625]), np.array([0.25, 0.125, 0.5])] if v.many else [0.375, 0.25],
    "solver.start": this(None), "noise_for.name": this("dpmpp_2s"), "noise_for.noise": this([1, 2]), "Parts.noise": this([1, 2, 3, 4]), "Parts.count": this(2),
    # Langevin
    "langevin.h": each(0.25, 0.25, 0.5, 0.125), "proposal": array(3, 2, seed=3), "log_density": array(3), "log_density_there": array(3, seed=1),
    "score_there": array(3, 2, seed=4), "log_ratio": array(3), "ratio": this(0.5), "alpha": each(0.5, 0.5, 0.25, 0.75), "langevin.path": this(SCHEDULE),
    "annealed.score": this(lambda x, sigma: -x), "annealed.sigmas": this([2.0, 1.0]), "annealed.steps": this(2), "size": this(0.125),
    "annealed.noise": lambda v: [array(3, 2, seed=i)(v) for i in range(4)], "langevin.variance": this("forward"),
    # likelihood
    "probe": array(3, 2, seed=3), "likelihood.f": this(lambda x, t: 0.5 * x), "likelihood.t": this(0.25), "likelihood.s": this(0.75), "log_prior": this(lambda x: 0 * x[:, 0]),
    "bits_of_density.log_density": array(3), "bits_of_density.dimensions": this(2), "bits_of_density.width": this(0.25),
    # Brownian motion
    "brownian.s": this(0.25), "brownian.t": this(0.75), "brownian.end": this(2.0), "brownian.grid": copies([0.75, 0.5, 0.25]),
    # Picard iteration
    "sweep.states": lambda v: [array(3, 2, seed=i)(v) for i in range(4)], "sweep.grid": copies([8, 5, 4, 2]), "sweep.first": this(0),
    "sweep.step": this(samplers.stepper(samplers.ddim_step, SCHEDULE, eta=0.5)), "sweep.noise": lambda v: [array(3, 2, seed=i)(v) for i in range(3)],
    "run": this(map), "sweeps": this(2), "picard.tolerance": this(0.0),
    # Fokker-Planck
    "fokker_planck.drift": this(lambda x, t: 0.5 * x), "fokker_planck.oracle": mixture, "fokker_planck.t": each(0.5, 0.5, 0.25, 0.75), "direction": this("forward"),
    "fokker_planck.path": this(sde.vp(0.125, 4.0)), "dt": this(0.125),
    # score matching
    "exact": array(3, 2, seed=3), "divergence": array(3), "slope": array(3, seed=1), "reduced": this(False),
    "weight.t": each(0.5, 0.5, 0.25, 0.75), "weight.kind": this("likelihood"),
    # Gaussians
    "mean": array(3, 2, seed=2), "variance": positive(3, 2, seed=3), "std": positive(3, 2, seed=3), "levels": this(256),
    "discretized_log_likelihood.x": unit(3, 2), "discretized_decoder.x0": unit(3, 2), "mean1": array(3, 2), "mean2": array(3, 2, seed=1),
    "variance1": positive(3, 2), "variance2": positive(3, 2, seed=1), "kl_isotropic.variance1": positive(3), "kl_isotropic.variance2": positive(3, seed=1),
    "log_density_full.mean": array(2), "covariance": covariance(), "covariance1": covariance(), "covariance2": covariance(2.0),
    "kl_full.mean1": array(2), "kl_full.mean2": array(2, seed=1), "quotient.variance2": lambda v: 2 + positive(3, 2, seed=1)(v),
    "product.variance1": positive(3, 2), "hessian": lambda v: -covariance(0.125)(v) + np.zeros((3, 1, 1), v.dtype),
    # kinds
    "kind": this("v"), "grids.kind": this("trailing"), "min_snr_weight.kind": this("v"), "source": this("v"), "to": this("x0"),
    "reverse.variance": this("learned"), "ddpm_step.variance": this("learned"), "mix": unit(3, 2), "mode": this("adaptive"), "method": this("DOP853"),
    # objectives
    "reverse": this(reverse), "elbo.model": this(reverse), "decoder": this(None), "simple": positive(3), "vlb": positive(3, seed=1),
    "nats": array(3), "dimensions": this(2), "loss": positive(3), "values": array(4, 3), "log_likelihood": array(4, 3),
    "log_joint": array(4, 3), "log_q": array(4, 3, seed=1), "weights": array(3, 2), "bias": array(3), "LinearGaussian.noise": this(0.5),
    "LinearGaussian.x": array(4, 3), "LinearGaussian.z": array(4, 2), "LinearGaussian.mean": array(4, 2),
    # continuous time and learned schedules
    "vdm.gamma": each(0.5, 0.5, -1.0, 2.0), "gamma_t": each(0.5, 0.5, -1.0, 2.0), "gamma_s": each(0.25, 0.25, -1.5, 1.0),
    "continuous_term.rate": each(2.0, 2.0, 1.0, 0.5), "vdm.variance": each(0.5, 0.5, 1.0, 2.0), "curve": this(lambda t: (2 * t - 1, 2 + 0 * t)),
    "vdm.path.name": this("path"), "stratified_times.uniform": this(0.625), "stratified_times.count": this(4), "importance_probabilities.floor": this(0.25),
    "second_moments": copies([0.25, 1.0, 4.0]), "vdm.probabilities": copies([0.25, 0.25, 0.5]), "gamma_0": this(-2.0), "gamma_1": this(3.0),
    "learned_schedule.p": SCHEDULE_NET, "learned_schedule.t": each(0.5, 0.5, 0.25, 0.75), "learned_schedule.variance": each(0.5, 0.5, 1.0, 2.0),
    "learned_schedule.model": this(lambda x, gamma: x * 0.5), "learned_schedule.gamma": each(0.5, 0.5, -1.0, 2.0), "error": positive(3),
    "learned_schedule.rate": positive(3, seed=2), "learned_schedule.vjp": this(lambda dgamma, drate: ({"ends": dgamma, "l1": drate}, dgamma)),
    # sampling
    "model": this(model), "f": this(model), "ddim_inversion_step.noise": this(None), "euler_step.noise": this(None),
    "heun_step.noise": this(None), "rk4_step.noise": this(None), "rtol": this(1e-6), "atol": this(1e-9), "logits": array(3, 4),
    "vjp": this(lambda d: ({}, d)), "y": copies([0, 1, 1]), "no_label": this(2), "probability": this(0.5), "means": array(2, 2),
    "log_weights": lambda v: np.log(np.array([0.25, 0.75])), "spreads": copies([[1.0, 0.5], [0.5, 2.0]]), "axes": copies([np.eye(2)] * 2),
    "labels": copies([0, 1, 1]), "Mixture.labels": copies([0, 1]), "mixture.labels": copies([0, 1]), "oracles.mean": copies([0.5, -1.0]),
    "oracles.covariance": copies([[2.0, 0.5], [0.5, 1.0]]), "covariances": copies([[[2.0, 0.5], [0.5, 1.0]]] * 2),
    "mixture.weights": copies([0.25, 0.75]), "data_set.weights": copies([0.25, 0.25, 0.5]), "points": array(3, 2), "point": array(2),
    "oracle": lambda v: oracles.gaussian([0.5, -1.0], [[2.0, 0.5], [0.5, 1.0]]), "result": array(3, 2), "exact_reverse.mean": array(2),
    "exact_reverse.variance": positive(2), "step": each(2, 2, 1, 3), "sample.step": this(samplers.stepper(samplers.ddim_step, SCHEDULE, eta=0.5)),
    "last.states": lambda v: iter([array(3, 2)(v)]), "formula": this(samplers.ddim_step), "optim.step": this(2), "State.step": this(2),
    "generation.shape": this((3, 2)), "generation.steps": this(4), "generation.method": this("ddim"), "generation.labels": copies([0, 1, 1]),
    "guidance": this(2.0), "generation.kind": this("eps"), "generation.grid": this("leading"), "progress": this(False),
    "generation.path": this(SCHEDULE), "generation.model": this(model), "generation.seed": this(3),
    # networks
    "heads": this(2), "groups": this(4), "networks.x": array(2, 4, 4, 8), "fast.x": array(2, 4, 4, 8), "z": array(2, 3, 4), "context": array(2, 3, 8),
    "cross_attention.x": array(2, 5, 8), "self_attention.x": array(2, 5, 8), "linear.x": array(3, 2), "emb": array(2, 4), "stride": this(1),
    "cross_attention.p": attention, "self_attention.p": attention, "conv.p": parameters(w=(3, 3, 8, 8), b=(8,)), "conv_up.p": parameters(w=(3, 3, 8, 8), b=(8,)),
    "linear.p": parameters(w=(2, 5), b=(5,)), "group_norm.p": parameters(scale=(8,), shift=(8,)), "group_norm_silu.p": parameters(scale=(8,), shift=(8,)),
    "adaptive_group_norm.p": parameters(w=(4, 16), b=(16,)), "adaptive_group_norm_silu.p": parameters(w=(4, 16), b=(16,)),
    "embedding.p": parameters(table=(3, 4)), "p": this({}), "film.scale": array(2, 8), "film.shift": array(2, 8, seed=1), "normalize.eps": this(1e-5),
    "mlp.p": MLP, "mlp.x": array(3, 2), "mlp.t": each(500.0, 125.0, 250.0, 750.0), "unet.p": UNET, "unet.x": array(3, 4, 4, 1),
    "unet.t": each(500.0, 125.0, 250.0, 750.0), "classifier.p": CLASSIFIER, "classifier.x": array(3, 4, 4, 1),
    "classifier.t": each(500.0, 125.0, 250.0, 750.0), "time_features.t": copies([125.0, 250.0, 750.0]), "features": this(4), "L": this(layers),
    "seed": this(3), "inputs": this(3), "outputs": this(4), "init.width": this(8), "depth": this(2), "classes": this(3), "channels": this(2),
    "base": this(8), "multipliers": this((1, 2)), "blocks": this(1), "init.attention": this((1,)), "embedding": this(8), "dtype": lambda v: v.dtype,
    # training
    "config": this(CONFIG), "state": state, "batch": batch, "params": MLP, "grads": MLP, "ema": MLP, "average": MLP, "moments": lambda v: optim.init(MLP(v)),
    "net": this(mlp.mlp), "workers": this(1), "all_reduce": this(parallel.total), "training.data": array(5, 2), "training.labels": copies([0, 1, 1, 0, 1]),
    "first": this(2), "optim.state": lambda v: optim.init(MLP(v)), "rate": this(0.125), "beta1": this(0.5), "beta2": this(0.75), "decay": this(0.25),
    "optim.eps": this(0.125), "peak": this(0.5), "warmup": this(1), "total": this(4), "floor": this(0.125), "steps": this(3), "Config.batch": this(4),
    "clip": this(0.5), "Config.ema": this(0.5), "label_dropout": this(0.25), "check_loss.loss": this(0.5), "loop.step": this(2),
    "classification.p": CLASSIFIER, "classification.x": array(3, 4, 4, 1), "classification.t": each(500.0, 125.0, 250.0, 750.0),
    "classification.net": this(training.classification.as_network), "classification.params": CLASSIFIER,
    "classification.batch": lambda v: training.Batch(array(3, 4, 4, 1)(v), np.array([125.0, 250.0, 750.0]), np.array([0, 1, 2]), array(3, 4, 4, 1)(v)),
    "Config.kind": this("eps"), "predict.kind": this("v"),
    # couplings and bridges
    "transport.eps": this(2.0), "data_weights": positive(3), "noise_weights": positive(3, seed=1), "transport.tolerance": this(2.0**-30), "couple_entropic.steps": this(1000),
    "plan": lambda v: np.array([[0.125, 0.125, 0.0625], [0.25, 0.125, 0.0], [0.0625, 0.125, 0.125]]), "cov_noise": covariance(), "cov_data": covariance(0.5),
    "bridge.t": each(0.5, 0.5, 0.25, 0.75), "bridge.gaussian.t": this(0.25), "bridge.gaussian.sigma": this(0.5),
    "expectation.f": this(np.cos), "expectation.oracle": lambda v: oracles.mixture([[-1.0], [0.5]], [[[0.25]], [[0.5]]]), "expectation.signal": this(0.75),
    "expectation.sigma": this(0.5), "nodes": this(8),
    # metrics of features
    "ddof": this(1), "feature_metrics.y": array(4, 2, seed=1), "sizes": copies([16.0, 32.0, 64.0]), "at_infinity.values": array(3), "splits": this(2),
    "feature_metrics.probabilities": lambda v: np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]], v.dtype),
    "rows_x": copies([[0, 1], [2, 1]]), "rows_y": copies([[3, 1], [0, 2]]),
    # data and random numbers
    "unbiased": this(False), "bandwidth": this(1.0), "directions": array(4, 2, seed=1), "order": this(2.0), "centers": array(2, 2, seed=2), "metrics.y": array(4, 2, seed=1),
    "radius": this(1.0), "frechet_distance.mean1": array(2), "frechet_distance.mean2": array(2, seed=1), "cov1": covariance(), "cov2": covariance(2.0),
    "images": lambda v: np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28), "to_pixels.x": array(2, 28, 28, 1), "count": this(3), "load.name": this("two_moons"),
    "counter": lambda v: tuple(np.full(3, k, np.uint64) for k in range(4)), "key": this((1, 2)), "samples": each(3, 4, 0, 7), "elements": this(5), "stream": this(2),
    "shape": this((2, 3)), "high": this(10), "rng.step": each(2, 2, 1, 3),
    # trees and doors
    "tree": MLP, "flat": lambda v: tree.flatten(MLP(v)), "buffer": lambda v: tree.pack(MLP(v))[0], "prefix": this("net"),
    "value": this(0.5), "check_integer.value": each(3, 3, 1, 2), "check_choice.value": this("eps"), "allowed": this(predict.KINDS), "check_integer.low": this(0),
    "check_number.low": this(-2.0), "check_number.high": this(2.0), "check_integer.high": this(8), "open_low": this(False), "check_chain.name": this("entries"), "arrays.name": this("value"), "like.name": this("values"), "like.values": each(0.5, 0.5, 0.25, 2.0),
    "sum_event.values": array(3, 2), "fast.L": this(fast),
}  # fmt: skip
