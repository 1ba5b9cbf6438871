"""Training: one loop for every model and objective, the optimizer, data-parallel workers, and checkpoints (`training.checkpoint`)."""

from . import classification, optim, parallel
from .loop import Batch, Config, Network, State, as_model, batches, check_loss, draw, rate, start, step, train, update, value_and_grad

__all__ = [
    "Batch",
    "Config",
    "Network",
    "State",
    "as_model",
    "batches",
    "check_loss",
    "classification",
    "draw",
    "optim",
    "parallel",
    "rate",
    "start",
    "step",
    "train",
    "update",
    "value_and_grad",
]
