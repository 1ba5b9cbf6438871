"""What the demo's pictures show, as arrays: noised data, learned fields, paths, samples, and the frames of noise becoming data."""

from __future__ import annotations

import numpy as np

from .. import rng
from ..arrays import Array
from ..objectives import flow
from ..process import forward, predict
from .experiment import Data, Method, Models, States
from .plots import Curve, Panel, Story
from .scores import BOUND, Score

SHOWN = 1500  # points per panel
FORWARD = r"Forward: noise is added,  $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$"
FIELDS = r"$\nabla \log p_t(x) = -\epsilon(x, t) / \sqrt{1 - \bar\alpha_t}$  and the velocity  $dx/dt = u(x, t)$   (an arrow is as long as the root of its vector)"
BACKWARD = "Backward: every sampler starts from the same noise, and each point is asked for the label of its colour"
DISTANCE = r"the energy distance  $2 E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|$,  and what guidance does"
LEARNED = (
    FORWARD,
    f"What was learned: the score  {FIELDS}",
    BACKWARD,
    rf"Measured: the loss  $\|p_\theta(x_t, t) - target\|^2$,  {DISTANCE}",
)
EXACT = (FORWARD, f"What is exact: the score  {FIELDS}", BACKWARD, f"Measured: the order of convergence,  {DISTANCE}")


def tell(title: str, known: Data, models: Models, chosen: list[Method], states: States, scores: list[Score], orders: list[Curve]) -> Story:
    """The whole picture; with orders of convergence in place of losses where there are some. scores[1:] belong to the chosen methods."""
    points, labels, side = known.points[:SHOWN], known.labels[:SHOWN], limit(known)
    shown = _every(len(known.asked), SHOWN)

    def samples(method: Method, remark: str) -> Panel:
        name = method.name.split(", guidance")[0]
        return Panel(f"{name}\n{remark}", states[method.name][-1][shown], known.asked[shown])

    judged = list(zip(chosen, scores[1:], strict=False))
    plain = [samples(method, f"{score.multiple:.1f} floors from fresh data") for method, score in judged if method.role != "guided"]
    guided = [samples(method, f"sharpened by guidance {method.gamma:g}") for method in chosen if method.role == "guided"]
    return Story(
        title=title,
        captions=EXACT if orders else LEARNED,
        schedule=models.schedule,
        forward=_noised(points, labels, models),
        fields=_fields(points, labels, models, side, {method.name: (states[method.name], known.asked) for method in chosen}),
        samples=[Panel("real data\ncoloured by label", points, labels), *plain],
        curves=orders or [Curve(name, *_smooth(losses)) for name, losses in models.losses.items()],
        converging=bool(orders),
        distances=[(score.name, score.multiple) for score in scores[1:] if "guidance" not in score.name],
        bound=BOUND,
        guided=guided,
        limit=side,
    )


def limit(known: Data) -> float:
    """Half the side of the squares: all of the data and nearly all of the noise."""
    return float(max(np.abs(known.points[:SHOWN]).max() + 0.2, 2.6))


def frames(known: Data, models: Models, grid: Array, ddpm: list[Array], heun: list[Array]) -> list[list[Panel]]:
    """DDPM on its grid beside the flow, each pair at the same ratio of signal to noise: M5 maps the schedule to flow time."""
    times = flow.flow_time(models.schedule.log_snr[grid])  # rising to 1
    shown = _every(len(known.asked), SHOWN)
    labels, last = known.asked[shown], len(heun) - 1
    result = []
    for k, state in enumerate(heun):
        i = int(np.argmin(np.abs(times - k / last)))
        diffusion = Panel(f"diffusion (DDPM), t = {grid[i]}", ddpm[i][shown], labels)
        result.append([diffusion, Panel(f"flow (Heun), t = {k / last:.2f}", state[shown], labels)])
    return result


def _noised(points: Array, labels: Array, models: Models) -> list[Panel]:
    """The forward process at four times."""
    T, noise = models.schedule.T, rng.normal(0, len(points), (2,))
    titles = {0: "the data, t = 0", T // 10: f"noised, t = {T // 10}", T // 4: f"noised, t = {T // 4}", T: f"nearly pure noise, t = {T}"}
    return [Panel(title, forward.q_sample(points, t, models.schedule, noise), labels) for t, title in titles.items()]


def _fields(points: Array, labels: Array, models: Models, side: float, runs: dict[str, tuple[list[Array], Array]]) -> list[Panel]:
    """The score at two times and DDIM's paths; the velocity at two times and the flow's paths."""
    T, noise = models.schedule.T, rng.normal(0, len(points), (2,))
    ticks = np.linspace(-0.92 * side, 0.92 * side, 15)
    places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype(np.float32)

    def score(t: int) -> Panel:
        arrows = predict.convert(models.eps(places, t), places, t, models.schedule, "eps", "score")
        return Panel(f"score at t = {t}", forward.q_sample(points, t, models.schedule, noise), labels, (places, arrows))

    def velocity(t: float) -> Panel:
        return Panel(f"velocity at flow time {t}", flow.interpolate(points, noise, t), labels, (places, models.velocity(places, t)))

    def paths(name: str) -> Panel:
        states, asked = runs[name]
        some = _every(len(asked), 48)
        return Panel(f"paths of {name.replace('flow, ', '')}", points, labels, paths=(np.stack(states)[:, some], asked[some]))

    ddim, heun = "DDIM, 50 steps", "flow, Heun, 10 steps"
    return [score(T // 10), score(T // 40), paths(ddim), velocity(0.5), velocity(0.8), paths(heun)]


def _every(count: int, wanted: int) -> Array:
    """Evenly spaced indices, at most as many as wanted."""
    return np.linspace(0, count - 1, min(count, wanted)).astype(int)


def _smooth(losses: Array) -> tuple[Array, Array]:
    """Running means of losses, with the steps where they end."""
    width = max(1, len(losses) // 40)
    sums = np.cumsum(np.insert(losses, 0, 0.0))
    return np.arange(width, len(losses) + 1), (sums[width:] - sums[:-width]) / width
