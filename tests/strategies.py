"""Hypothesis strategies: schedules of any family and length, pairs of times, shapes, and arrays in both precisions."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import flow, oracles, schedules, tree

DTYPES = (np.float32, np.float64)


@st.composite
def schedule(draw, max_T=60, zero_terminal=False):
    """A schedule of any family; T from 1 up, with betas from 1e-5 up to 0.9 where they are free."""
    T = draw(st.integers(1, max_T))
    family = draw(st.sampled_from(["betas", "linear", "quadratic", "scaled_linear", "cosine", "sigmoid", "log_snr"]))
    if family == "betas":
        exponents = draw(hnp.arrays(np.float64, T, elements=st.floats(-5, -0.05)))
        result = schedules.from_betas(10**exponents)
    elif family == "log_snr":
        falls = draw(hnp.arrays(np.float64, T, elements=st.floats(0.01, 1)))
        result = schedules.from_log_snr(draw(st.floats(0, 8)) - np.cumsum(falls))
    elif family in ("linear", "quadratic", "scaled_linear"):
        result = getattr(schedules, family)(max(T, 21))
    else:
        result = getattr(schedules, family)(T)
    return schedules.zero_terminal_snr(result) if zero_terminal and result.T > 1 and draw(st.booleans()) else result


@st.composite
def times(draw, schedule, low=0):
    """A pair (t, s) with s < t, both in the schedule's range; s >= low."""
    s = draw(st.integers(low, schedule.T - 1))
    return draw(st.integers(s + 1, schedule.T)), s


shapes = st.sampled_from([(1,), (3,), (2, 2), (4, 3), (1, 4, 4, 1), (2, 3, 3, 2)])


def arrays(shape, dtype=np.float64, bound=4.0):
    """Finite numbers of ordinary size."""
    width = np.dtype(dtype).itemsize * 8
    return hnp.arrays(dtype, shape, elements=st.floats(-bound, bound, width=width, allow_subnormal=False))


PATHS = (flow.straight, flow.trigonometric, flow.optimal_transport(0.1))


@st.composite
def covariance(draw, d):
    """A covariance (d, d) with correlations, and eigenvalues of about 0.05 to 10."""
    root = draw(arrays((d, d), bound=1.0))
    return root @ root.T + draw(st.floats(0.05, 1)) * np.eye(d)


@st.composite
def mixture(draw, max_components=3, max_d=3):
    """A labelled Gaussian mixture in 1 to max_d dimensions; every class has a component."""
    K, d = draw(st.integers(1, max_components)), draw(st.integers(1, max_d))
    means = draw(arrays((K, d), bound=2.0))
    covariances = [draw(covariance(d)) for _ in range(K)]
    weights = draw(hnp.arrays(np.float64, K, elements=st.floats(0.05, 1)))
    return oracles.mixture(means, covariances, weights, np.arange(K) % draw(st.integers(1, K)))


def complex_gradient(f, x, step=1e-30):
    """Gradient of f: (B, ...) -> (B,) with respect to each example, shaped like x, by complex step: no truncation error."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape[1:]):
        shifted = x.astype(np.complex128)
        shifted[(slice(None), *i)] += 1j * step
        gradient[(slice(None), *i)] = f(shifted).imag / step
    return gradient


def rows(f, *arguments):
    """f on each example alone, with scalars in place of arrays (B,): the expected result of per-example arguments."""
    return np.concatenate([f(*(a[i : i + 1] if np.ndim(a) > 1 else a[i] for a in arguments)) for i in range(len(arguments[0]))])


class Case:
    """A drawn test case: a schedule, times s < t, and arrays of one shape and precision."""

    def __init__(self, schedule, t, s, arrays):
        self.schedule, self.t, self.s, self.arrays = schedule, t, s, arrays

    def __repr__(self):
        return f"Case(log_alpha_bar={self.schedule.log_alpha_bar!r}, t={self.t!r}, s={self.s!r}, arrays={self.arrays!r})"

    def __iter__(self):
        """Iterate over (schedule, t, s, *arrays)."""
        return iter((self.schedule, self.t, self.s, *self.arrays))

    def column(self, values):
        """Float64 coefficients of the times, () or (B,), shaped to multiply the arrays: `arrays.like` without its rounding."""
        values = np.asarray(values)
        return values.reshape(values.shape + (1,) * (self.arrays[0].ndim - 1)) if values.ndim else values


@st.composite
def case(draw, count=1, low=0, max_T=60, zero_terminal=False, dtypes=DTYPES):
    """A `Case` of `count` arrays, in any shape and precision; times are scalar or one per example, low <= s < t."""
    table = draw(schedule(max_T, zero_terminal).filter(lambda table: low < table.T))
    shape, dtype = draw(shapes), draw(st.sampled_from(dtypes))
    if draw(st.booleans()):
        t, s = np.array([draw(times(table, low)) for _ in range(shape[0])]).T
    else:
        t, s = draw(times(table, low))
    return Case(table, t, s, [draw(arrays(shape, dtype)) for _ in range(count)])


@st.composite
def chain(draw, max_T=8, whole=False, dtypes=(np.float64,), zero_terminal=False):
    """(schedule, grid, x0, noises): any decreasing grid that ends in 0 (from T if `whole`), and one noise for each of its steps."""
    table = draw(schedule(max_T, zero_terminal))
    inner = draw(st.sets(st.integers(1, table.T), min_size=1, max_size=max_T))
    grid = np.array(sorted(inner | ({table.T} if whole else set()), reverse=True) + [0])
    shape, dtype = draw(shapes), draw(st.sampled_from(dtypes))
    return table, grid, draw(arrays(shape, dtype)), [draw(arrays(shape, dtype)) for _ in grid[1:]]


def each(f, t, s, *batch):
    """f(t_i, s_i, *one-example batches) for every example, concatenated: the expected result of times (B,)."""
    return np.concatenate([np.atleast_1d(f(t[i], s[i], *(x[i : i + 1] for x in batch))) for i in range(len(t))])


def tree_gradient(f, params, step=1e-30):
    """Gradient of f: tree -> number with respect to every leaf, nested like the tree, by complex step: no truncation error."""
    buffer, shifted = tree.pack(tree.map(lambda leaf: leaf.astype(np.complex128), params))
    gradient = np.empty(buffer.size)
    for i in range(buffer.size):
        buffer[i] += 1j * step
        gradient[i] = f(shifted).imag / step
        buffer[i] = buffer[i].real
    return tree.views(gradient, params)


def frozen(params):
    """Read-only copies of a tree's arrays."""
    copies = tree.map(np.array, params)
    tree.map(lambda leaf: leaf.setflags(write=False), copies)
    return copies
