"""Fast solvers of the probability-flow ODE and the reverse SDE: DPM-Solver, UniPC, DEIS and PLMS, each with its order measured."""

from . import edm, edm_training
from .adams import deis_step, plms_step
from .exponential import dpm_solver_step, dpmpp_step, phi
from .methods import METHODS, Multistep, noise_for, solver
from .nodes import half_log_snr, noise_to_signal, weights
from .stages import Parts, noise_of_stages, prk, singlestep
from .times import solver_grid, time_at, time_between

__all__ = [
    "METHODS",
    "Multistep",
    "Parts",
    "deis_step",
    "dpm_solver_step",
    "dpmpp_step",
    "edm",
    "edm_training",
    "half_log_snr",
    "noise_for",
    "noise_of_stages",
    "noise_to_signal",
    "phi",
    "plms_step",
    "prk",
    "singlestep",
    "solver",
    "solver_grid",
    "time_at",
    "time_between",
    "weights",
]
