"""Gaussians: batches of 1 and 2, images, variances tiny, huge and nearly equal, and pixels at both ends of their range
and inside it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from . import BATCH, Case, numbers, refused

VARIANCE = "a variance of 0 or below"
MATRIX = "a covariance that is not symmetric and positive definite"

SHAPES = ((2, 3), (1, 1), (2, 2, 2, 1))
SPREADS = ((1.5, 0.5), (0.25, 4.0), (1e-6, 1.0), (1.0, 1e-6), (1e8, 1e7), (0.02, 0.0201))
NEAR = (2.0**-8, 2.0**-20, -(2.0**-20), -(2.0**-8))


def cases() -> Iterator[Case]:
    yield from _entropies()
    yield from _isotropic()
    yield from _diagonal()
    yield from _full()
    yield from _products()
    yield from _pixels()
    yield from _errors()


def positive(shape: tuple[int, ...], seed: int) -> Any:
    """Numbers between 1/4 and 17/4."""
    return numbers(shape, seed) ** 2 + 0.25


def covariance(d: int, seed: int) -> Any:
    """A positive definite matrix that float32 holds without rounding."""
    root = np.round(numbers((d, d), seed) * 4) / 4
    return root @ root.T + np.eye(d)


def pixels(shape: tuple[int, ...], seed: int, levels: int = 256) -> Any:
    """Pixels on the levels from -1 to 1, both ends among them, rounded to float32."""
    k = np.abs(numbers(shape, seed) * 64 * 37).astype(int) % levels
    k.flat[0], k.flat[-1] = 0, levels - 1
    return single(2 * k / (levels - 1) - 1)


def single(x: Any) -> Any:
    """Rounded to float32, so that a case has the same inputs in both precisions."""
    return np.asarray(x, dtype=np.float32).astype(np.float64)


def _entropies() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES):
        yield Case("entropy", {"x": numbers(shape), "variance": positive(shape, number)}, minimal=True)
    for variance in (0.3, 1.0, 1e-8, 1e8):
        yield Case("entropy", {"x": numbers((2, 3)), "variance": variance}, minimal=True)
    yield Case("entropy", {"x": numbers((2, 3)), "variance": positive((2, 1), 4)})


def _isotropic() -> Iterator[Case]:
    for number, (one, two) in enumerate(SPREADS):
        for shape in SHAPES:
            a, b = numbers(shape, number), numbers(shape, 20 + number)
            inputs = {"mean1": a, "variance1": one, "mean2": b, "variance2": two}
            yield Case("kl_isotropic", inputs, minimal=number < 3)
        inputs = {"mean1": a, "variance1": np.array([one, two]), "mean2": b, "variance2": np.array([two, 0.75])}
        yield Case("kl_isotropic", inputs, minimal=number < 2)
    for delta in (*NEAR, 1e-3, 1e-9):
        inputs = {"mean1": numbers((2, 3)), "variance1": 1 + delta, "mean2": numbers((2, 3)), "variance2": 1.0}
        yield Case("kl_isotropic", inputs, "accuracy", "sharp", minimal=True)
    yield Case("kl_isotropic", {"mean1": numbers((2, 3)), "variance1": 0.7, "mean2": numbers((2, 3)), "variance2": 0.7})


def _diagonal() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES * 2):
        a, b, one, two = numbers(shape, number), numbers(shape, 9), positive(shape, 11 + number), positive(shape, 12)
        yield Case("kl_diagonal", {"mean1": a, "variance1": one, "mean2": b, "variance2": two}, minimal=True)
        yield Case("kl_diagonal", {"mean1": a, "variance1": one, "mean2": b, "variance2": 0.5}, minimal=number < 3)
        yield Case("kl_diagonal", {"mean1": a, "variance1": 2.0, "mean2": b, "variance2": two}, minimal=number < 3)
    wide = 4.0 ** np.arange(-6, 6).reshape(2, 6)
    yield Case("kl_diagonal", {"mean1": numbers((2, 6)), "variance1": wide, "mean2": numbers((2, 6), 1), "variance2": wide[:, ::-1]})
    for delta in NEAR:
        one, two = np.array([[1.0, 4.0, 0.25]]), np.array([[1.0, 4.0, 0.25]]) * (1 + delta)
        inputs = {"mean1": numbers((1, 3)), "variance1": one, "mean2": numbers((1, 3)), "variance2": two}
        yield Case("kl_diagonal", inputs, "accuracy", "sharp", minimal=True)


def _full() -> Iterator[Case]:
    for d in (1, 2, 3, 4):
        for seed in (1, 5):
            one, two = covariance(d, seed), covariance(d, seed + 9)
            a, b = numbers((d,), seed), numbers((d,), seed + 3)
            minimal = seed == 1 or d == 2
            yield Case("kl_full", {"mean1": a, "covariance1": one, "mean2": b, "covariance2": two}, minimal=minimal)
            for B in (1, 2):
                inputs = {"x": numbers((B, d), seed), "mean": b, "covariance": one}
                yield Case("log_density_full", inputs, minimal=minimal)
            inputs = {"x": numbers((2, d), seed), "mean": numbers((2, d), 8), "covariance": two}
            yield Case("log_density_full", inputs, minimal=minimal)
    skew = np.array([[1.0, 0.96875], [0.96875, 1.0]])
    yield Case("log_density_full", {"x": numbers((2, 2)), "mean": numbers((2,), 1), "covariance": skew}, minimal=True)
    yield Case("log_density_full", {"x": numbers((2, 2)), "mean": numbers((2,), 1), "covariance": skew / 4096})
    a, b = numbers((2,)), numbers((2,), 1)
    yield Case("kl_full", {"mean1": a, "covariance1": np.eye(2), "mean2": b, "covariance2": skew}, minimal=True)
    yield Case("kl_full", {"mean1": a, "covariance1": skew, "mean2": b, "covariance2": np.eye(2)}, minimal=True)
    for delta in (2.0**-6, 2.0**-16):
        near = np.eye(2) + delta * np.array([[1.0, 0.5], [0.5, -1.0]])
        inputs = {"mean1": a, "covariance1": near, "mean2": a, "covariance2": np.eye(2)}
        yield Case("kl_full", inputs, "accuracy", minimal=True)


def _products() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES):
        a, b, one, two = numbers(shape, number), numbers(shape, 9), positive(shape, 11 + number), positive(shape, 12)
        yield Case("product", {"mean1": a, "variance1": one, "mean2": b, "variance2": two}, minimal=True)
        yield Case("quotient", {"mean1": a, "variance1": one, "mean2": b, "variance2": one + two}, minimal=True)
    a, b = numbers((2, 2)), numbers((2, 2), 1)
    for one, two in (*SPREADS, (0.0, 2.0), (2.0, 0.0)):
        level = "must" if one and two else "accuracy"
        yield Case("product", {"mean1": a, "variance1": one, "mean2": b, "variance2": two}, level, minimal=two in (0.0, 0.5, 4.0))
        if 0 < one < two:
            yield Case("quotient", {"mean1": a, "variance1": one, "mean2": b, "variance2": two}, minimal=two == 4)


def _pixels() -> Iterator[Case]:
    for number, shape in enumerate(((2, 3), (1, 2), (2, 2, 2, 1))):
        x, mean, std = pixels(shape, number), numbers(shape, 5) / 2, single(positive(shape, 6) / 8)
        yield Case("discretized_log_likelihood", {"x": x, "mean": mean, "std": std, "levels": 256}, "accuracy", minimal=True)
        for spread in (0.5 / 255, 0.02, 0.3, 10.0, 1e4):
            near = single(x + numbers(shape, 7) * 4 * min(spread, 1.0))
            inputs = {"x": x, "mean": near, "std": spread, "levels": 256}
            yield Case("discretized_log_likelihood", inputs, "accuracy", minimal=spread in (0.02, 0.3) or shape == (1, 2))
    for levels in (2, 3, 16, 65536):
        x = pixels((2, 4), levels, levels)
        inputs = {"x": x, "mean": numbers((2, 4), 3) / 2, "std": 0.25, "levels": levels}
        yield Case("discretized_log_likelihood", inputs, "accuracy", minimal=levels < 20)
    yield from _tails()


def _tails() -> Iterator[Case]:
    """Tails, many standard deviations from the mean on both sides: only the logarithm of the exact CDF gives the right value."""
    ends, middle = np.array([[-1.0], [1.0]]), single(np.array([[1.0], [128.0], [254.0]]) * 2 / 255 - 1)
    for steps in (0.0, 1.0, 3.0, -3.0, 8.0):
        for x in (ends, middle):
            inputs = {"x": x, "mean": single(x + steps / 255), "std": 0.5 / 255, "levels": 256}
            yield Case("discretized_log_likelihood", inputs, "must" if abs(steps) < 8 else "accuracy", minimal=True)
    for std in (0.03125, 0.0078125, 2.0**-10):
        for mean in (-0.75, 0.75):
            for x in (ends, middle):
                inputs = {"x": x, "mean": np.full(x.shape, mean), "std": std, "levels": 256}
                yield Case("discretized_log_likelihood", inputs, "accuracy", minimal=std < 0.01)


def _errors() -> Iterator[Case]:
    x, y = numbers((2, 2)), numbers((2, 2), 1)
    one = np.ones((2, 2))
    for bad in (0.0, -1.0):
        yield refused("entropy", VARIANCE, x=x, variance=bad)
        yield refused("log_density", VARIANCE, x=x, mean=y, variance=bad)
        yield refused("discretized_log_likelihood", "a std of 0 or below", x=x / 2, mean=y, std=bad, levels=256)
        for name in ("kl_isotropic", "kl_diagonal"):
            yield refused(name, VARIANCE, mean1=x, variance1=bad, mean2=y, variance2=1.0)
            yield refused(name, VARIANCE, mean1=x, variance1=1.0, mean2=y, variance2=bad)
    for name in ("kl_isotropic", "kl_diagonal"):
        yield refused(name, BATCH, mean1=x, variance1=1.0, mean2=numbers((3, 2)), variance2=1.0)
        yield refused(name, "NaN", mean1=x * np.nan, variance1=1.0, mean2=y, variance2=1.0)
        yield refused(name, "NaN", mean1=x, variance1=np.nan, mean2=y, variance2=1.0)
    yield refused("kl_isotropic", "a variance for each element", mean1=x, variance1=one, mean2=y, variance2=1.0)
    for matrix in (np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[1.0, 0.5], [0.25, 1.0]]), np.zeros((2, 2))):
        yield refused("log_density_full", MATRIX, x=x, mean=y[0], covariance=matrix)
        yield refused("kl_full", MATRIX, mean1=x[0], covariance1=matrix, mean2=y[0], covariance2=np.eye(2))
        yield refused("kl_full", MATRIX, mean1=x[0], covariance1=np.eye(2), mean2=y[0], covariance2=matrix)
    for one_variance, other in ((0.0, 0.0), (-1.0, 2.0), (1.0, -0.5)):
        yield refused("product", "variances below 0, or both 0", mean1=x, variance1=one_variance, mean2=y, variance2=other)
    for one_variance, other in ((1.0, 1.0), (2.0, 1.0)):
        yield refused("quotient", "a variance1 that is not below variance2", mean1=x, variance1=one_variance, mean2=y, variance2=other)
    for pixel in (-1.25, 1.25, np.nan):
        yield refused(
            "discretized_log_likelihood",
            "pixels outside [-1, 1], or NaN",
            x=np.array([[0.0, pixel]]),
            mean=np.zeros((1, 2)),
            std=0.1,
            levels=256,
        )
    yield refused("discretized_log_likelihood", "fewer than 2 levels", x=x / 2, mean=y, std=0.1, levels=1)
    yield refused("discretized_log_likelihood", BATCH, x=x / 2, mean=numbers((3, 2)), std=0.1, levels=256)
