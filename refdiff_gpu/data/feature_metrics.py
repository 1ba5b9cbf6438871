"""`refdiff.feature_metrics` for device arrays: features and probabilities are fetched, and the metrics computed on the host."""

from __future__ import annotations

from refdiff.data import feature_metrics as reference
from refdiff.data.feature_metrics import Score

from ..device.wrappers import computed_on_host

__all__ = [
    "Score",
    "at_infinity",
    "frechet_bias",
    "frechet_of_features",
    "inception_score",
    "kid",
    "kid_over_subsets",
]

at_infinity = computed_on_host(reference.at_infinity)
frechet_bias = computed_on_host(reference.frechet_bias)
frechet_of_features = computed_on_host(reference.frechet_of_features)
inception_score = computed_on_host(reference.inception_score)
kid = computed_on_host(reference.kid)
kid_over_subsets = computed_on_host(reference.kid_over_subsets)
