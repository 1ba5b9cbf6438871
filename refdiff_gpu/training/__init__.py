"""Training on the device: `loop` and `optim` with kernels for loss and updates, `classification` with its layers."""

from refdiff.training import parallel

from . import classification, optim
from .loop import Batch, Config, Loss, Network, State, as_model, batches, check_loss, draw, rate, start, step, train, update, value_and_grad

__all__ = [
    "Batch",
    "Config",
    "Loss",
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
