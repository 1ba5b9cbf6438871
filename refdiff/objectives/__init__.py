"""Training objectives: the ELBO, also in continuous time, latent variables, flow and score matching, couplings of noise and data."""

from . import bridge, elbo, flow, flow_times, latent, learned_schedule, score_matching, transport, vdm

__all__ = ["bridge", "elbo", "flow", "flow_times", "latent", "learned_schedule", "score_matching", "transport", "vdm"]
