"""The 2-D data sets: formulas, standardization, and points that depend on their own index only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import data, rng
from refdiff.data import toy2d

from ..tolerances import CURVE_QUADRATURE

NAMES = tuple(data.DATASETS)
CLASSES = {"two_moons": 2, "swiss_roll": 4, "eight_gaussians": 8, "checkerboard": 4, "pinwheel": 5, "spirals": 2}


def as_points(z):
    return np.stack([z.real, z.imag], axis=1)


def raw(name, u, z):
    """Points and labels by the formulas of the docstrings, in complex numbers and before standardization."""
    noise = z[:, 0] + 1j * z[:, 1]
    label = np.floor(CLASSES[name] * u[:, 0]).astype(int)
    if name == "two_moons":
        circle = np.exp(1j * np.pi * u[:, 1])
        points = np.where(label == 0, circle, 1 + 0.5j - circle) + 0.07 * noise
    elif name == "swiss_roll":
        a = np.pi * (1.5 + 3 * u[:, 0])
        points = a * np.exp(1j * a) + 0.3 * noise
    elif name == "eight_gaussians":
        points = np.exp(2j * np.pi * label / 8) + 0.1 * noise
    elif name == "checkerboard":
        column = 2 * (u[:, 1] >= 0.5) + label % 2
        points = (column + u[:, 2]) + 1j * (label + u[:, 3])
    elif name == "pinwheel":
        radius = 1 + 0.3 * z[:, 0]
        points = (radius + 0.1j * z[:, 1]) * np.exp(1j * (2 * np.pi * label / 5 + np.exp(radius) / 4))
    else:
        a = 3 * np.pi * np.sqrt(u[:, 1])
        points = (-1) ** label * a * np.exp(1j * a) + 0.3 * noise
    return as_points(points), label


def lattice(uniforms):
    """Midpoints instead of uniform numbers, and four pairs instead of normal ones, with the same means and covariance."""
    sizes = {1: (4000,), 2: (40, 1000), 4: (4, 2, 20, 20)}[uniforms]
    axes = np.meshgrid(*((np.arange(size) + 0.5) / size for size in sizes), indexing="ij")
    u = np.stack([axis.ravel() for axis in axes], axis=1)
    z = np.sqrt([(1 / 2, 3 / 2), (1 / 2, 3 / 2), (3 / 2, 1 / 2), (3 / 2, 1 / 2)]) * [(1, 1), (-1, -1), (1, -1), (-1, 1)]
    return np.repeat(u, 4, axis=0), np.tile(z, (len(u), 1))


@pytest.mark.parametrize("name", NAMES)
def test_formula_and_fixed_standardization(name, monkeypatch):
    """Each set is its formula, shifted and scaled to E x = 0 and E |x|^2 / 2 = 1, with constants exact up to quadrature error."""
    used = {}

    def draws(count, seed, uniforms):
        used["u"], used["z"] = lattice(uniforms)
        return used["u"], used["z"]

    monkeypatch.setattr(toy2d, "_draws", draws)
    points, labels = data.DATASETS[name](1, 0)
    expected, expected_labels = raw(name, used["u"], used["z"])
    expected -= expected.mean(axis=0)
    expected /= np.sqrt((expected**2).sum(axis=1).mean() / 2)
    assert np.abs(points - expected).max() < CURVE_QUADRATURE
    np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_moments_and_all_labels(name):
    """A draw has mean 0 and scale 1 within six standard errors, float64 points, and equally likely integer labels."""
    n = 20_000
    points, labels = data.DATASETS[name](n, 5)
    assert points.shape == (n, 2) and points.dtype == np.float64 and labels.dtype.kind == "i"
    for values, expected in (points[:, 0], 0), (points[:, 1], 0), ((points**2).sum(axis=1) / 2, 1):
        assert abs(values.mean() - expected) < 6 * values.std() / np.sqrt(n)
    share = 1 / CLASSES[name]
    counts = np.bincount(labels)
    assert len(counts) == CLASSES[name]
    assert np.abs(counts - n * share).max() < 6 * np.sqrt(n * share * (1 - share))


@given(st.sampled_from(NAMES), st.integers(0, 2**64 - 1), st.integers(0, 20), st.integers(0, 20))
def test_points_depend_on_their_index_only(name, seed, short, more):
    """A longer draw begins with the shorter one, bit for bit, and the same arguments give the same points."""
    few, labels = data.load(name, short, seed)
    many, more_labels = data.load(name, short + more, seed)
    np.testing.assert_array_equal(many[:short], few)
    np.testing.assert_array_equal(more_labels[:short], labels)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_give_different_points(name):
    """Another seed is another draw; the default is seed 0."""
    first, second = (data.load(name, 50, seed)[0] for seed in (0, 1))
    assert not np.any(first == second)
    np.testing.assert_array_equal(data.load(name, 50)[0], first)
    np.testing.assert_array_equal(data.DATASETS[name](50)[0], first)


def test_numbers_are_those_of_the_stream_for_data():
    """Uniform numbers are step 0 and normal numbers step 1 of the stream for data, which training and sampling do not use."""
    u, z = toy2d._draws(9, 3, 4)
    np.testing.assert_array_equal(u, rng.uniform(3, 9, 4, 0, rng.DATA))
    np.testing.assert_array_equal(z, rng.normal(3, 9, (2,), 1, rng.DATA))


def test_uniform_and_normal_numbers_are_uncorrelated():
    """Uniform and normal numbers of a point come from different counters: their correlations vanish within six standard errors."""
    u, z = toy2d._draws(20_000, 3, 4)
    correlations = np.corrcoef(np.concatenate([u, z], axis=1).T) - np.eye(6)
    assert np.abs(correlations).max() < 6 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("error", "count", "message"),
    [
        (ValueError, -1, r"count = -1; allowed: 0\.\."),
        (ValueError, 2**32, r"count = 4294967296; allowed: 0\.\.4294967295"),
        (TypeError, 2.5, "count = 2.5; allowed: an integer"),
        (TypeError, "9", "count = '9'"),
    ],
)
def test_wrong_counts_are_named(error, count, message):
    """A wrong count is an error that names it and what is allowed."""
    for f in data.DATASETS.values():
        with pytest.raises(error, match=message):
            f(count, 0)


def test_unknown_names_are_named():
    """An unknown data set is an error that lists the known ones."""
    with pytest.raises(
        ValueError, match="dataset = 'moons'; allowed: two_moons, swiss_roll, eight_gaussians, checkerboard, pinwheel, spirals"
    ):
        data.load("moons", 3)
