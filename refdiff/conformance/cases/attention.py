"""Attention: 1 and 2 heads; contexts shorter and longer than x, as wide and wider; scores so large that one position has all the weight."""

from collections.abc import Iterator
from typing import Any

from . import Case, numbers, refused
from .layers import pair

NO_HEADS = "heads that do not divide the channels, or 0 heads"

SIZES = (  # batch, places, places of the context, channels, channels of the context, heads
    (1, 2, 3, 2, 2, 1),
    (2, 3, 2, 4, 3, 2),
    (1, 3, 3, 4, 4, 2),
    (2, 2, 2, 2, 2, 2),
    (1, 1, 4, 3, 2, 1),
    (2, 4, 1, 4, 4, 4),
    (1, 4, 4, 6, 5, 2),
)


def cases() -> Iterator[Case]:
    for number, (B, N, M, C, D, heads) in enumerate(SIZES):
        q, k, v = numbers((B, N, C), number), numbers((B, M, C), number + 10), numbers((B, M, C), number + 20)
        yield from pair("scaled_dot_product", {"q": q, "k": k, "v": v, "heads": heads}, (B, N, C))
        x, context = numbers((B, N, C), number + 30), numbers((B, M, D), number + 40)
        yield from pair("cross_attention", {"x": x, "context": context, **_weights(C, D, number), "heads": heads}, (B, N, C))
        yield from pair("self_attention", {"x": x, **_weights(C, C, number), "heads": heads}, (B, N, C))
    q, k, v = numbers((1, 2, 4)) * 16, numbers((1, 3, 4), 1) * 16, numbers((1, 3, 4), 2)
    yield from pair("scaled_dot_product", {"q": q, "k": k, "v": v, "heads": 2}, (1, 2, 4))
    for heads in (3, 0):
        yield refused("scaled_dot_product", NO_HEADS, q=q, k=k, v=v, heads=heads)
        yield refused("self_attention", NO_HEADS, x=q, **_weights(4, 4, 0), heads=heads)
    yield refused("cross_attention", "a context without tokens", x=q, context=k[:, :0], **_weights(4, 4, 0), heads=1)
    q, k, v = numbers((1, 2, 2), 18) * 48, numbers((1, 3, 2), 19) * 48, numbers((1, 3, 2), 20)  # exponentials that overflow
    yield from pair("scaled_dot_product", {"q": q, "k": k, "v": v, "heads": 1}, (1, 2, 2))


def _weights(C: int, D: int, seed: int) -> dict[str, Any]:
    """The four linear layers: q from C channels, k and v from D, out to C."""
    found: dict[str, Any] = {}
    for i, (name, fan_in) in enumerate((("q", C), ("k", D), ("v", D), ("out", C))):
        found |= {f"{name}_w": numbers((fan_in, C), 50 * seed + i) / 2, f"{name}_b": numbers((C,), 50 * seed + 10 + i)}
    return found
