"""Layers, networks, optimizers and training in the conformance kit: refdiff passes, the gradients are right, and every mutant is killed."""

import ast

import pytest

from refdiff.conformance import cases, compare, operations, own
from refdiff.conformance.adapter import Adapter
from refdiff.conformance.known.equivalent_layers import EQUIVALENT
from refdiff.conformance.known.layers import KNOWN
from refdiff.conformance.mutations import catalogue, kills, mutants
from refdiff.conformance.numbers import exact
from refdiff.conformance.run import runner

AREAS = ("layers", "images", "attention", "unet", "optim", "training")
OPERATIONS = {name: operation for name, operation in operations.operations().items() if operation.area in AREAS}
DERIVATIVES = [name for name in OPERATIONS if name.endswith("_vjp")]


@pytest.mark.parametrize("adapter", [own.Adapter, own.Float32])
def test_refdiff_passes_every_vector(adapter):
    """N1, N2, N3, N4, N5, T1: refdiff's layers, networks, optimizers and training give the answers of independent formulas at 50 digits."""
    vectors = runner.select(only=AREAS)
    assert {vector.operation for vector in vectors} == set(OPERATIONS)
    wrong = [result for result in runner.run(Adapter(adapter), vectors) if result.status != "passed"]
    assert not wrong, [(result.vector.id, result.status, result.message, result.difference) for result in wrong]


@pytest.mark.parametrize("name", DERIVATIVES)
def test_written_derivatives_are_central_differences(name):
    """N1, N2, N3, N4, N5: at 50 digits, every derivative of the formulas that are written by hand, in every input and parameter."""
    forward, backward = OPERATIONS[name.removesuffix("_vjp")], OPERATIONS[name]
    for case in _cases(name)[:3]:
        inputs = cases.prepared(case.inputs, exact)
        dy = inputs.pop("dy")
        gradient = operations.call(backward, {**inputs, "dy": dy})
        _check(lambda moved, dy=dy: (dy * forward.formula(**moved)).sum(), inputs, gradient)


def test_the_gradient_of_the_loss_is_a_central_difference():
    """T1: of the squared error of a small network, at 50 digits, in all its parameters."""
    for case in _cases("mlp_loss")[:2]:
        inputs = cases.prepared(case.inputs, exact)
        gradient = operations.call(OPERATIONS["mlp_loss"], inputs)
        _check(lambda moved: OPERATIONS["mlp_loss"].formula(**moved)[0], inputs, gradient)


def _cases(name):
    return [case for case in cases.all_cases() if case.operation == name and not case.refused]


def _check(value, inputs, gradient):
    """The derivative of value along a direction, different in every number, against the gradient's product with it."""
    h = exact(2.0**-50)
    direction = {key: exact(cases.numbers(inputs[key].shape, seed + 7)) for seed, key in enumerate(inputs) if f"d{key}" in gradient}
    assert direction
    up, down = ({**inputs, **{key: inputs[key] + sign * h * d for key, d in direction.items()}} for sign in (1, -1))
    along = (value(up) - value(down)) / (2 * h)
    product = sum((gradient[f"d{key}"] * d).sum() for key, d in direction.items())
    scale = sum(abs(gradient[f"d{key}"] * d).sum() for key, d in direction.items())
    assert abs(along - product) < scale * 2.0**-60


def test_every_composed_mutant_is_killed():
    """Each mutant is killed, or is listed as equivalent with a reason."""
    written = {function.__name__ for area in AREAS for function in operations.functions(area)}
    mine = {name for name, mutant in catalogue.all_mutants().items() if mutant.functions & (written | set(OPERATIONS))}
    killed = {name for vector in runner.select(only=AREAS) for name in vector.kills}
    assert mine - killed - set(EQUIVALENT) == set()
    assert set(EQUIVALENT) <= mine - killed


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known[0])
def test_every_known_mistake_is_killed(known):
    """Each known mistake edits an expression that exists, and a vector of an operation that it changes kills it."""
    text, changes = known
    mutant = mutants.Mutant(text, tuple(_edit(*change) for change in changes), text=text)
    reached = [vector for vector in runner.select(only=AREAS) if vector.expected is not None and mutants.affects(mutant, vector.operation)]
    assert any(_kills(mutant, vector) for vector in reached)


def _edit(function, old, new):
    tree = ast.parse(ast.unparse(mutants.syntax_trees()[function])).body[0]
    (position,) = [i for i, node in enumerate(ast.walk(tree)) if _is(node, old)]
    return mutants.Edit(function, position, old, new)


def _is(node, text):
    return isinstance(node, ast.expr) and ast.unparse(node) == text and not isinstance(getattr(node, "ctx", None), ast.Store)


def _kills(mutant, vector):
    got = kills.outcome(OPERATIONS[vector.operation], mutant, vector.inputs)
    assert got is not None, "a known mistake gives an answer"
    return compare.difference(got, vector.expected, vector.tolerance) is not None
