"""The noise schedule as Python lists: checked betas, their cumulative products, and the coefficients of a step."""

import itertools
import math
from functools import cache

from .boundary import integer, numbers, per_example, shape_of, to_list


def checked(betas):
    """betas as a tuple of floats: each in (0, 1), the last one possibly 1."""
    if len(shape_of(betas)) != 1:
        raise ValueError(f"betas has shape {shape_of(betas)}; allowed: one dimension")
    return _checked(tuple(to_list(betas)))


@cache
def _checked(values):
    for i, beta in enumerate(numbers("betas", values)):
        if not 0 < beta < 1 and not (beta == 1 and i == len(values) - 1):
            raise ValueError(f"betas[{i}] = {beta}; allowed: (0, 1), or 1 for the last")
    if not values:
        raise ValueError("betas is empty; allowed: at least one")
    return values


@cache
def products(betas):
    """1, 1 - beta_1, (1 - beta_1)(1 - beta_2), ..."""
    table = [1.0]
    for beta in betas:
        table.append(table[-1] * (1 - beta))
    return table


def kept(betas):
    """alpha_bar_0..T of checked betas."""
    return products(checked(betas))


def at(betas, t, x, low=0):
    """alpha_bar_t of every example of x; t is one time or one for each example."""
    table = kept(betas)
    return [table[integer("t", time, low, len(table) - 1)] for time in per_example(t, shape_of(x)[0], "t")]


def signal_sigma(betas, t, x):
    """(sqrt(alpha_bar_t), sqrt(1 - alpha_bar_t)) of every example."""
    return [(math.sqrt(a), math.sqrt(1 - a)) for a in at(betas, t, x)]


def pair(betas, t, s):
    """alpha_bar_t and alpha_bar_s of two times s < t."""
    table = kept(betas)
    t, s = integer("t", t, 0, len(table) - 1), integer("s", s, 0, len(table) - 1)
    if s >= t:
        raise ValueError(f"s = {s}, t = {t}; allowed: s < t")
    return table[t], table[s]


def pairs(betas, t, s, x):
    """The same for every example of x."""
    count = shape_of(x)[0]
    return [pair(betas, t_b, s_b) for t_b, s_b in zip(per_example(t, count, "t"), per_example(s, count, "s"), strict=True)]


def tilde(a_t, a_s):
    """The variance of q(x_s | x_t, x_0)."""
    return (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)


def grid_times(grid, betas):
    """A grid: integers that fall strictly from at most T to 0."""
    times = [integer("grid", t, 0, len(kept(betas)) - 1) for t in grid]
    if len(times) < 2 or times[-1] != 0 or any(a <= b for a, b in itertools.pairwise(times)):
        raise ValueError(f"grid = {times}; allowed: strictly falling, ending in 0")
    return times
