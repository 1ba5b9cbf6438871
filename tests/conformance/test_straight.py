"""The vectors can be passed by a program that knows nothing of refdiff: plain floats and loops, written from the rules alone."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from refdiff.conformance import adapter, operations
from refdiff.conformance.run import runner
from refdiff.conformance.vectors.files import load
from tests import straight

FILES = sorted(Path(straight.__file__).parent.glob("*.py"))
AREAS = operations.AREAS


@pytest.mark.parametrize("area", AREAS)
def test_straight_passes(area):
    """A second implementation has every operation of an area and passes every vector: none failed, errored or skipped."""
    names = {name for name, operation in operations.operations().items() if operation.area == area}
    vectors = [vector for vector in load() if vector.operation in names]
    results = list(runner.run(adapter.Adapter(straight.Adapter), vectors))
    assert [(r.vector.id, r.status, r.difference, r.message) for r in results if r.status != "passed"] == []
    assert {vector.operation for vector in vectors} == names


def test_straight_refuses_by_name():
    """Where only an error is right, it is a ValueError that says what was given and what is allowed, not an accident on the way."""
    refused = [vector for vector in load() if vector.expected is None]
    messages = [r.message for r in runner.run(adapter.Adapter(straight.Adapter), refused)]
    assert Counter(message.split(":")[0] for message in messages) == {"ValueError": len(refused)}
    assert [message for message in messages if "allowed: " not in message] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_straight_is_independent(path):
    """It imports its own modules and the standard library; NumPy only in its module boundary."""
    known = {"math", "itertools", "functools", "inspect"} | ({"numpy"} if path.stem == "boundary" else set())
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= known
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 if node.module is None or node.level else node.module in known
