"""The checks of arguments by themselves: the type and the value of what they return, and every message with its value, word for word."""

import re

import numpy as np
import pytest

from refdiff import arrays, checks

FAR = np.array([1e299, 2e300])
MESSAGES = {  # a call, its exception, and the whole message
    "large data": (
        lambda: checks.check_arrays(x=np.array([1.0, 1e141])),
        ValueError,
        "x = array([1.e+000, 1.e+141]); allowed: up to 1e+140 in size, so that no square overflows",
    ),
    "far number": (lambda: checks.check_number("rate", FAR), ValueError, "rate = array([1.e+299, 2.e+300]); allowed: up to 1e+300 in size"),
    "far and low": (
        lambda: checks.check_number("rate", FAR, 0, 1),
        ValueError,
        "rate = array([1.e+299, 2.e+300]); allowed: finite, in [0, 1]",
    ),
    "far integer": (lambda: checks.check_number("rate", 10**301), TypeError, f"rate = {10**301}; allowed: a number"),
    "large factor": (
        lambda: checks.per_example("t", np.array([1e141]), np.ones((1, 2))),
        ValueError,
        "t = array([1.e+141]); allowed: up to 1e+140 in size, so that no square overflows",
    ),
    "no broadcast": (
        lambda: checks.check_shapes(mean=np.ones((2, 3)), variance=np.ones((2, 2, 2))),
        ValueError,
        "mean has shape (2, 3); allowed: one that broadcasts to (2, 2, 2), the shape of variance",
    ),
    "no broadcast to the larger": (
        lambda: checks.check_shapes(mean=np.ones((2, 1)), variance=np.ones((2, 3)), scale=np.ones((4, 1))),
        ValueError,
        "scale has shape (4, 1); allowed: one that broadcasts to (2, 3), the shape of variance",
    ),
    "matrix of integers": (
        lambda: checks.check_integer("t", np.ones((1, 1), int), 0, 5),
        TypeError,
        "t = array([[1]]); allowed: an integer or an array (B,) of integers, 0..5",
    ),
    "integer outside": (lambda: checks.check_integer("t", np.array([1, 6]), 0, 5), ValueError, "t = array([1, 6]); allowed: 0..5"),
    "several counts": (
        lambda: checks.check_count("steps", np.array([1, 2]), 0, 5),
        TypeError,
        "steps = array([1, 2]); allowed: an integer, 0..5",
    ),
    "no tuple": (lambda: checks.check_tuple("shape", 3), TypeError, "shape = 3; allowed: a tuple of integers"),
    "a word": (lambda: checks.check_tuple("shape", "ab"), TypeError, "shape = 'ab'; allowed: a tuple of integers"),
    "a matrix": (lambda: checks.check_tuple("shape", [[1, 2]]), TypeError, "shape = [[1, 2]]; allowed: a tuple of integers"),
    "no labels": (lambda: checks.check_labels("y", ["a"], 3, np.ones((1, 2))), TypeError, "y = ['a']; allowed: a number"),
    "other labels": (
        lambda: checks.check_labels("y", [0, 1], 3, np.ones((1, 2))),
        ValueError,
        "y has shape (2,); allowed: (1,), one label for each example of x",
    ),
    "no flag": (lambda: checks.check_flag("clip", 1), TypeError, "clip = 1; allowed: True, False"),
    "no dtype": (lambda: checks.check_dtype("float"), None, None),
    "None": (lambda: checks.check_dtype(None), TypeError, "dtype = None; allowed: a floating-point dtype"),
    "integers": (lambda: checks.check_dtype(int), TypeError, f"dtype = {int!r}; allowed: a floating-point dtype"),
    "nonsense": (lambda: checks.check_dtype("nonsense"), TypeError, "dtype = 'nonsense'; allowed: a floating-point dtype"),
    "any axes": (
        lambda: checks.check_shape("x", np.ones(1), "B", ..., "C+"),
        ValueError,
        "x has shape (1,); allowed: (B, ..., C) with C 1 or more",
    ),
    "no number": (lambda: arrays.as_array("a"), TypeError, "value = 'a'; allowed: a number"),
    "no coefficient": (lambda: arrays.like("a", np.ones((2, 2))), TypeError, "t = 'a'; allowed: a number"),
    "no factor": (lambda: arrays.cast("gamma", "a", np.ones(2)), TypeError, "gamma = 'a'; allowed: a number"),
    "large for float32": (
        lambda: arrays.like(np.array([1e31, 1.0]), np.ones((2, 2), np.float32), "gamma"),
        ValueError,
        "gamma leads to a factor of array([1.e+31, 1.e+00]); allowed: up to 1e+30 in float32",
    ),
    "together, for float32": (
        lambda: checks.together(data=np.ones(2, np.float32), gamma=np.float64(1e31)),
        ValueError,
        "gamma leads to a factor of array(1.e+31); allowed: up to 1e+30 in float32",
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    """The argument, its value, and what is allowed."""
    call, exception, message = MESSAGES[name]
    if exception is None:
        call()
        return
    with pytest.raises(exception, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    "value, kind",
    [
        (1, int), (1.5, float), (np.int64(2), float), (np.uint8(2), int), (np.float64(1.5), float), (np.float32(1.5), np.float32),
        (np.complex64(1j), np.complex64), (np.complex128(1j), complex), (np.array(1.5), float), (1j, complex), (np.array(3), int),
    ],
)  # fmt: skip
def test_one_number(value, kind):
    """One number is Python's, which no precision yields to; single precision, which widens nothing, stays as it is."""
    number = checks.check_number("x", value)
    assert type(number) is (int if isinstance(value, np.integer) else kind) and number == value


@pytest.mark.parametrize(
    "dtype, wide", [("f4", "f4"), ("f8", "f8"), ("c8", "c8"), ("c16", "c16"), ("f2", "f8"), ("i4", "f8"), ("u1", "f8")]
)
def test_several_numbers(dtype, wide):
    """Arrays keep their precision; half precision and integers become float64, so that nothing overflows."""
    assert checks.check_number("x", np.ones(2, dtype)).dtype == wide


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i4"])
def test_tables_are_double(dtype):
    """A copy in float64, whatever the precision was."""
    value = np.ones(2, dtype)
    found = checks.as_float64("x", value)
    assert found.dtype == np.float64 and found is not value


@pytest.mark.parametrize("dtype", ["i8", "i4", "u1", "u8"])
def test_integers_are_64_bits(dtype):
    """Times and labels are int64, so that no arithmetic of theirs wraps around."""
    assert checks.check_integer("t", np.ones(2, dtype), 0, 5).dtype == np.int64
    assert checks.check_integer("t", np.ones((), dtype), 0, 5).shape == ()


@pytest.mark.parametrize(
    "value, low, high, open_low, allowed",
    [
        (0.0, 0, 1, False, True), (0.0, 0, 1, True, False), (1.0, 0, 1, True, True), (1.5, 0, 1, False, False), (-1e300, -np.inf, 0, False, True),
        (1e300, 0, np.inf, True, True), (2e300, 0, np.inf, True, False), (-2e300, -np.inf, 0, False, False), (np.nan, -np.inf, np.inf, False, False),
    ],
)  # fmt: skip
def test_limits(value, low, high, open_low, allowed):
    """Both ends, for a Python number, for NumPy's, and in an array."""
    for given in (value, np.float64(value), np.array([value, value])):
        if allowed:
            assert np.all(checks.check_number("x", given, low, high, open_low) == value)
        else:
            with pytest.raises(ValueError, match=r"^x = "):
                checks.check_number("x", given, low, high, open_low)


def test_widest_of_several():
    """Numbers beside single-precision arrays take their precision, beside complex ones that of their parts; alone they stay as they are."""
    x, one = checks.together(data=np.ones(2, np.complex64), one=2.0)
    assert x.dtype == np.complex64 and one.dtype == np.float32
    assert [type(each) for each in checks.together(a=1.5, b=2)] == [float, int]


def test_an_argument_of_any_name():
    """Also of the names that the check itself uses."""
    checks.check_shapes(x=np.ones(2), to=1.0)


class OnDevice(np.ndarray):
    """An array that says that it is on a device."""

    def get(self):
        return np.asarray(self)


class Getting:
    """No array, though it has a method get."""

    def get(self):
        return 1


def test_what_is_on_a_device():
    """An array with a method get. Its values are not read where checks are not to wait for the device."""
    device = np.array([1, 7]).view(OnDevice)
    assert arrays.on_device(device) and not arrays.on_device(np.ones(2)) and not arrays.on_device(Getting()) and not arrays.on_device({})
    assert type(arrays.device_get(device)) is np.ndarray and arrays.device_get(3) == 3
    assert arrays.reads_values(device) and arrays.reads_values(np.ones(2))
    with pytest.raises(ValueError, match=r"^t = array\(\[1, 7\]\); allowed: 0..5$"):
        checks.check_integer("t", device, 0, 5)
    token = arrays.CHECKED.set(False)
    try:
        assert not arrays.reads_values(device) and arrays.reads_values(np.ones(2)) and arrays.holds(device > 9)
        assert not arrays.holds(np.ones(2) > 9)
        assert checks.check_integer("t", device, 0, 5) is device
        assert checks.check_number("x", device.astype(float) * 1e301).dtype == np.float64
        checks.check_arrays(x=device.astype(float) * 1e301)
        assert type(checks.check_number("x", np.array(2.0).view(OnDevice))) is OnDevice
        assert checks.check_integer("t", device.astype(np.int32), 0, 5).dtype == np.int64
    finally:
        arrays.CHECKED.reset(token)


def test_coefficients_stay_on_their_device():
    """Coefficients become arrays of the kind of x."""
    x = np.ones((2, 3)).view(OnDevice)
    assert arrays.like(np.array([1.0, 2.0]), x).shape == (2, 1)


def test_read_only():
    """The same array, which cannot be written to."""
    array = np.ones(2)
    assert arrays.read_only(array) is array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


@pytest.mark.parametrize(
    "value, kind",
    [
        (1, "O"),
        (None, "O"),
        (np.ma.masked_array([1.0]), "O"),
        (np.matrix([[1.0]]), "O"),
        (np.ones(1), "f"),
        (np.ones(1, "u1"), "u"),
        ("a", "O"),
    ],
)
def test_kinds(value, kind):
    """Values without a dtype, and arrays with another arithmetic, are objects."""
    assert arrays.kind(value) == kind


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i8"])
def test_within(dtype):
    """Up to the limit, which may be beyond the precision of the numbers; never for NaN."""
    assert arrays.within(np.array([2, 3], dtype), 2.0).tolist() == [True, False]
    assert arrays.within(np.array([2, 3], dtype), 1e300).all()
    assert not arrays.within(np.array([np.nan]), 1e300).any()


def test_long_values_are_shortened():
    """Up to 400 signs; large arrays by their dtype, shape and range."""
    assert len(arrays.describe("a" * 398)) == 400 and arrays.describe("a" * 399) == "'" + "a" * 399 + "..."
    assert arrays.describe(np.arange(9)) == "an array of dtype int64, shape (9,), from 0 to 8"
    assert arrays.describe(np.array(["a"] * 9)) == "an array of dtype <U1, shape (9,)"
