"""A connection to a program: requests and answers as lines, a time limit for each answer, and the reason if the program fails."""

from __future__ import annotations

import time
from types import TracebackType
from typing import NoReturn, Self

from ..adapter import Broken
from .processes.subprocess import GRACE, Process, Program, ProgramEnded
from .wire import abbreviate

TIMEOUT = 60.0  # seconds for each answer, by default
MAX_TIMEOUT = 1e6


def check_timeout(timeout: float) -> float:
    """The time limit. Raises ValueError if it is no positive number of seconds."""
    if not 0 < timeout <= MAX_TIMEOUT:
        raise ValueError(f"timeout = {timeout!r}; allowed: a positive number of seconds, at most {MAX_TIMEOUT:,.0f}")
    return timeout


class Connection:
    """A running program. `who` names it in messages; once it fails, `broken` says how, and all later requests raise `Broken`."""

    who = "the program"

    def __init__(self, process: Process, timeout: float, last_signal: int = 0) -> None:
        self.timeout, self.broken = timeout, ""
        self._program = Program(process, last_signal)

    def send(self, line: str, said: str) -> None:
        """Send a line; `said` stands for it in messages."""
        self._check()
        try:
            self._program.send(line)
        except ProgramEnded as ended:
            self.fail(str(ended), said)

    def receive(self, deadline: float, said: str) -> bytes:
        """The next line before the deadline."""
        self._check()
        try:
            return self._program.receive(deadline)
        except ProgramEnded as ended:
            limit = f" ({self.timeout:g} s)" if "in time" in str(ended) else ""
            self.fail(f"{ended}{limit}", said)

    def _check(self) -> None:
        if self.broken:
            raise Broken(f"not run: {self.who} {self.broken}")

    def deadline(self) -> float:
        """The end of the time limit of an answer that is requested now."""
        return time.monotonic() + self.timeout

    def fail(self, reason: str, said: str) -> NoReturn:
        """End the program, and raise `Broken` with the reason."""
        self._program.close(0)
        self.broken = f"{reason} {self.when(said)}"
        raise Broken(f"{self.who} {self.broken}")

    def when(self, said: str) -> str:
        """The occasion of a failure, for messages."""
        return f"when it was sent {abbreviate(said)}"

    def close(self) -> None:
        """Close the program's input and end the program."""
        self._program.close(0 if self.broken else GRACE)
        self.broken = self.broken or "was closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
