"""`refdiff.metrics`, which judge on the host: the sets are fetched, once a run."""

from __future__ import annotations

from refdiff.data import metrics as text
from refdiff.data.metrics import Coverage

from ..device.wrappers import judged_here

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

energy_distance, mmd, median_distance = judged_here(text.energy_distance), judged_here(text.mmd), judged_here(text.median_distance)
sliced_wasserstein, mode_coverage = judged_here(text.sliced_wasserstein), judged_here(text.mode_coverage)
sample_moments, frechet_distance = judged_here(text.sample_moments), judged_here(text.frechet_distance)
