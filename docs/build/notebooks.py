"""Pages with code as notebooks, without outputs: text and formulas in cells of Markdown, the blocks of Python in cells of code."""

from __future__ import annotations

import json
import re
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```\n?", re.S | re.M)
LINK = re.compile(r"\]\((\w+)\.md(#[\w-]+)?\)")
FUNCTION = re.compile(r"^::: function (\S+)$", re.M)
OTHER = re.compile(r"^::: .*\n?", re.M)


def notebook(page: str, text: str) -> str | None:
    """The notebook of a page in format 4.5, or None if the page has no Python."""
    parts = BLOCK.split(text)  # text and code, in turn
    if len(parts) == 1:
        return None
    cells = [cell for i, part in enumerate(parts) if (cell := _cell(i, part.rstrip() if i % 2 else words(page, part)))]
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False) + "\n"


def words(page: str, text: str) -> str:
    """Markdown of a page for a notebook: functions and other pages become links to the site."""
    text = FUNCTION.sub(rf"[`\1`](../{page}.html#\1)", text)
    return LINK.sub(r"](../\1.html\2)", OTHER.sub("", text)).strip()


def _cell(i: int, text: str) -> dict[str, Any] | None:
    lines = text.splitlines(keepends=True)
    if not lines:
        return None
    cell: dict[str, Any] = {"cell_type": "code" if i % 2 else "markdown", "id": f"cell-{i}", "metadata": {}, "source": lines}
    return cell | {"execution_count": None, "outputs": []} if i % 2 else cell
