"""The book's pictures: drawn by matplotlib from what refdiff computes, as SVG on no background, once for light pages and once for dark ones."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

from . import draw_models, draw_noise, draw_sampling
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
    "guidance": draw_sampling.guidance,
    "scores": draw_sampling.scores,
    "features": draw_models.features,
    "unet": draw_models.unet,
}


def draw(folder: Path) -> None:
    """Write all of them."""
    from matplotlib import rc_context

    for name, make in PICTURES.items():
        with rc_context(STYLE):
            light = StringIO()
            make().savefig(light, format="svg", transparent=True, metadata={"Date": None})
        (folder / f"{name}-light.svg").write_text(light.getvalue())
        (folder / f"{name}-dark.svg").write_text(recoloured(light.getvalue()))


def recoloured(svg: str) -> str:
    """The same picture in the colours of a dark page."""
    for colour, instead in DARK.items():
        svg = svg.replace(colour, instead)
    return svg.replace("<svg ", f"<svg {STYLE_OF_DARK} ", 1)
