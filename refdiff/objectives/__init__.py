"""Training objectives: the ELBO of diffusion models, latent-variable models, flow matching, and score matching."""

from . import elbo, flow, latent, score_matching

__all__ = ["elbo", "flow", "latent", "score_matching"]
