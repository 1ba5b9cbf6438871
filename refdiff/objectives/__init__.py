"""Training objectives: the ELBO of diffusion models, latent-variable models, and flow matching."""

from . import elbo, flow, latent

__all__ = ["elbo", "flow", "latent"]
