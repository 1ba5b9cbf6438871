"""What steps cost on a GPU, counted while they run on the emulated device: launches, bytes, operations; `python -m refdiff_gpu.cost`.

Each program runs twice there: as the package has it, by fused kernels, and as the text has it, one launch for each of NumPy's operations.
Matrix products are left out: both do the same. What a convolution moves to make products of itself is a row of its own. Bytes and
operations are affine in the length of the batch, so those of a long batch follow from two short ones.
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

from .. import device
from ..emulator.counting import PRODUCTS, counted
from ..emulator.guard import allowed_sync
from ..emulator.launch_counter import LABEL, Call
from ..networks import layers
from ..sampling import samplers
from ..training import loop as training

BANDWIDTH, RATE = 3.35e12, 67e12  # bytes and float32 operations per second that an H100 (SXM) is sold with
CONVOLUTION = "convolution"


@dataclass(frozen=True)
class Row:
    """One program's cost: fused and plain calls, and the bytes that must move whatever the program, every array in once and out once."""

    what: str
    fused: list[Call]
    plain: list[Call]
    bound: int


def moved(calls: list[Call]) -> int:
    """Bytes read and written."""
    return sum(call.read + call.written for call in calls)


def seconds(calls: list[Call]) -> float:
    """Time at the H100's peak: each launch takes what its bytes or its operations take, whichever is longer; starting it takes nothing."""
    return sum(max((call.read + call.written) / BANDWIDTH, call.flops / RATE) for call in calls)


def calls_of(program: Callable[[], Any]) -> list[Call]:
    """The launches of a program, but those of matrix products."""
    with device.unchecked(), allowed_sync(), counted() as ledger:
        program()
    return [call for call in ledger.calls if call.name not in PRODUCTS]


def at_batch(program: Callable[[int], list[Call]], batch: int) -> list[Call]:
    """The calls for a batch, from those for batches of 2 and 3."""
    return [
        replace(
            two, **{key: value + (batch - 2) * (getattr(three, key) - value) for key, value in vars(two).items() if isinstance(value, int)}
        )
        for two, three in zip(program(2), program(3), strict=True)
    ]


def labelled(L: ModuleType) -> Any:
    """An op set whose convolutions put their label on what they launch."""
    named = {name: getattr(L, name) for name in L.__all__}
    return SimpleNamespace(**named | {name: partial(_as_convolution, named[name]) for name in ("conv", "conv_up")})


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
    x, p, q = (device.to_device(np.full(shape, value, np.float32)) for value in (0.1, 0.2, 0.3))

    def plain() -> Any:
        return refdiff.samplers.ddim_step(refdiff.guidance.classifier_free(q, p, 1.5), x, 500, 480, schedule)

    answers: Any = samplers.Answers(q, p, 1.5)
    fused = calls_of(lambda: samplers.ddim_step(answers, x, 500, 480, schedule))
    return Row("guided DDIM step", fused, calls_of(plain), 4 * x.nbytes)


def update_row(size: int) -> Row:
    """Clipping, AdamW and the running average, over all parameters."""
    state = training.adopt(refdiff.training.start({"w": np.zeros(size, np.float32)}))
    grads, config = device.to_device({"w": np.full(size, 1e-3, np.float32)}), Config(decay=0.01)
    fused, plain = (calls_of(partial(update, state, grads, config)) for update in (training.update, _update))
    return Row(f"update of {size:,} parameters", fused, plain, 4 * (1 + 9) * size)


def _update(state: Any, grads: Any, config: Config) -> Any:
    return refdiff.training.update(refdiff.training.State(state.step, state.params, state.ema, state.moments), grads, config)


def gradient_calls(net: Any, p: Any, x: Any, L: ModuleType, value_and_grad: Any) -> list[Call]:
    """Loss and gradient of a network."""
    batch = Batch(x, np.linspace(1, 1000, len(x)), np.arange(len(x)) % 3, x / 2)
    on_device, params = device.to_device(batch), device.to_device(p)
    return calls_of(lambda: value_and_grad(net, params, on_device, labelled(L)))


def network_calls(net: Any, p: Any, shape: tuple[int, ...], batch: int) -> tuple[list[Call], list[Call]]:
    """Fused and plain calls of a training step's gradient."""

    def calls(L: ModuleType, value_and_grad: Any, rows: int) -> list[Call]:
        return gradient_calls(net, p, np.ones((rows, *shape), np.float32), L, value_and_grad)

    return tuple(  # type: ignore[return-value]
        at_batch(partial(calls, L, trainer.value_and_grad), batch)
        for L, trainer in ((layers, training), (refdiff.layers, refdiff.training))
    )


def mlp_row(batch: int = 256) -> Row:
    """Loss and gradient of the default MLP for points; bound: SiLU forwards and backwards, and the loss."""
    p = mlp.init(0, classes=3)
    fused, plain = network_calls(mlp.mlp, p, (2,), batch)
    return Row("MLP, loss and gradient", fused, plain, 4 * batch * (3 * 128 * (2 + 3) + 3 * 2))


def unet_rows(p: Any = None, shape: tuple[int, ...] = (28, 28, 1), batch: int = 64) -> list[Row]:
    """Loss and gradient of the reference U-Net: what is elementwise, and what convolutions move."""
    p = unet.init(0, base=32, multipliers=(1, 2, 2), classes=3) if p is None else p
    both = network_calls(unet.unet, p, shape, batch)
    parts = [[[call for call in calls if (call.label == CONVOLUTION) is of] for calls in both] for of in (False, True)]
    bounds = [4 * batch * sum(part) for part in zip(*_least(p, shape), strict=True)]
    names = "U-Net, elementwise", "U-Net, convolutions"
    return [Row(name, fused, plain, bound) for name, (fused, plain), bound in zip(names, parts, bounds, strict=True)]


def _least(p: Any, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Numbers of an example that must move, step by step of the plan: elementwise, and to and from products."""
    (height, width, channels), saved = shape, []
    yield 3 * height * width * channels, 0  # the loss and its derivative
    for what, name in unet.plan(p):
        places = height * width
        if what == "save":
            saved.append(channels)
            yield 3 * places * channels, 0  # two gradients met
        elif what == "concat":
            channels += saved.pop()
            yield 2 * places * channels, 0
        elif what == "norm":
            yield 5 * places * channels, 0  # with the SiLU that follows: x to y, and x and dy to dx
        elif what == "block":
            inner = p[name]["conv1"]["w"].shape[3]
            yield 5 * places * (channels + inner) + 3 * places * (channels + inner), 4 * places * (channels + 2 * inner)
            channels = inner
        elif what in ("conv", "downsample", "upsample"):
            size = {"conv": 1, "downsample": 0.5, "upsample": 2}[what]
            outer = p[name]["w"].shape[3]
            yield 0, int(2 * places * channels + 2 * places * size * size * outer)
            height, width, channels = int(height * size), int(width * size), outer


def lines(rows: list[Row]) -> Iterator[str]:
    """The table in Markdown."""
    yield f"Bytes and operations outside matrix products; time at {BANDWIDTH / 1e12} TB/s and {RATE / 1e12:.0f} TFLOP/s, an H100's peak."
    yield ""
    yield "| program | | launches | MB | of the bound | MFLOP | us at peak |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        for how, calls in ("fused", row.fused), ("unfused", row.plain):
            size, flops = moved(calls), sum(call.flops for call in calls) / 1e6
            numbers = f"{len(calls)} | {size / 1e6:.3f} | {size / row.bound:.2f} | {flops:.2f} | {1e6 * seconds(calls):.2f}"
            yield f"| {row.what} | {how} | {numbers} |"


def rows() -> list[Row]:
    """All programs."""
    whole = unet.init(0, base=32, multipliers=(1, 2, 2), classes=3)
    return [ddim_row(), mlp_row(), update_row(tree.size(mlp.init(0, classes=3))), *unet_rows(whole), update_row(tree.size(whole))]


if __name__ == "__main__":
    os.environ["REFDIFF_GPU_EMULATE"] = "1"
    print("\n".join(lines(rows())))
