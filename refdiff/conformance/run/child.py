"""The process of a Python adapter: it reads vectors, a line each, and writes the adapter's answers."""

from __future__ import annotations

import base64
import faulthandler
import json
import os
import pickle
import signal
import sys
import threading
import time
from typing import IO, Any

import numpy as np

from .. import adapter
from ..dialects.declared import check as check_dialect
from ..messages import MAX_LENGTH, readable
from ..operations import operations
from ..vectors.files import Vector
from .answers import Answer, ask, start_error

STDERR = 2
STACK = getattr(signal, "SIGUSR1", 0)  # a signal on which this process prints its stack; Windows has none


def main(name: str) -> None:
    """Serve on the pipes that are the standard input and output of this process."""
    serve(name, os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os._exit(0)  # no thread or exit handler of the adapter can keep the process


def serve(name: str, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer all requests, until there are no more or the other process has ended."""
    _redirect_standard_streams()
    faulthandler.enable(STDERR)
    if STACK:
        faulthandler.register(STACK, STDERR)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    found, hello = _start(name)
    _say(answers, hello)
    if found is None:
        return
    for line in requests:
        number, vector = pickle.loads(base64.b64decode(line))
        _say(answers, {"id": number, **encode(ask(found, vector))})


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _start(name: str) -> tuple[adapter.Adapter | None, dict[str, Any]]:
    """The adapter, and its introduction; or the error that it raised."""
    try:
        found = adapter.find(name)
        check_dialect(found.dialect)
        offered = {operation: found.defined(operation) for operation in operations() if found.has(operation)}
    except BaseException as error:
        return None, {"refused": start_error(name, error)}
    names = {"name": found.name, "version": found.version, "precision": found.precision, "methods": found.methods, "called": found.called}
    return found, names | {"operations": offered}


def _redirect_standard_streams() -> None:
    """Nothing to read from standard input; what is written to standard output goes to standard error."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(STDERR, 1)
    except OSError:  # there is no standard error
        os.dup2(null, 1)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, errors="backslashreplace", closefd=False)


def _say(answers: IO[bytes], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def encode(answer: Answer) -> dict[str, Any]:
    """An answer for JSON: arrays of numbers in base64, of others the dtype."""
    outputs = None if answer.outputs is None else {name: _encode(array) for name, array in answer.outputs.items()}
    return {**answer._asdict(), "outputs": outputs}


def _encode(array: Any) -> dict[str, Any]:
    if array.dtype.kind in "biuf":
        return {"dtype": array.dtype.str, "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}
    return {"none": True} if array.ndim == 0 and array.item() is None else {"dtype": array.dtype.str}


def decode(message: dict[str, Any]) -> Answer:
    """The answer that `encode` wrote."""
    outputs = message["outputs"]
    if outputs is not None:
        outputs = {str(name): _decode(value) for name, value in outputs.items()}
    return Answer(message["kind"], readable(message["message"], 2 * MAX_LENGTH), outputs, tuple(map(readable, message["overwritten"])))


def _decode(value: dict[str, Any]) -> Any:
    if "none" in value:
        return np.array(None)
    if "data" in value:
        return np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"])).reshape(value["shape"])
    return np.zeros((), value["dtype"])


def request(number: int, vector: Vector) -> str:
    """A vector as a line, without what the adapter is not to see."""
    return base64.b64encode(pickle.dumps((number, vector._replace(expected=None, kills=[])))).decode()
