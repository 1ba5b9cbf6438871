"""`refdiff.metrics` for device arrays: samples and data are fetched, and the metrics computed on the host."""

from __future__ import annotations

from refdiff.data import metrics as reference
from refdiff.data.metrics import Coverage

from ..device.wrappers import computed_on_host

__all__ = [
    "Coverage",
    "energy_distance",
    "frechet_distance",
    "median_distance",
    "mmd",
    "mode_coverage",
    "sample_moments",
    "sliced_wasserstein",
]

energy_distance = computed_on_host(reference.energy_distance)
frechet_distance = computed_on_host(reference.frechet_distance)
median_distance = computed_on_host(reference.median_distance)
mmd = computed_on_host(reference.mmd)
mode_coverage = computed_on_host(reference.mode_coverage)
sample_moments = computed_on_host(reference.sample_moments)
sliced_wasserstein = computed_on_host(reference.sliced_wasserstein)
