"""Kernels of diffusion: noising, reading one prediction as another, and whole sampler steps with guidance inside.

Coefficients are made on the host in float64, and rounded once to the precision of x_t, as `refdiff.arrays.like` does. Every
operation stands in the order in which `refdiff` does it, so that the results are the same to the last bit.
"""

from __future__ import annotations

from .kernel import Kernel

# A prediction p: the network's answer, or its answers without and with the label, combined as in `guidance.classifier_free`.
_PREDICTIONS = {
    "": ("T prediction", "T p = prediction;"),
    "guided_": ("T unconditional, T conditional, T gamma", "T p = (T(1) - gamma) * unconditional + gamma * conditional;"),
}

# What p says of the data and of the noise, as in `predict.to_x0` and `predict.to_eps`; "score" is any multiple of eps, "v" any other kind.
_X0 = {
    "x0": ("", "T x0 = p;"),
    "any": (", T x0_x, T x0_p", "T x0 = x0_x * x_t - x0_p * p;"),
}
_EPS = {
    "eps": ("", "T eps = p;"),
    "score": (", T eps_b", "T eps = p / eps_b;"),
    "any": (", T eps_p, T eps_x", "T eps = eps_p * p - eps_x * x_t;"),
}
_BOTH = {
    "eps": ("any", "eps"),
    "x0": ("x0", "any"),
    "score": ("any", "score"),
    "v": ("any", "any"),
}


def _ddim() -> dict[str, Kernel]:
    """`samplers.ddim_step`: [guided_]ddim_<kind>[_noise]."""
    found = {}
    for guided, (answers, combine) in _PREDICTIONS.items():
        for kind, (x0, eps) in _BOTH.items():
            inputs = f"T x_t, {answers}{_X0[x0][0]}{_EPS[eps][0]}, T signal, T kept"
            body = f"{combine} {_X0[x0][1]} {_EPS[eps][1]} x_s = signal * x0 + kept * eps"
            found[f"{guided}ddim_{kind}"] = Kernel(inputs, "T x_s", f"{body};")
            found[f"{guided}ddim_{kind}_noise"] = Kernel(f"{inputs}, T noise, T deviation", "T x_s", f"{body} + deviation * noise;")
    return found


SAMPLERS = {
    "q_sample": Kernel("T x0, T noise, T signal, T sigma", "T x_t", "x_t = signal * x0 + sigma * noise;"),
    **_ddim(),
}
