"""The words of the pages and docstrings: those of the field, and none of the private ones that they replaced."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(r"\b(told|asks|asked|spoil\w*|leaps?|contests?|crew|the bound|floors)\b", re.I)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
MODULES = [path for package in ("refdiff", "refdiff_gpu", "toys") for path in sorted((ROOT / package).glob("**/*.py"))]


def found(text):
    return sorted({match[0] for match in PRIVATE.finditer(text)})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_words_of_pages(page):
    """No page has a private word, but for quotations in code and what the changelog and the errata quote."""
    text = re.sub(r"```.*?```|`[^`]*`|\"[^\"]*\"", "", page.read_text(), flags=re.S)
    assert found(text) == []


def test_words_of_docstrings():
    """No docstring has one."""
    texts = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (words := found(ast.get_docstring(node) or "")):
                texts[f"{path.relative_to(ROOT)}: {getattr(node, 'name', '')}"] = words
    assert texts == {}
