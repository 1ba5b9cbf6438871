"""Rearrangements of a formula, for the search alone: brackets in another place, calls in another order, one expression for another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from itertools import permutations

from ..mutants import Edit, Mutant, syntax_trees
from .more import SIGNS

MOST = 24  # expressions of a formula, up to which each is tried in the place of each other
ROOTS = ("sqrt({})", "({}) ** 2")


@cache
def rearranged(name: str) -> tuple[Mutant, ...]:
    """The mutants of one formula."""
    tree = ast.parse(ast.unparse(syntax_trees()[name])).body[0]
    nodes = [(i, node) for i, node in enumerate(ast.walk(tree)) if isinstance(node, ast.BinOp | ast.Call)]
    found = [(i, ast.unparse(node), new) for i, node in nodes for new in _changes(node)]
    found += [(i, ast.unparse(node), other) for i, node, other in _one_for_another(nodes)]
    return tuple(Mutant(f"{name}: {old} -> {new} @{i}", (Edit(name, i, old, new),)) for i, old, new in dict.fromkeys(found) if new != old)


def _changes(node: ast.BinOp | ast.Call) -> Iterator[str]:
    if isinstance(node, ast.Call):
        yield from _of_call(node)
        return
    sign, left, right = SIGNS.get(type(node.op)), node.left, node.right
    if sign in ("+", "-"):
        yield from _of_sum(sign or "", left, right)
    if sign in ("*", "/"):
        yield from _of_product(sign or "", left, right)


def _of_sum(sign: str, left: ast.expr, right: ast.expr) -> Iterator[str]:
    """a b + c as a (b + c); a b + c d with roots or squares of its weights, and with exchanged weights."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, ast.BinOp) and type(one.op) in (ast.Mult, ast.Div):
            a, b, inner, c = ast.unparse(one.left), ast.unparse(one.right), SIGNS[type(one.op)], ast.unparse(other)
            first, second = (f"({b})", f"({c})") if one is left else (f"({c})", f"({b})")
            yield f"({a}) {inner} ({first} {sign} {second})"
            if inner == "*" or one is left:
                terms = f"({a}) {sign} ({c})" if one is left else f"({c}) {sign} ({a})"
                yield f"({terms}) {inner} ({b})"
    if all(isinstance(each, ast.BinOp) and type(each.op) is ast.Mult for each in (left, right)):
        assert isinstance(left, ast.BinOp) and isinstance(right, ast.BinOp)
        a, b, c, d = (f"({ast.unparse(each)})" for each in (left.left, left.right, right.left, right.right))
        yield f"{c} * {b} {sign} {a} * {d}"
        for root in ROOTS:
            yield f"{root.format(a)} * {b} {sign} {root.format(c)} * {d}"


def _of_product(sign: str, left: ast.expr, right: ast.expr) -> Iterator[str]:
    """a (b + c) as a b + c, and as b + a c; (a + b) / c as a + b / c, and as a / c + b; (a + b) / (c + d) as a / c + b / d or a / c + b / (c + d)."""
    outer = f"({ast.unparse(left)})", f"({ast.unparse(right)})"
    for place, one in enumerate((left, right)):
        if isinstance(one, ast.BinOp) and type(one.op) in (ast.Add, ast.Sub) and (sign == "*" or place == 0):
            a, b, c = f"({ast.unparse(one.left)})", f"({ast.unparse(one.right)})", outer[1 - place]
            inner = SIGNS[type(one.op)]
            yield f"{a} {sign} {c} {inner} {b}"
            yield f"{a} {inner} {b} {sign} {c}"
    if sign == "/" and all(isinstance(each, ast.BinOp) and type(each.op) in (ast.Add, ast.Sub) for each in (left, right)):
        assert isinstance(left, ast.BinOp) and isinstance(right, ast.BinOp)
        a, b, c, d = (f"({ast.unparse(each)})" for each in (left.left, left.right, right.left, right.right))
        plus = SIGNS[type(left.op)]
        yield from (f"{a} / {c} {plus} {b} / {d}", f"{a} / {c} {plus} {b} / {outer[1]}", f"{a} / {outer[1]} {plus} {b} / {d}")


def _of_call(node: ast.Call) -> Iterator[str]:
    """f(g(x)) as g(f(x)); f(a x) as a f(x); f(a, b, c, d) as f(c, d, a, b)."""
    name, given = ast.unparse(node.func), [ast.unparse(each) for each in node.args]
    if name not in syntax_trees():
        return
    for place, one in enumerate(node.args):
        rest = lambda new, place=place: ", ".join([*given[:place], new, *given[place + 1 :]])  # noqa: E731
        if isinstance(one, ast.Call) and one.args and ast.unparse(one.func) in (*syntax_trees(), "sqrt", "log", "exp"):
            inner = [ast.unparse(each) for each in one.args]
            yield f"{ast.unparse(one.func)}({', '.join([f'{name}({rest(inner[0])})', *inner[1:]])})"
        if isinstance(one, ast.BinOp) and type(one.op) is ast.Mult:
            for a, b in permutations((ast.unparse(one.left), ast.unparse(one.right))):
                yield f"({a}) * {name}({rest(b)})"
    if len(given) % 2 == 0 and len(given) > 2:
        yield f"{name}({', '.join([*given[len(given) // 2 :], *given[: len(given) // 2]])})"


def _one_for_another(nodes: list[tuple[int, ast.BinOp | ast.Call]]) -> Iterator[tuple[int, ast.expr, str]]:
    """Each expression with each other in its place, if the other is not a part of it: a part in its place is another mutation's."""
    if len(nodes) > MOST:
        return
    for (i, one), (_, other) in permutations(nodes, 2):
        if all(inner is not other for inner in ast.walk(one)) and all(inner is not one for inner in ast.walk(other)):
            yield i, one, ast.unparse(other)
