"""The score of the diagnosis: what it says about each planted implementation, and whether that holds for fresh inputs.

A cause is right if, on fresh inputs, the implementation answers as the cause predicts, wherever the cause predicts another answer than
the specification's. Nobody has to say what the right name would be.
"""

import importlib
import inspect
import pkgutil
import zlib
from dataclasses import dataclass, field

from refdiff.conformance import adapter, compare
from refdiff.conformance.budget import Budget
from refdiff.conformance.diagnosis import causes, search
from refdiff.conformance.diagnosis.derivatives import DERIVATIVE, consistent
from refdiff.conformance.diagnosis.evidence import observe
from refdiff.conformance.diagnosis.match import explains, outcome
from refdiff.conformance.diagnosis.predicates import predicates
from refdiff.conformance.mutations import symptoms
from refdiff.conformance.mutations.called import called
from refdiff.conformance.mutations.conventions import by_one_convention
from refdiff.conformance.operations import operations
from refdiff.conformance.run import runner

from .fresh import fresh

SECONDS = 4.0  # of computing for the search for the causes of one implementation
SYMPTOMS = {
    "rounded": ("dtype",),
    "cancelled": ("digits", "nan", "dtype"),
    "unchecked": ("check",),
    "nan": ("nan",),
}  # and the kinds that they are
ROUNDING = 1e-13
SHARE = 0.95  # of the fresh answers that a right cause predicts


@dataclass
class Verdict:
    """What the kit says of one planted implementation: failed vectors, and for each cause its name and whether it is right."""

    name: str
    area: str
    kind: str
    failures: int
    explained: int = 0
    causes: list[tuple[str, bool | None]] = field(default_factory=list)

    @property
    def word(self):
        """The verdict: right, partly, wrong, unnamed or unfound."""
        said = {right for _, right in self.causes}
        if not self.failures:
            return "unfound"
        if False in said:
            return "wrong"
        if True not in said:
            return "unnamed"
        return "right" if self.explained >= 0.9 * self.failures else "partly"


def planted():
    """The classes of all modules of this package: (area, class)."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in ("score", "fresh", "__main__"):
            for _, cls in inspect.getmembers(importlib.import_module(f"{__package__}.{module.name}"), inspect.isclass):
                if "truth" in vars(cls) and cls.__module__.endswith(module.name):
                    yield module.name, cls


def half(cls):
    """0 or 1, by the name: the diagnosis is tuned on half 0, and half 1 is the measure."""
    return zlib.crc32(cls.__name__.encode()) % 2


def verdict(area, cls, seconds=SECONDS):
    """The verdict on one planted implementation."""
    target = adapter.Adapter(cls())
    only = [name for name in operations() if target.has(name)]
    results = by_one_convention([runner.check(target, vector) for vector in runner.select(only=only)], target.precision)
    wrong = [each for each in results if each.status in ("failed", "errored")]
    found = Verdict(cls.__name__, area, cls.kind, len(wrong))
    if wrong:
        counted = [each for each in results if not each.convention]
        listed = causes.causes(search.diagnose(counted, target.precision, Budget(seconds)))
        listed = [cause for cause in listed if cause.is_cause]
        found.causes = [(_name(cause), _is_right(cause, target, results, cls.kind)) for cause in listed]
        found.explained = len({id for cause in listed for each in cause.explained.values() for id in each})
    for text in {each.convention for each in results if each.convention}:  # the answers are those of a declared convention
        found.causes.append((text, True))
        found.failures, found.explained = found.failures + 1, found.explained + 1
    if any(each.overwritten for each in results):  # a warning says so
        found.causes.append(("writes into its input", cls.kind == "alias" or None))
        found.failures, found.explained = found.failures + 1, found.explained + 1
    return found


def _name(cause):
    return cause.mutants[0].name + f" [{cause.where}]" * bool(cause.where)


def _is_right(cause, target, results, kind):
    """Whether a cause predicts the answers to fresh inputs; None for a statement that predicts none."""
    mutant = cause.mutants[0]
    if symptoms.is_symptom(mutant.name):
        return kind in SYMPTOMS[mutant.name.partition(":")[0]] or (
            None if symptoms.is_symptom(mutant.name, symptoms.UNCHECKED, symptoms.NAN) else False
        )
    return all(_holds(cause, mutant, target, [each for each in results if each.vector.operation == name]) for name in cause.explained)


def _holds(cause, mutant, target, results):
    """Whether a mutant, or its derivative, predicts an operation's answers to fresh inputs."""
    vectors = [fresh(each.vector) for each in results if each.vector.expected is not None]
    answered = [runner.check(target, vector) for vector in vectors if vector is not None]
    observed = [(observe(each), "failed" if each.convention else each.status) for each in answered if each.status in ("passed", "failed")]
    where = [(each, status) for each, status in observed if not cause.where or cause.where in predicates(each.result.vector.inputs)]
    operation = results[0].vector.operation
    mutant = mutant._replace(name=mutant.name.removesuffix(DERIVATIVE))
    forward = called(mutant, operation.removesuffix("_vjp")) or mutant
    for each in (called(mutant, operation) or mutant, *consistent(operation, [forward])):
        hits = [
            status == "failed" and explains(each, seen, target.precision)
            for seen, status in where
            if _departs(each, seen, target.precision)
        ]
        if hits and sum(hits) >= SHARE * len(hits):
            return True
    return False


def _departs(mutant, observation, precision):
    """Whether a mutant's answer is not the right one, by more than what rounding leaves of the fresh right one, which has no 50 digits."""
    outputs, vector = outcome(mutant, observation), observation.result.vector
    if outputs is None:
        return True
    found = compare.difference(outputs, vector.expected, vector.tolerance, precision)
    return found is not None and not found.error < ROUNDING * observation.largest
