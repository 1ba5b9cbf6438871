"""`refdiff demo`: runs the contest, with networks or with exact models, prints its tables and writes its pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..data import toy2d as data
from ..sampling import samplers
from . import exact as oracle_demo
from . import experiment as contest
from . import figure as story
from . import plots
from . import scores as judging
from .experiment import Data, Method, Models, Settings, States
from .scores import Score

LEGEND = "Energy distance, label by label, averaged; the floor is fresh data against fresh data, of as many points."


def run(settings: Settings, out: Path, animate: bool = True, where: Any = contest, place: str = "in plain NumPy") -> int:
    """Learn, draw, judge; 0, or 1 if a good sampler stayed too far from the data. Writes demo.png and demo.gif into out.

    `where` learns and draws: `refdiff.contest`, or `refdiff_gpu.contest` with arrays on a device.
    """
    began = perf_counter()
    print(f"{_name(settings)}, seed {settings.seed}: a diffusion learns the noise and a flow the velocity, {settings.steps} steps each.")
    known = contest.gather(data.DATASETS[settings.dataset], settings)
    models = where.learn(known, settings)
    chosen, states, scores = _compete(known, models, settings, where)
    title = f"{_name(settings)}, learned by a diffusion and by a flow, {place}{' (--quick: hardly trained)' if settings.quick else ''}"
    picture = story.tell(title, known, models, chosen, states, scores, [])
    _save(picture, known, models, chosen, states, settings, out / "demo", animate, where)
    return _close(judging.failed(scores), began)


def run_oracle(settings: Settings, out: Path, animate: bool = True) -> int:
    """The same with exact models, and every sampler's order; 0, or 1 if anything is off. Writes oracle.png and oracle.gif into out."""
    began = perf_counter()
    print(f"{_name(settings)} as a Gaussian mixture, whose noise and velocity are known exactly: no network, no training.")
    settings = replace(settings, points=min(settings.points, 600), ddpm=min(settings.ddpm, 250), frames=min(settings.frames, 24))
    mixture = oracle_demo.fit(settings.dataset)
    known = contest.gather(oracle_demo.source(mixture), settings)
    models = oracle_demo.exact_models(mixture, settings.T)
    chosen, states, scores = _compete(known, models, settings)
    orders = oracle_demo.measure(mixture, settings)
    print(f"\n{oracle_demo.table(orders, settings)}")
    title = f"{_name(settings)} as a Gaussian mixture: exact scores and velocities, no network"
    picture = story.tell(title, known, models, chosen, states, scores, oracle_demo.curves(orders))
    _save(picture, known, models, chosen, states, settings, out / "oracle", animate)
    return _close(judging.failed(scores) or oracle_demo.failed(orders, settings), began)


def _name(settings: Settings) -> str:
    return settings.dataset.replace("_", " ").capitalize()


def _compete(known: Data, models: Models, settings: Settings, where: Any = contest) -> tuple[list[Method], States, list[Score]]:
    """Draw with every sampler, judge, and print the table."""
    chosen = where.methods(models.schedule, settings)
    states = where.draw_all(chosen, models, known.asked, settings.seed)
    scores = judging.judge(chosen, states, known, settings)
    print(f"\n{judging.table(scores)}\n{LEGEND}")
    return chosen, states, scores


def _save(
    picture: plots.Story,
    known: Data,
    models: Models,
    chosen: list[Method],
    states: States,
    settings: Settings,
    path: Path,
    animate: bool,
    where: Any = contest,
) -> None:
    """Write the picture and, if asked for, the animation, and say where they are."""
    plots.save_story(picture, path.with_suffix(".png"))
    print(f"\npicture    {path.with_suffix('.png')}")
    if animate:
        flow = Method("flow", "velocity", samplers.heun_step, np.linspace(0, 1, settings.frames + 1))
        heun = list(where.draw(flow, models, known.asked, settings.seed))
        shown = story.frames(known, models, chosen[0].grid, states[chosen[0].name], heun)
        plots.save_animation(shown, path.with_suffix(".gif"), picture.limit)
        print(f"animation  {path.with_suffix('.gif')}")


def _close(failed: bool, began: float) -> int:
    print(f"{'FAILED: see the table' if failed else 'done'}, after {perf_counter() - began:.0f} s")
    return int(failed)
