"""Syntax highlighting by one regular expression: comments, strings, keywords, numbers, and names in definitions."""

from __future__ import annotations

import re
from html import escape
from keyword import kwlist

_STRING = r'[rbf]*(?:"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')'
_PYTHON = rf"(?P<c>#.*)|(?P<s>{_STRING})|(?<=def )(?P<d>\w+)|(?<=class )(?P<e>\w+)|\b(?P<k>{'|'.join(kwlist)})\b|\b(?P<n>\d[\w.]*)"
_SHELL = r"(?P<c>(?:^|(?<=\s))#.*)|(?P<s>'[^'\n]*'|\"[^\"\n]*\")"
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
