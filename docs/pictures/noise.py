"""Pictures of schedules, the forward process, its posterior, and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff import data, gaussian, predict, rng
from refdiff import forward as q
from refdiff import schedules as make
from refdiff.plots import COLORS, FAINT, colors

from .canvas import INK, bare, panels


def schedules() -> Any:
    figure, (left, right) = panels(2)
    named = {"linear": make.linear(), "scaled linear": make.scaled_linear(), "cosine": make.cosine(), "sigmoid": make.sigmoid()}
    for (name, schedule), color in zip(named.items(), COLORS, strict=False):
        t = np.arange(schedule.T + 1)
        left.plot(t, schedule.alpha_bar, color=color, label=name)
        right.plot(t[1:], schedule.log_snr[1:], color=color)
    left.set(title=r"$\bar\alpha_t$", xlabel="t")
    right.set(title=r"$\log\,\mathrm{SNR}(t)$", xlabel="t", ylim=(-14, 11))
    right.axhline(0, color=FAINT, linewidth=0.8)
    left.legend()
    return figure


def grids() -> Any:
    figure, (ax,) = panels(1, height=2.0)
    for row, kind in enumerate(make.GRIDS):
        times = make.grid(kind, T=1000, S=10)
        ax.plot(times, np.full(len(times), row), "o", color=COLORS[row], markersize=5)
    ax.set(yticks=range(len(make.GRIDS)), yticklabels=make.GRIDS, xlabel="t", xlim=(1030, -30), ylim=(3.6, -0.6))
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return figure


def forward() -> Any:
    points, labels = data.load("two_moons", 900)
    noise, schedule = rng.normal(0, len(points), (2,)), make.linear()
    times = (0, 50, 200, 400, 1000)
    figure, axes = panels(len(times), height=2.1)
    for ax, t in zip(axes, times, strict=True):
        x_t = q.q_sample(points, t, schedule, noise)
        ax.scatter(*x_t.T, s=4, c=colors(labels), linewidths=0, alpha=0.8, rasterized=True)
        bare(ax, 3.2, f"t = {t}")
    return figure


def datasets() -> Any:
    """The six 2-D datasets, a colour for each label."""
    figure, axes = panels(3, rows=2, height=6.2)
    for ax, name in zip(axes.flat, data.DATASETS, strict=True):
        points, labels = data.load(name, 2000)
        ax.scatter(*points.T, s=4, c=colors(labels), linewidths=0, alpha=0.8, rasterized=True)
        bare(ax, 2.9, name)
    return figure


def posterior() -> Any:
    schedule, t, s, x = make.linear(), 200, 150, np.linspace(-1.9, 2.9, 400)
    x0, x_t = np.full((400, 1), 1.3), np.full((400, 1), -0.2)
    alpha, beta = schedule.transition(t, s)
    likelihood = np.full((400, 1), -0.2) / np.sqrt(alpha), beta / alpha
    curves = {
        rf"prior $q(x_{{{s}}} | x_0)$": q.q_marginal(x0, s, schedule),
        rf"likelihood $q(x_{{{t}}} | x_{{{s}}})$ as a function of $x_{{{s}}}$": likelihood,
        rf"posterior $q(x_{{{s}}} | x_{{{t}}}, x_0)$": q.posterior(x_t, x0, t, s, schedule),
    }
    figure, (ax,) = panels(1, height=2.9)
    for (name, (mean, variance)), color in zip(curves.items(), (COLORS[0], COLORS[1], COLORS[2]), strict=True):
        ax.plot(x, np.exp(gaussian.log_density(x[:, None], mean, variance)), color=color, label=name)
    for position, name in ((1.3, "$x_0$"), (-0.2, f"$x_{{{t}}}$")):
        ax.axvline(position, color=FAINT, linewidth=0.9, linestyle=":")
        ax.text(position, 0.02, f" {name}", color=INK)
    ax.set(xlabel=f"$x_{{{s}}}$", yticks=[], ylim=(0, None))
    ax.spines["left"].set_visible(False)
    ax.legend(loc="upper left")
    return figure


def variances() -> Any:
    figure, (ax,) = panels(1, width=7, height=2.8)
    for T, color in zip((20, 100, 1000), COLORS, strict=False):
        schedule, t = make.cosine(T), np.arange(2, T + 1)
        ax.plot(t / T, q.posterior_variance(t, t - 1, schedule) / schedule.beta[t], color=color, label=f"T = {T}")
    ax.set(xlabel="t / T", title=r"$\tilde\beta_t / \beta_t$", ylim=(0, 1.03), xlim=(0, 1))
    ax.legend()
    return figure


def predictions() -> Any:
    """The plane spanned by data and noise: x_t and v are orthogonal unit vectors."""
    schedule, t = make.cosine(), 400
    (signal, sigma), (a, b) = schedule.signal_sigma(t), predict.row("v", t, schedule)
    figure, (ax,) = panels(1, width=4.6, height=4.2)
    angle = np.linspace(0, np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color=FAINT, linewidth=1)
    arrows = {"$x_0$": ((1, 0), INK), r"$\epsilon$": ((0, 1), INK), "$x_t$": ((signal, sigma), COLORS[0]), "$v$": ((a, b), COLORS[1])}
    for name, ((x, y), color) in arrows.items():
        ax.annotate(
            "", (float(x), float(y)), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0}
        )
        ax.text(1.1 * x, 1.1 * y, name, color=color, ha="center", va="center", fontsize=13)
    ax.plot([0, signal, signal], [sigma, sigma, 0], color=COLORS[0], linewidth=0.9, linestyle=":")
    ax.set(xlim=(-1.15, 1.25), ylim=(-0.15, 1.25), aspect="equal", xticks=[], yticks=[])
    ax.axis("off")
    return figure
