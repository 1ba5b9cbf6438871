"""`refdiff.predict` with one kernel for each conversion between kinds of prediction."""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np

from refdiff.arrays import Array, GaussianPath, Time, cast, like
from refdiff.checks import check_arrays, check_scalar
from refdiff.process import predict as reference
from refdiff.process.predict import KINDS, row, target, tweedie_covariance

from ..device.launch import launch

__all__ = ["KINDS", "clip_x0", "convert", "row", "target", "to_eps", "to_x0", "tweedie_covariance", "tweedie_mean"]


@wraps(reference.to_x0)
def to_x0(prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps") -> Array:
    check_arrays(x_t=x_t, prediction=prediction)
    name, terms = x0_terms(t, path, kind, x_t)
    return prediction if name == "x0" else launch("to_x0", x_t, prediction, *terms)


@wraps(reference.to_eps)
def to_eps(prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps") -> Array:
    check_arrays(x_t=x_t, prediction=prediction)
    name, terms = eps_terms(t, path, kind, x_t)
    if name == "eps":
        return prediction
    return launch("to_eps_score", prediction, *terms) if name == "score" else launch("to_eps", x_t, prediction, *terms)


@wraps(reference.convert)
def convert(prediction: Array, x_t: Array, t: Time, path: GaussianPath, source: str, to: str) -> Array:
    check_arrays(x_t=x_t, prediction=prediction)
    name, terms = conversion_terms(t, path, source, to, x_t)
    if not name:
        return prediction
    return launch("convert_score", prediction, *terms) if name == "_score" else launch("convert", x_t, prediction, *terms)


@wraps(reference.clip_x0)
def clip_x0(prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps", limit: float = 1.0) -> Array:
    x0 = to_x0(prediction, x_t, t, path, kind)
    limit = cast("limit", check_scalar("limit", limit, 0, open_low=True), x0)
    return convert(np.clip(x0, -limit, limit), x_t, t, path, "x0", kind)


@wraps(reference.tweedie_mean)
def tweedie_mean(x_t: Array, score: Array, t: Time, path: GaussianPath) -> Array:
    check_arrays(x_t=x_t, score=score)
    signal, sigma = path.signal_sigma(t)
    reference._nonzero(signal, "Tweedie's formula at t = {!r}, where signal is 0, is undefined", t)
    return launch("tweedie_mean", x_t, score, like(sigma**2, x_t), like(signal, x_t))


def x0_terms(t: Time, path: GaussianPath, kind: str, x: Array) -> tuple[str, tuple[Any, ...]]:
    """The form of x0 in a kernel, "x0" or "any", and the coefficients of x_t and of the prediction."""
    signal, sigma = path.signal_sigma(t)
    a, b = row(kind, t, path)
    if kind == "x0":
        return "x0", ()
    D = reference._determinant(signal * b - sigma * a, "x0", kind, t)
    return "any", (like(b / D, x), like(sigma / D, x))


def eps_terms(t: Time, path: GaussianPath, kind: str, x: Array) -> tuple[str, tuple[Any, ...]]:
    """The form of eps in a kernel, "eps", "score" for a multiple of the prediction, or "any", and its coefficients."""
    signal, sigma = path.signal_sigma(t)
    a, b = row(kind, t, path)
    if kind == "eps":
        return "eps", ()
    if kind == "score" or reference.all_true(a == 0):
        return "score", (like(b, x),)
    D = reference._determinant(signal * b - sigma * a, "eps", kind, t)
    return "any", (like(signal / D, x), like(a / D, x))


def conversion_terms(t: Time, path: GaussianPath, source: str, to: str, x: Array) -> tuple[str, tuple[Any, ...]]:
    """The form of a conversion, "" for none, "_score" for a multiple of the prediction, or "_any", and its coefficients."""
    (a, b), (a_to, b_to) = row(source, t, path), row(to, t, path)
    if source == to:
        return "", ()
    if {source, to} <= {"eps", "score"} or (reference.all_true(a == 0) and reference.all_true(a_to == 0)):
        return "_score", (like(b_to / b, x),)
    signal, sigma = path.signal_sigma(t)
    D = reference._determinant(signal * b - sigma * a, to, source, t)
    return "_any", (like((a_to * b - a * b_to) / D, x), like((signal * b_to - sigma * a_to) / D, x))
