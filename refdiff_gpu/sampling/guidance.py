"""`refdiff.guidance`, combined in one kernel; a guided model also hands out its two answers, for a sampler's step to combine."""

from __future__ import annotations

from functools import wraps

import numpy as np

from refdiff.arrays import Array, GaussianPath, Model, Number, Time, check_arrays, check_number, like
from refdiff.sampling import guidance as text
from refdiff.sampling.guidance import classifier_gradient, drop_labels, scale_from_w, w_from_scale

from ..device.launch import launch
from ..device.transfer import to_device

__all__ = [
    "classifier_eps",
    "classifier_free",
    "classifier_gradient",
    "classifier_score",
    "drop_labels",
    "guided",
    "scale_from_w",
    "w_from_scale",
]


@wraps(text.classifier_score)
def classifier_score(score: Array, gradient: Array, gamma: Number) -> Array:
    check_arrays(score=score, gradient=gradient)
    check_number("gamma", gamma)
    return launch("steer_score", score, gradient, like(gamma, score, "gamma"))


@wraps(text.classifier_eps)
def classifier_eps(eps: Array, gradient: Array, gamma: Number, t: Time, path: GaussianPath) -> Array:
    check_arrays(eps=eps, gradient=gradient)
    check_number("gamma", gamma)
    _, sigma = path.signal_sigma(t)
    return launch("steer_eps", eps, gradient, like(gamma * sigma, eps))


@wraps(text.classifier_free)
def classifier_free(unconditional: Array, conditional: Array, gamma: Number) -> Array:
    check_arrays(unconditional=unconditional, conditional=conditional)
    check_number("gamma", gamma)
    return launch("guide", unconditional, conditional, like(gamma, unconditional, "gamma"))


@wraps(text.guided)
def guided(model: Model, y: Array, gamma: Number, no_label: int) -> Model:
    y = to_device(np.asarray(y) if isinstance(y, list | tuple) else y)
    both = np.concatenate([np.full_like(y, no_label), y])

    def answers(x: Array, t: Time) -> tuple[Array, Array, Number]:
        if y.shape != x.shape[:1]:
            raise ValueError(f"y has shape {y.shape}; allowed: {x.shape[:1]}, one label for each example of x")
        times = np.concatenate([t, t]) if np.ndim(t) else t
        return *np.split(model(np.concatenate([x, x]), times, both), 2), gamma

    def guided_model(x: Array, t: Time) -> Array:
        return classifier_free(*answers(x, t))

    guided_model.answers = answers  # type: ignore[attr-defined]
    return guided_model
