"""The interface for every language: a program that answers each request with a line of JSON. docs/pipe.md is the protocol."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from ..adapter import Broken, Skip
from ..messages import described, one_line, readable
from ..operations import operations
from .connection import TIMEOUT, Connection, check_timeout
from .processes.subprocess import start
from .wire import abbreviate, loads, pack, unpack

VERSION = 1
ANSWERS = ("outputs", "error", "skip", "call")  # a message has one of them
ALLOWED = "allowed: an answer with outputs by name, error, skip or call, one of these; error and skip with a text"


class ProgramError(Exception):
    """An error that the program reported, or one that a function among the inputs raised when the program called it."""


class Pipe(Connection):
    """An implementation in any language. `command` is the program and its arguments, `timeout` the seconds for each
    answer.

    An invalid line is an error of the vector that it answers. A program that ends or does not answer in time is
    `broken`: all later vectors are errors.
    """

    def __init__(self, command: Sequence[str], timeout: float = TIMEOUT) -> None:
        if isinstance(command, str) or not command:
            raise ValueError(f"command = {command!r}; allowed: a list of a program and its arguments")
        check_timeout(timeout)
        super().__init__(start(command), timeout)
        self.command = list(command)
        self._number, self._open = 0, set[int]()  # of the last request, and of the requests without an answer
        try:
            self._hello()
        except BaseException:
            self.close()
            raise

    def has(self, operation: str) -> bool:
        """Whether the program has this operation."""
        return operation in self.offered

    def answer(self, operation: str, inputs: dict[str, Any]) -> Any:
        """The program's outputs by name. Raises Skip, ProgramError, or Broken for a violation of the protocol."""
        self._number += 1
        request = {"id": self._number, "operation": operation, "inputs": {name: pack(value, name) for name, value in inputs.items()}}
        sent = json.dumps(request, allow_nan=False)
        deadline = self.deadline()
        self._open.add(self._number)
        self.send(sent, sent)
        return self._outputs(sent, inputs, deadline)

    def _outputs(self, sent: str, inputs: dict[str, Any], deadline: float) -> dict[str, Any]:
        """The answer to a request. Before it, the program may call the functions among the inputs."""
        while "call" in (message := self._message(sent, deadline)):
            value = self._call(sent, message, inputs)
            self.send(json.dumps({"id": self._number, "value": value}, allow_nan=False), sent)
        self._open.discard(self._number)
        if isinstance(message.get("skip"), str):
            raise Skip(readable(message["skip"]))
        if isinstance(message.get("error"), str):
            raise ProgramError(readable(message["error"]))
        if not isinstance(message.get("outputs"), dict):
            self._protocol_error(sent, message, ALLOWED)
        try:
            return {name: unpack(value, readable(name)) for name, value in message["outputs"].items()}
        except ValueError as error:
            self._protocol_error(sent, message, str(error))

    def _call(self, sent: str, message: dict[str, Any], inputs: dict[str, Any]) -> Any:
        """The value of a function among the inputs, for the x and t of a call; its error is also sent to the program."""
        function = inputs.get(message["call"]) if isinstance(message["call"], str) else None
        if not callable(function):
            names = ", ".join(key for key, value in inputs.items() if callable(value))
            self._protocol_error(sent, message, f"allowed: a call of {names or 'nothing, since no input is a function'}")
        try:
            x, t = (_argument(message, key) for key in ("x", "t"))
        except ValueError as error:
            self._protocol_error(sent, message, str(error))
        try:
            return pack(function(x, t))
        except Exception as error:
            text = f"{message['call']} raised {described(error)}, when called by {abbreviate(message)}"
            self.send(json.dumps({"id": self._number, "error": text}), sent)
            raise ProgramError(text) from None

    def _message(self, sent: str, deadline: float) -> dict[str, Any]:
        """The next message for this request; late answers to earlier requests are ignored."""
        while True:
            line = self.receive(deadline, sent)
            try:
                message = loads(line)
            except ValueError as error:
                self._protocol_error(sent, line, f"which is not JSON ({readable(error)})")
            if not isinstance(message, dict):
                self._protocol_error(sent, line, "allowed: a JSON object")
            number = message.get("id", 0 if self._number == 0 else None)
            if type(number) is not int or (number != self._number and number not in self._open):
                self._protocol_error(sent, line, f"allowed: the id of the request, {self._number}")
            if self._number and sum(name in message for name in ANSWERS) != 1:
                self._protocol_error(sent, line, ALLOWED)
            if number == self._number:
                return message
            if "call" not in message:
                self._open.discard(number)

    def _protocol_error(self, sent: str, received: Any, why: str) -> NoReturn:
        raise Broken(f"sent {abbreviate(sent)}, came {abbreviate(received)}; {why}")

    def _hello(self) -> None:
        sent = json.dumps({"refdiff": VERSION, "hello": True})
        self.send(sent, sent)
        reply = self._message(sent, self.deadline())
        self.name, self.version = one_line(reply.get("name", self.command[0])), one_line(reply.get("version", ""))
        self.precision, offered = reply.get("precision", "float64"), reply.get("operations")
        if self.precision not in ("float64", "float32"):
            self._protocol_error(sent, reply, f"precision = {_quoted(self.precision)}; allowed: float64, float32")
        if not isinstance(offered, list) or not all(isinstance(name, str) for name in offered):
            self._protocol_error(sent, reply, "allowed: operations as a list of names")
        for name in offered:
            if name not in operations():
                near = difflib.get_close_matches(name[:100], operations(), 3) or list(operations())
                why = f"operations has {_quoted(name)}, which refdiff does not know; near it: {', '.join(near)}"
                self._protocol_error(sent, reply, why)
        self.offered = frozenset(offered)


def _quoted(value: Any) -> str:
    return abbreviate(repr(value) if isinstance(value, str) else value)


def _argument(message: dict[str, Any], key: str) -> Any:
    """The x or t of a call; a float without a fractional part is an integer."""
    if key not in message:
        raise ValueError(f"a call without {key}; allowed: x and t")
    value = unpack(message[key], key)
    return int(value) if isinstance(value, float) and value.is_integer() else value
