"""Known departures measured in diffusers 0.42.1 and smalldiffusion 0.5.0; docs/departures.md describes them."""

from typing import Any

from . import departures

_LINSPACE = "1 + half_up((i - 1) * (T - 1), S - 1) if S > 1 else np.array([T])"
_FIXED = "tilde if variance == 'posterior' else beta"
_TILDE = "(1 - ab[s]) / (1 - ab[t]) * beta"

KNOWN: dict[str, tuple[str, Any]] = {
    "linspace-without-its-end": (
        "linspace takes S + 1 points and leaves out the lowest, so the last step to 0 is larger [D4]",
        [("grid", _LINSPACE, "1 + np.round(i * ((T - 1) / S)).astype(int)")],
    ),
    "leading-without-its-end": (
        "leading divides by S + 1 and leaves out the lowest time [D4]",
        [("grid", "1 + (i - 1) * (T // S)", "1 + i * (T // (S + 1))")],
    ),
    "linspace-not-rounded": (
        "linspace times are fractions, and a single step starts at 1, not at T [D4, D13]",
        [("grid", _LINSPACE, "1 + (i - 1) * (T - 1) / max(S - 1, 1)")],
    ),
    "linspace-of-one-step": (
        "a linspace grid of one step starts at 1, not at T; halves are rounded to even [D13]",
        [("grid", _LINSPACE, "1 + np.round(np.linspace(0, T - 1, S))[::-1].astype(int)")],
    ),
    "trailing-ends-at-1": (
        "the last time of a trailing grid is 1, not 0 [D7]",
        [
            ("grid", "np.append(times, 0)", "np.append(times, 1)"),
            ("grid", "half_up(i * T, S)", "np.round(T * (1 - np.arange(S) / S)).astype(int)"),
        ],
    ),
    "walk-ends-at-1": (
        "the last step goes to t = 1, not to 0 [D7]",
        [("ddim_sample", "grid[i + 1]", "max(grid[i + 1], 1)"), ("ddpm_sample", "grid[i + 1]", "max(grid[i + 1], 1)")],
    ),
    "final-alpha-bar-not-1": (
        "alpha_bar_1 stands for alpha_bar_0 = 1 on the last step, in its variance too [D7]",
        [
            ("ddim_step", "ab[s]", "ab[np.maximum(s, 1)]"),
            ("ddim_step", "posterior_variance(t, s, betas)", "posterior_variance(t, np.maximum(s, 1), betas)"),
        ],
    ),
    "noise-unless-from-1": (
        "the last step adds noise unless it starts at t = 1",
        [("ddpm_step", "s == 0", "t == 1"), ("posterior_variance", _TILDE, f"np.maximum({_TILDE}, 1 / 10**20)")],
    ),
    "root-of-log-beta": (
        "the noise is multiplied by the square root of the logarithm of beta, which is NaN [D23]",
        [("ddpm_step", "s == 0", "t == 1"), ("model_variance", _FIXED, "tilde if variance == 'posterior' else log(beta)")],
    ),
    "walk-ends-in-euler": (
        "the last step of a Heun trajectory is an Euler step",
        [
            (
                "ode_sample",
                "step(f, states[-1], times[i], times[i + 1])",
                "(step if i < len(times) - 2 else euler_step)(f, states[-1], times[i], times[i + 1])",
            )
        ],
    ),
    "x0-by-way-of-eps": (
        "x0 is computed from eps for every kind of prediction: 0 / 0 where alpha_bar is 0",
        [
            (
                "ddim_step",
                "to_x0(prediction, x_t, t, betas, kind)",
                "(x_t - sqrt(1 - alpha_bar(betas)[t]) * to_eps(prediction, x_t, t, betas, kind)) / sqrt(alpha_bar(betas)[t])",
            )
        ],
    ),
    "log-linear-sigmas": (
        "noise levels are equally spaced in log sigma, regardless of the times, and stop at t = 1 [D10]",
        ("ddim_sample", departures.ddim_sample_log_linear),
    ),
    "average-warms-up": (
        "the EMA decay is 0 at first, then min(decay, k / (9 + k)) for update k",
        [
            (
                "ema",
                "decay * average + (1 - decay) * each",
                "each + (min(decay, (1 + len(averages)) / (10 + len(averages))) if averages else 0) * (average - each)",
            )
        ],
    ),
}
