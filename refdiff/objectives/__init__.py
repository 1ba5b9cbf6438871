"""Training objectives: the ELBO, also in continuous time, latent-variable models, flow matching, and couplings of noise and data."""

from . import bridge, elbo, flow, latent, learned_schedule, transport, vdm

__all__ = ["bridge", "elbo", "flow", "latent", "learned_schedule", "transport", "vdm"]
