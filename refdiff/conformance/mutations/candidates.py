"""The mutants that a search tries on an operation: those of the catalogue, then more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice

from . import catalogue, input_changes, mutants, output_changes
from .expressions import more as more_expressions
from .expressions import rearrangements
from .mutants import Mutant


@cache
def candidates(operation: str) -> tuple[Mutant, ...]:
    """The mutants that can change an operation's outputs: known ones first, then those of its own formula, then those
    of what it calls.
    """
    found = [mutant for mutant in catalogue.all_mutants().values() if mutants.affects(mutant, operation)]
    return tuple(sorted(found, key=lambda mutant: (not mutant.text, operation not in mutant.functions)))


def more(operation: str) -> Iterator[Sequence[Mutant]]:
    """More mutants, in parts: alternatives of the field; one change of an output, an input or the formula; two changes of an
    output; changes of each formula that this one calls.
    """
    yield catalogue.alternatives(operation)
    yield (
        *output_changes.single(operation),
        *input_changes.changes(operation),
        *more_expressions.generated(operation),
        *rearrangements.rearranged(operation),
    )
    yield output_changes.double(operation)
    for name in sorted(mutants.reachable(operation) - {operation}, key=lambda name: len(mutants.reachable(name)), reverse=True):
        yield (*more_expressions.generated(name), *rearrangements.rearranged(name))


def near(operation: str) -> tuple[Mutant, ...]:
    """The candidates, and the first two parts of the others."""
    return (*candidates(operation), *chain.from_iterable(islice(more(operation), 2)))
