"""Broadcasting of coefficients, sums over the event, and checks of arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import arrays, checks

from .strategies import DTYPES, shapes


@given(shapes, st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_like_multiplies_example_by_example(shape, dtype, table_dtype):
    """`like` multiplies each example by its own coefficient; the result has the precision of x."""
    x = np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape)
    values = np.arange(2, 2 + shape[0]).astype(table_dtype)
    product = arrays.like(values, x) * x
    assert product.dtype == dtype and product.shape == x.shape
    for i in range(shape[0]):
        np.testing.assert_array_equal(product[i], x[i] * dtype(values[i]))
    assert (arrays.like(np.asarray(2.5, dtype=table_dtype), x) * x).dtype == dtype
    np.testing.assert_array_equal(arrays.like(np.asarray(2.5), x) * x, x * dtype(2.5))


def test_like_keeps_complex_coefficients_and_takes_the_real_precision():
    """`like` casts real coefficients to the real precision of a complex x; complex coefficients, as in a complex step, stay complex."""
    assert arrays.like(np.asarray(0.5), np.zeros(3, dtype=np.complex64)).dtype == np.float32
    assert arrays.like(np.array([0.5 + 1j]), np.zeros((1, 2))).dtype == np.complex128
    assert arrays.like(0.5, np.float32(1)).dtype == np.float32
    assert arrays.like(np.array([1.0, 2.0]), np.zeros((2, 3, 4, 5))).shape == (2, 1, 1, 1)
    assert arrays.like(np.array([1.0, 2.0]), np.zeros(2)).shape == (2,)


@pytest.mark.parametrize("values, x", [((2,), (3,)), ((2,), ()), ((2, 1), (2, 1)), ((3,), (2, 3))])
def test_like_refuses_other_shapes(values, x):
    """Coefficients have shape () or (B,); the error for another shape gives that shape."""
    with pytest.raises(ValueError, match=r"^t has shape \(.*\); allowed: \(\) or \(B,\) for an array of shape \("):
        arrays.like(np.ones(values), np.ones(x))
    with pytest.raises(ValueError, match=r"^weight has shape"):
        arrays.like(np.ones(values), np.ones(x), "weight")


@given(shapes)
def test_sum_event_and_event_size(shape):
    """`sum_event` sums over all axes but the first, and `event_size` is the number of summed entries."""
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    np.testing.assert_array_equal(arrays.sum_event(x), [x[i].sum() for i in range(shape[0])])
    assert arrays.event_size(x) == x[0].size
    assert isinstance(arrays.event_size(x), int)
    assert arrays.sum_event(np.asarray(3.0)) == 3.0


def test_check_arrays_accepts_one_shape_and_precision():
    """Real and complex arrays of one precision pass, and so does an empty batch."""
    checks.check_arrays(x=np.zeros((2, 3)), noise=np.ones((2, 3)), z=np.ones((2, 3), dtype=np.complex128))
    checks.check_arrays(x=np.zeros((0, 2), dtype=np.float32), noise=np.zeros((0, 2), dtype=np.float32))
    checks.check_arrays(x=np.float64(1.0))


@pytest.mark.parametrize(
    "value, error, message",
    [
        ([0.0, 0.0], TypeError, r"^noise is \[0.0, 0.0\]; allowed: a floating-point array$"),
        (np.zeros(2, dtype=int), TypeError, r"^noise is array\(\[0, 0\]\); allowed: a floating-point array$"),
        (np.zeros(2, dtype=bool), TypeError, "^noise is .*; allowed: a floating-point array$"),
        (None, TypeError, "^noise is None; allowed: a floating-point array$"),
        (np.zeros(3), ValueError, r"^noise has shape \(3,\); allowed: \(2,\), the shape of x$"),
        (np.zeros((2, 1)), ValueError, r"^noise has shape \(2, 1\); allowed: \(2,\), the shape of x$"),
        (np.zeros(2, dtype=np.float32), TypeError, "^noise has dtype float32; allowed: float64, the dtype of x$"),
        (np.zeros(2, dtype=np.complex64), TypeError, "^noise has dtype complex64; allowed: float64, the dtype of x$"),
        (np.array([0.0, np.nan]), ValueError, "^noise holds NaN or infinity; allowed: finite numbers$"),
        (np.array([-np.inf, 0.0]), ValueError, "^noise holds NaN or infinity; allowed: finite numbers$"),
    ],
)
def test_check_arrays_names_the_offender(value, error, message):
    """A list, an integer array, another shape, another precision and NaN give five different errors."""
    with pytest.raises(error, match=message):
        checks.check_arrays(x=np.zeros(2), noise=value)


def test_check_arrays_checks_the_first_argument():
    """The first argument defines shape and dtype, and is itself checked."""
    with pytest.raises(ValueError, match=r"^x holds NaN"):
        checks.check_arrays(x=np.array([np.nan]), noise=np.zeros(1))
    with pytest.raises(TypeError, match=r"^x is 1.0; allowed"):
        checks.check_arrays(x=1.0)


@pytest.mark.parametrize("value", [0, 1, 0.25, np.float32(1), np.array([0.0, 1.0]), 1 + 5j, np.array([])])
def test_check_number_accepts_the_closed_interval(value):
    """Both ends are allowed; a complex number is checked by its real part."""
    checks.check_number("eta", value, 0, 1)
    checks.check_number("eta", value)


@pytest.mark.parametrize("value", [-1e-300, np.nextafter(1, 2), np.nan, np.inf, -np.inf, np.array([0.5, 2.0]), np.array([np.nan, 0.5])])
def test_check_number_refuses_the_outside(value):
    """Values outside the interval, NaN and infinity raise an error that states the interval."""
    with pytest.raises(ValueError, match=r"^eta = .*; allowed: finite, in \[0, 1\]$"):
        checks.check_number("eta", value, 0, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_number_without_bounds_requires_finite_numbers(value):
    """The default interval is all finite numbers."""
    with pytest.raises(ValueError, match=r"^gamma = .*; allowed: finite, in \[-inf, inf\]$"):
        checks.check_number("gamma", value)


def test_check_number_with_an_open_lower_end():
    """`open_low` excludes the lower end only."""
    checks.check_number("std", 1e-300, 0, 1, open_low=True)
    checks.check_number("std", 1.0, 0, 1, open_low=True)
    with pytest.raises(ValueError, match=r"^std = 0; allowed: finite, in \(0, 1\]$"):
        checks.check_number("std", 0, 0, 1, open_low=True)


@pytest.mark.parametrize("value", [True, "1", None, np.array([False])])
def test_check_number_refuses_other_types(value):
    """Booleans, strings and None are refused."""
    with pytest.raises(TypeError, match=r"^eta = .*; allowed: a number$"):
        checks.check_number("eta", value, 0, 1)


def test_check_choice():
    """A value outside the list raises an error that prints the list."""
    checks.check_choice("kind", "b", ("a", "b"))
    with pytest.raises(ValueError, match=r"^kind = 'c'; allowed: a, b$"):
        checks.check_choice("kind", "c", ("a", "b"))


@pytest.mark.parametrize("value", [0, 5, np.int32(3), np.uint8(5), np.array(2), np.array([0, 5, 3]), np.array([], dtype=int)])
def test_check_integer_accepts_times(value):
    """Both ends are allowed; the result is an integer array of shape () or (B,) with the same values."""
    result = checks.check_integer("t", value, 0, 5)
    assert isinstance(result, np.ndarray) and result.dtype.kind in "iu" and result.shape == np.shape(value)
    np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize("value", [-1, 6, np.array([0, 6]), np.array([-1, 3])])
def test_check_integer_refuses_the_outside(value):
    """A value outside the range, anywhere in the array, raises an error that states the range."""
    with pytest.raises(ValueError, match=r"^t = .*; allowed: 0\.\.5$"):
        checks.check_integer("t", value, 0, 5)


@pytest.mark.parametrize("value", [1.0, np.float64(2), True, np.array([True]), "1", None, [1, 2], np.array([[1]]), np.array([1.0])])
def test_check_integer_refuses_other_types(value):
    """Fractions, booleans, strings, lists and matrices are refused as times."""
    with pytest.raises(TypeError, match=r"^t = .*; allowed: an integer or an array \(B,\) of integers, 0\.\.5$"):
        checks.check_integer("t", value, 0, 5)


def test_messages_print_short_arrays_and_summarize_long_ones():
    """Error messages print up to eight numbers, and give dtype, shape and range of longer arrays."""
    with pytest.raises(ValueError, match=r"^t = array\(\[9, 9, 9, 9, 9, 9, 9, 9\]\); allowed"):
        checks.check_integer("t", np.full(8, 9), 0, 5)
    with pytest.raises(ValueError, match=r"^t = an array of dtype int64, shape \(9,\), from 1 to 9; allowed"):
        checks.check_integer("t", np.arange(1, 10), 0, 5)


def test_messages_summarize_dicts():
    """A dict, which has a `get` method as CuPy's arrays do, is described like other values."""
    with pytest.raises(TypeError, match=r"^eta = \{\}; allowed: a number$"):
        checks.check_number("eta", {})
    with pytest.raises(TypeError, match=r"^x is \{\}; allowed: a floating-point array$"):
        checks.check_arrays(x={})
