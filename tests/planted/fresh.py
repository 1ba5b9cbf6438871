"""Fresh inputs: those of the vectors with other numbers, on which a cause must predict the answers of an implementation."""

import zlib

import numpy as np

from refdiff.conformance import models
from refdiff.conformance.mutations import kills
from refdiff.conformance.operations import operations

KEPT = {"grid", "times", "x", "uniform", "labels"}  # inputs whose numbers are ordered, or on levels
SCALED = {"betas", "log_snr", "covariance", "covariance1", "covariance2", "states", "mean1", "mean2"}  # all by one factor


def fresh(vector, seed=0):
    """The vector with other numbers and the right answer to them, or None if they are not allowed."""
    rng = np.random.default_rng([seed, zlib.crc32(vector.id.encode())])
    inputs = {name: _changed(name, value, vector, rng) for name, value in vector.inputs.items()}
    observed = {name: models.build(value) if isinstance(value, dict) else value for name, value in inputs.items()}
    expected = kills.outcome(operations()[vector.operation], None, observed)
    if expected is None or not all(np.isfinite(np.asarray(value, float)).all() for value in expected.values()):
        return None
    return vector._replace(inputs=inputs, expected=expected)


def _changed(name, value, vector, rng):
    if isinstance(value, dict):
        return {key: _changed(key, each, vector, rng) for key, each in value.items()}
    if name in KEPT or not isinstance(value, np.ndarray | float) or np.asarray(value).dtype.kind != "f":
        return value
    factor = 1 - 0.07 * rng.random(() if name in SCALED else np.shape(value))
    changed = np.where(abs(np.asarray(value)) == 1, value, value * factor)
    return float(changed) if isinstance(value, float) else changed
