"""The op set `fast`: the layers and the training step again, rebound for the CPU's speed. `training.train(..., L=fast)` takes all of it.

Names, answers up to rounding, and tests are those of `refdiff.networks.layers` and `refdiff.training`; nothing here is needed to read them.
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
