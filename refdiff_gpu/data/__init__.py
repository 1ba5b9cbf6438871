"""Data sets, generated on the host, and `metrics`, computed on the host from device arrays."""

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

from . import metrics

__all__ = [
    "DATASETS",
    "Points",
    "checkerboard",
    "eight_gaussians",
    "fashion",
    "images",
    "load",
    "metrics",
    "mnist",
    "pinwheel",
    "spirals",
    "swiss_roll",
    "two_moons",
]
