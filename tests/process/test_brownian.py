"""Brownian motion: its law by linear algebra, sums of increments, addresses, and the strong order of samplers along one path."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import brownian, langevin, oracles, rng, samplers, sde
from tests.tolerances import ORDER, roundings

FINEST = 2**brownian.LEVELS
PATH = sde.vp(0.1, 8.0)
GAUSSIAN = oracles.gaussian([0.0], [[0.3]])
MIXTURE = oracles.mixture([[-1.0], [0.8]], [[[0.09]], [[0.16]]], [0.4, 0.6])
fractions = st.one_of(st.integers(0, FINEST).map(lambda n: n / FINEST), st.sampled_from([n / 16 for n in range(17)]))
STEPS = {
    "euler_maruyama": lambda f, x, t, s, z: sde.euler_maruyama_step(x, t, s, f(x, t), PATH, z),
    "half of the noise": lambda f, x, t, s, z: sde.euler_maruyama_step(x, t, s, f(x, t), PATH, z, 0.5),
    "ancestral": lambda f, x, t, s, z: langevin.ancestral_step(x, t, s, f(x, t), PATH, z),
    "ancestral, forward variance": lambda f, x, t, s, z: langevin.ancestral_step(x, t, s, f(x, t), PATH, z, "forward"),
    "reverse diffusion": lambda f, x, t, s, z: langevin.reverse_diffusion_step(x, t, s, f(x, t), PATH, z),
}


def grid_of(n):
    """Times from 1 to 1/8 with steps of 1/n."""
    return np.arange(n, n // 8 - 1, -1) / n


@pytest.mark.parametrize("end", [1.0, 5.0])
def test_increments_are_independent_and_have_their_variances(monkeypatch, end):
    """C6: as linear maps of the normal numbers, the increments of 16 intervals have the covariance h I, and longer ones that of their sums."""
    monkeypatch.setattr(rng, "normal", lambda seed, samples, shape, step, stream: np.eye(16)[step : step + 1])
    parts = np.concatenate([brownian.increment(0, 1, n * end / 16, (n + 1) * end / 16, end=end) for n in range(16)])
    assert np.allclose(parts @ parts.T, end / 16 * np.eye(16), rtol=0, atol=1e-15 * end)
    for low in range(17):
        for high in range(low, 17):
            found = brownian.increment(0, 1, low * end / 16, high * end / 16, end=end)[0]
            assert np.allclose(found, parts[low:high].sum(axis=0), rtol=0, atol=1e-15 * end)


@given(st.lists(fractions, min_size=3, max_size=3), st.sampled_from([1.0, 10.0, 0.3]))
def test_two_parts_are_the_whole(times, end):
    """C6: W(b) - W(a) and W(c) - W(b) add up to W(c) - W(a), to a few roundings, for any dyadic times."""
    a, b, c = sorted(each * end for each in times)
    left, right, whole = (brownian.increment(7, 3, *each, (2,), end) for each in ((a, b), (b, c), (a, c)))
    root = brownian.increment(7, 3, 0.0, end, (2,), end)
    assert roundings(left + right, whole, left, root) < 40
    halves = [brownian.increment(7, 3, *each, (2,), end) for each in ((0.0, end / 2), (end / 2, end))]
    assert roundings(halves[0] + halves[1], root, halves[0]) <= 1


def test_every_number_has_an_address():
    """C6: a sample's path depends on seed and index only; precisions, shapes, samples and streams are those of `rng.normal`."""
    whole = brownian.increment(3, 5, 0.25, 0.625, (4,))
    part = brownian.increment(3, np.array([4, 1]), 0.25, 0.625, (4,))
    assert np.array_equal(part, whole[[4, 1]]) and whole.shape == (5, 4)
    narrow = brownian.increment(3, 5, 0.25, 0.625, (4,), dtype=np.float32)
    assert narrow.dtype == np.float32 and np.array_equal(narrow, whole.astype(np.float32))
    for other in (brownian.increment(4, 5, 0.25, 0.625, (4,)), brownian.increment(3, 5, 0.25, 0.625, (4,), stream=rng.NOISE)):
        assert np.all(other != whole)
    assert np.array_equal(brownian.increment(3, 5, 0.0, 1.0, (4,)), rng.normal(3, 5, (4,), 0, rng.BROWNIAN))
    z = [rng.normal(3, 5, (4,), node, rng.BROWNIAN) for node in range(4)]
    assert np.allclose(brownian.increment(3, 5, 0.0, 0.5, (4,)), (z[0] + z[1]) / 2, rtol=0, atol=1e-15)
    assert np.allclose(brownian.increment(3, 5, 0.5, 0.75, (4,)), (z[0] - z[1]) / 4 + z[3] / np.sqrt(8), rtol=0, atol=1e-15)
    assert np.all(brownian.increment(3, 5, 0.5, 0.5) == 0) and brownian.increment(3, 0, 0.0, 1.0).shape == (0,)
    tiny = brownian.increment(3, 2000, 0.375, 0.375 + 2**-30)
    assert 0.9 < tiny.std() * 2**15 < 1.1


def test_times_may_have_roundings():
    """C6: a multiple of end / 2^30 that was rounded is the same time."""
    for n in rng.integers(5, 50, FINEST):
        assert np.isfinite(brownian.increment(1, 1, float(n) * 0.3 / FINEST, 0.3, end=0.3)).all()


def test_noise_of_nested_grids():
    """C6: item i is the increment over sqrt of its time; a step over several steps has the sum of their increments, in either direction of time."""
    fine, coarse = np.array([5.0, 3.75, 2.5, 1.25, 0.625]), np.array([5.0, 2.5, 0.625])
    noise, sparse = (brownian.Increments(2, 6, grid, (3,), 5.0) for grid in (fine, coarse))
    assert len(noise) == 4 and len(sparse) == 2 and noise[1].shape == (6, 3)
    for i in range(4):
        wanted = brownian.increment(2, 6, fine[i + 1], fine[i], (3,), 5.0) / np.sqrt(fine[i] - fine[i + 1])
        assert np.array_equal(noise[i], wanted)
    paths = [np.sqrt(fine[i] - fine[i + 1]) * noise[i] for i in range(4)]
    assert roundings(np.sqrt(2.5) * sparse[0], paths[0] + paths[1]) < 20
    assert roundings(np.sqrt(1.875) * sparse[1], paths[2] + paths[3]) < 20
    assert np.array_equal(brownian.Increments(2, 6, fine[::-1], (3,), 5.0)[0], noise[3])
    assert brownian.Increments(2, 6, fine, (3,), 5.0, dtype=np.float32)[0].dtype == np.float32
    other = brownian.Increments(2, np.array([3]), fine, (3,), 5.0, rng.NOISE)
    assert other[0].shape == (1, 3) and np.all(other[0] != noise[0][3])


def exact_distance(step, n, nested=True):
    """Root of the mean square between the ends with n and with 2 n steps of a linear process along one path; exact, by unit vectors."""
    fine, coarse = grid_of(2 * n), grid_of(n)
    basis = np.eye(len(fine) - 1)[:, :, None]
    pairs = (basis[0::2] + basis[1::2]) / np.sqrt(2) if nested else basis[0::2]
    x, model = np.zeros((len(fine) - 1, 1)), GAUSSIAN.model(PATH, "score")
    ends = [samplers.last(samplers.sample(model, step, grid, x, noise)) for grid, noise in ((fine, basis), (coarse, pairs))]
    return np.sqrt(((ends[0] - ends[1]) ** 2).sum())


@pytest.mark.parametrize("name", STEPS)
def test_the_strong_order_on_a_gaussian(name):
    """C6: one, for noise that does not depend on the state; without the sum of the increments of both halves it is none."""
    coarse, fine = (exact_distance(STEPS[name], n) for n in (128, 256))
    assert abs(np.log2(coarse / fine) - 1) < ORDER and fine < 0.01
    assert exact_distance(STEPS[name], 256, nested=False) > 0.2


def ends_along(name, n, samples):
    """The ends of paths of the mixture's reverse process, with n steps on a unit of time."""
    grid, x = grid_of(n), rng.normal(1, samples, (1,), stream=rng.START)
    return samplers.last(samplers.sample(MIXTURE.model(PATH, "score"), STEPS[name], grid, x, brownian.Increments(2, samples, grid, (1,))))


@pytest.mark.parametrize("name", ["euler_maruyama", "ancestral"])
def test_the_strong_order_on_a_mixture(name):
    """C6: one: over two halvings, the mean distance along 200 paths falls by 4; the other sampler tends to the same paths, with order 1."""
    ends = [ends_along(name, n, 200) for n in (32, 64, 128, 256)]
    apart = [abs(a - b).mean() for a, b in pairwise(ends)]
    assert 3.2 < apart[0] / apart[2] < 5
    other = "ancestral" if name == "euler_maruyama" else "euler_maruyama"
    gaps = [abs(ends_along(other, n, 200) - end).mean() for n, end in ((32, ends[0]), (128, ends[2]))]
    assert 3.2 < gaps[0] / gaps[1] < 5


def test_wrong_arguments():
    """C6: each wrong argument is named, with its value and what is allowed."""
    noise = brownian.Increments(1, 2, np.array([1.0, 0.5]))
    for call, error, message in (
        (lambda: brownian.increment(1, 2, 0.3, 1.0), ValueError, "s = 0.3; allowed: multiples of end / 2^30"),
        (lambda: brownian.increment(1, 2, 0.5, 0.25), ValueError, "s = 0.5 is later than t = 0.25"),
        (lambda: brownian.increment(1, 2, 0.5, 1.25), ValueError, "t = 1.25; allowed: "),
        (lambda: brownian.increment(1, 2, 0.5, 1.0, end=0.0), ValueError, "end = 0.0; allowed: "),
        (lambda: brownian.Increments(1, 2, np.array([1.0, 0.3])), ValueError, "grid = 0.3; allowed: multiples of end / 2^30"),
        (lambda: noise[1], IndexError, "step = 1; allowed: 0..0"),
        (lambda: noise[-1], IndexError, "step = -1; allowed: 0..0"),
        (lambda: brownian.Increments(1, 2, np.array([0.5, 0.5])), ValueError, "allowed: two or more times"),
        (lambda: brownian.Increments(1, 2, np.array([0.5])), ValueError, "allowed: two or more times"),
        (lambda: brownian.Increments(1, 2, np.array([0.5, 0.25, 0.75])), ValueError, "allowed: two or more times"),
        (lambda: brownian.Increments(1, 2, np.array([0.5, 0.25]), dtype=int), TypeError, "dtype = <class 'int'>; allowed: "),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()
