"""The LaTeX commands with arguments: fractions, roots, accents, sized brackets, and tables."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from .symbols import ACCENTS, SIZES, script

if TYPE_CHECKING:
    from .formulas import Parser


class FormulaError(ValueError):
    """LaTeX that is unknown here or incomplete."""


def _fraction(parser: Parser, token: str) -> str:
    body = f"<mfrac>{parser.argument()}{parser.argument()}</mfrac>"
    return f'<mstyle displaystyle="false" scriptlevel="0">{body}</mstyle>' if token == "\\tfrac" else body


def _sized(parser: Parser, token: str) -> str:
    size = f'stretchy="true" symmetric="true" minsize="{SIZES[token]}em" maxsize="{SIZES[token]}em"'
    return parser.operator(parser.next(), "", size)


def _stretched(parser: Parser, token: str) -> str:
    left = parser.operator(parser.next(), "", 'stretchy="true"')
    body = parser.row("\\right")
    parser.next()
    right = parser.operator(parser.next(), "", 'stretchy="true"')
    return f"<mrow>{left}{body}{right}</mrow>"


def _braced(parser: Parser, token: str) -> str:
    return f'<munder>{parser.argument()}<mo stretchy="true">⏟</mo></munder>'


def _environment(parser: Parser, token: str) -> str:
    """Rows of cells; in `aligned` the cells of a row meet at the ampersand."""
    if (name := parser.braces()) not in ("aligned", "pmatrix"):
        raise FormulaError(f"{name} is not known")
    rows, cells = [], []
    while True:
        cells.append(f"<mtd>{parser.row('&', chr(92) * 2, chr(92) + 'end')}</mtd>")
        end = parser.next()
        if end != "&":
            rows.append(f"<mtr>{''.join(cells)}</mtr>")
            cells = []
        if end == "\\end":
            parser.braces()
            break
    table = f'<mtable class="{name}" displaystyle="{str(name == "aligned").lower()}">{"".join(rows)}</mtable>'
    return f'<mrow><mo stretchy="true">(</mo>{table}<mo stretchy="true">)</mo></mrow>' if name == "pmatrix" else table


COMMANDS: dict[str, Callable[[Parser, str], str]] = {
    "\\frac": _fraction,
    "\\tfrac": _fraction,
    "\\sqrt": lambda parser, token: f"<msqrt>{parser.argument()}</msqrt>",
    "\\text": lambda parser, token: f"<mtext>{escape(parser.braces()).replace(' ', chr(160))}</mtext>",
    "\\mathrm": lambda parser, token: f'<mi mathvariant="normal">{escape(parser.braces())}</mi>',
    "\\mathrel": lambda parser, token: f"<mo>{parser.braces()}{parser.next()}</mo>",
    "\\mathcal": lambda parser, token: f"<mi>{script(parser.braces() if parser.peek() == '{' else parser.next())}</mi>",
    "\\underbrace": _braced,
    "\\begin": _environment,
    "\\left": _stretched,
    **dict.fromkeys(SIZES, _sized),
    **{
        accent: lambda parser, token: (
            f'<mover accent="true">{parser.argument()}<mo stretchy="false" lspace="0" rspace="0">{ACCENTS[token]}</mo></mover>'
        )
        for accent in ACCENTS
    },
}
