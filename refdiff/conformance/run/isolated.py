"""A Python adapter in a process of its own: whatever it does to its process, the run goes on to a report."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ..adapter import Broken
from ..messages import described, readable
from ..vectors.files import Vector
from . import child
from .answers import Answer
from .connection import TIMEOUT, Connection, check_timeout
from .processes import forked
from .processes.subprocess import Process, start
from .wire import abbreviate, loads

START = "import sys, json; name, sys.path[:] = json.loads(sys.argv.pop()); from {} import main; main(name)"
AHEAD = 32  # requests that are sent before the answer to the first is read


class Isolated(Connection):
    """An adapter by its dotted name, with `timeout` seconds for its import and for each answer.

    If the process ends or does not answer in time, the adapter is `broken`: all later vectors are errors.
    """

    who = "the adapter"

    def __init__(self, name: str, timeout: float = TIMEOUT, fork: bool | None = None) -> None:
        check_timeout(timeout)
        fork = forked.possible() if fork is None else fork
        process: Process = forked.Forked(partial(child.serve, name)) if fork else _spawned(name)
        super().__init__(process, timeout, child.STACK)
        self._sent = self._answered = 0
        try:
            self._hello(name)
        except BaseException:
            self.close()
            raise

    def has(self, operation: str) -> bool:
        """Whether the adapter has this operation."""
        return operation in self.offered

    def defined(self, operation: str) -> str:
        """The file and the line of the adapter's method."""
        return readable(self.offered.get(operation, ""))

    def ask(self, vector: Vector) -> Answer:
        """The adapter's answer to a vector."""
        return next(self.ask_all([vector]))[1]

    def ask_all(self, vectors: Iterable[Vector]) -> Iterator[tuple[Vector, Answer]]:
        """The answers to vectors, in order. A few requests are sent ahead, so that neither process waits for the other."""
        ahead: deque[tuple[Vector, Answer | None]] = deque()
        for vector in vectors:
            ahead.append((vector, self._send(vector)))
            if len(ahead) == AHEAD:
                yield self._answer(*ahead.popleft())
        while ahead:
            yield self._answer(*ahead.popleft())

    def _send(self, vector: Vector) -> Answer | None:
        """Send a request; an answer if none can be sent."""
        if not self.has(vector.operation):
            return Answer("skipped", "not offered")
        try:
            self.send(child.request(self._sent + 1, vector), vector.id)
        except Broken as error:
            return Answer("broken", str(error))
        self._sent += 1
        return None

    def _answer(self, vector: Vector, known: Answer | None) -> tuple[Vector, Answer]:
        if known is not None:
            return vector, known
        try:
            self._answered += 1
            return vector, self._receive(vector.id, child.decode)
        except Broken as error:
            return vector, Answer("broken", str(error))

    def when(self, said: str) -> str:
        """The vector at which the adapter failed."""
        return f"at {said}"

    def _receive(self, said: str, read: Callable[[dict[str, Any]], Any]) -> Any:
        """The next message, read by this function; one that the child did not write ends the run."""
        line = self.receive(self.deadline(), said)
        try:
            message = loads(line)
            if self._answered and message["id"] != self._answered:
                raise ValueError(f"id = {message['id']}")
            return read(message)
        except Exception as error:
            self.fail(f"wrote {abbreviate(line)} to the pipe of its process ({described(error)})", said)

    def _hello(self, name: str) -> None:
        hello = self._receive("its import", dict)
        if "refused" in hello:
            raise ValueError(readable(hello["refused"]))
        self.name, self.version, self.precision = (readable(hello[key]) for key in ("name", "version", "precision"))
        imported, expression = map(str, hello["called"])
        self.called = imported, expression
        self.methods, self.offered = list(hello["methods"]), dict(hello["operations"])


def _spawned(name: str) -> Process:
    """A new interpreter, with the path of this one."""
    given = json.dumps([name, sys.path])
    return start([sys.executable, "-P", "-c", START.format(child.__name__), given])
