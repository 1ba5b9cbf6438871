"""Training objectives: the ELBO of diffusion models, latent-variable models, flow matching, and couplings of noise and data."""

from . import bridge, elbo, flow, latent, transport

__all__ = ["bridge", "elbo", "flow", "latent", "transport"]
