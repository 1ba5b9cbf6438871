"""Data: labelled 2-D distributions, handwritten digits (`data.mnist`), and distances from samples to data (`data.metrics`)."""

from . import metrics, mnist
from .toy2d import DATASETS, Points, checkerboard, eight_gaussians, load, pinwheel, spirals, swiss_roll, two_moons

__all__ = [
    "DATASETS",
    "Points",
    "checkerboard",
    "eight_gaussians",
    "load",
    "metrics",
    "mnist",
    "pinwheel",
    "spirals",
    "swiss_roll",
    "two_moons",
]
