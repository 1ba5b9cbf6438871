"""`refdiff.guidance` with a kernel for each formula.

A guided model also gives its two predictions, for a sampler step to combine.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from refdiff.arrays import Array, GaussianPath, Model, Number, Time, as_array, like
from refdiff.checks import check_arrays, check_count, check_integer, check_number, per_example
from refdiff.sampling import guidance as reference
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


class GuidedPrediction(NamedTuple):
    """The predictions of a guided model without and with the label, for a kernel to combine."""

    unconditional: Array
    conditional: Array
    gamma: Any


@wraps(reference.classifier_score)
def classifier_score(score: Array, gradient: Array, gamma: Number) -> Array:
    check_arrays(score=score, gradient=gradient)
    return launch("classifier_score", score, gradient, like(check_number("gamma", gamma), score, "gamma"))


@wraps(reference.classifier_eps)
def classifier_eps(eps: Array, gradient: Array, gamma: Number, t: Time, path: GaussianPath) -> Array:
    check_arrays(eps=eps, gradient=gradient)
    gamma, (_, sigma) = per_example("gamma", gamma, eps), path.signal_sigma(t)
    return launch("classifier_eps", eps, gradient, like(gamma * per_example("t", sigma, eps), eps, "gamma"))


@wraps(reference.classifier_free)
def classifier_free(unconditional: Array, conditional: Array, gamma: Number) -> Array:
    check_arrays(unconditional=unconditional, conditional=conditional)
    return launch("classifier_free", unconditional, conditional, like(check_number("gamma", gamma), unconditional, "gamma"))


@wraps(reference.guided)
def guided(model: Model, y: Array, gamma: Number, no_label: int) -> Model:
    y, no_label = to_device(check_integer("y", as_array(y, "y"), 0, 2**62)), check_count("no_label", no_label, 0, 2**62)
    gamma = check_number("gamma", gamma)
    labels = np.concatenate([np.full_like(y, no_label), y])

    def guided_prediction(x: Array, t: Time) -> GuidedPrediction:
        if y.shape != x.shape[:1]:
            raise ValueError(f"y has shape {y.shape}; allowed: {x.shape[:1]}, one label for each example of x")
        times = np.concatenate([t, t]) if np.ndim(t) else t
        unconditional, conditional = np.split(model(np.concatenate([x, x]), times, labels), 2)
        return GuidedPrediction(unconditional, conditional, gamma)

    def guided_model(x: Array, t: Time) -> Array:
        return classifier_free(*guided_prediction(x, t))

    guided_model.guided_prediction = guided_prediction  # type: ignore[attr-defined]
    return guided_model


def evaluate(model: Model, x: Array, t: Time) -> Any:
    """The prediction of a model; of a guided model the two predictions, not combined yet."""
    return model.guided_prediction(x, t) if hasattr(model, "guided_prediction") else model(x, t)


def kernel_inputs(prediction: Any, x: Array, x_name: str = "x_t", name: str = "prediction") -> tuple[str, tuple[Any, ...]]:
    """The prefix of a sampler kernel's name, and its inputs for the prediction; raises for arrays that do not fit x."""
    if isinstance(prediction, GuidedPrediction):
        check_arrays(x_t=x, unconditional=prediction.unconditional, conditional=prediction.conditional)
        return "guided_", (prediction.unconditional, prediction.conditional, like(prediction.gamma, x, "gamma"))
    check_arrays(**{x_name: x, name: prediction})
    return "", (prediction,)
