"""What launches cost, put down by whoever launches: `with Ledger() as ledger:`."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

LABEL: ContextVar[str] = ContextVar("LABEL", default="")  # what the calls are for


@dataclass
class Call:
    """One launch: how many threads, bytes it must read and write, elements of raw inputs it loads, operations on floating-point numbers."""

    name: str
    threads: int
    read: int
    written: int
    loads: int
    flops: int
    label: str = field(default_factory=lambda: LABEL.get())


@dataclass
class Ledger:
    """What was launched inside `with Ledger() as ledger:`."""

    calls: list[Call] = field(default_factory=list)

    def __enter__(self) -> Ledger:
        _ledgers.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _ledgers.remove(self)


_ledgers: list[Ledger] = []


def note(call: Call) -> None:
    """Put a launch down in every open ledger."""
    for ledger in _ledgers:
        ledger.calls.append(call)
