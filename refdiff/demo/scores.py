"""Scores of the samplers: the energy distance of their samples to fresh data, relative to the noise floor."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..data import metrics
from .experiment import Dataset, Method, Settings, Trajectories

MAX_RATIO = 3.0  # largest ratio to the noise floor that passes; fresh data itself may reach 2 when its 2000 points are unlucky


class Score(NamedTuple):
    """A row of the table: the energy distance to fresh data, and its ratio to the noise floor."""

    name: str
    distance: float
    ratio: float
    remark: str


def distance(samples: Array, fresh: Array, unbiased: bool = False) -> float:
    """Energy distance within each label, averaged over labels; samples and fresh (classes, n, 2)."""
    return float(np.mean([metrics.energy_distance(a, b, unbiased) for a, b in zip(samples, fresh, strict=True)]))


def noise_floor(fresh: Array) -> float:
    r"""Mean of `distance` between two sets of the same data, from fresh sets (sets, classes, n, 2).

    The V-statistic includes the zero distance of each point to itself. Its mean is therefore above that of the unbiased
    U-statistic, which is 0, by $E\|X - X'\|\, 2 / n$. This difference varies much less between sets than the distance itself.
    """
    return float(np.mean([distance(a, b) - distance(a, b, unbiased=True) for a, b in pairwise(fresh)]))


def score_samplers(methods: list[Method], trajectories: Trajectories, dataset: Dataset, settings: Settings) -> list[Score]:
    """Scores of fresh data against fresh data (the noise floor), of every sampling method, and of pure noise."""
    floor = noise_floor(dataset.fresh)
    names = [method.name for method in methods]
    samples = [*(trajectories[name][-1] for name in names), trajectories[names[0]][0]]
    means = [np.mean([distance(each.reshape(fresh.shape), fresh) for fresh in dataset.fresh]) for each in samples]
    rows = [Score(name, float(mean), float(mean) / floor, "") for name, mean in zip([*names, "pure noise"], means, strict=True)]
    pairs = [distance(a, b) / floor for a, b in combinations(dataset.fresh, 2)]
    scores = [row._replace(remark=_remark(method, row.ratio, settings)) for method, row in zip(methods, rows, strict=False)]
    fresh_data = Score("fresh data (noise floor)", floor, 1.0, f"pairs of sets: {min(pairs):.1f} to {max(pairs):.1f}")
    return [fresh_data, *scores, rows[-1]._replace(remark="start of sampling")]


def _remark(method: Method, ratio: float, settings: Settings) -> str:
    if method.role == "guided":
        return "guided, not checked"
    if method.role == "few" or settings.quick:
        return "few steps, not checked" if method.role == "few" else "--quick, not checked"
    return f"{'PASS' if ratio <= MAX_RATIO else 'FAIL'}, limit {MAX_RATIO:g}"


def failed(scores: list[Score]) -> bool:
    """Whether a checked sampling method is too far from the data."""
    return any(score.remark.startswith("FAIL") for score in scores)


def table(scores: list[Score]) -> str:
    """The scores as text."""
    head = f"{'energy distance to fresh data':<38} {'distance':>9} {'x noise floor':>14}"
    rows = [f"{score.name:<38} {score.distance:9.5f} {score.ratio:14.2f}  {score.remark}".rstrip() for score in scores]
    return "\n".join([head, *rows])
