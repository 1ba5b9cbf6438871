"""A cost model: launches, bytes and operations of a step, counted on the emulated device.

`python -m refdiff_gpu.proof.cost` prints it. Each program runs twice: with the fused kernels of this package, and with
the reference implementation, one launch for each of NumPy's operations. Matrix products are not counted, since they are
the same in both. Convolutions have a row of their own, for the bytes that im2col moves. Bytes and operations are affine
in the batch size, so those of a large batch follow from two small ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

import refdiff
from refdiff import tree
from refdiff.networks import mlp, unet
from refdiff.process import schedules
from refdiff.training.loop import Batch, Config

from ..device import to_device, unchecked
from ..emulator.launch_counter import LABEL, Launch
from ..emulator.numpy_launches import MATRIX_PRODUCTS, count_launches
from ..emulator.transfers import allowed_sync
from ..networks import layers
from ..sampling import samplers
from ..sampling.guidance import GuidedPrediction
from ..training import loop

BANDWIDTH, RATE = 3.35e12, 67e12  # bytes and float32 operations per second, from the data sheet of the H100 (SXM)
CONVOLUTION = "convolution"


@dataclass(frozen=True)
class Row:
    """The cost of a program: launches with and without fusion, and the minimum of bytes.

    At the minimum, every input is read once and every output is written once.
    """

    program: str
    fused: list[Launch]
    unfused: list[Launch]
    minimum: int


def bytes_moved(launches: list[Launch]) -> int:
    """Bytes read and written."""
    return sum(launch.read + launch.written for launch in launches)


def seconds(launches: list[Launch]) -> float:
    """Time at the H100's peak: the longer of the times for bytes and operations of each launch, without latency."""
    return sum(max((launch.read + launch.written) / BANDWIDTH, launch.flops / RATE) for launch in launches)


def launches_of(program: Callable[[], Any]) -> list[Launch]:
    """The launches of a program, without matrix products."""
    with unchecked(), allowed_sync(), count_launches() as counter:
        program()
    return [launch for launch in counter.launches if launch.name not in MATRIX_PRODUCTS]


def extrapolate(program: Callable[[int], list[Launch]], batch: int) -> list[Launch]:
    """The launches for a batch size, from those for batches of 2 and 3."""
    return [
        replace(
            two, **{key: value + (batch - 2) * (getattr(three, key) - value) for key, value in vars(two).items() if isinstance(value, int)}
        )
        for two, three in zip(program(2), program(3), strict=True)
    ]


def labelled(L: ModuleType) -> Any:
    """An op set whose convolutions label their launches."""
    ops = {name: getattr(L, name) for name in L.__all__}
    return SimpleNamespace(**ops | {name: partial(_as_convolution, ops[name]) for name in ("conv", "conv_up")})


def _as_convolution(f: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    token = LABEL.set(CONVOLUTION)
    try:
        result = f(*arguments, **keywords)
    finally:
        LABEL.reset(token)
    return (result[0], partial(_as_convolution, result[1])) if callable(result[1]) else result


def ddim_row(shape: tuple[int, ...] = (64, 28, 28, 1)) -> Row:
    """A guided DDIM step, after the network."""
    schedule = schedules.linear(1000)
    x, p, q = (to_device(np.full(shape, value, np.float32)) for value in (0.1, 0.2, 0.3))

    def unfused() -> Any:
        return refdiff.samplers.ddim_step(refdiff.guidance.classifier_free(q, p, 1.5), x, 500, 480, schedule)

    prediction: Any = GuidedPrediction(q, p, 1.5)
    fused = launches_of(lambda: samplers.ddim_step(prediction, x, 500, 480, schedule))
    return Row("guided DDIM step", fused, launches_of(unfused), 4 * x.nbytes)


def update_row(size: int) -> Row:
    """Gradient clipping, AdamW and EMA, for all parameters."""
    state = loop.flatten_state(refdiff.training.start({"w": np.zeros(size, np.float32)}))
    grads, config = to_device({"w": np.full(size, 1e-3, np.float32)}), Config(decay=0.01)
    fused, unfused = (launches_of(partial(update, state, grads, config)) for update in (loop.update, _reference_update))
    return Row(f"update of {size:,} parameters", fused, unfused, 4 * (1 + 9) * size)


def _reference_update(state: Any, grads: Any, config: Config) -> Any:
    return refdiff.training.update(refdiff.training.State(state.step, state.params, state.ema, state.moments), grads, config)


def gradient_launches(net: Any, p: Any, x: Any, L: ModuleType, value_and_grad: Any) -> list[Launch]:
    """Loss and gradient of a network."""
    batch = Batch(x, np.linspace(1, 1000, len(x)), np.arange(len(x)) % 3, x / 2)
    on_device, params = to_device(batch), to_device(p)
    return launches_of(lambda: value_and_grad(net, params, on_device, labelled(L)))


def network_launches(net: Any, p: Any, shape: tuple[int, ...], batch: int) -> tuple[list[Launch], list[Launch]]:
    """The launches for the gradient in a training step, fused and unfused."""

    def launches(L: ModuleType, value_and_grad: Any, rows: int) -> list[Launch]:
        return gradient_launches(net, p, np.ones((rows, *shape), np.float32), L, value_and_grad)

    return tuple(  # type: ignore[return-value]
        extrapolate(partial(launches, L, trainer.value_and_grad), batch)
        for L, trainer in ((layers, loop), (refdiff.layers, refdiff.training))
    )


def mlp_row(batch: int = 256) -> Row:
    """Loss and gradient of the default MLP for points.

    The minimum is that of SiLU, forward and backward, and of the loss.
    """
    p = mlp.init(0, classes=3)
    fused, unfused = network_launches(mlp.mlp, p, (2,), batch)
    return Row("MLP, loss and gradient", fused, unfused, 4 * batch * (3 * 128 * (2 + 3) + 3 * 2))


def unet_rows(p: Any = None, shape: tuple[int, ...] = (28, 28, 1), batch: int = 64) -> list[Row]:
    """Loss and gradient of the reference U-Net, in two rows: elementwise operations and convolutions."""
    p = unet.init(0, base=32, multipliers=(1, 2, 2), classes=3) if p is None else p
    fused, unfused = network_launches(unet.unet, p, shape, batch)
    minima = (4 * batch * sum(numbers) for numbers in zip(*_minimum(p, shape), strict=True))
    return [
        Row(f"U-Net, {name}", _with_label(fused, label), _with_label(unfused, label), minimum)
        for name, label, minimum in zip(("elementwise", "convolutions"), ("", CONVOLUTION), minima, strict=True)
    ]


def _with_label(launches: list[Launch], label: str) -> list[Launch]:
    return [launch for launch in launches if launch.label == label]


def _minimum(p: Any, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Numbers per example that each step of the plan must move: elementwise, and to and from matrix products."""
    (height, width, channels), saved = shape, []
    yield 3 * height * width * channels, 0  # the loss and its derivative
    for what, name in unet.plan(p):
        pixels = height * width
        if what == "save":
            saved.append(channels)
            yield 3 * pixels * channels, 0  # the gradients of both uses are added
        elif what == "concat":
            channels += saved.pop()
            yield 2 * pixels * channels, 0
        elif what == "norm":
            yield 5 * pixels * channels, 0  # with the SiLU after it: x to y, and x and dy to dx
        elif what == "block":
            inner = p[name]["conv1"]["w"].shape[3]
            yield 5 * pixels * (channels + inner) + 3 * pixels * (channels + inner), 4 * pixels * (channels + 2 * inner)
            channels = inner
        elif what in ("conv", "downsample", "upsample"):
            size = {"conv": 1, "downsample": 0.5, "upsample": 2}[what]
            outer = p[name]["w"].shape[3]
            yield 0, int(2 * pixels * channels + 2 * pixels * size * size * outer)
            height, width, channels = int(height * size), int(width * size), outer


def lines(rows: list[Row]) -> Iterator[str]:
    """The table in Markdown."""
    yield f"Bytes and operations outside matrix products; time at {BANDWIDTH / 1e12} TB/s and {RATE / 1e12:.0f} TFLOP/s, an H100's peak."
    yield ""
    yield "| program | | launches | MB | x minimum | MFLOP | us at peak |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        for kind, launches in ("fused", row.fused), ("unfused", row.unfused):
            size, flops = bytes_moved(launches), sum(launch.flops for launch in launches) / 1e6
            numbers = f"{len(launches)} | {size / 1e6:.3f} | {size / row.minimum:.2f} | {flops:.2f} | {1e6 * seconds(launches):.2f}"
            yield f"| {row.program} | {kind} | {numbers} |"


def rows() -> list[Row]:
    """The rows of all programs."""
    params = unet.init(0, base=32, multipliers=(1, 2, 2), classes=3)
    return [ddim_row(), mlp_row(), update_row(tree.size(mlp.init(0, classes=3))), *unet_rows(params), update_row(tree.size(params))]


if __name__ == "__main__":
    os.environ["REFDIFF_GPU_EMULATE"] = "1"
    print("\n".join(lines(rows())))
