"""Flow matching: both paths, both ends, every kind of prediction, and couplings small enough to try all orders."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from . import Case, numbers, refused
from .gaussian import covariance
from .predict import KINDS

SHAPES = ((2, 2), (1, 1), (2, 2, 2, 1))


def cases() -> Iterator[Case]:
    for path, t, shape in product(("straight", "trigonometric"), (0.0, 0.125, 0.5, 1.0), SHAPES):
        pair = {"data": numbers(shape, 1), "noise": numbers(shape, 2), "t": t, "path": path}
        for operation in ("interpolate", "velocity"):
            yield Case(operation, pair, minimal=shape == (2, 2))
        yield Case("conditional_loss", {"prediction": numbers(shape, 3), **pair}, minimal=shape == (2, 2))
    for path in ("straight", "trigonometric"):
        pair = {"data": numbers((3, 2), 4), "noise": numbers((3, 2), 5), "t": np.array([0.0, 0.25, 1.0]), "path": path}
        for operation in ("interpolate", "velocity"):
            yield Case(operation, pair, minimal=True)
        images = {"data": numbers((3, 2, 2, 1), 4), "noise": numbers((3, 2, 2, 1), 5), "t": np.array([0.125, 0.75, 0.5]), "path": path}
        for operation in ("interpolate", "velocity"):
            yield Case(operation, images, minimal=True)
        yield Case("conditional_loss", {"prediction": numbers((3, 2, 2, 1), 3), **images}, minimal=True)
        for source, to, t in product(KINDS, KINDS, (0.25, 0.875)):
            inputs = {"prediction": numbers((2, 2), 6), "x_t": numbers((2, 2), 7), "t": t, "path": path, "source": source, "to": to}
            yield Case("convert_on_path", inputs, minimal=path == "straight" and t == 0.25)
    yield from _any_path()
    for shape in SHAPES:
        yield Case("marginal_loss", {"prediction": numbers(shape, 8), "marginal_velocity": numbers(shape, 9)}, minimal=True)
    yield from _maps()
    yield from _couplings()
    yield from _entropic()
    yield from _bridges()
    yield from _errors()
    yield from _other_scales()


PATHS = {  # signal, sigma and their derivatives at one time: a cubic path, a width that stays, and one that preserves variance
    "cubic": (0.125, 0.875, 0.75, -0.75),
    "wide": (0.25, 0.7525, 1.0, -0.99),
    "preserving": (0.6, 0.8, 1.6, -1.2),
    "clean": (1.0, 0.0, 2.0, -0.5),
}


def _any_path() -> Iterator[Case]:
    names = ("signal", "sigma", "signal_rate", "sigma_rate")
    for name, weights in PATHS.items():
        for shape in SHAPES:
            inputs = {"data": numbers(shape, 1), "noise": numbers(shape, 2), **dict(zip(names, weights, strict=True))}
            yield Case("state_at", inputs, minimal=shape == (2, 2))
        for source, to in product(KINDS, KINDS) if name != "clean" else ():
            inputs = {"prediction": numbers((2, 2), 6), "x_t": numbers((2, 2), 7), **dict(zip(names, weights, strict=True))}
            yield Case("convert_at", {**inputs, "source": source, "to": to}, minimal=name == "wide")
    each = dict(zip(names, np.array([PATHS["cubic"], PATHS["wide"]]).T, strict=True))
    for shape in ((2, 3), (2, 2, 2, 4)):
        yield Case("state_at", {"data": numbers(shape, 3), "noise": numbers(shape, 4), **each}, minimal=True)
        yield Case(
            "convert_at",
            {"prediction": numbers(shape, 6), "x_t": numbers(shape, 7), **each, "source": "velocity", "to": "x0"},
            minimal=True,
        )


def _maps() -> Iterator[Case]:
    yield Case("flow_time", {"log_snr": np.array([-12.0, -1.5, 0.0, 0.75, 9.0])}, tolerance="each", minimal=True)
    yield Case("flow_log_snr", {"tau": np.array([0.001, 0.25, 0.5, 0.625, 0.999])}, tolerance="each", minimal=True)
    for signal, sigma in ((0.6, 0.8), (1.0, 0.0), (0.0, 1.0), (0.28, 0.96)):
        yield Case("to_flow", {"x_t": numbers((2, 2), 1), "signal": signal, "sigma": sigma}, minimal=True)
    both = {"x_t": numbers((2, 2), 1), "signal": np.array([0.6, 0.28]), "sigma": np.array([0.8, 0.96])}
    yield Case("to_flow", both, minimal=True)
    for tau in (0.0, 0.25, 0.5, 1.0, np.array([0.125, 0.75])):
        yield Case("from_flow", {"x_tau": numbers((2, 2), 1), "tau": tau}, minimal=True)


def _couplings() -> Iterator[Case]:
    for B, seed in product((1, 2, 3, 5), (1, 2, 3)):
        yield Case(
            "couple_optimally", {"data": numbers((B, 2), seed), "noise": numbers((B, 2), seed + 10)}, tolerance="exact", minimal=B < 5
        )


def _errors() -> Iterator[Case]:
    pair = {"data": numbers((2, 2), 1), "noise": numbers((2, 2), 2), "path": "straight"}
    for t in (-0.25, 1.25):
        yield refused("interpolate", "a time outside [0, 1]", **pair, t=t)
        yield refused("velocity", "a time outside [0, 1]", **pair, t=t)
    yield refused("to_flow", "signal and sigma both 0", x_t=numbers((2, 2)), signal=0.0, sigma=0.0)
    no_noise = dict(zip(("signal", "sigma", "signal_rate", "sigma_rate"), PATHS["clean"], strict=True))
    given = {"prediction": numbers((2, 2)), "x_t": numbers((2, 2), 1), **no_noise, "source": "x0"}
    yield refused("convert_at", "noise from x0 where sigma is 0", **given, to="eps")
    ends = {"prediction": numbers((2, 2)), "x_t": numbers((2, 2), 1), "path": "straight", "source": "eps", "to": "x0"}
    yield refused("convert_on_path", "x0 from eps where the signal is 0", **ends, t=0.0)


def _other_scales() -> Iterator[Case]:
    """Paths whose squares do not add up to 1: variance exploding, and others."""
    for signal, sigma in ((1.0, 2.5), (0.5, 0.25), (1.0, 0.125)):
        yield Case("to_flow", {"x_t": numbers((2, 2), 17), "signal": signal, "sigma": sigma}, minimal=True)
    both = {"x_t": numbers((2, 2), 17), "signal": np.array([1.0, 0.5]), "sigma": np.array([2.5, 0.25])}
    yield Case("to_flow", both, minimal=True)


def _entropic() -> Iterator[Case]:
    for n, m, eps in ((2, 2, 1.5), (3, 2, 4.0), (1, 3, 2.0), (4, 4, 8.0), (3, 3, 100.0)):
        sets = {"data": numbers((m, 2), 10 * n + m), "noise": numbers((n, 2), 10 * n + m + 5)}
        yield Case("couple_entropic", {**sets, "eps": eps}, minimal=n < 4)
    images = {"data": numbers((3, 2, 2, 1), 41), "noise": numbers((3, 2, 2, 1), 42)}
    yield Case("couple_entropic", {**images, "eps": 6.0}, minimal=True)
    yield refused("couple_entropic", "an eps of 0", data=numbers((2, 2)), noise=numbers((2, 2), 1), eps=0.0)
    yield refused("couple_entropic", "sets of different dimensions", data=numbers((2, 2)), noise=numbers((2, 3), 1), eps=1.0)
    for d, eps in ((1, 1.0), (2, 0.5), (2, 8.0), (3, 2.0)):
        both = {"cov_noise": covariance(d, d + 20), "cov_data": covariance(d, d + 30) / 4}
        yield Case("gaussian_coupling", {**both, "eps": eps}, minimal=True)
        for t in (0.0, 0.375, 1.0):
            yield Case("gaussian_bridge", {**both, "t": t, "sigma": eps}, minimal=t == 0.375)
    yield Case("gaussian_coupling", {"cov_noise": np.eye(2), "cov_data": np.diag([4.0, 0.0]), "eps": 1.5}, minimal=True)
    wrong = {"cov_noise": np.eye(2), "cov_data": np.array([[1.0, 2.0], [2.0, 1.0]])}
    yield refused("gaussian_coupling", "a covariance that is not symmetric and positive semidefinite", **wrong, eps=1.0)
    yield refused("gaussian_bridge", "a time outside [0, 1]", cov_noise=np.eye(2), cov_data=np.eye(2), t=1.5, sigma=1.0)


def _bridges() -> Iterator[Case]:
    for shape, t, sigma in (((2, 2), 0.25, 0.5), ((3, 1), np.array([0.125, 0.5, 0.75]), 1.5), ((2, 2, 2, 1), 0.875, 1.0)):
        pair = {"data": numbers(shape, 51), "noise": numbers(shape, 52), "t": t, "sigma": sigma}
        yield Case("brownian_bridge", pair, minimal=True)
        yield Case("bridge_targets", {"x_t": numbers(shape, 53), **pair}, minimal=True)
        sets = {"x_t": numbers(shape, 54), "data": numbers((3, *shape[1:]), 55), "noise": numbers((2, *shape[1:]), 56)}
        plan = np.array([[0.125, 0.25, 0.125], [0.25, 0.0, 0.25]])
        yield Case("bridge_drift", {**sets, "plan": plan, "t": t, "sigma": sigma}, minimal=True)
    for t in (0.0, 1.0):
        pair = {"data": numbers((2, 2), 61), "noise": numbers((2, 2), 62), "t": t, "sigma": 0.75}
        yield Case("brownian_bridge", pair, minimal=True)
        yield refused("bridge_targets", "a time at which x_t is one of the ends", x_t=numbers((2, 2)), **pair)
    one = {"x_t": numbers((2, 2), 63), "data": numbers((1, 2), 64), "noise": numbers((1, 2), 65)}
    yield Case("bridge_drift", {**one, "plan": np.ones((1, 1)), "t": 0.5, "sigma": 0.5}, minimal=True)
    wrong = {"x_t": numbers((2, 2)), "data": numbers((3, 2), 1), "noise": numbers((2, 2), 2), "t": 0.5, "sigma": 1.0}
    yield refused("bridge_drift", "a plan of another shape than noise by data", **wrong, plan=np.full((3, 2), 0.125) + 1 / 24)
