"""Training objectives on the device: `flow` with a kernel for interpolation; the other modules are those of `refdiff`."""

from refdiff.objectives import elbo, latent, score_matching

from . import flow

__all__ = ["elbo", "flow", "latent", "score_matching"]
