"""Valid calls of all public functions of refdiff, found by walking its packages, and what their results hold."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from itertools import islice
from types import FunctionType, ModuleType, SimpleNamespace

import numpy as np

from refdiff import fast

from . import makers
from .damages import damages
from .exceptions import CONSTRUCTORS, NOT_CHECKED, UNDAMAGED, entry
from .makers import INSTANCES, MAKERS, array, numbers

ROOMS = ("process", "objectives", "solvers", "sampling", "networks", "training", "data", "rng", "tree", "arrays", "checks", "fast")
OUTSIDE = {  # what the walk finds and the contract does not cover, and why
    "solvers.stages.check_options": "the check itself",
    "solvers.stages.taken": "a conversion of `predict` with the arguments of a step",
    "training.parallel": "plumbing between workers: tasks and slices of batches that training has checked",
    "training.archive": "files and their damage have tests of their own",
    "training.checkpoint": "files and their damage have tests of their own",
    "data.mnist": "files and downloads have tests of their own",
    "data.fashion": "files and downloads have tests of their own",
    "data.idx": "files have tests of their own",
    "data.readers": "files have tests of their own",
    "data.images.load": "files have tests of their own",
    "data.images.split": "part of `load`, with arrays that were read and checked",
    "networks.residual": "parts of networks, between layers that check their arguments",
    "networks.unet_init.Draw": "draws the parameters for `init`, which has checked its arguments",
    "networks.mlp.embed_conditions": "part of networks, called with their checked arguments",
    "networks.convolution.neighbours_at": "a slice of an image that `conv` has padded",
    "networks.convolution.check_conv": "the check itself, called with the parameters of a layer",
    "networks.inputs": "the checks themselves, called with the arguments of networks",
    "process.grids.check_noise": "the check itself, called with the noise of a sampler",
    "process.tables.exact_sums": "sums of the steps of a table that has been checked",
    "networks.unet.plan": "reads names of parameters",
    "objectives.transport.check_plan": "the check itself, called with the plans of other functions",
    "objectives.transport.covariances": "the check itself, called with the covariances of other functions",
    "sampling.mixture.shaped": "casts a result back to the shape of an argument that has been checked",
    "training.optim.debias": "the divisor of an average whose decay has been checked",
    "fast.training": "the step on states that `fast.adopt` has packed: it has tests of its own",
    "fast.flat_state": "the step on states that `fast.adopt` has packed: it has tests of its own",
    "training.loop.check": "the checks themselves",
    "training.optim.check": "the checks themselves",
    "checks": "the checks themselves: every call here runs them",
    "tree": "moves arrays of nested dicts, whatever they are; trees of different structures have a test",
    "rng.philox": "the generator itself, on words and a key that `bits` has checked",
    "arrays": "helpers of the functions and of the checks; they have tests of their own",
    "solvers.nodes.nodes_of": "the check itself, called with the arguments of a step",
    "solvers.nodes.coefficients_at": "the check itself, called with the times of a step",
    "solvers.exponential.combined": "the end of a step, whose arguments have been checked",
    "solvers.methods.Multistep": "its parts are checked where it begins; tests/solvers has its tests",
    "sampling.orders": "measures solvers by their names; tests/solvers has its tests",
    "data.download": "files and downloads have tests of their own",
}  # fmt: skip
ONLY = {"fast": set(fast.__all__)}  # of these rooms only the exported names are public


@dataclasses.dataclass(frozen=True)
class Call:
    """A public function, method or constructor: its name, how to reach it, and its parameters."""

    name: str  # such as process.forward.q_sample, sampling.mixture.Mixture.score
    owner: type | None  # the class of a method
    function: FunctionType | type

    @property
    def parameters(self):
        found = inspect.signature(self.function).parameters.values()
        return [p for p in found if p.name != "self" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]

    def maker(self, parameter):
        """The maker of a parameter: that of the function, of its class, module or package, or the one for all."""
        parts = self.name.split(".")
        for prefix in (".".join(parts[-2:]), *reversed(parts)):
            if f"{prefix}.{parameter}" in MAKERS:
                return MAKERS[f"{prefix}.{parameter}"]
        return MAKERS.get(parameter)

    def arguments(self, variant):
        """Valid arguments by name. A maker's None leaves the parameter to its default."""
        made = {p.name: self.maker(p.name)(variant) for p in self.parameters}
        return {name: value for name, value in made.items() if value is not None}

    def __call__(self, variant, arguments, package=""):
        """The leaves of the result."""
        owner = INSTANCES[self.owner.__name__](variant) if self.owner else None
        function = getattr(owner, self.function.__name__) if self.owner else self.function
        return list(leaves(finished(self.name, function(**arguments), variant)))


def damaged(call, variant):
    """All damages of all arguments of a call that the contract covers: the parameter and its damage."""
    optional = {p.name for p in call.parameters if p.default is None or "None" in str(p.annotation)}
    for name, value in call.arguments(variant).items():
        unchecked, _ = entry(NOT_CHECKED, call, name) or ((), "")
        for damage in () if entry(UNDAMAGED, call, name) else damages(value):
            if damage.category not in unchecked and not (damage.value is None and name in optional):
                yield name, damage


def walk() -> Iterator[Call]:
    """All calls, each function once."""
    seen = set()
    for room in ROOMS:
        for module in modules(room):
            for name, item in list(vars(module).items()):
                place = item.__module__.removeprefix("refdiff.") if inspect.isfunction(item) or inspect.isclass(item) else ""
                if name.startswith("_") or not place or id(item) in seen or (room in ONLY and name not in ONLY[room]):
                    continue
                if item.__module__ != module.__name__ and not (room in ONLY and place.startswith(room)):
                    continue
                seen.add(id(item))
                yield from calls_of(f"{place}.{name}", item)


def modules(room):
    module = importlib.import_module(f"refdiff.{room}")
    inner = pkgutil.iter_modules(module.__path__) if hasattr(module, "__path__") and room not in ONLY else ()
    return [module, *(importlib.import_module(f"{module.__name__}.{each.name}") for each in inner)]


def calls_of(name, item):
    if any(name == out or name.startswith((f"{out}.", f"{out}_")) for out in OUTSIDE):
        return
    if not inspect.isclass(item):
        yield Call(name, None, item)
    elif not issubclass(item, tuple | Exception):
        if name not in CONSTRUCTORS:
            yield Call(name, None, item)
        for key, method in vars(item).items():
            if inspect.isfunction(method) and not key.startswith("_"):
                yield Call(f"{name}.{key}", item, method)


def finished(name, result, v):
    """The result, with what it leaves to a later call computed."""
    x, short = array(3, 2)(v), name.rpartition(".")[2]
    if short in ("guided", "as_model", "model"):
        return result(x, 5, np.array([0, 1, 1])) if short == "as_model" else result(x, 5)
    if short == "exact_reverse":
        return result(x, 5, 3)
    if short == "stochastic_step":
        return result(makers.model, x, 0.5, 0.25, x)
    if short in ("solver", "singlestep", "prk"):
        step = result.begin() if hasattr(result, "begin") else result
        return step(makers.model, x, 0.5, 0.25, None)
    if short == "velocity_field":
        return result(x, 0.25)
    if short == "stepper":
        return result(makers.model, x, 5, 3, x)
    if short in ("Normals", "Increments"):
        return result[0]
    if short == "with_cross_entropy":
        return None
    if short in ("optimal_transport", "vp", "sub_vp", "ve", "edm") or name.endswith(
        ("edm_training.path", "flow_times.logit_normal", "flow.Path", "sde.Sde")
    ):
        return result.signal_sigma(0.25), result.rates(0.25)
    if name.endswith("learned_schedule.gamma"):
        return result[0], result[1](*result[0])
    if name.endswith("vdm.path"):
        return result.signal_sigma(0.25), result.rates(0.25)
    if name.endswith("LinearGaussian"):
        return result.log_marginal(array(4, 3)(v))
    if name.endswith(("Mixture", "oracles.mixture", "oracles.gaussian", "data_set", "point_mass", "maps.condition")):
        x = numbers((3, result.means.shape[1])).astype(v.dtype)
        return result.score(x, 0.75, 0.5), result.log_class(x, 0.75, 0.5)
    if name.endswith(".State"):
        return result.averaged(makers.CONFIG)
    if isinstance(result, tuple) and inspect.isfunction(result[-1]):  # a layer: its value and its derivative
        return result[0], result[1](numbers(result[0].shape).astype(result[0].dtype))
    return result


def leaves(value, path=""):
    """Pairs of a path and a number, text or array, of all that a result holds."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, tuple | list):
        items = enumerate(value)
    elif isinstance(value, Iterator):
        items = enumerate(islice(value, 6))
    elif dataclasses.is_dataclass(value):
        items = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    elif isinstance(value, ModuleType | SimpleNamespace) or inspect.isfunction(value):
        items = ()
    else:
        yield path, value
        return
    for key, each in items:
        yield from leaves(each, f"{path}/{key}")
