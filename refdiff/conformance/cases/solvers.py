"""Solvers: one to four predictions at times before t, between t and s, and at s, on variance-preserving and other levels, and EDM."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from . import Case, numbers, refused

VARIANTS = ("midpoint", "taylor")
TWICE, SAME, NUMBERS = "a time twice", "a step to the time of x_t", "more times than predictions"
INFINITE = "two predictions where sigma_s is 0"
SHAPES = ((2, 2), (1, 1), (2, 2, 2, 1), (3, 2))


def cases() -> Iterator[Case]:
    yield from _steps()
    yield from _ends()
    yield from _correctors()
    yield from _linear_multistep()
    yield from _trajectories()
    yield from _stages()
    yield from _phis()
    yield from _edm()
    yield from _errors()


def _levels(*angles: float) -> dict[str, Any]:
    """Levels of a variance-preserving path by their angles in multiples of pi / 64, the last of them that of s."""
    found = np.array(angles) * np.pi / 64
    return {"signal": np.cos(found), "sigma": np.sin(found)}


def _others(number: int) -> Iterator[dict[str, Any]]:
    """Levels for one, two and three predictions: multistep, singlestep, uneven; preserving the variance, and with signal 1 or above."""
    t = 20.0 + number
    for nodes in ((t,), (t, t + 3), (t, t - 3), (t, t + 3, t + 8), (t, t - 2, t - 5), (t, t + 6, t + 7)):
        yield _levels(*nodes, t - 6)
        ratio = np.tan(np.array([*nodes, t - 6]) * np.pi / 64)
        yield {"signal": np.ones(len(ratio)), "sigma": 3 * ratio}
    yield {"signal": np.array([0.5, 0.375, 0.25, 0.75]), "sigma": np.array([0.75, 1.0, 1.125, 0.625])}


def _steps() -> Iterator[Case]:
    for number, (eta, shape) in enumerate(zip((0.0, 1.0, 0.0, 0.5), SHAPES, strict=True)):
        for levels, variant in product(_others(number), VARIANTS):
            p = len(levels["signal"]) - 1
            if variant == "midpoint" or p == 2:
                more = {**levels, "variant": variant, "eta": eta, "noise": numbers(shape, 3 + number)}
                given, small = numbers((p, *shape), 9 + number), number < 2
                yield Case("dpmpp_step", {"x_t": numbers(shape, number), "x0": given, **more}, minimal=small)
                yield Case("dpm_solver_step", {"x_t": numbers(shape, number), "eps": given, **more}, minimal=small)


def _ends() -> Iterator[Case]:
    x, given, more = numbers((2, 2)), numbers((1, 2, 2), 1), {"variant": "midpoint", "noise": numbers((2, 2), 2)}
    clean, noisy = (
        {"signal": np.array([0.6, 1.0]), "sigma": np.array([0.8, 0.0])},
        {"signal": np.array([0.0, 0.6]), "sigma": np.array([1.0, 0.8])},
    )
    for levels, eta in product((clean, noisy), (0.0, 1.0)):
        yield Case("dpmpp_step", {"x_t": x, "x0": given, **levels, **more, "eta": eta}, minimal=True)


def _correctors() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES):
        t = 20.0 + number
        for nodes, variant in product(((t, t - 6), (t, t + 3, t - 6), (t, t + 7, t - 6)), ("bh1", "bh2")):
            levels, p = _levels(*nodes), len(nodes)
            inputs = {"x_t": numbers(shape, number), "x0": numbers((p, *shape), 5 + number), **levels, "variant": variant}
            yield Case("unipc_corrector", inputs, minimal=number == 0)


def _linear_multistep() -> Iterator[Case]:
    for number, (shape, p) in enumerate(product(SHAPES, (1, 2, 3, 4))):
        t = 14.0 + number % 5
        nodes = (t, t + 3, t + 5, t + 10)[:p]
        inputs = {"x_t": numbers(shape, number), "eps": numbers((p, *shape), 7 + number)}
        for s in (t - 3, 0.0):
            yield Case("deis_step", inputs | _levels(*nodes, s), minimal=number < 4)
            yield Case("plms_step", inputs | _levels(nodes[0], s), minimal=number < 4)
    beyond = {"signal": np.array([1.0, 1.0, 0.5]), "sigma": np.array([2.0, 3.0, 0.5])}
    x, eps = numbers((2, 2)), numbers((2, 2, 2), 1)
    yield Case("deis_step", {"x_t": x, "eps": eps, **beyond}, minimal=True)
    yield Case("plms_step", {"x_t": x, "eps": eps, "signal": beyond["signal"][1:], "sigma": beyond["sigma"][1:]}, minimal=True)


def _trajectories() -> Iterator[Case]:
    even, uneven = _levels(*(28.0 - 4 * i for i in range(7))), _levels(30.0, 24.0, 21.0, 13.0, 9.0, 8.0)
    ends = _levels(24.0, 18.0, 12.0, 6.0, 0.0)
    for levels, order in product((even, uneven, ends), (1, 2, 3)):
        x = numbers((2, 2), 4)
        models = [{"model": "gaussian-levels", "mean": 0.75, "variance": 0.25, **levels}]
        models += [{"model": "log-snr-power", "k": k, **levels} for k in (1, 2)]
        for model in models:
            yield Case("dpmpp_sample", {"model": model, "order": order, **levels, "x": x}, tolerance="long", minimal=levels is not even)


def _stages() -> Iterator[Case]:
    described = {"model": "gaussian-levels", "mean": 0.75, "variance": 0.25}
    for number, (shape, eta) in enumerate(zip(SHAPES, (0.0, 1.0, 0.5, 1.0), strict=True)):
        x, noise, t = numbers(shape, number), numbers((2, *shape), 5 + number), 24.0 + number
        for levels in (_levels(t, t - 5, t - 9), {"signal": np.array([1.0, 1.0, 1.0]), "sigma": np.array([2.5, 1.5, 1.25])}):
            eps, small = {**described, **levels, "kind": "eps"}, number < 2
            yield Case("prk_step", {"model": eps, "x_t": x, **levels}, tolerance="long", minimal=small)
            given = {"model": {**described, **levels}, "x_t": x, **levels, "eta": eta, "noise": noise}
            yield Case("dpmpp_2s_step", given, tolerance="long", minimal=small)


def _phis() -> Iterator[Case]:
    signs = np.array([1.0, -1.0])
    for k in range(6):
        yield Case("phi", {"k": k, "z": np.outer([0.5, 1.0, 3.0, 8.0, 20.0], signs).ravel()}, tolerance="each", minimal=True)
        for size in (1e-3, 1e-6, 1e-10)[: 3 if k < 4 else 2]:  # the formula keeps 20 of its 50 digits
            yield Case("phi", {"k": k, "z": size * signs}, "accuracy", "each")


def _edm() -> Iterator[Case]:
    sigma = np.array([0.002, 0.0625, 0.5, 1.0, 7.5, 80.0])
    for sigma_data in (0.5, 1.0, 3.0):
        yield Case("edm_preconditioning", {"sigma": sigma, "sigma_data": sigma_data}, tolerance="each", minimal=True)
        yield Case("edm_loss_weight", {"sigma": sigma, "sigma_data": sigma_data}, tolerance="each", minimal=True)
    for number, shape in enumerate(SHAPES):
        x0, levels = numbers(shape, number), np.array([0.0625, 1.5, 20.0])[: shape[0]]
        x = x0 + levels.reshape(-1, *[1] * (len(shape) - 1)) * numbers(shape, 6 + number)
        given = {"x0": x0, "x": x, "sigma": levels, "sigma_data": 0.5 + number / 4}
        yield Case("edm_network_target", given, minimal=number < 2)
    for steps, (low, high, rho) in product((1, 2, 3, 18), ((0.002, 80.0, 7.0), (0.125, 2.0, 1.0), (0.03125, 14.5, 3.0))):
        yield Case("edm_sigmas", {"steps": steps, "sigma_min": low, "sigma_max": high, "rho": rho}, tolerance="each", minimal=steps < 18)
    model = {"model": "gaussian-denoiser", "mean": 0.75, "variance": 0.25}
    for number, shape in enumerate(SHAPES):
        x, noise = numbers(shape, number), numbers(shape, 8 + number)
        for t, s in ((80.0, 40.0), (2.0, 0.5), (0.75, 0.0)):
            yield Case("edm_heun_step", {"model": model, "x": x * t, "t": t, "s": s}, minimal=number < 2)
        for gamma, s_noise in ((0.25, 1.0), (0.375, 1.0078125)):
            yield Case("edm_churn", {"x": x, "sigma": 1.5 + number, "gamma": gamma, "s_noise": s_noise, "noise": noise}, minimal=number < 2)


def _errors() -> Iterator[Case]:
    x, two, zero = numbers((2, 2)), numbers((2, 2, 2), 1), {"variant": "midpoint", "eta": 0.0, "noise": numbers((2, 2), 2)}
    wrong = {
        TWICE: _levels(20.0, 20.0, 14.0),
        SAME: _levels(20.0, 23.0, 20.0),
        NUMBERS: _levels(20.0, 23.0, 26.0, 14.0),
        INFINITE: _levels(20.0, 23.0, 0.0),
    }
    for what, levels in wrong.items():
        yield refused("dpmpp_step", what, x_t=x, x0=two, **levels, **zero)
        yield refused("dpm_solver_step", what, x_t=x, eps=two, **levels, **zero)
        if what != INFINITE:
            yield refused("deis_step", what, x_t=x, eps=two, **levels)
    for sigma in (0.0, -1.0):
        yield refused("edm_preconditioning", "a sigma of 0 or below", sigma=np.array([0.5, sigma]), sigma_data=0.5)
    yield refused("phi", "a k below 0", k=-1, z=numbers((2,)))
    yield refused("edm_sigmas", "no step", steps=0, sigma_min=0.002, sigma_max=80.0, rho=7.0)
    yield refused("edm_sigmas", "a sigma_max below sigma_min", steps=5, sigma_min=2.0, sigma_max=1.0, rho=7.0)
    yield refused("edm_churn", "a gamma below 0", x=x, sigma=1.5, gamma=-0.25, s_noise=1.0, noise=x)
