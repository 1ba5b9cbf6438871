"""The list of equations: names are given here; functions and sources come from docstrings, tests from the docstrings of the tests."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, NamedTuple

EQUATIONS = {  # id: the name, and the headline function
    "F1": ("forward step", "forward.q_step"),
    "F2": ("composition of forward steps", "tables.Schedule.transition"),
    "F3": ("forward marginal in closed form", "forward.q_sample"),
    "F4": ("density of a forward trajectory", "forward.trajectory_log_density"),
    "F5": ("noise schedules and time grids", "tables.Schedule"),
    "F6": ("prior KL at T", "forward.prior_kl"),
    "R1": ("Bayes' rule for the posterior", "forward.posterior_by_bayes"),
    "R2": ("posterior of an earlier state", "forward.posterior"),
    "R3": ("posterior mean from the noise", "reverse.mean_from_eps"),
    "R4": ("reverse kernel of the model", "reverse.kernel"),
    "R5": ("density of a reverse trajectory", "reverse.trajectory_log_density"),
    "R6": ("prediction targets and conversions", "predict.convert"),
    "E1": ("KL divergence between Gaussians", "gaussian.kl_diagonal"),
    "E2": ("importance-weighted marginal likelihood", "latent.importance_weighted"),
    "E3": ("ELBO and its gap", "latent.LinearGaussian.elbo"),
    "E4": ("VAE as a diffusion with T = 1", "latent.LinearGaussian.elbo"),
    "E5": ("ELBO of diffusion in three forms", "elbo.elbo_terms"),
    "E6": ("ELBO term as a weighted squared error", "elbo.weight_eps"),
    "E7": ("decoder term of the ELBO", "elbo.discretized_decoder"),
    "E8": ("simplified and hybrid losses", "elbo.l_simple"),
    "T1": ("training loop", "training.train"),
    "S1": ("ancestral sampling (DDPM)", "samplers.ddpm_step"),
    "S2": ("DDIM: sampling, inversion, interpolation", "samplers.ddim_step"),
    "C1": ("score functions", "gaussian.score"),
    "C2": ("Tweedie's formula", "predict.tweedie_mean"),
    "C4": ("diffusion as an SDE", "sde.Sde"),
    "C5": ("reverse SDEs and probability-flow ODE", "sde.reverse_drift"),
    "B1": ("Fokker-Planck equation", "fokker_planck.residual"),
    "B3": ("parallel sampling by Picard iteration", "picard.sweep"),
    "K1": ("preconditioning of EDM", "edm.preconditioning"),
    "K2": ("noise levels of EDM", "edm.sigma_grid"),
    "K3": ("Heun's method with churn", "edm.heun_step"),
    "K4": ("exponential integrators", "exponential.phi"),
    "K5": ("DPM-Solver", "exponential.dpm_solver_step"),
    "K6": ("DPM-Solver++", "exponential.dpmpp_step"),
    "K7": ("solvers of the reverse SDE", "exponential.dpmpp_step"),
    "K8": ("UniPC", "nodes.weights"),
    "K9": ("DEIS, LMS and PLMS", "adams.deis_step"),
    "C6": ("predictors of score models", "langevin.ancestral_step"),
    "C7": ("corrector of score models", "langevin.corrector_size"),
    "C8": ("exact likelihood by the flow", "likelihood.log_likelihood"),
    "C9": ("Hutchinson's estimate of the divergence", "likelihood.hutchinson"),
    "L1": ("Langevin dynamics", "langevin.ula_step"),
    "L2": ("annealed Langevin dynamics", "langevin.annealed"),
    "L3": ("score matching", "score_matching.denoising"),
    "V1": ("diffusion loss in continuous time", "vdm.continuous_term"),
    "V2": ("learned noise schedule", "learned_schedule.gamma"),
    "V3": ("stratified and importance-sampled times", "vdm.stratified_times"),
    "M1": ("ODE solvers", "ode.heun_step"),
    "M2": ("conditional paths and velocities", "flow.interpolate"),
    "M3": ("conditional and marginal flow matching", "flow.conditional_loss"),
    "M4": ("rectified flow and couplings", "flow.couple_optimally"),
    "M5": ("equivalence of diffusion and flow", "flow.flow_time"),
    "B2": ("entropic transport and Schroedinger bridge", "transport.couple_entropic"),
    "G1": ("classifier guidance", "guidance.classifier_score"),
    "G2": ("gradient of a classifier", "guidance.classifier_gradient"),
    "G3": ("classifier-free guidance", "guidance.classifier_free"),
    "G4": ("exact guidance of Gaussian mixtures", "mixture.Mixture.class_gradient"),
    "N1": ("time and label embeddings, MLP", "mlp.mlp"),
    "N2": ("network layers", "convolution.conv"),
    "N3": ("residual block with conditioning", "residual.block"),
    "N4": ("attention", "attention.cross_attention"),
    "N5": ("U-Net", "unet.unet"),
    "Q1": ("Frechet distance (FID) and its bias", "metrics.frechet_distance"),
    "Q2": ("inception score", "feature_metrics.inception_score"),
    "Q3": ("kernel distances between sets, KID", "feature_metrics.kid"),
}

MODULES = {  # public name of every module that states equations: its path in the package
    **{
        name: f"process.{name}" for name in ("tables", "schedules", "grids", "forward", "reverse", "predict", "gaussian", "sde", "brownian")
    },
    **{
        name: f"objectives.{name}"
        for name in ("elbo", "latent", "flow", "flow_times", "score_matching", "transport", "bridge", "vdm", "learned_schedule")
    },
    **{name: f"solvers.{name}" for name in ("nodes", "exponential", "adams", "methods", "stages", "times", "edm", "edm_training")},
    **{
        name: f"sampling.{name}"
        for name in (
            "generation",
            "ode",
            "samplers",
            "guidance",
            "mixture",
            "oracles",
            "maps",
            "orders",
            "langevin",
            "likelihood",
            "fokker_planck",
            "picard",
        )
    },
    **{name: f"networks.{name}" for name in ("layers", "convolution", "normalize", "attention", "mlp", "residual", "unet")},
    **{name: f"data.{name}" for name in ("metrics", "feature_metrics")},
    "optim": "training.optim",
    "training": "training.loop",
}

_SOURCE = re.compile(r"Source:\s+((?:[A-Z]\d(?:,\s+)?)+)?\s*((?:\[[^\]]+\](?:,\s+)?)*)")


class Entry(NamedTuple):
    """A public function or method that states equations, with the ids and the source tags of its docstring."""

    name: str
    item: Callable[..., Any]
    ids: list[str]
    tags: list[str]


def entries() -> list[Entry]:
    """Every public function and method of the equation modules whose docstring names an equation."""
    found = []
    for module, path in MODULES.items():
        for name, item in _public(importlib.import_module(f"refdiff.{path}"), module):
            match = _SOURCE.search(inspect.getdoc(item) or "")
            if match and match[1]:
                found.append(Entry(name, item, re.findall(r"[A-Z]\d", match[1]), re.findall(r"\[([^\]]+)\]", match[2])))
    return found


def functions(id: str) -> list[Entry]:
    """The functions that state an equation, the headline function first; lower case is allowed. Raises ValueError for an unknown id."""
    id = id.upper()
    if id not in EQUATIONS:
        raise ValueError(f"id = {id!r}; allowed: {', '.join(EQUATIONS)}")
    _, headline = EQUATIONS[id]
    return sorted((entry for entry in entries() if id in entry.ids), key=lambda entry: (entry.name != headline, entry.ids.index(id)))


def tests(id: str) -> list[str]:
    """The tests that prove an equation, as "tests/file.py::test". tests/test_equations.py collects them from the tests' docstrings."""
    return json.loads(resources.files("refdiff").joinpath("tested.json").read_text(encoding="utf-8"))[id]


def list_text() -> str:
    """The list of all equations, a line each: id, name, function, sources."""
    lines = [("id", "equation", "function", "source")]
    lines += [(id, name, headline, "; ".join(functions(id)[0].tags)) for id, (name, headline) in EQUATIONS.items()]
    rows = [f"{id}  {name:<41} {function:<38} {source}" for id, name, function, source in lines]
    return "\n".join([*rows, "", "refdiff eq ID shows an equation: its formulas, its functions and its tests."])


def show_text(id: str) -> str:
    """One equation: its formulas, the code and sources of every function that states it, and the tests that prove it."""
    found, id = functions(id), id.upper()
    parts = [f"{id}  {EQUATIONS[id][0]}"]
    for entry in found:
        lines, start = inspect.getsourcelines(entry.item)
        formulas = re.findall(r"\$\$(.+?)\$\$", inspect.getdoc(entry.item) or "", re.S)
        equations = [inspect.cleandoc(f"\n{formula}") for formula in formulas]
        heading = f"refdiff.{entry.name}   line {start}   {'; '.join(entry.tags)}".rstrip()
        parts += ["", heading, "-" * len(heading), *equations, "", inspect.cleandoc("\n" + "".join(lines))]
    return "\n".join([*parts, "", "Proved by", *(f"  {test}" for test in tests(id))])


def _public(module: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(item):
            yield f"{prefix}.{name}", item
        elif inspect.isclass(item):
            yield f"{prefix}.{name}", item
            for method, inner in vars(item).items():
                inner = getattr(inner, "fget", None) or getattr(inner, "func", inner)
                if inspect.isfunction(inner) and not method.startswith("_"):
                    yield f"{prefix}.{name}.{method}", inner
