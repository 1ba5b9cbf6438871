"""The Philox generator against its published test vectors, a scalar implementation, and Box-Muller in 50 digits."""

import re
from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import rng

from .tolerances import BOX_MULLER, SIGMAS

STREAMS = (rng.TIME, rng.NOISE, rng.LABEL, rng.BATCH, rng.INIT, rng.DATA, rng.START, rng.BROWNIAN)
seeds = st.integers(0, 2**64 - 1)
words = st.integers(0, 2**32 - 1)


def scalar_philox(counter, key):
    """Philox-4x32-10 on Python integers, written from the paper, independent of refdiff."""
    c, (k0, k1) = list(counter), key
    for r in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        key0, key1 = (k0 + r * 0x9E3779B9) % 2**32, (k1 + r * 0xBB67AE85) % 2**32
        c = [high // 2**32 ^ c[1] ^ key0, high % 2**32, low // 2**32 ^ c[3] ^ key1, low % 2**32]
    return c


def scalar_word(seed, sample, element, step, stream):
    """The word of one element, by the counter layout in the docstring of `rng`."""
    return scalar_philox((element // 4, sample, step, stream), (seed % 2**32, seed // 2**32))[element % 4]


@pytest.mark.parametrize(
    "counter, key, expected",
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_known_answers(counter, key, expected):
    """Philox-4x32-10: the three published test vectors of Random123, by the array code and by the scalar implementation."""
    counter, key, expected = ([int(word, 16) for word in text.split()] for text in (counter, key, expected))
    assert scalar_philox(counter, key) == expected
    arrays = tuple(np.full((2, 3), word, np.uint64) for word in counter)
    result = rng.philox(arrays, tuple(key))
    assert all(word.dtype == np.uint64 and (word == value).all() for word, value in zip(result, expected, strict=True))
    assert all((array == word).all() for array, word in zip(arrays, counter, strict=True)), "inputs were modified"


@given(seeds, st.lists(words, min_size=1, max_size=4), st.integers(0, 9), words, st.sampled_from(STREAMS))
def test_bits_are_philox_of_key_and_counter(seed, samples, elements, step, stream):
    """The key is the seed, the counter is (element // 4, sample, step, stream), and element % 4 selects the word."""
    result = rng.bits(seed, np.array(samples), elements, step, stream)
    assert result.dtype == np.uint64 and result.shape == (len(samples), elements)
    assert result.tolist() == [[scalar_word(seed, i, j, step, stream) for j in range(elements)] for i in samples]


@given(seeds, words, st.data())
def test_noise_of_a_sample_does_not_depend_on_the_batch(seed, step, data):
    """Noise of sample i is the same bit for bit in any batch, order or subset, and as part of a longer event."""
    full = rng.normal(seed, 12, (2, 3), step)
    chosen = np.array(data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=20)))
    np.testing.assert_array_equal(rng.normal(seed, chosen, (2, 3), step), full[chosen])
    np.testing.assert_array_equal(rng.normal(seed, chosen, (2, 3), np.full(len(chosen), step)), full[chosen])
    prefix = data.draw(st.integers(0, 6))
    np.testing.assert_array_equal(rng.normal(seed, 5, (prefix,), step), full[:5].reshape(5, 6)[:, :prefix])


def test_each_sample_may_have_its_own_step():
    """Steps (B,) give each sample the noise of its own step."""
    steps = np.array([3, 0, 7])
    together = rng.normal(9, 3, (5,), steps)
    for i, step in enumerate(steps):
        np.testing.assert_array_equal(together[i], rng.normal(9, 3, (5,), int(step))[i])


def test_words_never_repeat():
    """No 32-bit word repeats among 2,880 draws over seeds (both halves), steps, streams, samples and elements; expected repeats 1e-3."""
    seeds = [0, 1, 2**32, 2**32 + 1, 2**64 - 1]
    draws = [rng.bits(seed, 4, 6, step, stream) for seed in seeds for step in (0, 1, 2**32 - 1) for stream in STREAMS]
    everything = np.concatenate([draw.ravel() for draw in draws])
    assert len(set(STREAMS)) == len(STREAMS) == 8
    assert len(np.unique(everything)) == len(everything) == 5 * 3 * 8 * 24


def test_defaults():
    """Defaults: step 0, the stream TIME for uniform, NOISE for bits and normal, BATCH for integers, one number for each sample."""
    np.testing.assert_array_equal(rng.bits(5, 3, 6), rng.bits(5, 3, 6, 0, rng.NOISE))
    np.testing.assert_array_equal(rng.uniform(5, 3), rng.uniform(5, 3, 1, 0, rng.TIME))
    np.testing.assert_array_equal(rng.normal(5, 3), rng.normal(5, 3, (), 0, rng.NOISE, np.float64))
    np.testing.assert_array_equal(rng.integers(5, 3, 10**6), rng.integers(5, 3, 10**6, 0, rng.BATCH))
    assert rng.normal(5, 3).shape == (3,) and rng.uniform(5, 3).shape == (3, 1)


def test_streams_are_arguments():
    """Uniform numbers, normal numbers and integers are those of the stream given: their bits are its words."""
    words = rng.bits(5, 3, 4, 7, rng.START)
    np.testing.assert_array_equal(rng.uniform(5, 3, 4, 7, rng.START) * 2**32 - 0.5, words)
    np.testing.assert_array_equal(rng.integers(5, 3, 2**32, 7, rng.START), words[:, 0])
    assert (rng.normal(5, 3, (4,), 7, rng.START) != rng.normal(5, 3, (4,), 7, rng.NOISE)).all()


def test_uniform_is_the_midpoint_of_its_interval(monkeypatch):
    """u = (word + 1/2) / 2^32, exactly, so the smallest word is above 0 and the largest below 1."""
    extremes = [0, 1, 2**31, 2**32 - 2, 2**32 - 1, 0]
    monkeypatch.setattr(rng, "bits", lambda *arguments: np.array([extremes], np.uint64))
    (result,) = rng.uniform(0, 1, 6)
    assert [Fraction(u) for u in result.tolist()] == [Fraction(2 * word + 1, 2**33) for word in extremes]
    assert min(result) > 0 and max(result) < 1
    assert np.isfinite(rng.normal(0, 1, (6,))).all(), "a logarithm of 0"


@given(seeds, st.integers(1, 7), words)
def test_normal_is_box_muller(seed, size, step):
    """z = sqrt(-2 log u0) (cos, sin)(2 pi u1), in 50 digits from the scalar implementation's words."""
    (z,) = rng.normal(seed, np.array([3]), (size,), step)
    with mpmath.workdps(50):
        for j in range(size):
            u0, u1 = ((2 * mpmath.mpf(scalar_word(seed, 3, j // 2 * 2 + k, step, rng.NOISE)) + 1) / 2**33 for k in (0, 1))
            radius = mpmath.sqrt(-2 * mpmath.log(u0))
            exact = radius * (mpmath.sin if j % 2 else mpmath.cos)(2 * mpmath.pi * u1)
            assert abs(float(z[j]) - exact) <= BOX_MULLER * np.finfo(float).eps * radius


@given(seeds, st.sampled_from([(), (1,), (2, 3), (0,), (5, 1, 2)]), st.integers(0, 4))
def test_float32_noise_is_rounded_float64_noise(seed, shape, batch):
    """float32 noise is the float64 noise, rounded; shapes are (B, *event), the empty batch included."""
    wide, narrow = (rng.normal(seed, batch, shape, 1, rng.START, dtype) for dtype in (np.float64, np.float32))
    assert wide.shape == narrow.shape == (batch, *shape) and wide.dtype == np.float64 and narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))


def test_moments():
    """Mean, variance, fourth moment and the correlation within and across pairs of 80,000 normals, each within its standard error."""
    z = rng.normal(2024, 10_000, (8,))
    n = z.size
    for power, moment, variance in (1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96):
        assert abs((z**power).mean() - moment) < SIGMAS * np.sqrt(variance / n)
    for shift in 1, 2, 4:
        assert abs((z[:, shift:] * z[:, :-shift]).mean()) < SIGMAS / np.sqrt(len(z) * (8 - shift))
    assert abs((z[1:] * z[:-1]).mean()) < SIGMAS / np.sqrt(n)


@given(seeds, st.integers(1, 2**32), words)
def test_integers_are_the_high_part(seed, high, step):
    """floor(word high / 2^32), in 0..high-1, from the sample's first word."""
    expected = [scalar_word(seed, i, 0, step, rng.BATCH) * high // 2**32 for i in range(3)]
    result = rng.integers(seed, 3, high, step)
    assert result.dtype == np.int64 and result.tolist() == expected and max(expected) < high


def test_ends_of_the_ranges():
    """The largest sample, step and stream, and `high` = 1."""
    last = 2**32 - 1
    assert rng.bits(2**64 - 1, np.array([last]), 1, last, last).tolist() == [[scalar_philox([0, last, last, last], [last, last])[0]]]
    assert rng.bits(0, 2, 0).shape == (2, 0) and rng.integers(3, 50, 1).tolist() == [0] * 50


def test_integers_are_uniform():
    """Each of seven values is drawn equally often, within the standard error of a count."""
    counts = np.bincount(rng.integers(7, 70_000, 7), minlength=7)
    assert len(counts) == 7 and np.abs(counts - 10_000).max() < SIGMAS * np.sqrt(10_000 * 6 / 7)


def test_normals_by_step():
    """Item i of `Normals` is `normal` at step i, for all samples or for a subset."""
    noise = rng.Normals(3, 4, (2,), rng.START, np.float32)
    np.testing.assert_array_equal(noise[6], rng.normal(3, 4, (2,), 6, rng.START, np.float32))
    np.testing.assert_array_equal(rng.Normals(3, np.array([2, 0]), (2,), rng.START, np.float32)[6], noise[6][[2, 0]])
    with pytest.raises(FrozenInstanceError):
        noise.seed = 4
    plain = rng.Normals(3, 4)[0]
    assert plain.dtype == np.float64
    np.testing.assert_array_equal(plain, rng.normal(3, 4, (), 0, rng.NOISE))


@pytest.mark.parametrize("seed", [np.int32(5), np.uint32(5), np.int64(5), np.uint64(5)])
def test_numpy_integers_are_seeds(seed):
    """Seeds may be NumPy integers of any type."""
    np.testing.assert_array_equal(rng.bits(seed, 2, 3), rng.bits(5, 2, 3))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: rng.normal("1", 1), TypeError, "seed = '1'; allowed: an integer"),
        (lambda: rng.bits(-1, 1, 1), ValueError, "seed = -1; allowed: 0..2^64 - 1"),
        (lambda: rng.bits(2**64, 1, 1), ValueError, "seed = 18446744073709551616; allowed: 0..2^64 - 1"),
        (lambda: rng.bits(0, 1, 1, 0, -1), ValueError, "stream = -1; allowed: 0..4294967295"),
        (lambda: rng.bits(0, 1, 1, 0, 2**32), ValueError, "stream = 4294967296; allowed: 0..4294967295"),
        (lambda: rng.bits(0, 2**32 + 1, 1), ValueError, "samples = 4294967297; allowed: 0..4294967296"),
        (lambda: rng.bits(0, 1, 2**34 + 1), ValueError, "elements = 17179869185; allowed: 0..17179869184"),
        (lambda: rng.bits(0, 3, 1, np.arange(2)), ValueError, "step has shape (2,); allowed: () or (3,), one for each sample"),
        (lambda: rng.bits(0, 1, 1, np.arange(2)), ValueError, "step has shape (2,); allowed: () or (1,), one for each sample"),
        (lambda: rng.bits(0, 2.0, 1), TypeError, "samples = 2.0; allowed: an integer"),
        (lambda: rng.bits(0, np.array([-1]), 1), ValueError, "samples = array([-1]); allowed: 0..4294967295"),
        (lambda: rng.bits(0, np.array([2**32]), 1), ValueError, "samples = array([4294967296]); allowed: 0..4294967295"),
        (lambda: rng.uniform(0, 1, 1, -1), ValueError, "step = -1; allowed: 0..4294967295"),
        (lambda: rng.normal(0, 1, (), 2**32), ValueError, "step = 4294967296; allowed: 0..4294967295"),
        (lambda: rng.normal(0, 1, (), 0.5), TypeError, "step = 0.5; allowed: an integer"),
        (lambda: rng.integers(0, 1, 0), ValueError, "high = 0; allowed: 1..4294967296"),
        (lambda: rng.integers(0, 1, 2**32 + 1), ValueError, "high = 4294967297; allowed: 1..4294967296"),
    ],
)
def test_errors(call, error, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(error, match="^" + re.escape(message)):
        call()


def test_no_other_random_generator():
    """numpy.random and Python's random are not used in the package."""
    package = Path(rng.__file__).parent
    for path in package.rglob("*.py"):
        assert not re.search(r"\b(np|numpy)\.random\b|^\s*(import|from) random\b", path.read_text(), re.MULTILINE), path
