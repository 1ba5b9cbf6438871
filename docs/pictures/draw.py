"""The book's pictures, drawn by matplotlib from what refdiff computes; `python -m docs.pictures NAME` writes one as a PNG.

On the pages they are SVG without a background, once in the colours of light pages and once in those of dark ones.
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from . import continuous as draw_continuous
from . import house as draw_house
from . import models as draw_models
from . import noise as draw_noise
from . import numerics as draw_numerics
from . import sampling as draw_sampling
from . import tutorial as draw_tutorial
from .canvas import DARK, STYLE, STYLE_OF_DARK

PICTURES: dict[str, Callable[[], Any]] = {
    "schedules": draw_noise.schedules,
    "grids": draw_noise.grids,
    "forward": draw_noise.forward,
    "posterior": draw_noise.posterior,
    "variances": draw_noise.variances,
    "predictions": draw_noise.predictions,
    "elbo": draw_models.elbo,
    "importance": draw_models.importance,
    "paths": draw_sampling.paths,
    "convergence": draw_sampling.convergence,
    "orders": draw_sampling.orders,
    "trajectories": draw_continuous.trajectories,
    "stuck": draw_continuous.stuck,
    "densities": draw_continuous.densities,
    "guidance": draw_sampling.guidance,
    "scores": draw_sampling.scores,
    "datasets": draw_noise.datasets,
    "features": draw_models.features,
    "unet": draw_models.unet,
    "tutorial": draw_tutorial.tutorial,
    "errors": draw_numerics.errors,
    "cancellation": draw_numerics.cancellation,
    "house": draw_house.house,
}


def draw(folder: Path) -> None:
    """Write all pictures as SVG, light and dark."""
    from matplotlib import rc_context

    for name, make in PICTURES.items():
        with rc_context(STYLE):
            light = StringIO()
            make().savefig(light, format="svg", transparent=True, metadata={"Date": None})
        (folder / f"{name}-light.svg").write_text(light.getvalue(), encoding="utf-8")
        (folder / f"{name}-dark.svg").write_text(recoloured(light.getvalue()), encoding="utf-8")


def recoloured(svg: str) -> str:
    """The same picture in the colours of a dark page."""
    for colour, instead in DARK.items():
        svg = svg.replace(colour, instead)
    return svg.replace("<svg ", f"<svg {STYLE_OF_DARK} ", 1)
