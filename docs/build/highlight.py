"""Syntax highlighting by one regular expression: comments, strings, keywords, numbers, and names in definitions."""

from __future__ import annotations

import re
from html import escape
from keyword import kwlist

_STRING = r'[rbf]*(?:"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')'
_PYTHON = rf"(?P<c>#.*)|(?P<s>{_STRING})|(?<=def )(?P<d>\w+)|(?<=class )(?P<e>\w+)|\b(?P<k>{'|'.join(kwlist)})\b|\b(?P<n>\d[\w.]*)"
_SHELL = r"(?P<c>(?:^|(?<=\s))#.*)|(?P<o>(?<=\s)--?\w[\w-]*)|(?P<s>'[^'\n]*'|\"[^\"\n]*\")"
SPAN = re.compile(r'<span class="\w+">|</span>')
LANGUAGES = {
    "python": re.compile(_PYTHON),
    "sh": re.compile(_SHELL, re.M),
    "bibtex": re.compile(r"(?P<k>@\w+)"),
    "": re.compile(r"(?!)"),
}


def highlight(text: str, language: str) -> str:
    """The code as HTML, with a span for every coloured token."""
    parts, at = [], 0
    for found in LANGUAGES[language].finditer(text):
        parts += [escape(text[at : found.start()]), f'<span class="{found.lastgroup}">{escape(found[0])}</span>']
        at = found.end()
    return "".join([*parts, escape(text[at:])])


def in_lines(html: str) -> str:
    """Highlighted code with an element for every line, which a narrow window breaks with the indentation of the line, and more.

    A span that goes over several lines, such as that of a docstring, is closed and opened again at each of them.
    """
    lines, open_ = [], ""
    for line in html.split("\n"):
        spans = SPAN.findall(open_ + line)
        indent = len(re.match(r" *", re.sub("<[^>]*>", "", line))[0])  # type: ignore[index]
        after = spans[-1] if spans and spans[-1] != "</span>" else ""
        closing = "</span>" if after else ""
        lines.append(f'<span class="line" style="--indent:{indent}ch">{open_}{line}{closing}\n</span>')
        open_ = after
    return "".join(lines)
