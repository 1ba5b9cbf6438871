"""Conventions: choices that the equations leave open, with the answers that other implementations give, all of them right.

An implementation may make any of the choices of a row, and choices of several rows together.
"""

# ruff: noqa: F821  (the functions are bound to the globals of the formulas)
# mypy: ignore-errors

from __future__ import annotations

from . import departures

Choice = tuple[str, tuple[tuple[str, str, str], ...]]  # as in `layers`: what is different; (function, expression, what stands there), ...

_FEATURES = "np.concatenate([sin(angles), cos(angles)], axis=1)"
_HALVES = "np.split(linear_layer(emb, w, b), 2, axis=1)"
_EPS = "like(1, variance) / 100000"

ROWS: tuple[tuple[Choice, ...], ...] = (
    (
        ("the cosines come first", (("time_features", _FEATURES, "np.concatenate([cos(angles), sin(angles)], axis=1)"),)),
        (
            "sines and cosines take turns over the features",
            (("time_features", _FEATURES, "np.stack([sin(angles), cos(angles)], axis=-1).reshape(len(t), -1)"),),
        ),
    ),
    (("the frequencies are 10000^(-i / half)", (("time_features", "features // 2 - 1", "features // 2"),)),),
    tuple((f"epsilon is 1e-{digits}", (("centred_and_spread", _EPS, f"like(1, variance) / {10**digits}"),)) for digits in (6, 3, 8, 12)),
    (
        (
            "the scale stands without the 1",
            (
                ("film", "1 + over_places(scale, x)", "over_places(scale, x)"),
                ("film_vjp", "1 + over_places(scale, x)", "over_places(scale, x)"),
            ),
        ),
    ),
    (
        (
            "the first half is the shift, the second half the scale",
            (
                ("adaptive_group_norm", _HALVES, f"{_HALVES}[::-1]"),
                ("adaptive_group_norm_vjp", _HALVES, f"{_HALVES}[::-1]"),
                (
                    "adaptive_group_norm_vjp",
                    "np.concatenate([dscale, dshift], axis=1)",
                    "np.concatenate([dshift, dscale], axis=1)",
                ),
            ),
        ),
    ),
    (("the norm grows by 1e-6 before the division", (("clip_by_norm", "limit / norm if norm > limit else norm ** 0", "np.minimum(1, limit / (norm + 1e-6))"),)),),
    (("the standard deviation has the divisor n - 1", (("mean_and_std", "sqrt(((scores - mean) ** 2).sum() / len(scores))", "sqrt(((scores - mean) ** 2).sum() / max(len(scores) - 1, 1))"),)),),
    (("steps are counted from 0", (("learning_rate", "peak * step / warmup", "peak * (step - 1) / warmup"), ("learning_rate", "min(step, total)", "min(step - 1, total)"))),),
    (
        (
            "eps is the one before x0 was clipped",
            (
                ("ddim_step", "clip_x0(prediction, x_t, t, betas, kind, clip)", "prediction"),
                ("ddim_step", "to_x0(prediction, x_t, t, betas, kind)", "np.clip(to_x0(prediction, x_t, t, betas, kind), -(clip or np.inf), clip or np.inf)"),
            ),
        ),
    ),
    (
        (
            "betas are not scaled by 1000 / T",
            (
                ("linear", "1000 * (beta_start + (t - 1) * (beta_end - beta_start) / max(T - 1, 1)) / T", "beta_start + (t - 1) * (beta_end - beta_start) / max(T - 1, 1)"),
                ("quadratic", "1000 * root ** 2 / T", "root ** 2"),
            ),
        ),
    ),
    (
        (
            "the last steps use fewer predictions, the very last one only one",
            (("dpmpp_sample", "x0[:1] if sigma[i + 1] == 0 else x0", "x0[:len(sigma) - 1 - i]"),),
        ),
        ("the last step uses one prediction", (("dpmpp_sample", "x0[:1] if sigma[i + 1] == 0 else x0", "x0[:1] if i == len(sigma) - 2 else x0"),)),
    ),
    (
        ("two predictions are used by taylor", (("dpmpp_sample", "'midpoint'", "'taylor'"),)),
    ),
    (
        ("the step size h is twice refdiff's: x + h / 2 score + sqrt(h) noise, as in NCSN", (("ula_step", "h * score", "h / 2 * score"), ("ula_step", "sqrt(2 * h)", "sqrt(h)"))),
    ),
)  # fmt: skip


def ema(params, decay):
    """ema: the first average is the first parameters."""
    averages = [params[0]]
    for each in params[1:]:
        averages.append(decay * averages[-1] + (1 - decay) * each)
    return np.stack(averages)


WHOLE = {  # an operation, the text, and its formula in this convention
    "ema": ("the average starts at the first parameters", ema),
    "grid": ("times are rounded to even, as numpy.round does", departures.grid_rounded_to_even),
}
