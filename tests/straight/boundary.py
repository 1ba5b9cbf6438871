"""The only module that uses NumPy: it converts arrays to lists of numbers, and lists to arrays."""

import math

import numpy as np


def shape_of(x):
    """The shape of an array."""
    return np.asarray(x).shape


def to_list(x):
    """An array, or anything like it, as nested Python lists."""
    return np.asarray(x).tolist()


def number(name, value):
    """A finite Python float."""
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{name} = {value}; allowed: finite numbers")
    return value


def numbers(name, x):
    """A one-dimensional array as a list of finite floats."""
    if np.asarray(x).ndim != 1:
        raise ValueError(f"{name} has shape {shape_of(x)}; allowed: one dimension")
    return [number(name, value) for value in np.asarray(x).tolist()]


def integer(name, value, low, high=None):
    """A Python int within low..high."""
    if np.asarray(value).dtype.kind not in "iu" or np.asarray(value).ndim:
        raise ValueError(f"{name} = {value!r}; allowed: one integer")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} = {value}; allowed: {low}..{'' if high is None else high}")
    return int(value)


def integers(name, x, low, high):
    """A one-dimensional array of integers as a list of Python ints."""
    if np.asarray(x).ndim != 1:
        raise ValueError(f"{name} has shape {shape_of(x)}; allowed: one dimension")
    return [integer(name, value, low, high) for value in np.asarray(x)]


def examples(name, x, shape=None):
    """Data (B, ...) as a list of B flat lists of floats; with a shape, data that broadcasts to it."""
    array = np.asarray(x) if shape is None else np.broadcast_to(np.asarray(x), shape)
    if array.ndim < 1:
        raise ValueError(f"{name} has shape (); allowed: (B, ...)")
    return [[number(name, value) for value in one.reshape(-1).tolist()] for one in array]


def per_example(values, count, name):
    """One value for all examples, or one for each, as a list of `count`."""
    if np.asarray(values).ndim == 0:
        return [values] * count
    if shape_of(values) != (count,):
        raise ValueError(f"{name} has shape {shape_of(values)}; allowed: () or ({count},)")
    return list(np.asarray(values))


def array(nested, shape=None):
    """Nested lists as an array of a shape."""
    made = np.array(nested, dtype=float)
    return made if shape is None else made.reshape(shape)


def column(values, times, x):
    """One number where the times are one for all examples, else (B, 1, ...): one for each example, ready to broadcast."""
    if all(shape_of(time) == () for time in times):
        return array(values[0])
    return array(values, (len(values),) + (1,) * (len(shape_of(x)) - 1))


def like(name, value, x):
    """An array that broadcasts to the shape of x, in that shape."""
    return array(examples(name, value, shape_of(x)), shape_of(x))


def for_times(rule, t, s):
    """An array of rule(t, s) for one pair of times, or for each of two lists of times."""
    return array(rule(t, s) if not shape_of(t) else [rule(a, b) for a, b in zip(t, s, strict=True)])


def integer_array(values):
    """A list of ints as an array."""
    return np.array(values, dtype=np.int64)


def each(rule, data, constants=None):
    """rule(*elements, *constants of the example) for every element of same-shaped arrays, {name: array}; constants is one tuple per example."""
    shapes = {shape_of(x) for x in data.values()}
    if len(shapes) != 1:
        raise ValueError(f"{', '.join(data)} have shapes {sorted(shapes)}; allowed: one shape")
    shape = shapes.pop()
    flat = [examples(name, x) for name, x in data.items()]
    if constants is None:
        constants = [()] * shape[0]
    made = []
    for b in range(shape[0]):
        made.append([rule(*elements, *constants[b]) for elements in zip(*(x[b] for x in flat), strict=True)])
    return array(made, shape)


def total(rule, data, constants=None):
    """The sum of rule(...) over each example's elements, (B,)."""
    terms = each(rule, data, constants)
    return array([math.fsum(one.reshape(-1).tolist()) for one in terms])


def choice(name, value, allowed):
    """One of the words allowed."""
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}; allowed: {', '.join(map(str, allowed))}")
    return value


def between(name, value, low, high):
    """A number within low..high."""
    value = number(name, value)
    if not low <= value <= high:
        raise ValueError(f"{name} = {value}; allowed: {low}..{high}")
    return value


def nested(name, x, *dimensions):
    """An array of so many dimensions as nested lists of finite floats."""
    if np.asarray(x).ndim not in dimensions:
        raise ValueError(f"{name} has shape {shape_of(x)}; allowed: {' or '.join(map(str, dimensions))} dimensions")
    for value in np.asarray(x).reshape(-1).tolist():
        number(name, value)
    return np.asarray(x, dtype=float).tolist()
