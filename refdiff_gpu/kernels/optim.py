"""Kernels of the optimizer on flat buffers: `training.update` in one pass, and the norm for gradient clipping."""

from __future__ import annotations

from .kernel import Kernel

_ADAM = """
    T mean = g / batch * factor;
    T m_new = beta1 * m + one_minus_beta1 * mean;
    T v_new = beta2 * v + one_minus_beta2 * mean * mean;
    T theta_new = theta - rate * (m_new / bias_correction1 / (sqrt(v_new / bias_correction2) + eps) + weight_decay * theta);
    ema_out = ema_decay * ema + one_minus_ema_decay * theta_new;
    theta_out = theta_new;
    m_out = m_new;
    v_out = v_new;
"""

OPTIM = {
    "squared_norm": Kernel(
        "T g, T batch", "float64 squares", "T mean = g / batch; float64 term = float64(mean * mean);", post_map="squares = a"
    ),
    "clip_factor": Kernel(
        "float64 squares, float64 limit",
        "float64 factor",
        "float64 norm = sqrt(squares); factor = norm > limit ? limit / norm : float64(1);",
    ),
    "adam": Kernel(
        "T theta, T ema, T m, T v, T g, T batch, T factor, T beta1, T one_minus_beta1, T beta2, T one_minus_beta2, T bias_correction1, "
        "T bias_correction2, T eps, T rate, T weight_decay, T ema_decay, T one_minus_ema_decay",
        "T theta_out, T ema_out, T m_out, T v_out",
        _ADAM,
    ),
    "ema": Kernel("T ema, T theta, T decay, T one_minus_decay", "T ema_out", "ema_out = decay * ema + one_minus_decay * theta;"),
}
