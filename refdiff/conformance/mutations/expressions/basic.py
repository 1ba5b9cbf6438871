"""Expression mutations: the small changes of one expression of a formula, such as another sign, name or index."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from ..mutants import Edit, Mutant, syntax_trees

CONFUSABLE = (  # names that are easily confused
    ("t", "s"), ("x0", "x_t"), ("x0", "noise"), ("x_t", "noise"), ("eps", "x_t"), ("x0", "eps"), ("data", "noise"), ("signal", "sigma"),
    ("alpha", "beta"), ("unconditional", "conditional"), ("mean1", "mean2"), ("variance1", "variance2"), ("score", "gradient"),
    ("weight_x0", "weight_xt"), ("x0_a", "x0_b"), ("a", "b"), ("k1", "k2"), ("k2", "k3"), ("k3", "k4"), ("beta1", "beta2"),
    ("beta_start", "beta_end"), ("scale", "shift"), ("q", "k"), ("k", "v"), ("m", "v"), ("upper", "lower"), ("prediction", "target"),
    ("covariance1", "covariance2"), ("sin", "cos"), ("tilde", "beta"),
)  # fmt: skip
SCALARS = {  # names that may get a root, a square or a complement
    "ab", "alpha", "beta", "var", "variance", "variance1", "variance2", "sigma", "signal", "eta", "weight", "gamma", "std", "tau",
    "beta1", "beta2", "decay", "tilde", "limit",
}  # fmt: skip
SIGNS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}
REDUCED = {"sum": "mean", "mean": "sum"}
UNWRAPPED = {"sqrt", "exp", "log", "sin", "cos", "tanh", "sigmoid"}


@cache
def generated() -> dict[str, Mutant]:
    """The mutants of one small change of an expression, by name."""
    found: dict[str, Mutant] = {}
    for name, tree in syntax_trees().items():
        for edits, text in _edits_of_function(name, tree):
            label, count = f"{name}: {text}", 1
            while label in found:
                count += 1
                label = f"{name}: {text} ({count})"
            found[label] = Mutant(label, edits)
    return found


def _edits_of_function(name: str, tree: ast.FunctionDef) -> Iterator[tuple[tuple[Edit, ...], str]]:
    copy = ast.parse(ast.unparse(tree)).body[0]
    nodes = list(ast.walk(copy))
    for position, node in enumerate(nodes):
        old = ast.unparse(node) if isinstance(node, ast.Call) and len(node.args) == 1 else ""
        if old.startswith("range(") and old.endswith(" - 1)"):
            for new in (f"{old[:-1]} - 1)", f"range(1, {old.removeprefix('range(')}"):
                yield (Edit(name, position, old, new),), f"{old} -> {new}"
    known = {node.id for node in nodes if isinstance(node, ast.Name)} | {node.arg for node in nodes if isinstance(node, ast.arg)}
    skipped = {id(node) for outer in nodes if _is_shape(outer) for node in ast.walk(outer)}
    skipped |= {id(node) for outer in nodes if isinstance(outer, ast.arguments | ast.Dict) for node in ast.walk(outer)}
    skipped |= {id(node) for outer in nodes if ast.unparse(outer).startswith(("like(", "full(")) for node in _precision(outer)}
    for position, node in enumerate(nodes):
        if isinstance(node, ast.expr) and id(node) not in skipped and not isinstance(getattr(node, "ctx", None), ast.Store):
            old = ast.unparse(node)
            for new in _replacements(node, known):
                new = ast.unparse(ast.parse(new, mode="eval"))
                if new != old:
                    yield (Edit(name, position, old, new),), f"{old} -> {new}"
    for first, second in CONFUSABLE:
        if {first, second} <= {node.id for node in nodes if isinstance(node, ast.Name)}:
            other = {first: second, second: first}
            edits = tuple(
                Edit(name, position, node.id, other[node.id])
                for position, node in enumerate(nodes)
                if isinstance(node, ast.Name) and node.id in other and isinstance(node.ctx, ast.Load) and id(node) not in skipped
            )
            if len(edits) > 1:
                yield edits, f"{first} <-> {second}"


def _precision(node: ast.AST) -> Iterator[ast.AST]:
    """The x of like(number, x) and full(number, x): it sets only the precision or the shape of the number."""
    return ast.walk(node.args[1]) if isinstance(node, ast.Call) else iter(())


def _is_shape(node: ast.AST) -> bool:
    """Whether an expression only shapes an array, such as 0 * signal or len(x): it is not mutated."""
    text = ast.unparse(node) if isinstance(node, ast.expr) else ""
    if isinstance(node, ast.Call) and text.startswith(("range(", "len(", "per_example(", "pi(")):
        return True
    return text.startswith(("0 * ", "1 + 0 * ", "-1 + 0 * ")) or (
        isinstance(node, ast.Attribute | ast.Call)
        and (".reshape(" in text or ".shape" in text)
        and not text.startswith(("event", "sqrt", "exp"))
    )


def _replacements(node: ast.expr, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.BinOp):
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        if type(node.op) in SIGNS:
            yield f"({left}) {SIGNS[type(node.op)]} ({right})"
            yield left
            if not isinstance(node.op, ast.Div):
                yield right
        elif isinstance(node.op, ast.Pow):
            yield left
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Subscript):
        yield from _indices(node)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield ast.unparse(node.value)
    elif isinstance(node, ast.Name):
        yield from _names(node.id, known)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield from {0: ["1"], 1: ["0", "2"], 2: ["1", "3"], 1000: ["1"]}.get(node.value, [f"{node.value - 1}"])
    elif isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and not any(isinstance(each, ast.Slice) for each in node.elts):
        yield f"({ast.unparse(node.elts[1])}, {ast.unparse(node.elts[0])})"


def _calls(node: ast.Call) -> Iterator[str]:
    name, arguments = ast.unparse(node.func), [ast.unparse(argument) for argument in node.args]
    if name in UNWRAPPED:
        yield arguments[0]
    if name == "event_sum":
        yield f"event_mean({arguments[0]})"
    if name in ("np.minimum", "np.maximum", "np.clip"):
        yield arguments[0]
    if isinstance(node.func, ast.Attribute) and node.func.attr in REDUCED and node.keywords:
        of, keywords = ast.unparse(node.func.value), ", ".join(ast.unparse(keyword) for keyword in node.keywords)
        yield f"({of}).{REDUCED[node.func.attr]}({keywords})"
    if len(arguments) > 1 and name in syntax_trees() and arguments[0] != arguments[1]:
        yield f"{name}({', '.join([arguments[1], arguments[0], *arguments[2:]])})"


def _indices(node: ast.Subscript) -> Iterator[str]:
    table, index = ast.unparse(node.value), ast.unparse(node.slice)
    if isinstance(node.slice, ast.Name | ast.BinOp | ast.Call):
        yield f"{table}[{index} - 1]"
        yield f"{table}[{index} + 1]"


def _comparisons(node: ast.Compare) -> Iterator[str]:
    left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
    if isinstance(node.ops[0], ast.Lt):
        yield f"{left} <= {right}"
        yield f"{left} >= {right}"
    elif right == "0" or right == "None":
        yield "False"


def _names(name: str, known: set[str]) -> Iterator[str]:
    for first, second in CONFUSABLE:
        if name in (first, second) and {first, second} <= known:
            yield second if name == first else first
    if name in ("t", "s", "step"):
        yield from (f"{name} - 1", f"{name} + 1")
    if name in SCALARS:
        yield from (f"sqrt({name})", f"{name} ** 2", f"(1 - {name})")
