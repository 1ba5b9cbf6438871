"""Training objectives on the device: `flow` with a kernel for interpolation; `transport` and parts of `bridge` computed on the host.

The other modules are those of `refdiff`.
"""

from refdiff.objectives import elbo, flow_times, latent, learned_schedule, score_matching, vdm

from . import bridge, flow, transport

__all__ = ["bridge", "elbo", "flow", "flow_times", "latent", "learned_schedule", "score_matching", "transport", "vdm"]
