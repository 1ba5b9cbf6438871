"""What the demo's pictures show, as arrays: noised data, learned fields, paths, samples, and the frames of noise becoming data."""

from __future__ import annotations

import numpy as np

from . import flow, forward, predict, rng
from .arrays import Array, Model
from .contest import BOUND, Data, Method, Models, Score, States
from .plots import Curve, Panel, Story

SHOWN = 1500  # points per panel
PATHS = 40  # paths per panel


def tell(
    title: str, known: Data, models: Models, chosen: list[Method], states: States, scores: list[Score], orders: list[Curve] | None = None
) -> Story:
    """The whole picture; with orders of convergence in place of losses where they are given."""
    points, labels = known.points[:SHOWN], known.labels[:SHOWN]
    scored = list(zip(chosen, scores[1:], strict=False))
    return Story(
        title=title,
        schedule=models.schedule,
        forward=_noised(points, labels, models),
        fields=_fields(points, labels, models, known.asked, states, chosen),
        samples=[
            Panel("real data\ncoloured by label", points, labels),
            *(
                _samples(f"{method.name}\n{score.multiple:.1f} floors from fresh data", method, known, states)
                for method, score in scored
                if method.gamma == 1
            ),
        ],
        curves=orders or [Curve(name, *_smooth(losses)) for name, losses in models.losses.items()],
        converging=orders is not None,
        bars=[(row.name, row.multiple) for row in scores if "guidance" not in row.name],
        bound=BOUND,
        guided=[
            _samples(method.name.replace(", guidance", "\nsharpened by guidance"), method, known, states)
            for method in chosen
            if method.gamma != 1
        ],
        limit=limit(known),
    )


def limit(known: Data) -> float:
    """Half the side of the squares: all of the data and nearly all of the noise."""
    return float(max(np.abs(known.points[:SHOWN]).max() + 0.2, 2.6))


def frames(known: Data, models: Models, ddpm: list[Array], heun: list[Array]) -> list[list[Panel]]:
    """Diffusion beside flow, each pair at the same ratio of signal to noise: M5 maps the schedule to flow time."""
    times = flow.flow_time(models.schedule.log_snr)  # of t = 0..T, falling from 1
    pick = _spread(len(known.asked), SHOWN)
    labels, last = known.asked[pick], len(heun) - 1
    result = []
    for k, state in enumerate(heun):
        t = int(np.argmin(np.abs(times - k / last)))
        diffusion = Panel(f"diffusion (DDPM), t = {t}", ddpm[models.schedule.T - t][pick], labels)
        result.append([diffusion, Panel(f"flow (Heun), t = {k / last:.2f}", state[pick], labels)])
    return result


def _noised(points: Array, labels: Array, models: Models) -> list[Panel]:
    """The forward process at four times."""
    T = models.schedule.T
    noise = rng.normal(0, len(points), (2,))
    titles = ["the data, t = 0", *(rf"noised, $t = {t}$" for t in (T // 10, T // 4)), f"nearly pure noise, t = {T}"]
    return [
        Panel(title, forward.q_sample(points, t, models.schedule, noise), labels)
        for title, t in zip(titles, (0, T // 10, T // 4, T), strict=True)
    ]


def _fields(points: Array, labels: Array, models: Models, asked: Array, states: States, chosen: list[Method]) -> list[Panel]:
    """Score at two times and paths of DDIM; velocity at two times and paths of the flow."""
    T, noise = models.schedule.T, rng.normal(0, len(points), (2,))
    places = _places(limit_points=points)

    def score(t: int) -> Panel:
        arrows = predict.convert(models.eps(places, t), places, t, models.schedule, "eps", "score")
        return Panel(
            rf"score $\nabla\,\log\,p_t(x)$ at $t = {t}$", forward.q_sample(points, t, models.schedule, noise), labels, (places, arrows)
        )

    def velocity(t: float) -> Panel:
        return Panel(
            rf"velocity $u_t(x)$ at flow time $t = {t}$",
            flow.interpolate(points, noise, t),
            labels,
            (places, models.velocity(places, np.float64(t))),
        )

    ddim, heun = (_paths(title, method, asked, states) for title, method in (("paths of DDIM, 50 steps", chosen[1]), ("paths of the flow, Heun", chosen[4])))
    return [score(T // 4), score(T // 10), ddim, velocity(0.3), velocity(0.7), heun]
