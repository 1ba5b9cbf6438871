"""Training objectives: the ELBO of diffusion models, also in continuous time, latent-variable models, and flow matching."""

from . import elbo, flow, latent, learned_schedule, vdm

__all__ = ["elbo", "flow", "latent", "learned_schedule", "vdm"]
