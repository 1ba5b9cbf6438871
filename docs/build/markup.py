"""Markdown to HTML, with formulas, highlighted code, and links from `code` spans to the functions, files and tests that they name."""

from __future__ import annotations

import os
import re
from html import escape, unescape
from importlib import import_module
from operator import attrgetter
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from .formulas import mathml
from .highlight import LANGUAGES, highlight, in_lines
from .inventory import LOCATOR, ROOT, BookError, modules, reference, references, split_name, tests

FILE = re.compile(r"((?:tests|refdiff|refdiff_gpu|toys|docs)/[\w/]+\.py)(?:::(test_\w+))?(?:\[.*\])?")
PATH = re.compile(r"(?:tests|refdiff|refdiff_gpu|toys|docs)/[\w/.]+")
NAME = re.compile(r"(\w+)\.(?!json$|py$)(\w+(?:\.\w+)*)")
INLINE = r'(<span class="math inline"><math(?:(?!</span>).)*</span>)([.,;:?!)]+)'  # a formula, and punctuation that stays on its line


def defined(module: str, name: str) -> bool:
    """Whether a module of refdiff defines a name such as "Mixture.score"."""
    try:
        attrgetter(name)(import_module(modules()[module].removesuffix(".py").replace("/", ".")))
    except AttributeError:
        return False
    return True


def breakable(word: str) -> str:
    """A word of code in HTML: a line may break inside a long word, and never after the hyphens of an option."""
    if word.startswith("-"):
        return f'<span class="keep">{escape(word)}</span>'
    return "<wbr>".join(map(escape, re.split(r"(?<=[_.:/])(?=\w)", word))) if len(word) > 24 else escape(word)


class Markup:
    """The renderer of one site. `pages` and `pictures` map functions and pictures to their pages; `files` collects the files linked to."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.pages, self.files, self.pictures = pages, dict[str, set[int]](), dict[str, str]()
        self.md = MarkdownIt("commonmark", {"html": True, "highlight": self.code}).enable("table")
        self.md.use(dollarmath_plugin, double_inline=True, renderer=formula)
        self.md.use(anchors_plugin, max_level=3, slug_func=slug)
        rules: dict[str, Any] = {
            "code_inline": self._code_inline,
            "code_block": self._indented,
            "link_open": self._link,
            "image": self._image,
        }
        rules |= {"table_open": lambda *_: '<div class="wide"><table>', "table_close": lambda *_: "</table></div>"}
        for name, rule in rules.items():
            self.md.add_render_rule(name, lambda _, tokens, i, options, env, rule=rule: rule(tokens, i))

    def html(self, text: str) -> str:
        html = re.sub(INLINE, r'<span class="keep">\1\2</span>', self.md.render(link_citations(text)), flags=re.S)
        return re.sub(r"<td>([A-Z]+-\d+)</td>", r'<td class="keep">\1</td>', html)  # an id such as DM-01

    def inline(self, text: str) -> str:
        return self.md.renderInline(link_citations(text))

    def code(self, text: str, language: str, _: str = "") -> str:
        if language not in LANGUAGES:
            raise BookError(f"a block of code is in {language!r}, which is not known; there are {', '.join(LANGUAGES)}")
        return f'<pre class="code"><code>{in_lines(highlight(text, language).rstrip())}</code></pre>'

    def file(self, path: str, line: int = 0) -> str:
        """The address of a source file's page. Raises BookError if there is no such file."""
        if not (ROOT / path).is_file():
            raise BookError(f"there is no file {path}")
        self.files.setdefault(path, set()).add(line)
        return f"source/{path}.html" + (f"#L-{line}" if line else "")

    def _code_inline(self, tokens: Any, i: int) -> str:
        text, inside = tokens[i].content, any(token.type == "link_open" for token in tokens[max(0, i - 1) : i])
        shown = text.partition("::")[2] if FILE.fullmatch(text) and "::" in text else text
        body = f"<code>{' '.join(map(breakable, shown.split(' ')))}</code>"
        return body if inside or not (address := self.address(text)) else f'<a href="{address}">{body}</a>'

    def _indented(self, tokens: Any, i: int) -> str:
        raise BookError(f"an indented line, {tokens[i].content.splitlines()[0]!r}; code stands between fences that name its language")

    def address(self, text: str) -> str:
        """The address of a function, file or test on the site; "" for anything else."""
        if found := FILE.fullmatch(text):
            if found[2] and f"{found[1]}::{found[2]}" not in tests():
                raise BookError(f"there is no test {text}")
            return self.file(found[1], tests()[f"{found[1]}::{found[2]}"].line if found[2] else 0)
        if PATH.fullmatch(text) and not (ROOT / text).exists():
            raise BookError(f"there is no file {text}")
        name = text.removeprefix("refdiff.")
        module, inner = split_name(name) if NAME.fullmatch(name) else ("", [])
        if inner and module in modules() and not defined(module, ".".join(inner)):
            raise BookError(f"there is no {'.'.join(inner)} in {modules()[module]}")
        return f"{self.pages[name].rstrip(chr(47))}.html#{name}" if name in self.pages else ""

    def _link(self, tokens: Any, i: int) -> str:
        token = tokens[i]
        path, _, anchor = str(token.attrs["href"]).partition("#")
        if re.match(r"https?:", path):
            return self.md.renderer.renderToken(tokens, i, self.md.options, {})
        if path.startswith("../"):
            token.attrs["href"] = self.file(os.path.normpath(f"docs/{path}"))
        elif path.endswith(".md"):
            token.attrs["href"] = path.removesuffix(".md") + ".html" + (f"#{anchor}" if anchor else "")
        return self.md.renderer.renderToken(tokens, i, self.md.options, {})

    def _image(self, tokens: Any, i: int) -> str:
        source = tokens[i].attrs["src"]
        if not (ROOT / "docs" / source).is_file():
            raise BookError(f"there is no picture docs/{source}")
        self.files.setdefault(f"docs/{source}", set())
        return f'<img src="{source}" alt="{escape(tokens[i].content)}">'


def formula(latex: str, options: dict[str, Any]) -> str:
    """A formula: a display formula may break at its wide spaces, a long inline formula may scroll on a phone."""
    latex = unescape(latex)
    if options["display_mode"]:
        return "".join(mathml(part, display=True) for part in split_at_quads(latex))
    body = mathml(latex)
    return body if len(latex) < 40 else f'<span class="long">{body}</span>'


def split_at_quads(latex: str) -> list[str]:
    """The formula cut at every wide space that is not inside braces, brackets or a table."""
    pieces, depth, at = [], 0, 0
    for found in re.finditer(r"\\q?quad|\\begin|\\end|\\[A-Za-z]+|\\.|[{}()\[\]]", latex):
        depth += (found[0] in ("{", "(", "[", "\\begin")) - (found[0] in ("}", ")", "]", "\\end"))
        if found[0] in ("\\quad", "\\qquad") and not depth:
            pieces.append(latex[at : found.start()])
            at = found.end()
    return [*pieces, latex[at:]]


def slug(text: str) -> str:
    """A heading as an anchor."""
    return re.sub(r"[^\w.]+", "-", unescape(text).lower().replace("+", "plus")).strip("-")


def link_citations(text: str) -> str:
    """The text with citations such as [DDPM eq. 7] as links to references.md. Raises BookError for an unknown one."""

    def link(found: re.Match[str]) -> str:
        tag = " ".join(found[1].split())
        if key := reference(tag):
            return f"[{found[1]}](references.md#{slug(key)})"
        if re.search(LOCATOR, tag) or re.fullmatch(r"[A-Z]\w{2,}", tag) or tag.startswith(tuple(f"{key} " for key in references())):
            raise BookError(f"{found[0]} cites nothing in references.md")
        return found[0]

    return re.sub(r"(?<!!)\[([A-Z][^\]\[`$]*)\](?![(\[`])", link, text)
