"""The ELBO: whole chains and single terms on every table, weights at both ends, decoders, and simplified training losses."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..formulas.forward import q_between
from . import BATCH, NO_SIGNAL, TIMES, Case, Table, numbers, refused, steps, tables
from .gaussian import pixels, single
from .parts import vdm
from .schedules import DIFFUSION

SHAPES = ((2, 2), (1, 1), (2, 2, 2, 1))
CHAINS = {
    "three": ([3, 2, 1, 0], [3, 1, 0], [2, 1, 0], [3, 0], [1, 0]),
    "two": ([2, 1, 0], [2, 0]),
    "one": ([1, 0],),
    "constant-10": ([10, 7, 4, 1, 0], list(range(10, -1, -1))),
    "cosine-20": ([20, 10, 2, 1, 0],),
    "linear-50": ([50, 25, 1, 0], list(range(50, -1, -5))),
    "linear-1000": ([1000, 500, 250, 10, 1, 0],),
    "scaled-linear-1000": ([1000, 999, 2, 1, 0],),
    "cosine-1000": ([999, 500, 1, 0],),
}


def cases() -> Iterator[Case]:
    yield from _chains()
    yield from _inner()
    yield from _weights()
    yield from _decoders()
    yield from _losses()
    yield from _errors()
    yield from vdm.cases()


def _chains() -> Iterator[Case]:
    for name, grids in CHAINS.items():
        for number, grid in enumerate(grids):
            for variance in ("posterior", "beta"):
                minimal = name in ("three", "two", "one")
                x0, model = numbers(SHAPES[number % 3], number) / 2, _model(name, 0.75, 0.25)
                inputs = {
                    "states": _chain(x0, grid, name),
                    "grid": np.array(grid),
                    "betas": Table(name),
                    "model": model,
                    "variance": variance,
                }
                yield Case("elbo_joint", inputs, minimal=minimal)
                yield Case("elbo_bayes", inputs, minimal=minimal)
                if grid[0] == len(tables()[name]):
                    yield from _terms(name, grid, variance, SHAPES[number % 3], minimal)


def _terms(name: str, grid: list[int], variance: str, shape: tuple[int, ...], minimal: bool) -> Iterator[Case]:
    model, noise = _model(name, -0.5, 0.5), numbers((len(grid) - 1, *shape), len(grid))
    for decoder in ("gaussian", "squared", "discretized"):
        x0 = pixels(shape, 3) if decoder == "discretized" else numbers(shape, 4)
        inputs = {"x0": x0, "grid": np.array(grid), "betas": Table(name), "model": model, "noise": noise}
        yield Case("elbo_terms", {**inputs, "variance": variance, "decoder": decoder}, minimal=minimal)


def _model(name: str, mean: float, variance: float) -> dict[str, Any]:
    return {"model": "gaussian", "mean": mean, "variance": variance, "kind": "eps", "betas": Table(name)}


def _chain(x0: Any, grid: list[int], name: str) -> Any:
    """States of a chain from the last time to x0, drawn from q and rounded to float32."""
    states = [x0]
    for number, (s, t) in enumerate(zip(grid[::-1], grid[-2::-1], strict=False)):
        states.append(single(q_between(states[-1], t, s, tables()[name], numbers(x0.shape, 30 + number))))
    return np.stack(states[::-1])


def _inner() -> Iterator[Case]:
    for name in DIFFUSION:
        T = len(tables()[name])
        for number, (t, s) in enumerate(pair for pair in steps(T) if pair[1] > 0):
            shape, minimal = SHAPES[number % 3], name in ("three", "two")
            x_t, x0, prediction = (numbers(shape, number + seed) for seed in (1, 40, 80))
            at = {"prediction": prediction, "x_t": x_t, "x0": x0, "t": t, "s": s, "betas": Table(name)}
            kinds = (("eps", "posterior"), ("eps", "beta"), ("x0", "posterior"), ("v", "beta"))
            for kind, variance in kinds if minimal else (kinds[number % 4], kinds[(number + 1) % 4]):
                yield Case("inner_kl", {**at, "kind": kind, "variance": variance}, minimal=minimal)
            if minimal or number % 2:
                inputs = {**at, "kind": "eps", "variance": "learned", "mix": (numbers(shape, 7) + 2) / 4}
                yield Case("inner_kl", inputs, minimal=minimal)
    x_t, x0, prediction = (numbers((3, 2), seed) for seed in (1, 2, 3))
    for name, times, earlier in (("linear-1000", [2, 500, 1000], [1, 499, 20]), ("three", [3, 3, 2], [2, 1, 1])):
        at = {"prediction": prediction, "x_t": x_t, "x0": x0, "t": np.array(times), "s": np.array(earlier), "betas": Table(name)}
        yield Case("inner_kl", {**at, "kind": "eps", "variance": "posterior"}, minimal=True)
        yield Case("inner_kl", {**at, "kind": "v", "variance": "beta"}, minimal=True)
    at = {"prediction": prediction, "x_t": x_t, "x0": x0, "t": 5, "s": 4, "betas": Table("zero-terminal-5")}
    yield Case("inner_kl", {**at, "kind": "v", "variance": "posterior"}, minimal=True)
    yield Case("inner_kl", {**at, "kind": "x0", "variance": "beta"}, minimal=True)


def _weights() -> Iterator[Case]:
    for name in DIFFUSION:
        T, betas = len(tables()[name]), Table(name)
        inner = [pair for pair in steps(T) if pair[1] > 0]
        for operation in ("weight_mean", "weight_eps", "weight_x0"):
            for t, s in inner:
                yield Case(operation, {"t": t, "s": s, "betas": betas}, tolerance="each", minimal=T < 20)
            if len(inner) > 1:
                times, earlier = (np.array(each) for each in zip(*inner, strict=True))
                yield Case(operation, {"t": times, "s": earlier, "betas": betas}, tolerance="each", minimal=T < 60)
        for gamma in (5.0, 1.0, 0.5):
            for kind in ("x0", "eps", "v"):
                inputs = {"t": np.unique([1, 2 if T > 1 else 1, T // 2 + 1, T]), "betas": betas, "gamma": gamma, "kind": kind}
                yield Case("min_snr_weight", inputs, tolerance="each", minimal=T < 60)
    for kind in ("x0", "v"):
        inputs = {"t": 5, "betas": Table("zero-terminal-5"), "gamma": 5.0, "kind": kind}
        yield Case("min_snr_weight", inputs, tolerance="each", minimal=True)
        yield Case("min_snr_weight", {**inputs, "t": 2}, tolerance="each", minimal=True)
    for s in (4, 1):
        for operation in ("weight_mean", "weight_x0"):
            yield Case(operation, {"t": 5, "s": s, "betas": Table("zero-terminal-5")}, tolerance="each", minimal=True)


def _decoders() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES):
        x, mean = numbers(shape, number), numbers(shape, 5)
        yield Case("squared_decoder", {"x0": x, "mean": mean, "variance": (0.25, 0.625, 3.0)[number]}, minimal=True)
        yield Case("squared_decoder", {"x0": x, "mean": mean, "variance": numbers(shape, 6) ** 2 + 0.25}, minimal=True)
        x = pixels(shape, number)
        for variance in (1e-4, 0.01, 0.25, 1.0, 100.0):
            inputs = {"x0": x, "mean": single(x + mean * variance**0.5), "variance": variance}
            yield Case("discretized_decoder", inputs, minimal=variance < 0.1)
        inputs = {"x0": x, "mean": mean / 2, "variance": numbers(shape, 6) ** 2 / 8 + 0.03125}
        yield Case("discretized_decoder", inputs, minimal=True)
    x = np.array([[-1.0, 1.0, 0.0]])
    inputs = {"x0": x, "mean": single(x + 3 / 255), "variance": (0.5 / 255) ** 2}
    yield Case("discretized_decoder", inputs, minimal=True)


def _losses() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES):
        yield Case("l_simple", {"target": numbers(shape, number), "prediction": numbers(shape, 5)}, minimal=True)
        nats = numbers((len(numbers(shape)),), number) * 100
        for dimensions in (1, 3072, 784):
            yield Case("bits_per_dim", {"nats": nats, "dimensions": dimensions}, minimal=True)
    for B in (1, 2, 3):
        simple, vlb = abs(numbers((B,), 2)) + 1, abs(numbers((B,), 3)) * 50
        yield Case("hybrid", {"simple": simple, "vlb": vlb}, minimal=True)
        for weight in (0.001, 1.0, 0.0, 0.5):
            yield Case("hybrid", {"simple": simple, "vlb": vlb, "weight": weight}, minimal=True)


def _errors() -> Iterator[Case]:
    yield from _wrong_weights()
    yield from _wrong_terms()
    yield from _wrong_chains()


def _wrong_weights() -> Iterator[Case]:
    three = Table("three")
    for operation in ("weight_mean", "weight_eps", "weight_x0"):
        for t, s in ((1, 0), (3, 0)):
            yield refused(operation, "the step to s = 0, whose posterior variance is 0", t=t, s=s, betas=three)
        for t, s in ((2, 2), (1, 2), (4, 1)):
            yield refused(operation, TIMES, t=t, s=s, betas=three)
    yield refused("weight_eps", NO_SIGNAL, t=5, s=4, betas=Table("zero-terminal-5"))
    time, limit = "a time outside 0..T", "a gamma of 0 or below"
    for what, t, gamma, kind in (
        (time, -1, 5.0, "eps"),
        (time, 4, 5.0, "eps"),
        (limit, 1, 0.0, "x0"),
        (limit, 1, -1.0, "v"),
        ("an unknown kind", 1, 5.0, "noise"),
    ):
        yield refused("min_snr_weight", what, t=t, betas=three, gamma=gamma, kind=kind)


def _wrong_terms() -> Iterator[Case]:
    x, y = numbers((2, 2)) / 2, numbers((2, 2), 1)
    at: dict[str, Any] = {"prediction": y, "x_t": x, "x0": x, "betas": Table("three")}
    yield refused("inner_kl", "the posterior variance 0 of the step to s = 0", **at, t=1, s=0, kind="eps", variance="posterior")
    yield refused("inner_kl", NO_SIGNAL, **{**at, "betas": Table("zero-terminal-5")}, t=5, s=4, kind="eps", variance="beta")
    yield refused("inner_kl", BATCH, **{**at, "x0": numbers((3, 2))}, t=2, s=1, kind="eps", variance="beta")
    yield refused("l_simple", "a prediction of another shape than the target", target=x, prediction=numbers((2, 1)))
    yield refused("l_simple", "NaN in the prediction", target=x, prediction=y * np.nan)
    yield refused("bits_per_dim", "0 dimensions", nats=np.array([1.0, 2.0]), dimensions=0)
    yield refused("hybrid", "a weight below 0", simple=np.array([1.0]), vlb=np.array([1.0]), weight=-1.0)
    for variance in (0.0, -1.0):
        yield refused("discretized_decoder", "a variance of 0 or below", x0=x, mean=y, variance=variance)
    yield refused("discretized_decoder", "pixels outside [-1, 1]", x0=x + 2, mean=y, variance=0.5)


def _wrong_chains() -> Iterator[Case]:
    chain: dict[str, Any] = {"betas": Table("three"), "model": _model("three", 0.75, 0.25), "variance": "beta"}
    for operation in ("elbo_joint", "elbo_bayes"):
        for grid in ([3, 1], [1, 3, 0], [4, 1, 0]):
            yield refused(
                operation,
                "a grid that does not go down from at most T to 0",
                states=numbers((len(grid), 2, 2)),
                grid=np.array(grid),
                **chain,
            )
        yield refused(operation, "fewer states than times", states=numbers((2, 2, 2)), grid=np.array([3, 1, 0]), **chain)
    start = {"x0": numbers((2, 2)) / 2, "grid": np.array([2, 1, 0]), "noise": numbers((2, 2, 2)), "decoder": "gaussian"}
    yield refused("elbo_terms", "a grid that does not begin at T", **start, **chain)
