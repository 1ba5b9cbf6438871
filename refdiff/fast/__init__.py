"""Layers and a training step optimized for the CPU: `training.train(..., L=fast)` uses them in place of `layers`.

They have the names and pass the tests of `refdiff.networks.layers` and `refdiff.training`, and give the same results up to rounding.
Nothing here is needed to understand those modules.
"""

from ..networks.attention import cross_attention, self_attention, softmax
from ..networks.convolution import pool, up
from ..networks.layers import cross_entropy, embedding
from ..networks.normalize import film, normalize
from .convolution import conv, conv_up
from .flat_state import adopt, update
from .layers import linear, silu, time_features
from .norm import adaptive_group_norm, adaptive_group_norm_silu, group_norm, group_norm_silu
from .training import step, value_and_grad

__all__ = [
    "adaptive_group_norm",
    "adaptive_group_norm_silu",
    "adopt",
    "conv",
    "conv_up",
    "cross_attention",
    "cross_entropy",
    "embedding",
    "film",
    "group_norm",
    "group_norm_silu",
    "linear",
    "normalize",
    "pool",
    "self_attention",
    "silu",
    "softmax",
    "step",
    "time_features",
    "up",
    "update",
    "value_and_grad",
]
