"""A report in Markdown on the device in use, real or emulated: agreement with the host, and timings.

`python -m refdiff_gpu.proof.report [--out FILE]` writes it. Every check compares the device with the reference
implementation on the host. The exit code is 0, 1 if a check failed, 2 if there is no device.
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
from ..device.driver import emulating, require_cupy
from .cases import CASES, arguments

EQUATION = 64  # eps, relative to the largest number: a few library calls of 4 ulp, and sums of a dozen terms, in any order
SOLVED = 4096  # eps, where a matrix is factorized: the condition number of the cases' matrices is below 100
NETWORK = 1e-11  # float64: sums in another order through some thirty layers
TRAINED = 1e-8  # float64, five steps: Adam scales rounding errors of gradients that should be 0 up to a step; see tests/tolerances.py


class Check(NamedTuple):
    """One comparison of device and host: the error, and the allowed error."""

    name: str
    error: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the error is allowed; NaN is not."""
        return self.error <= self.allowed


def relative_error(ours: Any, reference: Any) -> float:
    """The largest difference, relative to the largest number of the reference; infinite for another shape or dtype."""
    if isinstance(reference, list | tuple):
        return max(relative_error(one, other) for one, other in zip(ours, reference, strict=True))
    ours, reference = np.asarray(to_host(ours)), np.asarray(reference)
    if ours.shape != reference.shape or ours.dtype != reference.dtype:
        return np.inf
    scale = np.abs(reference).max(initial=0)
    return float(np.abs(ours - reference).max(initial=0) / (scale or 1))


def equation(name: str, dtype: Any) -> Check:
    """A case of `cases.CASES`, computed by `refdiff_gpu` on the device and by `refdiff` on the host."""
    inputs = arguments(dtype)
    error = relative_error(CASES[name](refdiff_gpu, to_device(inputs)), CASES[name](refdiff, inputs))
    solved = name.startswith(("latent.Linear", "gaussian.kl_full", "gaussian.log_density_full"))
    return Check(f"{name}, {np.dtype(dtype)}", error, (SOLVED if solved else EQUATION) * float(np.finfo(dtype).eps))


def random_bits() -> Check:
    """The random words of Philox, which must be equal."""
    ours, reference = (to_host(lib.rng.bits(7, 100, 37, 5)) for lib in (refdiff_gpu, refdiff))
    return Check("random bits", float((ours != reference).sum()), 0)


def normals() -> Check:
    """Normal numbers, computed from the random words by a logarithm, a square root and a sine."""
    return Check(
        "normal numbers", relative_error(refdiff_gpu.rng.normal(7, 100, (37,), 5), refdiff.rng.normal(7, 100, (37,), 5)), 16 * 2.0**-52
    )


def network() -> Check:
    """A U-Net with attention, forward and backward, in float64."""
    p, x, t, y = _unet_inputs()
    (out, vjp), (ours, ours_vjp) = unet.unet(p, x, t, y), refdiff_gpu.unet.unet(*to_device((p, x, t, y)))
    (dp, dx), (our_dp, our_dx) = vjp(x), ours_vjp(to_device(x))
    error = relative_error((ours, our_dx, tree.pack(our_dp)[0]), (out, dx, tree.pack(dp)[0]))
    return Check("U-Net, forward and backward", error, NETWORK)


def training() -> Check:
    """Loss and parameters in five training steps of the same U-Net."""
    return Check("five steps of training", relative_error(_train(refdiff_gpu), _train(refdiff)), TRAINED)


def sampling() -> Check:
    """Twenty guided DDIM steps with the same U-Net."""
    return Check("twenty guided DDIM steps", relative_error(_sample(refdiff_gpu), _sample(refdiff)), 100 * NETWORK)


def _unet_inputs() -> tuple[Any, Array, Array, Array]:
    rng = refdiff.rng
    p = unet.init(0, base=8, multipliers=(1, 2), attention=(1,), embedding=16, classes=3, dtype=np.float64)
    p = tree.map(lambda leaf: leaf + rng.normal(1, 1, leaf.shape, stream=rng.START)[0] / 10, p)
    return p, rng.normal(0, 3, (8, 8, 1)), np.array([1.0, 500.0, 999.0]), np.array([0, 2, 3])


def _train(lib: Any) -> list[Any]:
    p, data, _, _ = _unet_inputs()
    config = refdiff.training.Config(steps=5, batch=4, warmup=2)
    run = lib.training.train(lib.training.start(p), data, np.arange(3), lib.schedules.linear(100), config, net=unet.unet)
    return [(np.asarray(float(loss)), np.copy(to_host(tree.pack(state.params)[0]))) for state, loss in run]


def _sample(lib: Any) -> Array:
    p, y = _unet_inputs()[0], np.array([0, 1, 2])
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
    """The result of a check; one that raises has failed, and the exception is added to its name."""
    try:
        return CHECKS[name]()
    except Exception as error:
        return Check(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}", np.inf, 0)


# Timings


def timings(size: int) -> Iterator[tuple[str, float, float]]:
    """Name, seconds on device and on host, for float32 images (size, 32, 32, 3) and for the U-Net of the checks."""
    x, noise = (refdiff.rng.normal(i, size, (32, 32, 3), dtype=np.float32) for i in range(2))
    p, images, t, y = _unet_inputs()
    for name, call in {
        "q_sample": lambda lib, s, x, noise, *_: lib.q_sample(x, 40, s, noise),
        "ddim_step": lambda lib, s, x, noise, *_: lib.ddim_step(noise, x, 40, 20, s),
        "normal numbers": lambda lib, *_: lib.rng.normal(0, size, (32, 32, 3), dtype=np.float32),
        "U-Net, forward and backward": lambda lib, s, x, noise, *net: _forward_and_backward(lib, *net),
    }.items():
        inputs = refdiff.schedules.linear(100), x, noise, p, images, t, y
        with refdiff_gpu.unchecked():
            yield name, _seconds(partial(call, refdiff_gpu, *to_device(inputs))), _seconds(partial(call, refdiff, *inputs))


def _forward_and_backward(lib: Any, p: Any, x: Array, t: Array, y: Array) -> Any:
    _, vjp = (refdiff_gpu.unet if lib is refdiff_gpu else unet).unet(p, x, t, y)
    return vjp(x)


def _seconds(call: Callable[[], Any]) -> float:
    """The time of the fastest of five calls, after one call that compiles."""
    call()
    return min(_once(call) for _ in range(5))


def _once(call: Callable[[], Any]) -> float:
    wait = (lambda: None) if emulating() else require_cupy().cuda.Device().synchronize
    wait()
    start = perf_counter()
    call()
    wait()
    return perf_counter() - start


def page(checks: Sequence[Check], times: Sequence[tuple[str, float, float]]) -> str:
    """The report in Markdown."""
    failed = [check for check in checks if not check.passed]
    same = sum(check.error == 0 for check in checks)
    versions = f"refdiff {refdiff.__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    lines = [f"# refdiff_gpu, {place()}", "", f"{versions}{'' if emulating() else f', CuPy {require_cupy().__version__}'}.", ""]
    lines += [f"{len(checks) - len(failed)} of {len(checks)} checks passed; {same} agree with the host to the last bit.", ""]
    lines += ["| check | error | allowed | |", "|---|---|---|---|"]
    lines += [f"| {c.name} | {c.error:.1e} | {c.allowed:.1e} | {'ok' if c.passed else '**FAILED**'} |" for c in checks]
    lines += ["", "| step | device, ms | host, ms |", "|---|---|---|"]
    lines += [f"| {name} | {1e3 * device:.3f} | {1e3 * host:.3f} |" for name, device, host in times]
    note = "The device is emulated: its times are those of an interpreter, not of a GPU." if emulating() else ""
    return "\n".join([*lines, "", note]).rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = argparse.ArgumentParser("python -m refdiff_gpu.proof.report", description=__doc__.split("\n\n")[0])
    options.add_argument("--out", type=Path, metavar="FILE", help="write the report to FILE, not to the terminal")
    options.add_argument("--size", type=int, default=64, metavar="B", help="number of images in the timings (default 64)")
    chosen = options.parse_args(argv)
    if chosen.out and (chosen.out.is_dir() or not chosen.out.absolute().parent.is_dir()):
        options.error(f"argument --out: {str(chosen.out)!r}; allowed: a file in a folder that exists")
    reason = missing()
    if reason:
        print(f"refdiff_gpu.proof.report: {reason}", file=sys.stderr)
        return 2
    checks = [attempt(name) for name in CHECKS]
    report = page(checks, list(timings(chosen.size)))
    if chosen.out:
        chosen.out.write_text(report, encoding="utf-8")
    print(report if not chosen.out else f"{sum(c.passed for c in checks)} of {len(checks)} checks passed: {chosen.out}")
    return int(not all(check.passed for check in checks))


if __name__ == "__main__":
    sys.exit(main())
