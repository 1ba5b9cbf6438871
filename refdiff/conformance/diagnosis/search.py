"""The search for a diagnosis: the changes of formulas, inputs and outputs that give the wrong outputs of an implementation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from ..budget import Budget
from ..mutations.called import called
from ..mutations.candidates import candidates, more, near
from ..mutations.conventions import with_known
from ..mutations.mutants import Mutant, affects
from ..results import Result
from . import derivatives, fitted, pairs, regions
from .evidence import Evidence, Observation, collect
from .scoring import MAX_FRUITLESS, Diagnosis, Tried, diagnosis, first_unexplained

MANY_OPERATIONS = 30  # when more operations than these are wrong, one fruitless probe ends the search, and fewer pairs are tried
MAX_PAIRS = 6000  # of mutants, tried in all, shared by the operations that no single mutant explains
MAX_FORWARD = 3  # causes of a forward operation whose derivatives are tried
MAX_SHARED = 40  # causes of other operations that are tried


def diagnose(results: Sequence[Result], precision: str = "float64", budget: Budget | None = None) -> list[Diagnosis]:
    """A diagnosis for every operation that failed, within a budget of time.

    Each stage of the search is tried on all operations before the next, and only on those that have an unexplained failure; the operations
    come in the order of their smallest vectors, so that the time is spent on the large ones (the U-Net's) last.
    """
    by_operation: dict[str, list[Result]] = {}
    for result in results:
        by_operation.setdefault(result.vector.operation, []).append(result)
    wrong = {name: each for name, each in by_operation.items() if any(result.status in ("failed", "errored") for result in each)}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # wrong formulas meet numbers that they cannot take
        search = Search({name: collect(each, precision) for name, each in wrong.items()}, precision, budget or Budget())
        return search.run()


class Search:
    """The diagnoses so far, by operation, and what is tried next."""

    def __init__(self, evidence: dict[str, Evidence], precision: str, time: Budget) -> None:
        self.evidence, self.precision, self.time = evidence, precision, time
        self.order = sorted(evidence, key=lambda name: evidence[name].size)
        many = len(evidence) > MANY_OPERATIONS
        self.patience, self.pairs = (1, MAX_PAIRS // 4) if many else (MAX_FRUITLESS, MAX_PAIRS)
        self.tried = dict.fromkeys(evidence, Tried())
        self.found = {name: diagnosis(each, (), Tried(), time) for name, each in evidence.items()}

    def run(self) -> list[Diagnosis]:
        """All stages; the diagnoses in the order of the operations. The first and the last also replace a symptom by a cause."""
        first, last = self.catalogue, self.instead_of_a_symptom
        for stage in (first, self.shared, self.derivative, self.changes, self.shared, self.derivative, self.parts, self.two, last):
            by_symptoms = stage not in (first, last)
            for name in self.order:
                mutants = stage(name)
                while self.failure(name, by_symptoms) is not None and self.time.left() and (part := next(mutants, None)) is not None:
                    self.extend(name, part)
        unexplained = {name for name in self.order if self.failure(name) is not None}
        return [each._replace(complete=not (self.time.cut and name in unexplained)) for name, each in self.found.items()]

    def failure(self, name: str, by_symptoms: bool = True) -> Observation | None:
        """The smallest wrong output of an operation that has no explanation, or none but a symptom."""
        return first_unexplained(self.evidence[name], self.found[name], by_symptoms)

    def extend(self, name: str, mutants: Sequence[Mutant]) -> None:
        """Try more mutants on an operation, together with its causes and its resemblance so far."""
        before, self.tried[name] = self.found[name], self.tried[name].with_more(mutants)
        again = diagnosis(self.evidence[name], [*before.causes, *before.resembling, *mutants], self.tried[name], self.time, self.patience)
        if not before.scores or len(again.scores) > len(before.scores):
            self.found[name] = again

    def catalogue(self, name: str) -> Iterator[Sequence[Mutant]]:
        """The known departures, and small changes of the formula and of those that it calls."""
        yield candidates(name)

    def shared(self, name: str) -> Iterator[Sequence[Mutant]]:
        """The causes of other operations, if they change a formula or a whole operation that this one calls."""
        causes = [mutant for other, each in self.found.items() if other != name for mutant in each.causes]
        inside = (called(mutant, name) for mutant in causes)
        shared = {mutant.name: mutant for mutant in causes if mutant.edits and affects(mutant, name)}
        shared |= {mutant.name: mutant for mutant in inside if mutant is not None}
        if shared:
            yield list(shared.values())[:MAX_SHARED]

    def derivative(self, name: str) -> Iterator[Sequence[Mutant]]:
        """For a derivative, the causes of its forward operation."""
        forward = self.found.get(name.removesuffix("_vjp"))
        if forward is not None and forward.scores:
            yield derivatives.consistent(name, forward.causes[:MAX_FORWARD])

    def changes(self, name: str) -> Iterator[Sequence[Mutant]]:
        """The known departures in other conventions; more changes of the inputs, the outputs and the formulas."""
        return chain([with_known(name)], more(name))

    def parts(self, name: str) -> Iterator[Sequence[Mutant]]:
        """Changes of a part of the output, fitted numbers, and mutants whose outputs are changed once more."""
        failure = self.failure(name)
        if failure is not None:
            yield fitted.fits(failure, self.precision, self.time)
            yield [each for mutant in self.time.within(near(name)) for each in regions.restricted(mutant, failure)]
            yield pairs.changed_again(failure, self.precision, self.time)

    def two(self, name: str) -> Iterator[Sequence[Mutant]]:
        """Two small changes at once."""
        failure = self.failure(name)
        if failure is not None:
            open_operations = sum(self.failure(each) is not None for each in self.order)
            fitting, tried = pairs.fitting_pairs(failure, self.precision, self.pairs // open_operations, self.time)
            self.pairs -= tried
            yield fitting

    def instead_of_a_symptom(self, name: str) -> Iterator[Sequence[Mutant]]:
        """Fitted numbers, where all that was found is a symptom: what is right to seven digits may have a small constant added."""
        failure = self.failure(name, by_symptoms=False)
        if failure is not None and self.failure(name) is None:
            yield fitted.fits(failure, self.precision, self.time)
