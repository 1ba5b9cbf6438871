"""Predictions: every conversion, at both ends of every table, and errors where one kind does not determine another."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from . import NO_SIGNAL, Case, Table, numbers, refused, tables
from .schedules import DIFFUSION

KINDS = ("x0", "eps", "v", "score", "velocity")


def cases() -> Iterator[Case]:
    p, x = numbers((2, 2), 3), numbers((2, 2), 4)
    for name in DIFFUSION:
        T, betas, small = len(tables()[name]), Table(name), name in ("three", "two")
        for t in sorted({1, T // 2 + 1, T}):
            for kind in KINDS:
                inputs = {"prediction": p, "x_t": x, "t": t, "betas": betas, "kind": kind}
                yield Case("to_x0", inputs, minimal=small)
                yield Case("to_eps", inputs | {"kind": kind}, minimal=small)
                yield Case("target", {"kind": kind, "x0": x, "noise": p, "t": t, "betas": betas}, minimal=small)
            for source, to in product(KINDS, KINDS):
                if small or (name in ("linear-1000", "cosine-20") and source != to):
                    inputs = {"prediction": p, "x_t": x, "t": t, "betas": betas, "source": source, "to": to}
                    yield Case("convert", inputs, minimal=name == "two")
            yield Case("tweedie_mean", {"x_t": x, "score": p, "t": t, "betas": betas}, minimal=small)
            yield Case("tweedie_covariance", {"hessian": -(numbers((2, 3, 3), 5) ** 2), "t": t, "betas": betas}, minimal=small)
    yield from _batches()
    yield from _clipped()
    yield from _ends()


def _batches() -> Iterator[Case]:
    """A time for each example, images."""
    p, x, t = numbers((3, 2, 2, 1), 3), numbers((3, 2, 2, 1), 4), np.array([1, 3, 2])
    for source, to in (("eps", "x0"), ("v", "eps"), ("x0", "v"), ("velocity", "score")):
        inputs = {"prediction": p, "x_t": x, "t": t, "betas": Table("three"), "source": source, "to": to}
        yield Case("convert", inputs, minimal=True)
    given = {"x_t": x, "t": t, "betas": Table("three")}
    for kind in KINDS:
        yield Case("to_x0", {"prediction": p, **given, "kind": kind}, minimal=True)
        yield Case("to_eps", {"prediction": p, **given, "kind": kind}, minimal=True)
        yield Case("target", {"kind": kind, "x0": x, "noise": p, "t": t, "betas": Table("three")}, minimal=True)
    for kind in ("eps", "v"):
        yield Case("clip_x0", {"prediction": p, **given, "kind": kind, "limit": 0.5}, minimal=True)
    yield Case("tweedie_mean", {"score": p, **given}, minimal=True)
    yield Case("tweedie_covariance", {"hessian": -(numbers((3, 2, 2), 5) ** 2), "t": t, "betas": Table("three")}, minimal=True)


def _clipped() -> Iterator[Case]:
    p, x = numbers((2, 3), 6), numbers((2, 3), 8)
    for kind, t, limit in product(("eps", "x0", "v"), (1, 3), (1.0, 0.25)):
        inputs = {"prediction": p, "x_t": x, "t": t, "betas": Table("three"), "kind": kind, "limit": limit}
        yield Case("clip_x0", inputs, minimal=limit == 1)
    yield Case("clip_x0", {"prediction": p, "x_t": x, "t": 900, "betas": Table("linear-1000"), "kind": "eps", "limit": 1.0})


def _ends() -> Iterator[Case]:
    """Both ends: without signal, v and x0 still determine x0 and eps; where sigma is 0, x0 does not determine eps."""
    p, x, betas = numbers((2, 2), 3), numbers((2, 2), 4), Table("zero-terminal-5")
    for source, to in (("v", "x0"), ("v", "eps"), ("x0", "eps"), ("x0", "v"), ("velocity", "x0"), ("v", "score")):
        inputs = {"prediction": p, "x_t": x, "t": 5, "betas": betas, "source": source, "to": to}
        yield Case("convert", inputs, minimal=True)
    for kind in ("eps", "score"):
        inputs = {"prediction": p, "x_t": x, "t": 5, "betas": betas, "kind": kind}
        yield refused("to_x0", NO_SIGNAL, **inputs)
    yield refused("to_eps", "x0 at t = 0, where sigma is 0", prediction=p, x_t=x, t=0, betas=betas, kind="x0")
    yield refused("convert", "the score at t = 0, where sigma is 0", prediction=p, x_t=x, t=0, betas=betas, source="eps", to="score")
    yield refused("tweedie_mean", "a time at which alpha_bar is 0", x_t=x, score=p, t=5, betas=betas)
    yield refused("to_x0", "a time beyond T", prediction=p, x_t=x, t=6, betas=betas, kind="v")
    yield Case("to_x0", {"prediction": p, "x_t": x, "t": 2, "betas": betas, "kind": "velocity"}, minimal=True)
    yield Case("to_x0", {"prediction": p, "x_t": x, "t": 0, "betas": betas, "kind": "eps"}, minimal=True)
