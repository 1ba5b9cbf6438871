"""Content of the demo's pictures, as arrays: noised data, scores, velocities, trajectories, samples and animation frames."""

from __future__ import annotations

import numpy as np

from .. import rng
from ..arrays import Array
from ..objectives import flow
from ..process import forward, predict
from .experiment import Dataset, Method, Models, Trajectories
from .plots import Curve, DemoFigure, Panel
from .scores import MAX_RATIO, Score

SHOWN = 1500  # points per panel
FORWARD = r"Forward process:  $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$"
FIELDS = (
    r"score  $\nabla \log p_t(x) = -\epsilon(x, t) / \sqrt{1 - \bar\alpha_t}$  and velocity  $dx/dt = u(x, t)$"
    "   (arrow length: square root of the magnitude)"
)
REVERSE = "Reverse process: every sampler starts from the same noise; colour: the label that a sample is conditioned on"
DISTANCE = r"energy distance  $2 E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|$,  and the effect of guidance"
LOSS = r"training loss  $\|f_\theta(x_t, t) - \mathrm{target}\|^2$"
LEARNED = (FORWARD, f"Learned {FIELDS}", REVERSE, f"Measured: {LOSS},  {DISTANCE}")
EXACT = (FORWARD, f"Exact {FIELDS}", REVERSE, f"Measured: order of convergence,  {DISTANCE}")


def build(
    title: str,
    dataset: Dataset,
    models: Models,
    methods: list[Method],
    trajectories: Trajectories,
    scores: list[Score],
    orders: list[Curve],
) -> DemoFigure:
    """The demo's figure, with orders of convergence in place of losses if there are any. scores[1:] belong to the methods."""
    points, labels, side = dataset.points[:SHOWN], dataset.labels[:SHOWN], limit(dataset)
    shown = _evenly_spaced(len(dataset.sample_labels), SHOWN)

    def samples(method: Method, remark: str) -> Panel:
        name = method.name.split(", guidance")[0]
        return Panel(f"{name}\n{remark}", trajectories[method.name][-1][shown], dataset.sample_labels[shown])

    unguided = [(method, score) for method, score in zip(methods, scores[1:], strict=False) if method.role != "guided"]
    return DemoFigure(
        title=title,
        captions=EXACT if orders else LEARNED,
        schedule=models.schedule,
        forward=_noised(points, labels, models),
        fields=_fields(points, labels, models, side, dataset.sample_labels, trajectories),
        samples=[
            Panel("data\ncolour: label", points, labels),
            *(samples(method, f"{score.ratio:.1f} × the noise floor") for method, score in unguided),
        ],
        curves=orders or [Curve(name, *_running_mean(losses)) for name, losses in models.losses.items()],
        converging=bool(orders),
        distances=[(score.name, score.ratio) for score in scores[1:] if "guidance" not in score.name],
        max_ratio=MAX_RATIO,
        guided=[samples(method, f"guidance scale {method.gamma:g}") for method in methods if method.role == "guided"],
        limit=side,
    )


def limit(dataset: Dataset) -> float:
    """Half the side of the panels, which contain all of the data and nearly all of the noise."""
    return float(max(np.abs(dataset.points[:SHOWN]).max() + 0.2, 2.6))


def frames(dataset: Dataset, models: Models, grid: Array, ddpm: list[Array], heun: list[Array]) -> list[list[Panel]]:
    """Frames of the animation: DDPM beside the flow at the same signal-to-noise ratio, found by the flow time (M5)."""
    times = flow.flow_time(models.schedule.log_snr[grid])  # rising to 1
    shown = _evenly_spaced(len(dataset.sample_labels), SHOWN)
    labels, last = dataset.sample_labels[shown], len(heun) - 1
    result = []
    for k, state in enumerate(heun):
        i = int(np.argmin(np.abs(times - k / last)))
        diffusion = Panel(f"diffusion (DDPM), t = {grid[i]}", ddpm[i][shown], labels)
        result.append([diffusion, Panel(f"flow (Heun), t = {k / last:.2f}", state[shown], labels)])
    return result


def _noised(points: Array, labels: Array, models: Models) -> list[Panel]:
    """The forward process at four times."""
    T, noise = models.schedule.T, rng.normal(0, len(points), (2,))
    titles = {0: "data, t = 0", T // 10: f"t = {T // 10}", T // 4: f"t = {T // 4}", T: f"almost pure noise, t = {T}"}
    return [Panel(title, forward.q_sample(points, t, models.schedule, noise), labels) for t, title in titles.items()]


def _fields(points: Array, labels: Array, models: Models, side: float, sample_labels: Array, trajectories: Trajectories) -> list[Panel]:
    """The score at two times and DDIM's trajectories; the velocity at two times and Heun's trajectories."""
    T, noise = models.schedule.T, rng.normal(0, len(points), (2,))
    ticks = np.linspace(-0.92 * side, 0.92 * side, 15)
    positions = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype(np.float32)
    some = _evenly_spaced(len(sample_labels), 48)

    def score(t: int) -> Panel:
        vectors = predict.convert(models.eps(positions, t), positions, t, models.schedule, "eps", "score")
        return Panel(f"score at t = {t}", forward.q_sample(points, t, models.schedule, noise), labels, (positions, vectors))

    def velocity(t: float) -> Panel:
        field = (positions, models.velocity(positions, t))
        return Panel(f"velocity at flow time {t}", flow.interpolate(points, noise, t), labels, field)

    def paths(title: str, name: str) -> Panel:
        return Panel(title, points, labels, trajectories=(np.stack(trajectories[name])[:, some], sample_labels[some]))

    ddim, heun = paths("DDIM, 50 steps: trajectories", "DDIM, 50 steps"), paths("Heun, 10 steps: trajectories", "flow, Heun, 10 steps")
    return [score(T // 10), score(T // 40), ddim, velocity(0.5), velocity(0.8), heun]


def _evenly_spaced(count: int, wanted: int) -> Array:
    """Evenly spaced indices 0..count - 1, at most `wanted` of them."""
    return np.linspace(0, count - 1, min(count, wanted)).astype(int)


def _running_mean(losses: Array) -> tuple[Array, Array]:
    """The last step of each window, and the mean of the losses in it; a window is 1/40 of the losses."""
    width = max(1, len(losses) // 40)
    sums = np.cumsum(np.insert(losses, 0, 0.0))
    return np.arange(width, len(losses) + 1), (sums[width:] - sums[:-width]) / width
