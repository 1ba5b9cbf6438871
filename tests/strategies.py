"""What Hypothesis draws: schedules of any family and length, pairs of times, shapes, and arrays in both precisions."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import schedules

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
    """s < t, both in the schedule's range; s >= low."""
    s = draw(st.integers(low, schedule.T - 1))
    return draw(st.integers(s + 1, schedule.T)), s


shapes = st.sampled_from([(1,), (3,), (2, 2), (4, 3), (1, 4, 4, 1), (2, 3, 3, 2)])


def arrays(shape, dtype=np.float64, bound=4.0):
    """Finite numbers of ordinary size."""
    width = np.dtype(dtype).itemsize * 8
    return hnp.arrays(dtype, shape, elements=st.floats(-bound, bound, width=width, allow_subnormal=False))
