"""Data sets, generated on the host, and `metrics` and `feature_metrics`, computed on the host from device arrays."""

from refdiff.data import (
    DATASETS,
    Points,
    checkerboard,
    eight_gaussians,
    fashion,
    images,
    load,
    mnist,
    pinwheel,
    spirals,
    swiss_roll,
    two_moons,
)

from . import feature_metrics, metrics

__all__ = [
    "DATASETS",
    "Points",
    "checkerboard",
    "eight_gaussians",
    "fashion",
    "feature_metrics",
    "images",
    "load",
    "metrics",
    "mnist",
    "pinwheel",
    "spirals",
    "swiss_roll",
    "two_moons",
]
