"""The parser of kernel bodies: source text to nested tuples, by precedence climbing.

A body is a list of statements: `type name = expression;`, `name = expression;`, `name += expression;`, and
`for (int64 j = low; j < high; ++j) { ... }`. There is no `if`, but the conditional operator `condition ? a : b`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

TYPES = ("T", "float64", "uint32", "uint64", "int32", "int64", "bool")
_TOKEN = re.compile(
    r"\s*(0x[0-9A-Fa-f]+|\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+|\d+|[A-Za-z_]\w*|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|\+=|[-+*/%&|^~!<>=?:;,(){}\[\]])"
)
_PRECEDENCE = ("||", "&&", "|", "^", "&", "== !=", "< <= > >=", "<< >>", "+ -", "* / %")
_RANK = {operator: rank for rank, level in enumerate(_PRECEDENCE) for operator in level.split()}

Node = tuple[Any, ...]


@cache
def parse(body: str) -> list[Node]:
    """The statements of a body."""
    parser = _Parser(body)
    statements = []
    while parser.tokens[parser.at]:
        statements.append(parser.statement())
    return statements


class _Parser:
    def __init__(self, body: str) -> None:
        self.tokens, self.at, position = [], 0, 0
        body = body.rstrip()
        while position < len(body):
            match = _TOKEN.match(body, position)
            if not match:
                raise SyntaxError(f"body has {body[position : position + 20]!r}; allowed: the tokens of refdiff_gpu.emulator.parse")
            self.tokens.append(match[1])
            position = match.end()
        self.tokens.append("")

    def take(self, *expected: str) -> str:
        """The next token; raises SyntaxError unless it is one of those expected, if any are given."""
        token = self.tokens[self.at]
        if expected and token not in expected:
            raise SyntaxError(f"token {token!r} after {' '.join(self.tokens[max(self.at - 8, 0) : self.at])!r}; allowed: {expected}")
        self.at += 1
        return token

    def statement(self) -> Node:
        if self.tokens[self.at] == "for":
            return self.loop()
        declared = self.take() if self.tokens[self.at] in TYPES else None
        name, operator = self.take(), self.take("=", "+=")
        value = self.expression()
        self.take(";")
        return "assign", declared, name, value if operator == "=" else ("binary", "+", ("name", name), value)

    def loop(self) -> Node:
        for word in "for", "(", "int64":
            self.take(word)
        name = self.take()
        self.take("=")
        low = self.expression()
        for word in ";", name, "<":
            self.take(word)
        high = self.expression()
        for word in ";", "++", name, ")", "{":
            self.take(word)
        statements = []
        while self.tokens[self.at] != "}":
            statements.append(self.statement())
        self.take("}")
        return "for", name, low, high, statements

    def expression(self) -> Node:
        condition = self.binary(0)
        if self.tokens[self.at] != "?":
            return condition
        self.take("?")
        yes = self.expression()
        self.take(":")
        return "conditional", condition, yes, self.expression()

    def binary(self, rank: int) -> Node:
        left = self.unary()
        while _RANK.get(self.tokens[self.at], -1) >= rank:
            operator = self.take()
            left = "binary", operator, left, self.binary(_RANK[operator] + 1)
        return left

    def unary(self) -> Node:
        if self.tokens[self.at] in ("-", "!", "~"):
            return "unary", self.take(), self.unary()
        return self.primary()

    def primary(self) -> Node:
        token = self.take()
        if token == "(":
            inner = self.expression()
            self.take(")")
            return inner
        if token[0].isdigit():
            return ("float", float(token)) if "." in token or ("e" in token and "x" not in token) else ("int", int(token, 0))
        if self.tokens[self.at] == "[":
            self.take("[")
            index = self.expression()
            self.take("]")
            return "load", token, index
        return self.call(token) if self.tokens[self.at] == "(" else ("name", token)

    def call(self, name: str) -> Node:
        self.take("(")
        arguments = [self.expression()]
        while self.take(",", ")") == ",":
            arguments.append(self.expression())
        return "call", name, arguments
