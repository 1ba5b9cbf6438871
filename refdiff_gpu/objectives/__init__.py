"""Training objectives on the device: `flow` with a kernel for interpolation; the other modules are those of `refdiff`."""

from refdiff.objectives import elbo, latent, learned_schedule, vdm

from . import flow

__all__ = ["elbo", "flow", "latent", "learned_schedule", "vdm"]
