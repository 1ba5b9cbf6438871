"""Pictures of errors: the naive formula of a quantity against refdiff's."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff.arrays import Array
from refdiff.plots import COLORS

from ..build.accuracy import measure
from ..build.measurement import Measurement
from .canvas import INK, panels

NAIVE, OURS = COLORS[1], COLORS[0]
OVER_T = {
    "one_minus_alpha_bar": r"$1 - \bar\alpha_t$",
    "posterior_variance": r"$\tilde\beta_t$",
    "weight_x0": r"$(\mathrm{SNR}(t-1) - \mathrm{SNR}(t)) / 2$",
    "log_snr": r"$\log\,\mathrm{SNR}(t)$",
    "ddim_root": "the root in DDIM, s = 1",
    "sigma_float32": r"$\sqrt{1 - \bar\alpha_t}$ in float32",
}


def errors() -> Any:
    """Errors of six quantities over t; a line passes through the largest error of every ten times."""
    figure, axes = panels(3, height=5.2, rows=2)
    for ax, (name, title) in zip(axes.flat, OVER_T.items(), strict=True):
        found = measure(name)
        _lines(ax, found, 10)
        ax.set(title=title, xlabel="t")
    axes[0, 0].legend(["naive formula", "refdiff", "tolerance of the tests"], fontsize=8)
    return figure


def cancellation() -> Any:
    """Errors over the variable that decides how nearly equal the subtracted terms are."""
    figure, axes = panels(4, height=2.9)
    titles = {
        "kl": "KL divergence",
        "discretized_likelihood": "log-likelihood of a pixel",
        "slerp": "slerp",
        "cosine_betas": "β, cosine schedule",
    }
    labels = "log ratio of the variances", "distance from the mean, in σ", "π − angle", "t"
    for ax, (name, title), label in zip(axes, titles.items(), labels, strict=True):
        _lines(ax, measure(name), 10 if name == "cosine_betas" else 1)
        ax.set(title=title, xlabel=label, xscale="log" if name in ("kl", "slerp") else "linear")
        ax.minorticks_off()
    for ax in axes[1:3]:
        ax.set_ylabel("")  # the same as in the panel on their left
    axes[1].axvline(8.3, color=NAIVE, linewidth=0.9, linestyle=":")
    axes[1].text(8.0, 0.97, "−∞ beyond ", color=NAIVE, fontsize=8, ha="right", va="top", transform=axes[1].get_xaxis_transform())
    return figure


def _lines(ax: Any, found: Measurement, width: int) -> None:
    for each, color in zip(found.errors, (NAIVE, OURS), strict=True):
        ax.plot(found.x[::width], _largest(each, width), color=color, linewidth=1.2)
    ax.axhline(found.tolerance, color=INK, linewidth=0.8, linestyle="--")
    ax.set(yscale="log", ylabel=f"error, {found.unit}")
    ax.minorticks_off()


def _largest(values: Array, width: int) -> Array:
    """The largest of every `width` values; nan where it is 0 or not finite."""
    parts = [values[i : i + width].max() for i in range(0, len(values), width)]
    return np.array([part if np.isfinite(part) and part > 0 else np.nan for part in parts])
