"""Data: labelled 2-D distributions, images (`data.images`, `data.mnist`, `data.fashion`), and metrics of samples
(`data.metrics`, `data.feature_metrics`).
"""

from . import fashion, feature_metrics, images, metrics, mnist
from .toy2d import DATASETS, Points, checkerboard, eight_gaussians, load, pinwheel, spirals, swiss_roll, two_moons

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
