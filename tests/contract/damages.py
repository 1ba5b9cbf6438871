"""Damaged arguments: every way to be wrong, or unusual, that an argument of some type has."""

from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

REFUSED = "refused"  # a named error is the only right answer
SAME = "same"  # a named error, or the result for the plain argument
FAILS = "fails"  # any error: a schedule, a path, a model or an op set is what it can do, and Python says what it lacks
SANE = "sane"  # a named error, or finite numbers
INTEGERS = [np.dtype(code) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4")]
FLOATS = [np.dtype(code) for code in ("f2", "f4", "f8", ">f8", "longdouble")]


class Damage(NamedTuple):
    """A damaged argument, the rule for what follows, and for `SAME` the plain argument that has the same meaning."""

    category: str
    value: Any
    rule: str
    plain: Any = None


def damages(value):
    """All damages of a valid argument, by its type."""
    if isinstance(value, np.ndarray):
        yield from of_arrays(value)
        yield from (of_float_arrays if value.dtype.kind == "f" else of_integer_arrays)(value)
    elif isinstance(value, bool):
        yield from of_flags(value)
    elif isinstance(value, int):
        yield from of_integers(value)
    elif isinstance(value, float):
        yield from of_numbers(value)
    elif isinstance(value, str):
        yield from of_words(value)
    elif isinstance(value, dict):
        yield from of_trees(value)
    elif isinstance(value, tuple) and all(isinstance(each, int) for each in value):
        yield from of_shapes(value)
    elif type(value) in (list, tuple) and all(isinstance(each, np.ndarray) for each in value):
        yield from of_sequences(value)
    elif isinstance(value, type) and issubclass(value, np.generic):
        yield from of_dtypes(value)
    data = isinstance(value, np.ndarray | int | float | str | dict | list | tuple | type)
    for each in (None, object(), np.ones(3), 0.5, "a word"):
        if data and not isinstance(each, np.ndarray | float | str):
            yield Damage("None" if each is None else "other objects", each, REFUSED)
        if not data:
            yield Damage("objects without methods", each, FAILS)


def of_arrays(x):
    """Of an array with any numbers: other types, layouts and shapes."""
    yield Damage("strings", x.astype(str), REFUSED)
    yield Damage("strings", "0.5", REFUSED)
    yield Damage("objects", x.astype(object), SAME, x)
    yield Damage("lists", x.tolist(), SAME, x)
    yield Damage("objects", np.array([None] * x.size, object).reshape(x.shape), REFUSED)
    yield Damage("lists", [[1.0], [1.0, 2.0]], REFUSED)
    yield Damage("masked", np.ma.masked_array(x, np.arange(x.size).reshape(x.shape) == 0), REFUSED)
    yield Damage("complex", x.astype(np.complex128 if x.itemsize == 8 else np.complex64), SAME, x)
    yield Damage("complex NaN", np.where(np.arange(x.size).reshape(x.shape) == 1, x + 1j * np.nan, x), REFUSED)
    yield Damage("dates", np.zeros(x.shape, "M8[s]"), REFUSED)
    yield Damage("Fortran", np.asfortranarray(x), SAME, x)
    yield Damage("strides", np.flip(np.flip(x).copy()), SAME, x)
    yield Damage("strides", np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x, SAME, x)
    if x.ndim:
        yield Damage("rank", x[..., None], SANE)
        yield Damage("rank", x[:, None], SANE)
        yield Damage("rank", x[None], SANE)
        yield Damage("rank", x.ravel(), SANE)
        yield Damage("rank", x[0], SANE)
        yield Damage("batch", x[:-1], SANE)
        yield Damage("batch", x[:1], SANE)
        yield Damage("batch", np.concatenate([x, x[:1]]), SANE)
        yield Damage("batch", x[..., :-1], SANE)
        yield Damage("empty", x[:0], SANE)
        yield Damage("empty", x[..., :0], SANE)


def of_float_arrays(x):
    for number in (np.nan, np.inf, -np.inf):
        yield Damage(
            "NaN" if np.isnan(number) else "infinity", np.where(np.arange(x.size).reshape(x.shape) == 1, x.dtype.type(number), x), REFUSED
        )
    yield Damage("NaN", x * x.dtype.type(np.nan), REFUSED)
    yield Damage("sign", -x, SANE)
    yield Damage("zero", x * 0, SANE)
    yield Damage("bool", x > 0, SAME, (x > 0).astype(x.dtype))
    whole = np.rint(4 * x)
    for dtype in INTEGERS:
        sized = abs(whole) if dtype.kind == "u" else whole
        if np.iinfo(dtype).max >= abs(sized).max():
            yield Damage("integers", sized.astype(dtype), SAME, sized)
    for dtype in FLOATS:
        yield Damage("floats", x.astype(dtype), SAME, x)
    top, bottom = np.finfo(x.dtype).max, np.finfo(x.dtype).smallest_subnormal
    yield Damage("huge", np.sign(x) * top, SANE)
    yield Damage("huge", np.sign(x) * np.sqrt(top), SANE)
    yield Damage("huge", abs(np.sign(x)) * top, SANE)  # above the range alone, if x has both signs
    yield Damage("huge", -abs(np.sign(x)) * top, SANE)
    yield Damage("tiny", np.sign(x) * bottom, SANE)
    yield Damage("tiny", np.sign(x) * np.finfo(x.dtype).tiny, SANE)


def of_integer_arrays(x):
    yield Damage("NaN", np.where(x == x.max(), np.nan, x), REFUSED)
    yield Damage("floats", x.astype(np.float64), SAME, x)
    yield Damage("floats", x + 0.5, REFUSED)
    yield Damage("sign", -x, SANE)
    yield Damage("zero", x * 0, SANE)
    yield Damage("bool", x > 0, SAME, (x > 0).astype(x.dtype))
    for dtype in INTEGERS:
        if np.iinfo(dtype).max >= x.max():
            yield Damage("integers", x.astype(dtype), SAME, x)
    if x.dtype != np.uint8:
        yield Damage("huge", np.where(x == x.max(), 2**62, x), SANE)
        yield Damage("huge", np.where(x == x.max(), -(2**62), x), SANE)
        yield Damage("huge", np.where(x == x.max(), 2**63 + 1, abs(x).astype(np.uint64)), SANE)


def of_one(value):
    """Of one number or integer: other types and shapes."""
    yield Damage("complex", complex(value, 0), SAME, value)
    yield Damage("complex NaN", complex(value, np.nan), REFUSED)
    yield Damage("strings", str(value), REFUSED)
    yield Damage("strings", np.array(str(value)), REFUSED)
    yield Damage("objects", np.array(value, object), SAME, value)
    yield Damage("objects", Decimal(value), SAME, value)
    yield Damage("objects", Fraction(value), SAME, value)
    yield Damage("masked", np.ma.masked, REFUSED)
    yield Damage("lists", [value], SANE)
    yield Damage("rank", np.array([value]), SANE)
    yield Damage("rank", np.array([[value]]), SANE)
    yield Damage("batch", np.array([value] * 5), SANE)
    yield Damage("empty", [], SANE)
    yield Damage("empty", np.array([], type(value)), SANE)


def of_numbers(value):
    """Of one number."""
    for each in (np.nan, np.float32(np.nan), np.array(np.nan)):
        yield Damage("NaN", each, REFUSED)
    for each in (np.inf, -np.inf):
        yield Damage("infinity", each, REFUSED)
    yield Damage("sign", -value, SANE)
    yield Damage("zero", 0.0, SANE)
    yield Damage("zero", 0, SANE)
    for each in (True, False, np.True_):
        yield Damage("bool", each, SAME, float(each))
    for dtype in INTEGERS[:-1]:
        for whole in {1, int(value) or 1, 2, 200 if dtype.kind == "u" else -2}:
            if not np.iinfo(dtype).min <= whole <= np.iinfo(dtype).max:
                continue
            yield Damage("integers", dtype.type(whole), SAME, float(whole))
            yield Damage("integers", np.array(whole, dtype), SAME, float(whole))
    for dtype in FLOATS:
        yield Damage("floats", dtype.type(value), SAME, value)
        yield Damage("floats", np.array(value, dtype), SAME, value)
    yield Damage("complex", complex(value, 1), SAME, complex(value, 1))
    yield from of_one(value)
    for each in (1e308, -1e308, 1e160, 1e30):
        yield Damage("huge", each, SANE)
    for each in (5e-324, 1e-300, 1e-40):
        yield Damage("tiny", each, SANE)


def of_integers(value):
    for each in (np.nan, np.inf, -np.inf, np.array(np.nan)):
        yield Damage("NaN" if np.isnan(each) else "infinity", each, REFUSED)
    yield Damage("sign", -value - 1, SANE)
    yield Damage("zero", 0, SANE)
    for each in (True, False, np.True_):
        yield Damage("bool", each, SAME, int(each))
    for dtype in INTEGERS[:-1]:
        for whole in {value, 1, 2, 100, 130 if dtype.kind == "u" else 3}:
            if np.iinfo(dtype).min <= whole <= np.iinfo(dtype).max:
                yield Damage("integers", dtype.type(whole), SAME, whole)
                yield Damage("integers", np.array(whole, dtype), SAME, whole)
    for each in (float(value), np.float32(value), np.array(float(value))):
        yield Damage("floats", each, SAME, value)
    yield Damage("floats", value + 0.5, REFUSED)
    yield from of_one(value)
    for each in (10**30, -(10**30), 2**63, 2**62, -(2**62), 2**64):
        yield Damage("huge", each, SANE)


def of_flags(value):
    yield Damage("strings", "no", REFUSED)
    yield Damage("bool", np.bool_(value), SAME, value)
    yield Damage("integers", int(value), SAME, value)
    yield Damage("integers", 2, REFUSED)
    yield Damage("NaN", np.nan, REFUSED)
    yield Damage("batch", np.array([True, False]), REFUSED)


def of_words(value):
    for each in (
        "no such word",
        value.upper() + " ",
        value.encode(),
        1,
        True,
        np.nan,
        [value],
        np.array([value]),
        np.array([value, value]),
    ):
        yield Damage("strings", each, REFUSED)
    yield Damage("strings", np.str_(value), SAME, value)


def of_shapes(value):
    yield Damage("lists", list(value), SAME, value)
    yield Damage("integers", tuple(np.int64(each) for each in value), SAME, value)
    yield Damage("integers", tuple(np.uint8(each) for each in value), SAME, value)
    yield Damage("integers", np.array(value), SAME, value)
    for each in ((-1,), (True,), (2.0,), ("2",), (None,), (np.nan,), (10**30,), (2**62,), 0.5, "ab", np.nan):
        yield Damage("sign" if each == (-1,) else "other objects", each, REFUSED)
    yield Damage("rank", 2, SANE)


def of_sequences(value):
    """Of a list of arrays."""
    yield Damage("lists", tuple(value), SAME, list(value))
    yield Damage("batch", value[:-1], SANE)
    yield Damage("batch", [*value, value[-1]], SANE)
    yield Damage("empty", value[:0], SANE)
    for i in (0, len(value) - 1):
        for damage in damages(value[i]):
            plain = None if damage.rule is not SAME else type(value)([*value[:i], damage.plain, *value[i + 1 :]])
            yield damage._replace(value=type(value)([*value[:i], damage.value, *value[i + 1 :]]), plain=plain)


def of_trees(value):
    """Of a tree of arrays: one array, its name, or the structure."""
    yield Damage("lists", [value], REFUSED)
    yield Damage("NaN", np.nan, REFUSED)
    if not value:
        return
    first = next(iter(value))
    yield Damage("structure", {}, SANE)
    yield Damage("structure", {key: each for key, each in value.items() if key != first}, SANE)
    yield Damage("structure", value | {"other": np.ones(2, np.float32)}, SANE)
    for damage in damages(value[first]):
        plain = value | {first: damage.plain} if damage.rule is SAME else None
        yield damage._replace(value=value | {first: damage.value}, plain=plain)


def of_dtypes(value):
    yield Damage("strings", np.dtype(value).name, SAME, value)
    yield Damage("other objects", np.dtype(value), SAME, value)
    for each in ("no such dtype", int, np.uint8, bool, object, "U3", "M8[s]", 1, np.nan):
        yield Damage("other objects", each, REFUSED)
