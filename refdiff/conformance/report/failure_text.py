"""Failures as text: both values, how far they are apart, and how to repeat a case."""

from __future__ import annotations

from .failures import Failure, Step
from .findings import Operation, Report


def difference(failure: Failure) -> str:
    """The message of a failing vector, or the index where its outputs differ, with both values."""
    if failure.got is None or failure.message:
        return failure.message
    element = f"{failure.output}{list(failure.index)}" if failure.index else failure.output
    return f"{element}: {got_and_want(failure)}"


def diverging_step(step: Step) -> str:
    """The first diverging step of a trajectory."""
    times = "at the start" if step.start is None else f"from t = {step.start:g} to {step.end:g}"
    element = f"{step.tensor}{step.index}" if step.index else step.tensor
    return f"first diverging step: {step.number}, {times}; {element}: {got_and_want(step)}"


def snippet(report: Report, failure: Failure) -> list[str]:
    """Lines of Python that repeat a failing case, given the folder of the adapter; none for a program."""
    imported, expression = report.called
    if not imported:
        return []
    return [
        "from refdiff.conformance.run.answers import repeat",
        *imported.splitlines(),
        f"got, right = repeat({expression}, {failure.id!r})",
        'print(got, right, sep="\\n")',
    ]


def shown_failures(operation: Operation) -> list[Failure]:
    """The first failure, and the first without an explanation if that is another."""
    return [failure for failure in (operation.first, operation.other) if failure is not None]


def inputs(failure: Failure) -> str:
    """All inputs on one line."""
    return ", ".join(f"{name}={text}" for name, text in failure.inputs.items())


def value(number: float | str | None, is_integer: bool = False) -> str:
    """A number with all its digits."""
    if isinstance(number, float) and is_integer and number == int(number):
        return str(int(number))
    return f"{number:.17g}" if isinstance(number, float) else str(number)


def got_and_want(found: Failure | Step) -> str:
    """Both values, and how far they are apart."""
    text = f"got {value(found.got, found.is_integer)}, want {value(found.want, found.is_integer)}"
    return f"{text}: {distance(found)}" if distance(found) else text


def distance(found: Failure | Step) -> str:
    """The absolute error, and what is allowed; empty for integers, and for values that are not finite."""
    if found.is_integer or not isinstance(found.got, float) or not isinstance(found.want, float):
        return ""
    error = abs(found.got - found.want)
    return f"{error:.2g} apart" + (f", {found.allowed:.2g} allowed" if found.allowed else "")
