"""Kernels of diffusion: the forward process, conversions between kinds of prediction, sampler steps with guidance.

Coefficients are computed on the host in float64, and rounded once to the precision of x_t, as `refdiff.arrays.like`
does. The operations are in the order of `refdiff`, so that the results agree to the last bit.
"""

from __future__ import annotations

from .kernel import Kernel

# A prediction p: the network's output, or its outputs without and with the label combined by classifier-free guidance.
_CLASSIFIER_FREE = "(T(1) - gamma) * unconditional + gamma * conditional"
_PREDICTIONS = {
    "": ("T prediction", "T p = prediction;"),
    "guided_": ("T unconditional, T conditional, T gamma", f"T p = {_CLASSIFIER_FREE};"),
}

# The data and the noise that p predicts, as in `predict.to_x0` and `predict.to_eps`: x0_x = b / D, x0_p = sigma / D,
# eps_p = signal / D, eps_x = a / D, and eps_b = b for a kind that is a multiple of eps.
_X0 = {
    "x0": ("", "T x0 = p;"),
    "any": (", T x0_x, T x0_p", "T x0 = x0_x * x_t - x0_p * p;"),
}
_EPS = {
    "eps": ("", "T eps = p;"),
    "score": (", T eps_b", "T eps = p / eps_b;"),
    "any": (", T eps_p, T eps_x", "T eps = eps_p * p - eps_x * x_t;"),
}
_DDIM_FORMS = {"eps": ("any", "eps"), "x0": ("x0", "any"), "score": ("any", "score"), "any": ("any", "any")}

# The velocity that p predicts, as in `predict.convert`.
_SLOPES = {
    "": ("", "T slope = p;"),
    "_score": (", T slope_p", "T slope = p * slope_p;"),
    "_any": (", T slope_x, T slope_p", "T slope = slope_x * x_t + slope_p * p;"),
}

_LEARNED_SIGMA = "sqrt(variance * exp(mix * log_ratio))"
_NOISE_TERMS = {
    "": ("", ""),
    "_noise": (", T noise, T deviation", " + deviation * noise"),
    "_learned": (", T noise, T mix, T variance, T log_ratio", f" + {_LEARNED_SIGMA} * noise"),
}


def _ddim() -> dict[str, Kernel]:
    """`samplers.ddim_step`: [guided_]ddim_(eps|x0|score|any)[_noise].

    Without noise also `samplers.ddim_inversion_step`.
    """
    kernels = {}
    for guided, (predictions, combine) in _PREDICTIONS.items():
        for kind, (x0, eps) in _DDIM_FORMS.items():
            for end, (more, noise) in list(_NOISE_TERMS.items())[:2]:
                inputs = f"T x_t, {predictions}{_X0[x0][0]}{_EPS[eps][0]}, T signal, T eps_scale{more}"
                body = f"{combine} {_X0[x0][1]} {_EPS[eps][1]} x_s = signal * x0 + eps_scale * eps{noise};"
                kernels[f"{guided}ddim_{kind}{end}"] = Kernel(inputs, "T x_s", body)
    return kernels


def _ddpm() -> dict[str, Kernel]:
    """`samplers.ddpm_step`: [guided_]ddpm_(x0|any)[_noise|_learned]; without noise it is the mean of `reverse.kernel`."""
    kernels = {}
    for guided, (predictions, combine) in _PREDICTIONS.items():
        for kind, (coefficients, x0) in _X0.items():
            for end, (more, noise) in _NOISE_TERMS.items():
                inputs = f"T x_t, {predictions}{coefficients}, T weight_x0, T weight_xt{more}"
                body = f"{combine} {x0} x_s = weight_x0 * x0 + weight_xt * x_t{noise};"
                kernels[f"{guided}ddpm_{kind}{end}"] = Kernel(inputs, "T x_s", body)
    return kernels


def _ode() -> dict[str, Kernel]:
    """`ode.euler_step`, and `ode.heun_step` in two kernels: [guided_](euler|heun_first|heun_last)[_score|_any]."""
    kernels = {}
    for guided, (predictions, combine) in _PREDICTIONS.items():
        for kind, (coefficients, slope) in _SLOPES.items():
            inputs, body = f"{predictions}{coefficients}", f"{combine} {slope}"
            step = f"T x_t, {inputs}, T h"
            if "slope_x" in coefficients:  # the second slope is that at the end of the first
                inputs += ", T x_s"
            last = f"{body.replace('x_t', 'x_s')} x_end = x_t + h * (slope_1 + slope) / T(2);"
            kernels[f"{guided}euler{kind}"] = Kernel(step, "T x_s", f"{body} x_s = x_t + h * slope;")
            kernels[f"{guided}heun_last{kind}"] = Kernel(f"T x_t, T slope_1, {inputs}, T h", "T x_end", last)
            if guided or kind:  # else the network's output is the slope
                first = f"{body} x_s = x_t + h * slope; slope_1 = slope;"
                kernels[f"{guided}heun_first{kind}"] = Kernel(step, "T slope_1, T x_s", first)
    return kernels


SAMPLERS = {
    "q_sample": Kernel("T x0, T noise, T signal, T sigma", "T x_t", "x_t = signal * x0 + sigma * noise;"),
    "q_sample_target": Kernel(
        "T x0, T noise, T signal, T sigma, T target_x0, T target_noise",
        "T x_t, T target",
        "T state = signal * x0 + sigma * noise; target = target_x0 * x0 + target_noise * noise; x_t = state;",
    ),
    "classifier_free": Kernel("T unconditional, T conditional, T gamma", "T guided", f"guided = {_CLASSIFIER_FREE};"),
    "classifier_score": Kernel("T score, T gradient, T gamma", "T guided", "guided = score + gamma * gradient;"),
    "classifier_eps": Kernel("T eps, T gradient, T scale", "T guided", "guided = eps - scale * gradient;"),
    "to_x0": Kernel("T x_t, T p, T x0_x, T x0_p", "T x0", "x0 = x0_x * x_t - x0_p * p;"),
    "to_eps": Kernel("T x_t, T p, T eps_p, T eps_x", "T eps", "eps = eps_p * p - eps_x * x_t;"),
    "to_eps_score": Kernel("T p, T eps_b", "T eps", "eps = p / eps_b;"),
    "convert": Kernel("T x_t, T p, T slope_x, T slope_p", "T converted", "converted = slope_x * x_t + slope_p * p;"),
    "convert_score": Kernel("T p, T slope_p", "T converted", "converted = p * slope_p;"),
    "tweedie_mean": Kernel("T x_t, T score, T variance, T signal", "T x0", "x0 = (x_t + variance * score) / signal;"),
    **_ddim(),
    **_ddpm(),
    **_ode(),
}
