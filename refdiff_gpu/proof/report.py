"""Agreement and timings on whatever device there is, emulated or real: `python -m refdiff_gpu.report [--out FILE]` writes a page of Markdown.

Every check compares the device with the text on the host. The exit code is 0, 1 if a check failed, 2 if there is no device.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import refdiff
import refdiff_gpu
from refdiff import tree
from refdiff.arrays import Array
from refdiff.networks import unet

from ..device import missing, place, to_device, to_host
from ..device.driver import emulating, library
from .cases import CASES, arguments

EQUATION = 64  # eps, relative to the largest number: a few library calls of 4 ulp, and sums of a dozen terms, in any order
SOLVED = 4096  # eps, where a matrix is factorized: the condition of the cases' matrices is below 100
NETWORK = 1e-11  # float64: sums in another order through some thirty layers
TRAINED = 1e-8  # float64, five steps: a gradient that should be 0 is rounding, and Adam makes a step of it; see tests/tolerances.py


class Check(NamedTuple):
    """One comparison: how far the device is from the host, and how far it may be."""

    name: str
    error: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the error is in bounds; NaN is not."""
        return self.error <= self.allowed


def distance(ours: Any, text: Any) -> float:
    """The largest difference, relative to the largest number of the host's; infinite for another shape or precision."""
    if isinstance(text, list | tuple):
        return max(distance(one, other) for one, other in zip(ours, text, strict=True))
    ours, text = np.asarray(to_host(ours)), np.asarray(text)
    if ours.shape != text.shape or ours.dtype != text.dtype:
        return np.inf
    scale = np.abs(text).max(initial=0)
    return float(np.abs(ours - text).max(initial=0) / (scale or 1))


def equation(name: str, dtype: Any) -> Check:
    """A case of `cases.CASES` by `refdiff_gpu` on the device and by `refdiff` on the host."""
    known = arguments(dtype)
    error = distance(CASES[name](refdiff_gpu, to_device(known)), CASES[name](refdiff, known))
    solved = name.startswith(("latent.Linear", "gaussian.kl_full", "gaussian.log_density_full"))
    return Check(f"{name}, {np.dtype(dtype)}", error, (SOLVED if solved else EQUATION) * float(np.finfo(dtype).eps))


def random_bits() -> Check:
    """Philox's words, which have to be the same."""
    ours, text = (to_host(lib.rng.bits(7, 100, 37, 5)) for lib in (refdiff_gpu, refdiff))
    return Check("random bits", float((ours != text).sum()), 0)


def normals() -> Check:
    """Normal numbers, a logarithm, a root and a sine away from the words."""
    return Check("normal numbers", distance(refdiff_gpu.rng.normal(7, 100, (37,), 5), refdiff.rng.normal(7, 100, (37,), 5)), 16 * 2.0**-52)


def network() -> Check:
    """A U-Net with attention, forwards and backwards, in float64."""
    p, x, t, y = _problem()
    (out, vjp), (ours, ours_vjp) = unet.unet(p, x, t, y), refdiff_gpu.unet.unet(*to_device((p, x, t, y)))
    (dp, dx), (our_dp, our_dx) = vjp(x), ours_vjp(to_device(x))
    found = ours, our_dx, tree.pack(our_dp)[0]
    return Check("U-Net, forwards and backwards", distance(found, (out, dx, tree.pack(dp)[0])), NETWORK)


def training() -> Check:
    """Five steps of training that U-Net: loss and parameters."""
    ours, text = (_train(lib) for lib in (refdiff_gpu, refdiff))
    return Check("five steps of training", max(distance(one, other) for one, other in zip(ours, text, strict=True)), TRAINED)


def sampling() -> Check:
    """Twenty guided DDIM steps with it."""
    return Check("twenty guided DDIM steps", distance(_sample(refdiff_gpu), _sample(refdiff)), 100 * NETWORK)


def _problem() -> tuple[Any, Array, Array, Array]:
    rng = refdiff.rng
    p = unet.init(0, base=8, multipliers=(1, 2), attention=(1,), embedding=16, classes=3, dtype=np.float64)
    p = tree.map(lambda leaf: leaf + rng.normal(1, 1, leaf.shape, stream=rng.START)[0] / 10, p)
    return p, rng.normal(0, 3, (8, 8, 1)), np.array([1.0, 500.0, 999.0]), np.array([0, 2, 3])


def _train(lib: Any) -> list[Any]:
    p, data, _, _ = _problem()
    config = refdiff.training.Config(steps=5, batch=4, warmup=2)
    run = lib.training.train(lib.training.start(p), data, np.arange(3), lib.schedules.linear(100), config, net=unet.unet)
    return [(np.asarray(float(loss)), np.copy(to_host(tree.pack(state.params)[0]))) for state, loss in run]


def _sample(lib: Any) -> Array:
    p, y = _problem()[0], np.array([0, 1, 2])
    schedule = lib.schedules.linear(100)
    if lib is refdiff_gpu:
        p, y = to_device((p, y))
    net = refdiff_gpu.unet.unet if lib is refdiff_gpu else unet.unet
    model = lib.guidance.guided(lib.training.as_model(p, schedule, net), y, 3.0, 3)
    step = lib.samplers.stepper(lib.ddim_step, schedule, eta=0.7)
    grid = refdiff.schedules.grid("trailing", 100, 20)
    return lib.samplers.last(lib.sample(model, step, grid, lib.rng.normal(0, 3, (8, 8, 1)), lib.rng.Normals(1, 3, (8, 8, 1))))


CHECKS: dict[str, Callable[[], Check]] = {
    **{f"{name}, {np.dtype(dtype)}": partial(equation, name, dtype) for name in CASES for dtype in (np.float32, np.float64)},
    **{f.__name__: f for f in (random_bits, normals, network, training, sampling)},
}


def attempt(name: str) -> Check:
    """A check's outcome; one that breaks has failed, and its error becomes its name."""
    try:
        return CHECKS[name]()
    except Exception as error:
        return Check(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}", np.inf, 0)


# Timings


def timings(size: int) -> Iterator[tuple[str, float, float]]:
    """Name, seconds on the device, seconds on the host, of a step each; float32 images (size, 32, 32, 3), and the U-Net above."""
    x, noise = (refdiff.rng.normal(i, size, (32, 32, 3), dtype=np.float32) for i in range(2))
    p, images, t, y = _problem()
    for name, call in {
        "q_sample": lambda lib, s, x, noise, *_: lib.q_sample(x, 40, s, noise),
        "ddim_step": lambda lib, s, x, noise, *_: lib.ddim_step(noise, x, 40, 20, s),
        "normal numbers": lambda lib, *_: lib.rng.normal(0, size, (32, 32, 3), dtype=np.float32),
        "U-Net, forwards and backwards": lambda lib, s, x, noise, *net: _there_and_back(lib, *net),
    }.items():
        inputs = refdiff.schedules.linear(100), x, noise, p, images, t, y
        with refdiff_gpu.unchecked():
            yield name, _seconds(partial(call, refdiff_gpu, *to_device(inputs))), _seconds(partial(call, refdiff, *inputs))


def _there_and_back(lib: Any, p: Any, x: Array, t: Array, y: Array) -> Any:
    _, vjp = (refdiff_gpu.unet if lib is refdiff_gpu else unet).unet(p, x, t, y)
    return vjp(x)


def _seconds(call: Callable[[], Any]) -> float:
    """The fastest of five calls, after one that compiles."""
    call()
    return min(_once(call) for _ in range(5))


def _once(call: Callable[[], Any]) -> float:
    wait = (lambda: None) if emulating() else library().cuda.Device().synchronize
    wait()
    began = perf_counter()
    call()
    wait()
    return perf_counter() - began


def page(checks: Sequence[Check], times: Sequence[tuple[str, float, float]]) -> str:
    """The report."""
    failed = [check for check in checks if not check.passed]
    same = sum(check.error == 0 for check in checks)
    versions = f"refdiff {refdiff.__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    lines = [f"# refdiff_gpu, {place()}", "", f"{versions}{'' if emulating() else f', CuPy {library().__version__}'}.", ""]
    lines += [f"{len(checks) - len(failed)} of {len(checks)} checks passed; {same} agree with the host to the last bit.", ""]
    lines += ["| check | error | allowed | |", "|---|---|---|---|"]
    lines += [f"| {c.name} | {c.error:.1e} | {c.allowed:.1e} | {'ok' if c.passed else '**FAILED**'} |" for c in checks]
    lines += ["", "| step | device, ms | host, ms |", "|---|---|---|"]
    lines += [f"| {name} | {1e3 * there:.3f} | {1e3 * here:.3f} |" for name, there, here in times]
    note = "The device is emulated: its times are those of an interpreter, and say nothing of a card." if emulating() else ""
    return "\n".join([*lines, "", note]).rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    options = argparse.ArgumentParser("python -m refdiff_gpu.report", description=__doc__.split("\n\n")[0])
    options.add_argument("--out", type=Path, metavar="FILE", help="write the page here rather than to the terminal")
    options.add_argument("--size", type=int, default=64, metavar="B", help="images of the timings (default 64)")
    chosen = options.parse_args(argv)
    lacks = missing()
    if lacks:
        print(f"refdiff_gpu.report: {lacks}", file=sys.stderr)
        return 2
    checks = [attempt(name) for name in CHECKS]
    text = page(checks, list(timings(chosen.size)))
    if chosen.out:
        chosen.out.write_text(text)
    print(text if not chosen.out else f"{sum(c.passed for c in checks)} of {len(checks)} checks passed: {chosen.out}")
    return int(not all(check.passed for check in checks))


if __name__ == "__main__":
    sys.exit(main())
