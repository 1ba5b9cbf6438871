"""Formulas: the LaTeX of the docstrings and pages to MathML, which browsers display without a library. An unknown command is an error."""

from __future__ import annotations

import re

from .commands import COMMANDS, FormulaError
from .symbols import CLOSING, FUNCTIONS, LETTERS, LIMITS, OPENING, OPERATORS, SIZES, SPACES, WORDS

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.", re.S)


def mathml(latex: str, display: bool = False) -> str:
    """The formula as a `<math>` element. Raises FormulaError with the formula and what is wrong in it."""
    try:
        parser = Parser(latex)
        body = parser.row()
        if parser.peek():
            raise FormulaError(f"{parser.peek()} too many")
    except FormulaError as error:
        raise FormulaError(f"{error}, in the formula {latex.strip()!r}") from None
    return f'<math display="{"block" if display else "inline"}">{body}</math>'


class Parser:
    """A recursive descent: a row is atoms with scripts, an atom may hold rows."""

    def __init__(self, latex: str) -> None:
        self.tokens = TOKEN.findall(latex.strip())
        self.at = 0
        self.before = ""  # the kind of the last atom: "open" where a sign or a function needs no space before it

    def peek(self) -> str:
        """The next token that is not space, "" at the end."""
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def row(self, *ends: str) -> str:
        """Everything up to one of the ends, which stays."""
        self.before, items = "open", []
        while (token := self.peek()) and token not in ("}", *ends):
            items.append(self.scripts(*self.styled() if token == "\\textstyle" else self.atom()))
        if ends and not token:
            raise FormulaError(f"{' or '.join(ends)} is missing")
        self.before = ""
        return items[0] if len(items) == 1 else f"<mrow>{''.join(items)}</mrow>"

    def styled(self) -> tuple[str, bool]:
        self.next()
        base, limits = self.atom()
        return f'<mstyle displaystyle="false">{self.scripts(base, limits)}</mstyle>', False

    def scripts(self, base: str, limits: bool) -> str:
        """The base with its subscript and superscript."""
        below, above = "", ""
        while self.peek() in ("_", "^", "'"):
            mark = self.next()
            if mark == "_" and not below:
                below = self.argument()
            elif mark == "^" and above in ("", "<mo>′</mo>"):
                above = f"<mrow>{above}{self.argument()}</mrow>" if above else self.argument()
            elif mark == "'" and not above:
                above = "<mo>′</mo>"
            else:
                raise FormulaError(f"a second {mark}")
        name = ("under" if limits else "sub") * bool(below) + ("over" if limits else "sup") * bool(above)
        tall = re.match(r'<mo form="postfix" stretchy="true" .*?minsize="([\d.]+)em"', base) if name else None
        if tall:  # a script would keep a bracket from growing, so it hangs on a space of the bracket's height
            height = float(tall[1]) / 2
            return f'{base}<m{name}><mspace height="{height + 0.25}em" depth="{height - 0.25}em"></mspace>{below}{above}</m{name}>'
        return f"<m{name}>{base}{below}{above}</m{name}>" if name else base

    def argument(self) -> str:
        """A group in braces, or one token: of a number its first digit."""
        before, token = self.before, self.peek()
        if token == "{":
            self.next()
            body = self.row("}")
            self.next()
        elif re.fullmatch(r"\d.+", token):
            self.tokens[self.at] = token[1:]
            body = f"<mn>{token[0]}</mn>"
        else:
            self.before = "open"
            body, _ = self.atom(single=True)
        self.before = before
        return body

    def atom(self, single: bool = False) -> tuple[str, bool]:
        """The next atom, and whether its scripts are set below and above it."""
        token = self.next()
        if not token or token in "}_^&":
            raise FormulaError(f"{token or 'the end'} where an atom is expected")
        before, self.before = self.before, ""
        if token == "{":
            self.at -= 1
            return self.argument(), False
        if token.isdigit() or re.fullmatch(r"\d+\.\d+", token):
            return f"<mn>{token}</mn>", False
        if token.isalpha():
            return f"<mi>{token if single else self.word(token)}</mi>", False
        if token in LETTERS:
            return f"<mi>{LETTERS[token]}</mi>", False
        if token in SPACES:
            self.before = before
            return f'<mspace width="{SPACES[token]}em"></mspace>', False
        if token in FUNCTIONS:
            return self.function(token, before), token in LIMITS
        if token in (*OPENING, *CLOSING, *OPERATORS):
            return self.operator(token, before), token in LIMITS
        if token in COMMANDS:
            return COMMANDS[token](self, token), token == "\\underbrace"
        raise FormulaError(f"{token} is not known")

    def word(self, letter: str) -> str:
        """The whole run of letters if it is a word, such as "signal"; else the one letter."""
        end = self.at
        while end < len(self.tokens) and self.tokens[end].isalpha():
            end += 1
        run = letter + "".join(self.tokens[self.at : end])
        if run in WORDS:
            self.at = end
            return run
        return letter

    def function(self, token: str, before: str) -> str:
        left, right = 0 if before == "open" else 0.17, 0 if self.peek() in (*OPENING, *SIZES, "^", "_") else 0.17
        limits = ' movablelimits="true"' if token in LIMITS else ""
        return f'<mo form="prefix" lspace="{left}em" rspace="{right}em"{limits}>{FUNCTIONS[token]}</mo>'

    def operator(self, token: str, before: str, size: str = "") -> str:
        """A sign, a relation or a bracket; brackets grow only with a size or with left and right."""
        fence = size or 'stretchy="false"'
        around = self.tokens[self.at - 2 : self.at - 1] + self.tokens[self.at : self.at + 1]
        spaced = len(around) == 2 and "".join(around).isspace()  # a divergence's bar, not a norm's
        if token in OPENING:
            self.before = "open"
            return f'<mo form="prefix" {fence} lspace="0" rspace="0">{OPENING[token]}</mo>'
        if token in CLOSING:
            return f'<mo form="postfix" {fence} lspace="0" rspace="0">{CLOSING[token]}</mo>'
        if token in ("|", "\\|", "\\mid"):
            space = 0.22 if spaced or token == "\\mid" else 0.12 if token == "|" else 0
            self.before = "open" if space == 0.22 or before == "open" else ""  # after the second bar of a norm, a sign is between terms
            return f'<mo {fence} lspace="{space}em" rspace="{space}em">{OPERATORS[token]}</mo>'
        sign = token in "+-\\pm" and before == "open"
        self.before = "" if token == "!" else "open"
        form = ' form="prefix" lspace="0" rspace="0"' if sign else ' lspace="0" rspace="0"' if token in "/!." else ""
        return f"<mo{form}>{OPERATORS[token]}</mo>"

    def braces(self) -> str:
        """The plain text of a group."""
        if self.next() != "{" or "}" not in self.tokens[self.at :]:
            raise FormulaError("{...} is missing")
        end = self.tokens.index("}", self.at)
        text, self.at = "".join(self.tokens[self.at : end]), end + 1
        return text
