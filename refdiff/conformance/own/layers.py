"""Operations of refdiff: layers. The parameters of an operation, given by name, become a dict for refdiff's layer."""

from __future__ import annotations

from typing import Any

from ...networks import layers
from ...networks import normalize as norms


def time_features(t: Any, features: int) -> Any:
    return layers.time_features(t, features)


def embedding(labels: Any, table: Any) -> Any:
    return layers.embedding({"table": table}, labels)[0]


def embedding_vjp(labels: Any, table: Any, dy: Any) -> Any:
    return layers.embedding({"table": table}, labels)[1](dy)["table"]


def linear_layer(x: Any, w: Any, b: Any) -> Any:
    return layers.linear({"w": w, "b": b}, x.reshape(-1, x.shape[-1]))[0].reshape(*x.shape[:-1], len(b))


def linear_layer_vjp(x: Any, w: Any, b: Any, dy: Any) -> Any:
    dp, dx = layers.linear({"w": w, "b": b}, x.reshape(-1, x.shape[-1]))[1](dy.reshape(-1, len(b)))
    return dx.reshape(x.shape), dp["w"], dp["b"]


def silu(x: Any) -> Any:
    return layers.silu({}, x)[0]


def silu_vjp(x: Any, dy: Any) -> Any:
    return layers.silu({}, x)[1](dy)[1]


def softmax(z: Any) -> Any:
    return layers.softmax({}, z)[0]


def softmax_vjp(z: Any, dy: Any) -> Any:
    return layers.softmax({}, z)[1](dy)[1]


def cross_entropy(logits: Any, labels: Any) -> Any:
    return layers.cross_entropy(logits, labels)[0]


def cross_entropy_vjp(logits: Any, labels: Any, dy: Any) -> Any:
    return layers.cross_entropy(logits, labels)[1](dy)


def normalize(x: Any, groups: int) -> Any:
    return norms.normalize({}, x, groups)[0]


def normalize_vjp(x: Any, groups: int, dy: Any) -> Any:
    return norms.normalize({}, x, groups)[1](dy)[1]


def group_norm(x: Any, scale: Any, shift: Any, groups: int) -> Any:
    return layers.group_norm({"scale": scale, "shift": shift}, x, groups)[0]


def group_norm_vjp(x: Any, scale: Any, shift: Any, groups: int, dy: Any) -> Any:
    dp, dx = layers.group_norm({"scale": scale, "shift": shift}, x, groups)[1](dy)
    return dx, dp["scale"], dp["shift"]


def film(x: Any, scale: Any, shift: Any) -> Any:
    return layers.film({}, x, scale, shift)[0]


def film_vjp(x: Any, scale: Any, shift: Any, dy: Any) -> Any:
    return layers.film({}, x, scale, shift)[1](dy)[1:]


def adaptive_group_norm(x: Any, emb: Any, w: Any, b: Any, groups: int) -> Any:
    return layers.adaptive_group_norm({"w": w, "b": b}, x, emb, groups)[0]


def adaptive_group_norm_vjp(x: Any, emb: Any, w: Any, b: Any, groups: int, dy: Any) -> Any:
    dp, dx, demb = layers.adaptive_group_norm({"w": w, "b": b}, x, emb, groups)[1](dy)
    return dx, demb, dp["w"], dp["b"]
