"""Every tolerance of the suite, named, with its derivation. u = eps / 2 is the unit roundoff of the precision in question."""

import numpy as np


def ulps(actual, expected):
    """Largest distance in units in the last place of the expected numbers; inf for a NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    distance = np.abs(actual.astype(np.longdouble) - expected.astype(np.longdouble)) / np.spacing(np.abs(expected)).astype(np.longdouble)
    return float(np.max(np.where(np.isnan(distance), np.inf, distance), initial=0))


def relative(actual, expected):
    """Largest error relative to the largest expected number: the measure for vectors whose entries mix."""
    expected = np.asarray(expected)
    return float(np.max(np.abs(actual - expected), initial=0) / max(np.max(np.abs(expected), initial=0), np.finfo(np.float64).tiny))


# Identities between two ways of computing the same sum of a few products: each term carries at most about 8 roundings, and
# errors are measured against the largest term. 16 u on either side, so 32 u = 16 eps.
IDENTITY = 16

# Complex step has no truncation error at h = 1e-30; what is left are the roundings of two different evaluation orders over
# contractions of at most a few hundred terms, sqrt(n) u each: below 1e-13. The design asks for 1e-12.
COMPLEX_STEP = 1e-12

# Moments of an affine sampler: up to 1000 steps, each rounding twice and contracting or keeping errors: 1000 * 4 u = 5e-13.
# The design asks for 1e-11.
AFFINE_MOMENTS = 1e-11

# Measured order of convergence against the theoretical one, from the design.
ORDER = 0.05
