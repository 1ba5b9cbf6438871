"""Hypothesis profiles: ci (the default, the same examples every time), dev (new ones every time), nightly (many), and mutation (few,
without shrinking). HYPOTHESIS_PROFILE selects one. mpmath computes with 50 digits. BLAS uses one thread: tests run on all
cores already."""

import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported

import mpmath
from hypothesis import HealthCheck, Phase, settings

common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("dev", max_examples=40, **common)
settings.register_profile("ci", max_examples=30, derandomize=True, print_blob=True, **common)
settings.register_profile("nightly", max_examples=3000, **common)
settings.register_profile("mutation", max_examples=12, derandomize=True, phases=[Phase.explicit, Phase.generate], database=None, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
mpmath.mp.dps = 50
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that runs the tests in the background has switched Ctrl-C off
    signal.signal(signal.SIGINT, signal.default_int_handler)
