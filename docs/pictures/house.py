"""The picture of the packages: boxes in layers, and an arrow for every import that does not follow from the other arrows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from refdiff.plots import COLORS, FAINT

from .canvas import INK, panels

ROOT = Path(__file__).parents[2]
SHARED = {
    **dict.fromkeys(("arrays", "checks", "tree", "rng", "files", "equations"), "base"),
    "options": "cli",
    "plots": "demo",
}  # modules that share a box
BLUE, ORANGE, GREEN, PINK, VIOLET, YELLOW = COLORS[:6]


class Box(NamedTuple):
    """A box: title, contents in one line, left and right end, bottom and top, colour."""

    title: str
    text: str
    left: float
    right: float
    bottom: float
    top: float
    color: str


def _row(title: str, text: str, left: float, right: float, row: float, color: str) -> Box:
    return Box(title, text, left, right, row + 0.15, row + 0.85, color)


BOXES = {
    "cli": _row("refdiff.cli", "the command refdiff", 0, 6.3, 8.3, FAINT),
    "conformance": _row("conformance", "test vectors, runner, known mistakes, report", 0, 4, 7, VIOLET),
    "demo": _row("demo, plots", "experiment, scores, figure", 1, 3.5, 6, YELLOW),
    "fast": _row("fast", "layers for the CPU", 1, 1.95, 5, YELLOW),
    "training": _row("training", "loop, optimizer, checkpoints", 0, 1.95, 4, GREEN),
    "networks": _row("networks", "layers, MLP, U-Net", 0, 0.95, 3, ORANGE),
    "sampling": _row("sampling", "samplers, guidance", 1, 1.95, 3, PINK),
    "solvers": _row("solvers", "fast solvers, EDM", 1, 1.95, 2, BLUE),
    "data": _row("data", "datasets, metrics", 2.05, 2.95, 2, FAINT),
    "objectives": _row("objectives", "ELBO, flow matching", 3.05, 4, 2, PINK),
    "process": _row("process", "schedules, posterior", 1, 1.95, 1, BLUE),
    "base": _row(
        "arrays, checks, tree, rng, files, equations",
        "argument checks, parameter trees, random numbers, whole files, list of equations",
        0,
        4,
        0,
        FAINT,
    ),
    "gpu.proof": _row("proof", "lint, compilers, cost", 4.5, 5.5, 7, VIOLET),
    "gpu.mirror": Box("", "the names of refdiff on CuPy arrays", 4.5, 6.3, 3.15, 6.85, FAINT),
    "gpu.device": _row("device", "memory, launches", 4.5, 6.3, 2, BLUE),
    "gpu.emulator": _row("emulator", "a device made of NumPy", 4.5, 6.3, 1, GREEN),
    "gpu.kernels": _row("kernels", "the table of CUDA kernels", 4.5, 6.3, 0, ORANGE),
}


def house() -> Any:
    """The packages of refdiff on the left, of refdiff_gpu on the right, and the command above both."""
    figure, (ax,) = panels(1, height=7.2)
    for name, left, right in (("refdiff", -0.12, 4.12), ("refdiff_gpu", 4.38, 6.42)):
        _draw(ax, Box("", "", left, right, -0.02, 8.02, FAINT), fill=0)
        ax.text(left + 0.03, 8.11, name, fontsize=9.5, family="monospace", color=INK)
    for box in BOXES.values():
        _draw(ax, box)
    mirrored = sorted(set(packages("refdiff_gpu")) & set(packages("refdiff")), key=lambda name: (-_box(name).top, name))
    for i, name in enumerate(mirrored):
        left, bottom = 4.58 + 0.83 * (i % 2), 5.55 - 0.72 * (i // 2)
        _draw(ax, Box(name, "", left, left + 0.8, bottom, bottom + 0.6, _box(name).color))
    for a, b in arrows():
        _arrow(ax, _route(a, b))
    _arrow(ax, [(4.38, 5.0), (4.12, 5.0)])
    ax.set(xlim=(-0.16, 6.46), ylim=(-0.1, 9.25))
    ax.axis("off")
    return figure


def _draw(ax: Any, box: Box, fill: float = 0.2) -> None:
    from matplotlib.patches import FancyBboxPatch

    size = box.right - box.left, box.top - box.bottom
    style = {"boxstyle": "round,pad=0,rounding_size=0.06", "mutation_aspect": 2, "edgecolor": box.color}
    ax.add_patch(FancyBboxPatch((box.left, box.bottom), *size, facecolor=box.color if fill else "none", alpha=fill or 1, **style))
    middle = (box.left + box.right) / 2
    if box.title:
        height = box.bottom + size[1] * (0.68 if box.text else 0.5)
        ax.text(middle, height, box.title, ha="center", va="center", fontsize=9.5, weight="bold", color=INK)
    if box.text:
        height = box.bottom + size[1] * 0.28 if box.title else box.top - 0.3
        ax.text(middle, height, box.text, ha="center", va="center", fontsize=8, color=INK)


def _arrow(ax: Any, points: list[tuple[float, float]]) -> None:
    ax.plot(*zip(*points, strict=True), color=INK, linewidth=0.9)
    ax.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0})


def _route(a: str, b: str) -> list[tuple[float, float]]:
    """From the bottom of a box to one below: straight down the widest free gap, or down and then to the side of the other box."""
    upper, lower = BOXES[a], BOXES[b]
    between = [box for box in BOXES.values() if lower.top < box.top and box.bottom < upper.bottom and box not in (upper, lower)]
    taken = [(box.left - 0.05, box.right + 0.05) for box in between]
    left, right = max(upper.left, lower.left), min(upper.right, lower.right)
    cuts = sorted(x for x in {left, right, *(x for pair in taken for x in pair)} if left <= x <= right)
    gaps = [(end - start, (start + end) / 2) for start, end in pairwise(cuts)]
    if free := [(width, x) for width, x in gaps if not any(start < x < end for start, end in taken)]:
        _, x = max(free)
        return [(x, upper.bottom), (x, lower.top)]
    x, y = (upper.left + upper.right) / 2, (lower.bottom + lower.top) / 2
    return [(x, upper.bottom), (x, y), (lower.right if x > lower.right else lower.left, y)]


def packages(package: str) -> list[str]:
    """The packages and modules directly inside a package."""
    inside = [path for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return sorted(path.stem for path in inside if not path.stem.startswith("__"))


def _box(name: str) -> Box:
    return BOXES[SHARED.get(name, name)]


def _node(package: str, name: str) -> str:
    """The box of a module; "" for `refdiff` itself, which only collects names. Raises ValueError if there is no box."""
    gpu = package == "refdiff_gpu"
    if name not in packages(package):
        return "gpu.mirror" if gpu else ""
    if gpu and name in packages("refdiff"):
        return "gpu.mirror"
    node = f"gpu.{name}" if gpu else SHARED.get(name, name)
    if node not in BOXES:
        raise ValueError(f"no box for {package}.{name}; there are {', '.join(BOXES)}")
    return node


def imports() -> set[tuple[str, str]]:
    """All pairs of boxes of which the first imports the second, read from the files; imports for type checkers are left out."""
    found = set()
    for package in ("refdiff", "refdiff_gpu"):
        for path in (ROOT / package).glob("**/*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            source = _node(package, parts[1])
            for name in _imported(ast.parse(path.read_text(encoding="utf-8")), parts[:-1]):
                top, _, rest = name.partition(".")
                if top in ("refdiff", "refdiff_gpu"):
                    found.add((source, _node(top, rest.partition(".")[0])))
    return {(a, b) for a, b in found if a and b and a != b}


def _imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The full names that a file imports."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        if isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) + 1 - node.level]] if node.level else []
            yield from (".".join([*base, *filter(None, [node.module]), each.name]) for each in node.names)
        yield from _imported(node, package)


def arrows() -> list[tuple[str, str]]:
    """The imports that do not follow from others, without those of refdiff_gpu from refdiff, which one arrow shows."""
    pairs = imports()
    direct = [(a, b) for a, b in pairs if not any((a, c) in pairs and reaches(c, b, pairs) for c in BOXES if c not in (a, b))]
    return sorted((a, b) for a, b in direct if not (a.startswith("gpu.") and not b.startswith("gpu.")))


def reaches(a: str, b: str, pairs: set[tuple[str, str]]) -> bool:
    return a == b or any(reaches(c, b, pairs) for each, c in pairs if each == a)
