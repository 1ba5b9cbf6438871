"""Layers of images: odd and even sizes, strides 1 and 2, kernels 1, 3 and 5; residual blocks conditioned by scale and shift, and by shift."""

from collections.abc import Iterator
from typing import Any

from . import Case, numbers, refused
from .layers import pair


def cases() -> Iterator[Case]:
    yield from _convolutions()
    for number, shape in enumerate(((1, 2, 2, 1), (2, 2, 4, 2), (1, 4, 6, 3), (2, 1, 3, 2), (1, 3, 3, 1))):
        B, H, W, C = shape
        yield from pair("up", {"x": numbers(shape, number)}, (B, 2 * H, 2 * W, C), "exact")
    for number, shape in enumerate(((1, 2, 2, 1), (2, 2, 4, 2), (1, 4, 6, 3), (2, 6, 2, 1), (1, 4, 4, 2))):
        B, H, W, C = shape
        yield from pair("pool", {"x": numbers(shape, number)}, (B, H // 2, W // 2, C), "exact")
    yield from _blocks()
    yield from _errors()


def _convolutions() -> Iterator[Case]:
    for number, (size, stride, (B, H, W), fan_in, fan_out) in enumerate(
        (
            (3, 1, (1, 3, 4), 1, 1),
            (3, 1, (2, 4, 3), 2, 3),
            (3, 2, (1, 4, 4), 1, 2),
            (3, 2, (2, 5, 3), 2, 2),
            (3, 2, (1, 4, 5), 2, 1),
            (1, 1, (2, 2, 3), 2, 2),
            (1, 2, (1, 4, 3), 2, 3),
            (5, 1, (1, 4, 5), 1, 2),
            (5, 2, (1, 5, 6), 1, 1),
            (3, 1, (1, 1, 1), 2, 2),
            (3, 1, (1, 2, 2), 3, 3),
        )
    ):
        x, w, b = numbers((B, H, W, fan_in), number), numbers((size, size, fan_in, fan_out), number + 20), numbers((fan_out,), number + 40)
        y = (B, -(-H // stride), -(-W // stride), fan_out)
        yield from pair("conv", {"x": x, "w": w, "b": b, "stride": stride}, y)
    x, w, b = numbers((1, 3, 4, 2), 24) / 3, numbers((3, 3, 2, 2), 25) / 3, numbers((2,), 26) / 3  # numbers that float32 cannot hold
    yield from pair("conv", {"x": x, "w": w, "b": b, "stride": 1}, (1, 3, 4, 2))


def _blocks() -> Iterator[Case]:
    for number, (shape, width, size, groups) in enumerate(
        (((1, 2, 3, 2), 4, 3, 2), ((2, 3, 2, 4), 2, 1, 1), ((2, 2, 2, 2), 2, 3, 1), ((1, 3, 3, 4), 4, 1, 2))
    ):
        for name in ("block_by_scale", "block_by_shift"):
            inputs = {"x": numbers(shape, number), "emb": numbers((shape[0], 3), number + 1), "groups": groups}
            inputs |= _block(name, shape[-1], width, size, number)
            y = (*shape[:-1], width)
            yield from pair(name, inputs, y)
            if shape[-1] == width:
                without = {key: value for key, value in inputs.items() if not key.startswith("shortcut")}
                yield Case(name, without, minimal=True)


def _block(name: str, fan_in: int, width: int, size: int, seed: int) -> dict[str, Any]:
    """Parameters of a block conditioned on an embedding of 3 numbers."""
    shapes: dict[str, tuple[int, ...]] = {"norm1_scale": (fan_in,), "norm1_shift": (fan_in,)}
    shapes |= {"conv1_w": (size, size, fan_in, width), "conv1_b": (width,)}
    if name == "block_by_scale":
        shapes |= {"conditioning_w": (3, 2 * width), "conditioning_b": (2 * width,)}
    else:
        shapes |= {"conditioning_w": (3, width), "conditioning_b": (width,), "norm2_scale": (width,), "norm2_shift": (width,)}
    shapes |= {"conv2_w": (size, size, width, width), "conv2_b": (width,), "shortcut_w": (1, 1, fan_in, width), "shortcut_b": (width,)}
    return {key: numbers(shape, 100 * seed + i) / (2 if len(shape) > 1 else 1) for i, (key, shape) in enumerate(shapes.items())}


def _errors() -> Iterator[Case]:
    x, b = numbers((1, 4, 4, 2)), numbers((2,))
    even, channels, strides = (
        "a kernel of an even size, or not a square",
        "a kernel of other channels than x has",
        "a stride that is not 1 or 2",
    )
    wrong = (
        ((2, 2, 2, 2), 1, even),
        ((3, 1, 2, 2), 1, even),
        ((3, 3, 3, 2), 1, channels),
        ((3, 3, 2, 2), 3, strides),
        ((3, 3, 2, 2), 0, strides),
    )
    for shape, stride, what in wrong:
        yield refused("conv", what, x=x, w=numbers(shape), b=b, stride=stride)
    for size in ((3, 4), (4, 3), (5, 5)):
        yield refused("pool", "an odd height or width", x=numbers((1, *size, 2)))
    for name in ("block_by_scale", "block_by_shift"):
        inputs = {"x": numbers((1, 2, 2, 4)), "emb": numbers((1, 3)), "groups": 3, **_block(name, 4, 4, 1, 0)}
        yield refused(name, "groups that do not divide the channels", **inputs)
