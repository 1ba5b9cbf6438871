"""Pictures of errors: a quantity as one would write it against the form that refdiff takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff.arrays import Array
from refdiff.demo.plots import COLORS

from ..build.accuracy import measure
from ..build.yardstick import Measured
from .canvas import INK, panels

NAIVE, OURS = COLORS[1], COLORS[0]
OVER_T = {
    "lost": r"$1 - \bar\alpha_t$",
    "variance": r"$\tilde\beta_t$",
    "weight": r"$(\mathrm{SNR}(t-1) - \mathrm{SNR}(t)) / 2$",
    "log_snr": r"$\log\,\mathrm{SNR}(t)$",
    "ddim_root": "the root in DDIM, s = 1",
    "narrow": r"$\sqrt{1 - \bar\alpha_t}$ in float32",
}


def errors() -> Any:
    """Six tables over t; a line passes through the largest error of every ten times."""
    figure, axes = panels(3, height=5.2, rows=2)
    for ax, (name, title) in zip(axes.flat, OVER_T.items(), strict=True):
        found = measure(name)
        _lines(ax, found, 10)
        ax.set(title=title, xlabel="t")
    axes[0, 0].legend(["as one would write it", "as refdiff does", "what the tests allow"], fontsize=8)
    return figure


def cancellation() -> Any:
    """Errors over what makes the terms nearly equal."""
    figure, axes = panels(4, height=2.9)
    titles = {"divergence": "divergence", "pixel": "log-probability of a pixel", "arc": "slerp", "cosine_betas": "β, cosine schedule"}
    labels = "log of the variances' ratio", "distance from the mean, in σ", "π − angle", "t"
    for ax, (name, title), label in zip(axes, titles.items(), labels, strict=True):
        _lines(ax, measure(name), 10 if name == "cosine_betas" else 1)
        ax.set(title=title, xlabel=label, xscale="log" if name in ("divergence", "arc") else "linear")
        ax.minorticks_off()
    for ax in axes[1:3]:
        ax.set_ylabel("")  # as on their left
    axes[1].axvline(8.3, color=NAIVE, linewidth=0.9, linestyle=":")
    axes[1].text(8.0, 0.97, "−∞ beyond ", color=NAIVE, fontsize=8, ha="right", va="top", transform=axes[1].get_xaxis_transform())
    return figure


def _lines(ax: Any, found: Measured, width: int) -> None:
    for each, color in zip(found.errors, (NAIVE, OURS), strict=True):
        ax.plot(found.x[::width], _largest(each, width), color=color, linewidth=1.2)
    ax.axhline(found.bound, color=INK, linewidth=0.8, linestyle="--")
    ax.set(yscale="log", ylabel=f"error, {found.unit}")
    ax.minorticks_off()


def _largest(values: Array, width: int) -> Array:
    """The largest of every few; what is no number, and what is exact, is left out."""
    parts = [values[i : i + width].max() for i in range(0, len(values), width)]
    return np.array([part if np.isfinite(part) and part > 0 else np.nan for part in parts])
