"""The configuration of training refuses what no run can use, on construction and by name."""

import numpy as np
import pytest

from refdiff.training import Config

WRONG = {
    "kind": ["mean", None, 3, ["eps"]],
    "steps": [-3, 2.5, "10", True, None, np.array([1, 2])],
    "batch": [0, -4, 2.5, "abc", True, None],
    "rate": [-1.0, np.nan, np.inf, "fast", None, True, 1j, np.ones(2)],
    "warmup": [-1, 1.5, None],
    "decay": [-0.1, np.nan, np.inf, None],
    "clip": [-1.0, 0.0, np.nan, -np.inf, "none", None, 1j],
    "ema": [-0.1, 1.0, 2.0, np.nan, None, complex(0.5, np.nan)],
    "label_dropout": [-0.1, 1.1, np.nan, None],
    "classes": [0, -1, 1.5, "ten", True],
    "seed": [-1, 0.5, None, 2**64],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_wrong_fields_are_named(name, value):
    """T1: a wrong number, a wrong kind of number, or none: the error names the field and what is allowed."""
    with pytest.raises((TypeError, ValueError), match=f"^{name} = .*; allowed: "):
        Config(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", np.int64(0)), ("batch", np.uint8(1)), ("rate", 0), ("rate", np.float32(0.1)), ("clip", np.inf), ("clip", np.float64(np.inf)),
     ("ema", 0.0), ("ema", np.nextafter(1.0, 0.0)), ("label_dropout", 1), ("classes", None), ("classes", 1), ("seed", 2**64 - 1)],
)  # fmt: skip
def test_ends_of_the_ranges_are_allowed(name, value):
    """T1: the ends of every range, in Python's numbers and in NumPy's."""
    assert getattr(Config(**{name: value}), name) == value
