"""Pictures of the ELBO, importance weighting and networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff import elbo as objective
from refdiff import gaussian, latent, layers, oracles, reverse, rng, schedules
from refdiff import unet as net
from refdiff.plots import COLORS, FAINT

from .canvas import INK, panels


def elbo() -> Any:
    """Left: the terms for data N(0, 1/4) and three models. Right: the weights of E6."""
    figure, (left, right) = panels(2)
    schedule = schedules.linear(T=100)
    grid, x0 = np.arange(100, -1, -1), rng.normal(1, 4000, (1,)) / 2
    noise = [rng.normal(0, len(x0), (1,), step=t) for t in grid[:-1]]
    exact = oracles.exact_reverse(np.zeros(1), np.full(1, 0.25), schedule)

    def predicting_zero(kind: str) -> Any:
        return lambda x_t, t, s: reverse.kernel(np.zeros_like(x_t), x_t, t, s, schedule, kind)

    models = {"exact": exact, r"predicts $x_0 = 0$": predicting_zero("x0"), r"predicts $\epsilon = 0$": predicting_zero("eps")}
    for (name, model), color in zip(models.items(), COLORS, strict=False):
        terms = objective.elbo_terms(x0, grid, schedule, model, noise, objective.squared_decoder).mean(axis=1)
        left.semilogy(grid[:-2], terms[1:-1], color=color, label=name)
    left.set(title=r"$L_{t-1}$, mean over data and noise, in nats", xlabel="t")
    left.legend()
    t = np.arange(2, 1001)
    full = schedules.linear()
    right.loglog(t, objective.weight_eps(t, t - 1, full), color=COLORS[0], label=r"of $\|\epsilon - \epsilon_\theta\|^2$")
    right.loglog(t, objective.weight_x0(t, t - 1, full), color=COLORS[1], label=r"of $\|x_0 - x_0^\theta\|^2$")
    right.set(title="weights of the squared error, T = 1000", xlabel="t")
    right.legend()
    for ax in (left, right):
        ax.minorticks_off()
    return figure


def importance() -> Any:
    """The importance-weighted bound (E2) over the number of samples, for a q that is too wide and shifted by 0.3."""
    model = latent.LinearGaussian(np.array([[1.0], [0.6]]), np.zeros(2), 0.3)
    x = np.array([[1.1, 0.4]])
    (mean, covariance), counts = model.posterior(x), 2 ** np.arange(7)
    spread = 1.8 * np.sqrt(covariance[0, 0])
    means = []
    for K in counts:
        runs = 2**17 // int(K)
        z = mean[0] + 0.3 + spread * rng.normal(3, int(K) * runs, (1,), step=int(K))
        rows = np.repeat(x, len(z), axis=0)
        log_q = gaussian.log_density(z, mean + 0.3, np.square(spread))
        joint = model.log_likelihood(rows, z) - (z[:, 0] ** 2 + np.log(2 * np.pi)) / 2
        means.append(latent.importance_weighted(joint.reshape(K, runs), log_q.reshape(K, runs)).mean())
    figure, (ax,) = panels(1, width=7, height=2.8)
    ax.axhline(model.log_marginal(x)[0], color=COLORS[2], label="log p(x)")
    ax.axhline(model.elbo(x, mean + 0.3, spread**2 * np.eye(1))[0], color=FAINT, linestyle=":", label="ELBO")
    ax.plot(counts, means, "o-", color=COLORS[0], label="importance weighted, mean over many runs")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="samples K", ylabel="nats", xticks=counts, xticklabels=[str(K) for K in counts])
    ax.legend(loc="center right")
    return figure


def features() -> Any:
    t = np.linspace(0, 1000, 400)
    figure, (ax,) = panels(1, width=7.5, height=2.8)
    values = layers.time_features(t, 32).T
    image = ax.imshow(values, aspect="auto", extent=(0, 1000, 31.5, -0.5), cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=ax, pad=0.01)
    ax.set(xlabel="t", yticks=(8, 24), yticklabels=("sines", "cosines"))
    return figure


def unet() -> Any:
    """Every layer of `unet.plan` as a box, a row lower for half the resolution, and an arrow for every skip connection."""
    params = net.init(0, multipliers=(1, 2, 2), attention=(2,))
    figure, (ax,) = panels(1, width=9.4, height=4.5)
    x, level, skips, width = 0.0, 0, [], 0
    shades = {
        "block": COLORS[0],
        "attention": COLORS[3],
        "conv": COLORS[5],
        "downsample": COLORS[1],
        "upsample": COLORS[1],
        "norm": FAINT,
        "silu": FAINT,
    }
    arrow = {"arrowstyle": "->", "color": COLORS[7], "linewidth": 0.9, "connectionstyle": "arc3,rad=-0.17"}
    for what, name in net.plan(params):
        if what == "save":
            skips.append((x - 0.5, level))
            continue
        if what == "concat":
            (start, at), end = skips.pop(), x + 0.5
            ax.annotate("", (end, 0.43 - level), (start, 0.43 - at), arrowprops=arrow)
            continue
        level += (what == "downsample") - (what == "upsample")
        width = _channels(params.get(name, {})) or width
        ax.add_patch(_box(x, -level, shades[what]))
        ax.text(x + 0.5, -level, f"{what} {width}", ha="center", va="center", fontsize=7.5, rotation=90, color=INK)
        x += 1
    for i in range(level + 3):
        ax.text(-0.4, -i, f"H/{2**i}" if i else "H", ha="right", va="center")
    ax.set(xlim=(-1.6, x + 0.2), ylim=(-2.5, 1.35))
    ax.axis("off")
    return figure


def _channels(p: Any) -> int:
    """The number of output channels of a layer with these parameters."""
    weights = p.get("conv2", p.get("attention", {}).get("out", p)).get("w")
    return 0 if weights is None else weights.shape[-1]


def _box(x: float, y: float, color: str) -> Any:
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch((x + 0.12, y - 0.4), 0.76, 0.8, boxstyle="round,pad=0.02", facecolor=color, alpha=0.35, edgecolor=color)
