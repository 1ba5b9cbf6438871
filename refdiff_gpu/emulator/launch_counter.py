"""Count kernel launches and their cost: `with LaunchCounter() as counter:`."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

LABEL: ContextVar[str] = ContextVar("LABEL", default="")  # of the launches, to distinguish parts of a program


@dataclass
class Launch:
    """One launch: threads, bytes read and written, elements loaded from raw inputs, floating-point operations."""

    name: str
    threads: int
    read: int
    written: int
    loads: int
    flops: int
    label: str = field(default_factory=lambda: LABEL.get())


@dataclass
class LaunchCounter:
    """The launches inside a block `with LaunchCounter() as counter:`."""

    launches: list[Launch] = field(default_factory=list)

    def __enter__(self) -> LaunchCounter:
        _active.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _active.remove(self)


_active: list[LaunchCounter] = []


def record(launch: Launch) -> None:
    """Add a launch to every active counter."""
    for counter in _active:
        counter.launches.append(launch)
