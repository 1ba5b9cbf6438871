"""Samplers: single and larger steps, eta 0, 1/2 and 1, with and without clipping, and whole trajectories on every kind
of grid.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..formulas.schedules import grid
from . import NO_SIGNAL, TIMES, Case, Table, numbers, refused, steps, tables
from .schedules import DIFFUSION

VARIANCES = ("posterior", "beta")
GRIDS = ("linspace", "leading", "trailing", "quadratic")


def cases() -> Iterator[Case]:
    for name in DIFFUSION:
        for number, (t, s) in enumerate(steps(len(tables()[name]))):
            yield from _steps(Table(name), t, s, number, name in ("three", "two"))
    yield from _special_steps()
    yield from _trajectories()
    yield from _odes()
    yield from _reverse_sdes()
    yield from _langevin()
    yield from _predictors()
    yield from _likelihoods()
    yield from _mixtures()
    yield from _errors()
    yield from _long_steps()


def _steps(betas: Table, t: int, s: int, number: int, small: bool) -> Iterator[Case]:
    shape = ((2, 2), (1, 1), (2, 2, 2, 1))[number % 3]
    p, x, noise = (numbers(shape, seed + number) for seed in (11, 31, 51))
    for kind in ("eps", "x0", "v"):
        inputs = {"prediction": p, "x_t": x, "t": t, "s": s, "betas": betas, "noise": noise, "kind": kind}
        for variance in VARIANCES if kind == "eps" else VARIANCES[:1]:
            yield Case("ddpm_step", inputs | {"variance": variance}, minimal=small)
        for eta in (0.0, 0.5, 1.0) if kind == "eps" else (0.0,):
            yield Case("ddim_step", inputs | {"eta": eta}, minimal=small)
    if s > 0:
        inputs = {"prediction": p, "x_t": x, "t": t, "s": s, "betas": betas, "noise": noise, "kind": "eps"}
        yield Case("ddpm_step", inputs | {"variance": "learned", "mix": (numbers(shape, 7) + 2) / 4}, minimal=small)
        for kind in ("eps", "v"):
            yield Case("ddim_inversion_step", {"prediction": p, "x_s": x, "s": s, "t": t, "betas": betas, "kind": kind}, minimal=small)


def _special_steps() -> Iterator[Case]:
    p, x, noise = (numbers((2, 3), seed) for seed in (1, 2, 3))
    for kind, (t, s) in product(("eps", "x0", "v"), ((3, 2), (3, 1), (1, 0))):
        inputs = {"prediction": p, "x_t": x, "t": t, "s": s, "betas": Table("three"), "noise": noise, "kind": kind, "clip": 0.75}
        yield Case("ddpm_step", inputs | {"variance": "posterior"}, minimal=True)
        yield Case("ddim_step", inputs | {"eta": 0.0}, minimal=True)
        yield Case("ddim_step", inputs | {"eta": 0.5})
    for kind in ("v", "x0"):  # a step from zero terminal SNR starts without signal
        inputs = {"prediction": p, "x_t": x, "t": 5, "s": 4, "betas": Table("zero-terminal-5"), "noise": noise, "kind": kind}
        yield Case("ddpm_step", inputs | {"variance": "posterior"}, minimal=True)
        yield Case("ddim_step", inputs | {"eta": 0.0}, minimal=True)


def _model(betas: Table, kind: str = "eps") -> dict[str, Any]:
    return {"model": "gaussian", "mean": 0.75, "variance": 0.25, "kind": kind, "betas": betas}


def _trajectory(betas: Table, kind: str, S: int, batch: int = 2, predicts: str = "eps") -> dict[str, Any]:
    times = grid(kind, len(tables()[betas.name]), S)
    noise = numbers((S, batch, 1), 5)
    return {"model": _model(betas, predicts), "grid": times, "x": numbers((batch, 1), 4), "noise": noise, "betas": betas, "kind": predicts}


def _trajectories() -> Iterator[Case]:
    for name, kind, S in product(("cosine-20", "linear-1000"), GRIDS, (1, 3, 7, 10)):
        inputs, small = _trajectory(Table(name), kind, S), name == "cosine-20" and S in (1, 3)
        for eta in (0.0, 0.5, 1.0) if S != 7 else (0.0,):
            yield Case("ddim_sample", inputs | {"eta": eta}, tolerance="long", minimal=small)
        for variance in VARIANCES if S != 7 else VARIANCES[:1]:
            yield Case("ddpm_sample", inputs | {"variance": variance}, tolerance="long", minimal=small)
    for name, kind, S in (
        ("linear-50", "trailing", 50),
        ("cosine-20", "trailing", 20),
        ("linear-1000", "trailing", 61),
        ("one", "trailing", 1),
    ):
        inputs = _trajectory(Table(name), kind, S, 1)
        yield Case("ddim_sample", inputs | {"eta": 0.0}, tolerance="long", minimal=name == "one")
        yield Case("ddpm_sample", inputs | {"variance": "posterior"}, tolerance="long", minimal=name == "one")
    for name, predicts in product(("cosine-20", "scaled-linear-1000"), ("x0", "v")):
        inputs = _trajectory(Table(name), "trailing", 5, 2, predicts)
        yield Case("ddim_sample", inputs | {"eta": 0.0}, tolerance="long", minimal=name == "cosine-20")
        yield Case("ddpm_sample", inputs | {"variance": "beta"}, tolerance="long", minimal=name == "cosine-20")
    for predicts in ("v", "x0"):
        inputs = _trajectory(Table("zero-terminal-5"), "trailing", 5, 2, predicts)
        yield Case("ddim_sample", inputs | {"eta": 0.0}, tolerance="long", minimal=True)
    inputs = _trajectory(Table("cosine-20"), "trailing", 4)
    yield Case("ddim_sample", inputs | {"eta": 0.0, "clip": 0.5}, "must", "long", minimal=True)
    yield Case("ddpm_sample", inputs | {"variance": "posterior", "clip": 0.5}, "must", "long", minimal=True)
    for name, S in (("cosine-20", 4), ("linear-1000", 10)):
        inputs = _trajectory(Table(name), "trailing", S)
        up = {"model": inputs["model"], "grid": inputs["grid"][-2::-1], "x": inputs["x"], "betas": inputs["betas"], "kind": "eps"}
        yield Case("ddim_invert", up, tolerance="long", minimal=S == 4)


def _odes() -> Iterator[Case]:
    field = {"model": "field", "a": -0.75, "b": 0.5, "c": 0.25}
    flow = {"model": "gaussian-flow", "mean": 0.75, "variance": 0.25}
    x = numbers((2, 2), 6) / 2
    for f, (t, s) in product((field, flow), ((0.0, 0.25), (0.5, 0.25), (0.75, 1.0), (0.125, 0.875))):
        for operation in ("euler_step", "heun_step", "rk4_step"):
            yield Case(operation, {"f": f, "x": x, "t": t, "s": s}, minimal=t < 0.6)
    for method, n in product(("euler", "heun", "rk4"), (1, 2, 4, 8)):
        times = np.arange(n + 1) / n
        yield Case("ode_sample", {"f": flow, "method": method, "times": times, "x": x}, tolerance="long", minimal=n < 8)
        yield Case("ode_sample", {"f": field, "method": method, "times": times[::-1].copy(), "x": x}, tolerance="long", minimal=n == 2)
    uneven = np.array([0.0, 0.125, 0.5, 0.625, 1.0])
    for times, sweeps in product((uneven, uneven[::-1].copy()), (0, 1, 2, 4)):
        yield Case("picard_sample", {"f": flow, "times": times, "x": x, "sweeps": sweeps}, tolerance="long", minimal=True)
    for method in ("euler", "heun", "rk4"):
        yield Case("ode_sample", {"f": flow, "method": method, "times": uneven, "x": x}, tolerance="long", minimal=True)


def _reverse_sdes() -> Iterator[Case]:
    for number, (shape, k) in enumerate(product(((2, 2), (1, 1), (2, 2, 2, 1)), (0.0, 0.5, 1.0, 2.0))):
        x, score, noise = (numbers(shape, seed + number) for seed in (10, 40, 70))
        inputs = {"x": x, "score": score, "drift_rate": -0.75 - number / 8, "g2": 1.5 + number / 4, "k": k}
        yield Case("reverse_sde_drift", inputs, minimal=number < 4)
        yield Case("euler_maruyama_step", inputs | {"h": 0.015625 * (1 + number), "noise": noise}, minimal=number < 4)
    each = {"drift_rate": np.array([-0.5, -2.0, 0.0]), "g2": np.array([1.0, 4.0, 0.25]), "k": 0.75}
    for shape in ((3, 2), (3, 2, 2, 4)):
        x, score, noise = (numbers(shape, seed) for seed in (1, 2, 3))
        yield Case("reverse_sde_drift", {"x": x, "score": score, **each}, minimal=True)
        yield Case("euler_maruyama_step", {"x": x, "score": score, **each, "h": 0.125, "noise": noise}, minimal=True)
    yield refused("reverse_sde_drift", "a k below 0", x=x, score=score, **each | {"k": -1.0})
    yield refused("euler_maruyama_step", "a step of a length below 0", x=x, score=score, **each, h=-0.125, noise=noise)


def _langevin() -> Iterator[Case]:
    for number, (shape, h) in enumerate(product(((2, 2), (1, 1), (2, 2, 2, 1)), (0.0625, 0.75))):
        x, y, score, there, noise = (numbers(shape, seed + number) for seed in (10, 30, 50, 70, 90))
        yield Case("ula_step", {"x": x, "score": score, "h": h, "noise": noise}, minimal=number < 2)
        densities = {"log_density": numbers((len(x),), 5), "log_density_there": numbers((len(x),), 6)}
        inputs = {"x": x, "proposal": y, **densities, "score": score, "score_there": there, "h": h}
        yield Case("mala_log_ratio", inputs, minimal=number < 2)
        yield Case("corrector_size", {"score": score, "noise": noise, "ratio": h / 4}, minimal=number < 2)
    each = {"x": numbers((3, 2), 1), "score": numbers((3, 2), 2), "noise": numbers((3, 2), 3)}
    yield Case("ula_step", {**each, "h": np.array([0.125, 0.5, 2.0])}, minimal=True)
    model = {"model": "gaussian-score", "mean": 0.75, "variance": 0.25}
    for number, (sigmas, count) in enumerate(product(([4.0, 2.0, 0.5], [1.5]), (1, 3))):
        inputs = {"sigmas": np.array(sigmas), "steps": count, "size": 0.0625, "x": numbers((2, 2), 4)}
        yield Case(
            "annealed_langevin", {"model": model, **inputs, "noise": numbers((len(sigmas) * count, 2, 2), number)}, minimal=count == 1
        )
    yield refused("ula_step", "a step size below 0", **each, h=-0.125)
    yield refused("corrector_size", "a score of 0", score=0 * each["x"], noise=each["noise"], ratio=0.125)
    rising = {"sigmas": np.array([0.5, 1.0]), "steps": 1, "size": 0.0625, "x": numbers((2, 2), 4), "noise": numbers((2, 2, 2))}
    yield refused("annealed_langevin", "sigmas that do not fall", model=model, **rising)


def _predictors() -> Iterator[Case]:
    pairs = (([0.6, 0.8], [0.8, 0.6]), ([0.28, 0.96], [0.96, 0.28]), ([1.0, 1.0], [3.0, 1.25]), ([0.6, 1.0], [0.8, 0.0]))
    for number, (shape, (signal, sigma)) in enumerate(product(((2, 2), (2, 2, 2, 1)), pairs)):
        inputs = {"x_t": numbers(shape, number), "score": numbers(shape, 20 + number)}
        more = {"signal": np.array(signal), "sigma": np.array(sigma), "noise": numbers(shape, 40 + number)}
        for variance in ("posterior", "forward"):
            yield Case("ancestral_step", {**inputs, **more, "variance": variance}, minimal=number < 4)
        yield Case("reverse_diffusion_step", {**inputs, **more}, minimal=number < 4)
    noisier = {"signal": np.array([0.8, 0.6]), "sigma": np.array([0.6, 0.8]), "noise": numbers((2, 2), 2)}
    yield refused("ancestral_step", "a step to more noise", x_t=numbers((2, 2)), score=numbers((2, 2), 1), **noisier, variance="forward")
    yield refused("reverse_diffusion_step", "a step to more noise", x_t=numbers((2, 2)), score=numbers((2, 2), 1), **noisier)


def _likelihoods() -> Iterator[Case]:
    for batch, d in ((2, 2), (1, 3), (3, 4)):
        inputs = {"jacobian": numbers((batch, d, d), d), "probe": np.sign(numbers((batch, d), 10 + d) + 1 / 128)}
        yield Case("hutchinson", inputs, minimal=True)
        yield Case("hutchinson", inputs | {"probe": numbers((batch, d), 20 + d)}, minimal=True)
    for dimensions, width in ((2, 0.0078125), (784, 0.0078125), (3, 1.0), (12, 0.125)):
        yield Case(
            "bits_of_density", {"log_density": 8 * numbers((3,), dimensions), "dimensions": dimensions, "width": width}, minimal=True
        )
    yield refused("bits_of_density", "a width of 0", log_density=numbers((3,)), dimensions=2, width=0.0)


def _mixtures() -> Iterator[Case]:
    for shape, weight in product(((2, 2), (1, 3), (2, 2, 2, 1)), (0.25, 0.5, 0.875)):
        yield Case("slerp", {"a": numbers(shape, 1), "b": numbers(shape, 2), "weight": weight}, minimal=weight == 0.25)
        inputs = {"x0_a": numbers(shape, 3), "x0_b": numbers(shape, 4), "weight": weight, "noise": numbers(shape, 5)}
        yield Case("shared_noise_interpolation", inputs | {"t": 2, "betas": Table("three")}, minimal=weight == 0.25)
        yield Case("shared_noise_interpolation", inputs | {"t": 700, "betas": Table("linear-1000")})


def _errors() -> Iterator[Case]:
    p, x, noise = (numbers((2, 2), seed) for seed in (1, 2, 3))
    step = {"prediction": p, "x_t": x, "t": 3, "s": 2, "betas": Table("three"), "noise": noise, "kind": "eps"}
    for eta in (-0.5, 1.5):
        yield refused("ddim_step", "an eta outside [0, 1]", **step, eta=eta)
    for t, s in ((3, 3), (2, 3), (4, 3), (1, -1)):
        yield refused("ddim_step", TIMES, **step | {"t": t, "s": s, "eta": 0.0})
        yield refused("ddpm_step", TIMES, **step | {"t": t, "s": s, "variance": "posterior"})
    gone = {**step, "t": 5, "s": 4, "betas": Table("zero-terminal-5")}
    yield refused("ddim_step", NO_SIGNAL, **gone, eta=0.0)
    yield refused("ddpm_step", NO_SIGNAL, **gone, variance="posterior")
    yield refused("ddim_sample", NO_SIGNAL, **_trajectory(Table("zero-terminal-5"), "trailing", 5), eta=0.0)
    yield refused("slerp", "noises of opposite directions", a=x, b=-x, weight=0.5)


def _long_steps() -> Iterator[Case]:
    """Long steps at eta = 1, where the variance taken off in float32 may leave less than 0; noises that are nearly parallel."""
    x, prediction, noise, betas = numbers((2, 2), 13), numbers((2, 2), 14), numbers((2, 2), 16), Table("cosine-1000")
    for t, s in ((1000, 16), (1000, 30), (1000, 59), (1000, 277), (1000, 651), (1000, 834), (999, 26), (999, 93)):
        inputs = {"prediction": prediction, "x_t": x, "t": t, "s": s, "betas": betas, "noise": noise, "eta": 1.0, "kind": "eps"}
        yield Case("ddim_step", inputs, minimal=s == 834)
    a = numbers((2, 4), 27)
    yield Case("slerp", {"a": a, "b": a + numbers((2, 4), 28) / 128, "weight": 0.25}, minimal=True)
