"""The forward process and the posterior: every pair of ends of every table, scalar and per-example times, batches 1 and 2."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import NO_SIGNAL, TIMES, Case, Table, numbers, refused, steps, tables
from .schedules import DIFFUSION

SHAPES = ((2, 2), (1, 1), (2, 2, 2, 1))


def cases() -> Iterator[Case]:
    for name in DIFFUSION:
        T, betas = len(tables()[name]), Table(name)
        small = name in ("three", "two")
        for number, (t, s) in enumerate(steps(T)):
            x, y, noise = (numbers(SHAPES[number % 3], seed) for seed in (number, 50 + number, 90 + number))
            if s == t - 1:
                yield Case("q_step", {"x": x, "t": t, "betas": betas, "noise": noise}, minimal=small)
            yield Case("q_between", {"x_s": x, "t": t, "s": s, "betas": betas, "noise": noise}, minimal=small)
            yield Case("q_sample", {"x0": x, "t": t, "betas": betas, "noise": noise}, minimal=small)
            yield Case("q_marginal", {"x0": x, "t": t, "betas": betas}, minimal=small)
            yield Case("posterior", {"x_t": x, "x0": y, "t": t, "s": s, "betas": betas}, minimal=small)
            yield Case("posterior_variance", {"t": t, "s": s, "betas": betas}, tolerance="each", minimal=small)
            yield Case("mean_from_eps", {"eps": noise, "x_t": x, "t": t, "s": s, "betas": betas}, minimal=small)
            for variance in ("posterior", "beta"):
                yield Case("model_variance", {"variance": variance, "x_t": x, "t": t, "s": s, "betas": betas}, minimal=small)
            if s > 0:
                mix = (numbers(x.shape, 7) + 2) / 4
                yield Case("model_variance", {"variance": "learned", "x_t": x, "t": t, "s": s, "betas": betas, "mix": mix}, minimal=small)
            for kind in ("eps", "x0", "v"):
                inputs = {"prediction": noise, "x_t": x, "t": t, "s": s, "betas": betas, "kind": kind, "variance": "posterior"}
                yield Case("reverse_kernel", inputs, minimal=small)
    yield from _sdes()
    yield from _jumps()
    yield from _batches()
    yield from _chains()
    yield from _errors()
    yield from _learned()


def _jumps() -> Iterator[Case]:
    for number, (shape, dt) in enumerate(((SHAPES[0], 0.25), (SHAPES[1], 0.001), (SHAPES[2], 0.125), ((3, 2), 1.0))):
        inputs = {"x": numbers(shape, number), "mean": numbers(shape, number + 10), "variance": abs(numbers(shape, number + 20))}
        yield Case("jump_moments", {**inputs, "dt": dt}, minimal=True)
    yield refused("jump_moments", "a time of 0", **inputs, dt=0.0)


def _batches() -> Iterator[Case]:
    """A time for each example."""
    x, y, noise = numbers((3, 2), 1), numbers((3, 2), 2), numbers((3, 2), 3)
    images = [numbers((3, 2, 2, 1), seed) for seed in (4, 5, 6)]
    yield from _each(images, "three", [3, 1, 2], [1, 0, 1])
    yield from _each(images, "linear-1000", [1, 1000, 500], [0, 999, 20])
    for name, times, earlier in (("linear-1000", [1, 500, 1000], [0, 499, 20]), ("three", [3, 1, 2], [0, 0, 1])):
        betas, t, s = Table(name), np.array(times), np.array(earlier)
        yield Case("q_sample", {"x0": x, "t": t, "betas": betas, "noise": noise}, minimal=True)
        yield Case("q_step", {"x": x, "t": t, "betas": betas, "noise": noise}, minimal=True)
        yield Case("q_marginal", {"x0": x, "t": t, "betas": betas}, minimal=True)
        kernel = {"prediction": noise, "x_t": x, "t": t, "s": s, "betas": betas, "kind": "eps"}
        for variance in ("posterior", "beta"):
            yield Case("reverse_kernel", kernel | {"variance": variance}, minimal=True)
        yield Case("posterior", {"x_t": x, "x0": y, "t": t, "s": s, "betas": betas}, minimal=True)
        yield Case("mean_from_eps", {"eps": noise, "x_t": x, "t": t, "s": s, "betas": betas}, minimal=True)
    yield Case("q_sample", {"x0": x, "t": 0, "betas": Table("three"), "noise": noise}, minimal=True)
    yield Case("q_sample", {"x0": x, "t": 5, "betas": Table("zero-terminal-5"), "noise": noise}, minimal=True)


def _each(images: list[Any], name: str, times: list[int], earlier: list[int]) -> Iterator[Case]:
    """A time for each image."""
    (x, y, noise), betas, t, s = images, Table(name), np.array(times), np.array(earlier)
    yield Case("q_sample", {"x0": x, "t": t, "betas": betas, "noise": noise}, minimal=True)
    yield Case("q_step", {"x": x, "t": t, "betas": betas, "noise": noise}, minimal=True)
    yield Case("q_between", {"x_s": x, "t": t, "s": s, "betas": betas, "noise": noise}, minimal=True)
    yield Case("q_marginal", {"x0": x, "t": t, "betas": betas}, minimal=True)
    pair = {"x_t": x, "t": t, "s": s, "betas": betas}
    yield Case("posterior", {"x0": y, **pair}, minimal=True)
    yield Case("mean_from_eps", {"eps": noise, **pair}, minimal=True)
    yield Case("model_variance", {"variance": "beta", **pair}, minimal=True)
    yield Case("model_variance", {"variance": "posterior", **pair}, minimal=True)
    yield Case("reverse_kernel", {"prediction": noise, **pair, "kind": "v", "variance": "beta"}, minimal=True)


def _chains() -> Iterator[Case]:
    for grid in ([3, 2, 1, 0], [3, 1, 0], [2, 0]):
        inputs = {"states": numbers((len(grid), 2, 2), len(grid)), "grid": np.array(grid), "betas": Table("three")}
        yield Case("trajectory_log_density", inputs, minimal=True)
    model = {"model": "gaussian", "mean": 0.75, "variance": 0.25, "kind": "eps", "betas": Table("three")}
    for grid in ([3, 2, 1, 0], [3, 1, 0]):
        inputs = {"states": numbers((len(grid), 2, 2), 9), "grid": np.array(grid), "betas": Table("three"), "model": model}
        yield Case("reverse_log_density", inputs, minimal=True)
    for shape in SHAPES:
        yield Case("log_density", {"x": numbers(shape), "mean": numbers(shape, 1), "variance": numbers(shape, 2) ** 2 + 0.25}, minimal=True)
        yield Case("score", {"x": numbers(shape), "mean": numbers(shape, 1), "variance": numbers(shape, 2) ** 2 + 0.25}, minimal=True)


def _sdes() -> Iterator[Case]:
    t = np.array([0.0625, 0.25, 0.5, 0.875, 1.0])
    for kind, low, high in (
        ("vp", 0.125, 20.0),
        ("vp", 0.5, 3.0),
        ("sub_vp", 0.125, 20.0),
        ("sub_vp", 0.5, 3.0),
        ("ve", 0.03125, 50.0),
        ("ve", 0.5, 2.0),
    ):
        yield Case("sde_coefficients", {"kind": kind, "t": t, "low": low, "high": high}, tolerance="each", minimal=True)
        yield refused("sde_coefficients", "a time outside [0, 1]", kind=kind, t=t + 0.25, low=low, high=high)
    yield refused("sde_coefficients", "a high below low", kind="vp", t=t, low=2.0, high=1.0)


def _errors() -> Iterator[Case]:
    x, noise, betas = numbers((2, 2)), numbers((2, 2), 1), Table("three")
    for t in (4, -1):
        yield refused("q_sample", "a time outside 0..T", x0=x, t=t, betas=betas, noise=noise)
    for t, s in ((1, 1), (1, 2), (4, 1), (1, -1)):
        yield refused("posterior", TIMES, x_t=x, x0=noise, t=t, s=s, betas=betas)
    yield refused("mean_from_eps", NO_SIGNAL, eps=noise, x_t=x, t=5, s=4, betas=Table("zero-terminal-5"))
    yield refused("alpha_bar", "a beta outside (0, 1]", betas=np.array([0.5, 1.25]))
    yield refused("q_sample", "NaN in x0", x0=x * np.nan, t=1, betas=betas, noise=noise)


def _learned() -> Iterator[Case]:
    """Learned variances in a whole reverse step, for every kind; a time for each example in a variance."""
    x, prediction, mix = numbers((2, 2), 13), numbers((2, 2), 14), (numbers((2, 2), 15) + 2) / 4
    for kind in ("eps", "x0", "v"):
        for t in (3, 2):
            step = {"prediction": prediction, "x_t": x, "t": t, "s": 1, "betas": Table("three"), "kind": kind}
            yield Case("reverse_kernel", {**step, "variance": "learned", "mix": mix}, minimal=True)
    for late, early in (([3, 1, 2], [1, 0, 1]), ([3, 3, 1], [0, 2, 0])):
        times = {"t": np.array(late), "s": np.array(early), "betas": Table("three")}
        yield Case("posterior_variance", times, tolerance="each", minimal=True)
