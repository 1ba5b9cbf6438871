"""Reverse-mode differentiation: numbers that record their operands, so that every gradient follows from the chain rule."""

import itertools
import math

_ids = itertools.count()


class Number:
    """A float with its operands and its derivative in each of them."""

    __slots__ = ("id", "parents", "slope", "value")

    def __init__(self, value, parents=()):
        self.value, self.parents, self.slope, self.id = value, parents, 0.0, next(_ids)

    def __add__(self, other):
        other = known(other)
        return Number(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __sub__(self, other):
        other = known(other)
        return Number(self.value - other.value, ((self, 1.0), (other, -1.0)))

    def __mul__(self, other):
        other = known(other)
        return Number(self.value * other.value, ((self, other.value), (other, self.value)))

    def __truediv__(self, other):
        other = known(other)
        return Number(self.value / other.value, ((self, 1 / other.value), (other, -self.value / other.value**2)))


def known(x):
    """Convert a number to a Number."""
    return x if isinstance(x, Number) else Number(float(x))


def sqrt(x):
    root = math.sqrt(x.value)
    return Number(root, ((x, 0.5 / root),))


def exp(x):
    power = math.exp(x.value)
    return Number(power, ((x, power),))


def log(x):
    return Number(math.log(x.value), ((x, 1 / x.value),))


def sigmoid(x):
    small = math.exp(-abs(x.value))
    part = 1 / (1 + small) if x.value >= 0 else small / (1 + small)
    return Number(part, ((x, small / (1 + small) ** 2),))


def dot(xs, ys, start=None):
    """start plus the sum of products."""
    value = math.fsum(x.value * y.value for x, y in zip(xs, ys, strict=True)) + (start.value if start else 0.0)
    parents = [(x, y.value) for x, y in zip(xs, ys, strict=True)] + [(y, x.value) for x, y in zip(xs, ys, strict=True)]
    return Number(value, parents + ([(start, 1.0)] if start else []))


def total(xs):
    """The sum."""
    return Number(math.fsum(x.value for x in xs), [(x, 1.0) for x in xs])


def lift(nested):
    """Nested floats as nested Numbers."""
    return [lift(one) for one in nested] if isinstance(nested, list) else Number(float(nested))


def flat(nested):
    """Nested lists as one list."""
    return [leaf for one in nested for leaf in flat(one)] if isinstance(nested, list) else [nested]


def mapped(f, nested):
    """Apply f to every leaf."""
    return [mapped(f, one) for one in nested] if isinstance(nested, list) else f(nested)


def pull_back(outputs, slopes):
    """Add to every operand of the outputs its slope, the derivative of sum(slopes * outputs)."""
    for output, slope in zip(flat(outputs), flat(slopes), strict=True):
        output.slope += slope
    for node in sorted(_reached(flat(outputs)), key=lambda node: -node.id):
        for parent, slope in node.parents:
            parent.slope += node.slope * slope


def _reached(outputs):
    seen, waiting = set(), list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.parents]
    return seen
