"""More expression mutations, for the search alone: roots, squares, logarithms, shifts and reductions in the wrong place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import combinations

from ..mutants import Edit, Mutant, syntax_trees

TABLES = {"alpha_bar", "snr", "log_snr", "from_log_snr", "zero_terminal_snr", "linear", "quadratic", "cosine", "sigmoid_betas", "grid"}
ELEMENTWISE = ("sqrt", "log", "exp", "sin", "cos", "sigmoid", "tanh", "arccos")
SIZES = ("range", "len", "np.arange", "np.zeros", "np.ones", "np.eye")  # their arguments are not changed
MANY = 12  # variables of a formula, up to which each is tried as a factor
SIGNS: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

SHIFTED = ("late({old})", "early({old})", "late_around({old})", "early_around({old})", "single({old})")
SCALED = ("2 * ({old})", "({old}) / 2", "-({old})", "({old}) ** 2", "sqrt({old})", "1 - ({old})")
CLIPPED = ("np.clip({old}, -1, 1)", "np.clip({old}, 0, 1)")
SUM = (
    "{b}", "-{b}", "{b} {sign} {a}", "{a} {sign} 2 * {b}", "{a} {sign} {b} / 2", "2 * {a} {sign} {b}", "{a} / 2 {sign} {b}",
    "{a} {sign} {b} ** 2", "{a} {sign} sqrt({b})", "{a} ** 2 {sign} {b}", "sqrt({a}) {sign} {b}", "{a} * {b}", "abs({old})", *SCALED,
)  # fmt: skip
PRODUCT = (
    "{a}", "{b}", "{a} {sign} {b} ** 2", "{a} {sign} sqrt({b})", "{a} ** 2 {sign} {b}", "sqrt({a}) {sign} {b}", "{a} + {b}", "{a} - {b}", "{b} / {a}",
    "{a} {sign} (1 - {b})", "(1 - {a}) {sign} {b}", "0 * ({old})", *SCALED,
)  # fmt: skip
POWER = ("abs({a})", "sqrt({a})", "{a} ** 3", "{a} ** 4", "2 * ({old})", "({old}) / 2")
POWER_OF_TWO_TERMS = ("{a} ** 2 {sign} {b} ** 2", "{a} ** 2 {sign} {b}", "{a} {sign} {b} ** 2")
ROOT_OF_TWO_TERMS = ("sqrt({a}) {sign} sqrt({b})", "{a} {sign} sqrt({b})", "sqrt({a}) {sign} {b}")
MATRICES = ("{a}.T @ {b}", "{a} @ {b}.T", "{b} @ {a}", "{a}.T @ {b}.T")
QUOTIENT = ("-(-{a} // {b})", "np.rint({a} / {b}).astype(int)", "{a} / {b}")
FUNCTION = ("({x}) ** 2", "2 * {old}", "{old} / 2", "{old} ** 2", "-{old}", "{f}(-({x}))", "{f}(2 * ({x}))", "{f}(({x}) / 2)")
LOGARITHM = ("log(sqrt({x})) ** 2", "-(log(sqrt({x})) ** 2)", "log(1 + {x})", "{old} / log(2 * ({x}) ** 0)", "1 - {x}", "({x}) - 1")
TOTAL = (
    "({x}).sum()", "({x}).mean()", "event_mean({x})", "({x}).sum(axis=-1)", "({x}).sum(axis=0)", "({x}).mean(axis=-1)",
    "event_sum({x}).mean()",
)  # fmt: skip
ENTRY = (
    "{a}[0]",
    "{a}[-1]",
    "{a}[{b} - 1]",
    "{a}[{b} + 1]",
    "{a}[np.maximum({b} - 1, 0)]",
    "({old}) ** 2",
    "sqrt({old})",
    "1 - {old}",
    "1 / {old}",
)
PART = ("{a}[1:]", "{a}[:-1]", "{a}", "{a}[::-1]")
BY_NAME = {  # of the function that is called; x, y and z are its arguments
    "log": LOGARITHM,
    "per_example": ("{x}", "first({x})"),
    "event_sum": TOTAL,
    "np.minimum": ("{x}", "{y}", "np.maximum({x}, {y})"),
    "np.maximum": ("{x}", "{y}", "np.minimum({x}, {y})"),
    "np.clip": ("np.minimum({x}, {z})", "np.maximum({x}, {y})", "np.clip({x}, 0, {z})", "{x}"),
    "np.where": ("{y}", "{z}", "np.where({x}, {z}, {y})"),
    "np.cumprod": ("{x}", "np.cumsum({x})", "late({old})", "exp(-np.cumsum(1 - ({x})))"),
    "np.cumsum": ("{x}", "np.cumprod({x})", "late({old})"),
}  # fmt: skip


@cache
def generated(name: str) -> tuple[Mutant, ...]:
    """The mutants of one formula."""
    tree = ast.parse(ast.unparse(syntax_trees()[name])).body[0]
    assert isinstance(tree, ast.FunctionDef)
    return (*_everywhere(name, _expressions(tree)), *_standing_still(name, tree), *_one_by_one(name, tree))


def _expressions(tree: ast.FunctionDef) -> list[tuple[int, ast.expr]]:
    """The expressions that may change, with their positions: those that are read, and say nothing of a size."""
    nodes = list(ast.walk(tree))
    sizes = (node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) in SIZES)
    skipped = {id(inner) for outer in sizes for inner in ast.walk(outer)}
    read = [(i, node) for i, node in enumerate(nodes) if isinstance(node, ast.expr) and id(node) not in skipped]
    return [(i, node) for i, node in read if not isinstance(getattr(node, "ctx", None), ast.Store)]


def _one_by_one(name: str, tree: ast.FunctionDef) -> Iterator[Mutant]:
    """Each change at one position."""
    variables, loops, atoms, counters = _variables(tree), _loops(tree), _atoms(tree), _counters(tree)
    returned = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Return)} if name in TABLES else set[int]()
    for position, node in _expressions(tree):
        old = ast.unparse(node)
        changes = [*_changed(node, old), *(each.format(old=old) for each in SHIFTED if id(node) in returned)]
        if isinstance(node, ast.Name):
            changes += [each for each in variables if node.id in variables]
            changes += [f"({old} {sign} 1)" for sign in "+-" if node.id in counters]
            changes += [each.format(old) for each in ("0", "1", "{} - 1", "{} + 1") if node.id in loops]
        if isinstance(node, ast.BinOp | ast.Name | ast.Subscript):
            changes += [f"({old}) {sign} ({atom})" for atom in atoms for sign in "*/"]
        for new in dict.fromkeys(changes):
            if new != old:
                yield Mutant(f"{name}: {old} -> {new} @{position}", (Edit(name, position, old, new),))


def _everywhere(name: str, expressions: list[tuple[int, ast.expr]]) -> Iterator[Mutant]:
    """The changes of an expression at all its occurrences."""
    places: dict[str, list[tuple[int, ast.expr]]] = {}
    for position, node in expressions:
        places.setdefault(ast.unparse(node), []).append((position, node))
    for old, found in places.items():
        for new in dict.fromkeys(_changed(found[0][1], old)) if len(found) > 1 else ():
            yield Mutant(f"{name}: {old} -> {new} everywhere", tuple(Edit(name, position, old, new) for position, _ in found))


def _standing_still(name: str, tree: ast.FunctionDef) -> Iterator[Mutant]:
    """The entries of a table that a loop goes through, read as at the loop's first step in all steps."""
    entries = [(position, node) for position, node in _expressions(tree) if isinstance(node, ast.Subscript)]
    for variable in _loops(tree):
        places: dict[str, list[Edit]] = {}
        for position, node in entries:
            still = re.sub(rf"\b{variable}\b", "0", ast.unparse(node.slice))
            if still != ast.unparse(node.slice):
                table = ast.unparse(node.value)
                places.setdefault(table, []).append(Edit(name, position, ast.unparse(node), f"{table}[{still}]"))
        for table, edits in places.items():
            yield Mutant(f"{name}: {table} stands still", tuple(edits))


def _variables(tree: ast.FunctionDef) -> list[str]:
    """Parameters and variables, in the order of their appearance, without lists: a list in place of a number may grow without end."""
    lists = {ast.unparse(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "append"}
    stored = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    arguments = [node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)]
    return [name for name in dict.fromkeys([*arguments, *stored]) if name not in lists]


def _loops(tree: ast.FunctionDef) -> set[str]:
    """The variables of loops, which may stand still, or move early or late."""
    loops = [node.target for node in ast.walk(tree) if isinstance(node, ast.For)]
    return {each.id for target in loops for each in ast.walk(target) if isinstance(each, ast.Name)}


def _counters(tree: ast.FunctionDef) -> set[str]:
    """The variables that hold np.arange, which may begin one early or late."""
    counted = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and "np.arange" in ast.unparse(node.value)]
    return {each.id for node in counted for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def _atoms(tree: ast.FunctionDef) -> list[str]:
    """The quantities of a formula that may be a factor too many or too few: variables and entries of tables, and their roots."""
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Subscript) and isinstance(node.ctx, ast.Load)]
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)} | {"np"}
    atoms = [text for text in dict.fromkeys(map(ast.unparse, read)) if text not in called and ":" not in text]
    return [*atoms, *(f"sqrt({each})" for each in atoms)] if len(atoms) <= MANY else []


def _changed(node: ast.expr, old: str) -> list[str]:
    """The changes of an expression by its form."""
    if isinstance(node, ast.BinOp):
        return _of_operation(node, old)
    if isinstance(node, ast.Call):
        return _of_call(node, old)
    if isinstance(node, ast.Subscript):
        templates = PART if isinstance(node.slice, ast.Slice) else () if isinstance(node.slice, ast.Tuple) else ENTRY
        return _filled(templates, old, a=ast.unparse(node.value), b=ast.unparse(node.slice))
    if isinstance(node, ast.IfExp):
        return [ast.unparse(node.body), ast.unparse(node.orelse)]
    if isinstance(node, ast.Compare):
        return ["True", "False"]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [f"{node.value + 1}", f"{node.value - 1}", f"{2 * node.value}"]
    return _filled((*SCALED, *CLIPPED), old) if isinstance(node, ast.Name) and node.id not in ("np", *ELEMENTWISE, *syntax_trees()) else []


def _filled(templates: tuple[str, ...], old: str, **parts: str) -> list[str]:
    return [template.format(old=old, **parts) for template in templates]


def _of_operation(node: ast.BinOp, old: str) -> list[str]:
    kind, inner, sign = type(node.op), node.left, SIGNS.get(type(node.op), "")
    both = {"a": f"({ast.unparse(node.left)})", "b": f"({ast.unparse(node.right)})", "sign": sign}
    if kind is ast.Pow:
        found = _filled(POWER, old, **both)
        return found + (_of_terms(POWER_OF_TWO_TERMS, inner) if isinstance(inner, ast.BinOp) else [])
    templates = {ast.Add: SUM, ast.Sub: SUM, ast.Mult: PRODUCT, ast.Div: PRODUCT, ast.MatMult: MATRICES, ast.FloorDiv: QUOTIENT}
    return _filled(templates.get(kind, ()), old, **both)


def _of_terms(templates: tuple[str, ...], node: ast.BinOp) -> list[str]:
    """A square or a root, taken of the two terms of an operation."""
    both = {"a": f"({ast.unparse(node.left)})", "b": f"({ast.unparse(node.right)})"}
    return _filled(templates, "", sign=SIGNS[type(node.op)], **both) if type(node.op) in SIGNS else []


def _of_call(node: ast.Call, old: str) -> list[str]:
    name, given = ast.unparse(node.func), [ast.unparse(each) for each in node.args]
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("sum", "mean", "max"):
        return _of_reduction(node.func, old)
    if not given:
        return []
    found = _filled(BY_NAME.get(name, ()), old, **dict(zip("xyz", given, strict=False)))
    if name in ELEMENTWISE:
        found += _filled(FUNCTION, old, f=name, x=given[0]) + [f"{other}({given[0]})" for other in ELEMENTWISE[:6] if other != name]
    if name == "sqrt" and isinstance(node.args[0], ast.BinOp):
        found += _of_terms(ROOT_OF_TWO_TERMS, node.args[0])
    if name in syntax_trees():
        found += [given[0], *_filled(CLIPPED, old), *_exchanged(name, given)]
    return found + (_filled(SHIFTED, old) if name in TABLES else [])


def _exchanged(name: str, given: list[str]) -> Iterator[str]:
    """A call with two of its arguments exchanged."""
    for i, j in combinations(range(len(given)), 2):
        other = [given[j] if k == i else given[i] if k == j else each for k, each in enumerate(given)]
        yield f"{name}({', '.join(other)})"


def _of_reduction(function: ast.Attribute, old: str) -> list[str]:
    """A sum or a mean along another axis, or along all."""
    of, kept = f"({ast.unparse(function.value)})", ", keepdims=True" if "keepdims" in old else ""
    words = dict.fromkeys((function.attr, "sum", "mean"))
    found = [f"{of}.{word}(axis={axis}{kept})" for word in words for axis in (-1, 0, 1, 2)]
    return [*found, *(f"{of}.{word}()" for word in words), old.replace(", keepdims=True", "")]
