"""The judge of the contest: how far every sampler's points are from fresh data, in units of what fresh data itself is."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from ..data import metrics
from .experiment import Data, Method, Settings, States

BOUND = 3.0  # how many floors a good sampler may be from fresh data, which itself strays to 2 when 2000 points are unlucky


class Score(NamedTuple):
    """A row of the table: the energy distance to fresh data, and as a multiple of the floor."""

    name: str
    distance: float
    multiple: float
    remark: str


def distance(samples: Array, fresh: Array, unbiased: bool = False) -> float:
    """Energy distance within each label, averaged over labels; samples and fresh (classes, n, 2)."""
    return float(np.mean([metrics.energy_distance(a, b, unbiased) for a, b in zip(samples, fresh, strict=True)]))


def judge(chosen: list[Method], states: States, known: Data, settings: Settings) -> list[Score]:
    """The table: fresh data against fresh data (the floor), every sampler against fresh data, and pure noise."""
    level = floor(known.fresh)
    names = [method.name for method in chosen]
    samples = [*(states[name][-1] for name in names), states[names[0]][0]]
    means = [np.mean([distance(each.reshape(fresh.shape), fresh) for fresh in known.fresh]) for each in samples]
    rows = [Score(name, float(mean), float(mean) / level, "") for name, mean in zip([*names, "pure noise"], means, strict=True)]
    pairs = [distance(a, b) / level for a, b in combinations(known.fresh, 2)]
    luck = f"single draws {min(pairs):.1f} to {max(pairs):.1f}"
    judged = [row._replace(remark=_remark(method, row.multiple, settings)) for method, row in zip(chosen, rows, strict=False)]
    return [Score("fresh data, the floor", level, 1.0, luck), *judged, rows[-1]._replace(remark="where sampling starts")]


def floor(fresh: Array) -> float:
    r"""What `distance` is on average between two draws of the same data, from draws (sets, classes, n, 2).

    The V-statistic counts each point's zero distance to itself, which lifts it above the unbiased U-statistic, whose mean is 0, by
    $E\|X - X'\|\, 2 / n$. This lift varies much less from draw to draw than the distance itself.
    """
    return float(np.mean([distance(a, b) - distance(a, b, unbiased=True) for a, b in pairwise(fresh)]))


def _remark(method: Method, multiple: float, settings: Settings) -> str:
    if method.role == "guided":
        return "sharpened on purpose, not judged"
    if method.role == "few" or settings.quick:
        return "few steps, not judged" if method.role == "few" else "--quick, not judged"
    return f"{'PASS' if multiple <= BOUND else 'EXCEEDED'}, allowed {BOUND:g}"


def failed(scores: list[Score]) -> bool:
    """Whether a good sampler stayed too far from the data."""
    return any(row.remark.startswith("EXCEEDED") for row in scores)


def table(scores: list[Score]) -> str:
    """The scores as text."""
    head = f"{'energy distance to fresh data':<38} {'distance':>9} {'x floor':>8}"
    return "\n".join([head, *(f"{row.name:<38} {row.distance:9.5f} {row.multiple:8.2f}  {row.remark}".rstrip() for row in scores)])
