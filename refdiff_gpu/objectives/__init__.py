"""Training objectives on the device: `flow`. The others, `elbo` and `latent`, are those of `refdiff`, which run on device arrays."""

from . import flow

__all__ = ["flow"]
