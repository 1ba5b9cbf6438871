"""Kernels of the optimizer, over flat buffers of parameters: `training.update` in one pass, and the norm that clips it."""

from __future__ import annotations

from .kernel import Kernel

_ADAM = """
    T mean = g / batch * factor;
    T m_new = beta1 * m + rest1 * mean;
    T v_new = beta2 * v + rest2 * mean * mean;
    T theta_new = theta - rate * (m_new / debias1 / (sqrt(v_new / debias2) + eps) + decay * theta);
    average_out = keep * average + fresh * theta_new;
    theta_out = theta_new;
    m_out = m_new;
    v_out = v_new;
"""

OPTIM = {
    "squared_norm": Kernel(
        "T g, T batch", "float64 squares", "T mean = g / batch; float64 term = float64(mean * mean);", after="squares = a"
    ),
    "clip_factor": Kernel(
        "float64 squares, float64 limit",
        "float64 factor",
        "float64 norm = sqrt(squares); factor = norm > limit ? limit / norm : float64(1);",
    ),
    "adam": Kernel(
        "T theta, T average, T m, T v, T g, T batch, T factor, T beta1, T rest1, T beta2, T rest2, T debias1, T debias2, "
        "T eps, T rate, T decay, T keep, T fresh",
        "T theta_out, T average_out, T m_out, T v_out",
        _ADAM,
    ),
    "ema": Kernel("T average, T theta, T keep, T fresh", "T average_out", "average_out = keep * average + fresh * theta;"),
}
