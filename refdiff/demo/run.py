"""Run `refdiff demo`, with trained networks or with exact models: print the tables, write the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..data import toy2d
from ..sampling import samplers
from . import convergence, exact, experiment, figure, plots, scores
from .experiment import Dataset, Method, Models, Settings, Trajectories
from .scores import Score

LEGEND = """\
Energy distance: within each label, averaged over the labels.
Noise floor: the mean distance between two sets of fresh data, each as large as a set of samples."""


def run(settings: Settings, out: Path, animate: bool = True, backend: Any = experiment, device: str = "in plain NumPy") -> int:
    """Train, sample, score; 0, or 1 if a checked sampler is too far from the data. Writes demo.png and demo.gif into out.

    `backend` trains and samples: `refdiff.demo.experiment`, or `refdiff_gpu.demo.experiment` on a GPU, which `device` describes.
    """
    began = perf_counter()
    name = _name(settings)
    print(f"{name}, seed {settings.seed}: training a diffusion (noise) and a flow (velocity) model, {settings.steps} steps each.")
    dataset = experiment.make_data(toy2d.DATASETS[settings.dataset], settings)
    models = backend.train_models(dataset, settings)
    methods, trajectories, results = _sample_and_score(dataset, models, settings, backend)
    title = f"{name}: a diffusion model and a flow model, trained {device}{' (--quick: too short to learn)' if settings.quick else ''}"
    picture = figure.build(title, dataset, models, methods, trajectories, results, [])
    _save(picture, dataset, models, methods, trajectories, settings, out / "demo", animate, backend)
    return _finish(scores.failed(results), began)


def run_oracle(settings: Settings, out: Path, animate: bool = True) -> int:
    """The same with exact models, and orders of convergence; 1 if a check fails. Writes oracle.png and oracle.gif into out."""
    began = perf_counter()
    print(f"{_name(settings)} as a Gaussian mixture, whose noise prediction and velocity are known exactly: no network, no training.")
    settings = replace(
        settings, samples=min(settings.samples, 600), ddpm_steps=min(settings.ddpm_steps, 250), frames=min(settings.frames, 24)
    )
    mixture = exact.fit_mixture(settings.dataset)
    dataset = experiment.make_data(exact.as_dataset(mixture), settings)
    models = exact.exact_models(mixture, settings.T)
    methods, trajectories, results = _sample_and_score(dataset, models, settings)
    orders = convergence.measure_orders(mixture, settings)
    print(f"\n{convergence.table(orders, settings)}")
    title = f"{_name(settings)} as a Gaussian mixture: exact scores and velocities, no network"
    picture = figure.build(title, dataset, models, methods, trajectories, results, convergence.curves(orders))
    _save(picture, dataset, models, methods, trajectories, settings, out / "oracle", animate)
    return _finish(scores.failed(results) or convergence.failed(orders, settings), began)


def _name(settings: Settings) -> str:
    return settings.dataset.replace("_", " ").capitalize()


def _sample_and_score(
    dataset: Dataset, models: Models, settings: Settings, backend: Any = experiment
) -> tuple[list[Method], Trajectories, list[Score]]:
    """Sample with every method, score the samples, and print the table."""
    methods = backend.methods(models.schedule, settings)
    trajectories = backend.draw_all_samples(methods, models, dataset.sample_labels, settings.seed)
    results = scores.score_samplers(methods, trajectories, dataset, settings)
    print(f"\n{scores.table(results)}\n{LEGEND}")
    return methods, trajectories, results


def _save(
    picture: plots.DemoFigure,
    dataset: Dataset,
    models: Models,
    methods: list[Method],
    trajectories: Trajectories,
    settings: Settings,
    path: Path,
    animate: bool,
    backend: Any = experiment,
) -> None:
    """Write the picture and, if requested, the animation, and print their paths."""
    plots.save_demo(picture, path.with_suffix(".png"))
    print(f"\npicture    {path.with_suffix('.png')}")
    if animate:
        flow = Method("flow", "velocity", samplers.heun_step, np.linspace(0, 1, settings.frames + 1))
        heun = list(backend.draw_samples(flow, models, dataset.sample_labels, settings.seed))
        frames = figure.frames(dataset, models, methods[0].grid, trajectories[methods[0].name], heun)
        plots.save_animation(frames, path.with_suffix(".gif"), picture.limit)
        print(f"animation  {path.with_suffix('.gif')}")


def _finish(failed: bool, began: float) -> int:
    seconds = f"{perf_counter() - began:.0f} s"
    print(f"FAILED in {seconds}: see the table" if failed else f"done in {seconds}")
    return int(failed)
