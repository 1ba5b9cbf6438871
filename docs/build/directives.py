"""The HTML of directives, lines such as `::: function forward.posterior` in a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from refdiff.equations import EQUATIONS

from ..pictures import draw as pictures
from . import accuracy, program
from .chapters import PAGES
from .inventory import BookError, Definition, Test, definition, public, reference, tests_by_equation, tests_of, vectors
from .markup import Markup, slug

SHOWN = 12  # tests listed for a function; the others are counted


def function(markup: Markup, page: str, name: str) -> str:
    """The box of a function: its name and equations, docstring, code, sources, tests and vectors."""
    found = definition(name)
    heading = f'<h3 id="{name}"><code>{name}</code>{_ids(found.ids)}</h3>'
    return f'<section class="function">{heading}{_body(markup, found)}</section>'


def rest(markup: Markup, page: str, _: str = "") -> str:
    """The folded boxes of all public functions of the page's modules that no page shows with `::: function`."""
    hidden = [definition(name) for module in PAGES[page] for name in public(module) if markup.pages.get(name) == f"{page}/"]
    return "".join(
        f'<details class="rest" id="{each.name}"><summary><code>{each.name}</code>{_ids(each.ids)}</summary>'
        f'<section class="function">{_body(markup, each)}</section></details>'
        for each in hidden
    )


def picture(markup: Markup, page: str, text: str) -> str:
    """A figure drawn by docs/pictures, light and dark, and its caption."""
    name, _, caption = text.partition(" ")
    if name not in pictures.PICTURES:
        raise BookError(f"there is no picture {name}; there are {', '.join(pictures.PICTURES)}")
    alt = escape(re.sub(r"\]\([^)]*\)|[\[$`\\{}]", "", caption))
    images = "".join(
        f'<img class="on-{theme}" src="pictures/{name}-{theme}.svg" alt="{alt}" loading="lazy">' for theme in ("light", "dark")
    )
    return f"<figure>{images}<figcaption>{markup.inline(caption)}</figcaption></figure>"


def gallery(markup: Markup, page: str, _: str = "") -> str:
    """Every picture of the book with a link to its page and the command that draws it."""
    parts = []
    for name in (name for name in pictures.PICTURES if name in markup.pictures):
        source = markup.pictures[name]
        figure = picture(markup, page, f"{name} From the page [{source}]({source}.md).")
        parts.append(f'<h3 id="{name}">{name}</h3>{figure}{markup.code(f"python -m docs.pictures {name}", "sh")}')
    return "".join(parts)


def coverage(markup: Markup) -> str:
    """How many equations are on a page, tested, and have vectors."""
    shown = sum(headline in markup.pages for _, headline in EQUATIONS.values())
    tested = sum(bool(tests_by_equation()[id]) for id in EQUATIONS)
    covered = sum(bool(vectors(id)) for id in EQUATIONS)
    functions = sum(name in markup.pages for modules in PAGES.values() for module in modules for name in public(module))
    return (
        f"Of {len(EQUATIONS)} equations {shown} are on a page, {tested} have a test, {covered} have vectors; "
        f"{functions} public functions are shown."
    )


def printed(markup: Markup, page: str, _: str = "") -> str:
    """The output of the tutorial's program, for the diffusion and for the flow."""
    runs = (("Output of the diffusion:", program.run()), ("Output of the flow:", program.run(flow=True)))
    return "".join(f"<p>{name}</p>{markup.code(run.printed, '')}" for name, run in runs)


def measured(markup: Markup, page: str, which: str = "") -> str:
    """A table of accuracy, measured now: every quantity's largest error, as one would write it and as refdiff does."""
    if which not in accuracy.TABLES:
        raise BookError(f"there is no table {which}; there are {', '.join(accuracy.TABLES)}")
    rows = []
    for each in accuracy.table(which):
        naive, ours = (f"{markup.inline(each.formulas[i])}<br>{escape(each.worst(i))}" for i in (0, 1))
        cells = [f"{markup.inline(each.name)}<br><small>{escape(each.domain)}</small>", naive, ours, escape(each.allowed)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("quantity", "naive formula", "refdiff", "tolerance of the tests"))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


DIRECTIVES: dict[str, Callable[[Markup, str, str], str]] = {
    "function": function,
    "rest": rest,
    "picture": picture,
    "gallery": gallery,
    "printed": printed,
    "measured": measured,
}


def _ids(ids: list[str]) -> str:
    return "".join(f'<a class="id" href="map.html#{id}">{id}</a>' for id in ids)


def _body(markup: Markup, found: Definition) -> str:
    text, code = markup.html(found.doc), markup.code(found.code, "python")
    sources = ", ".join(f'<a href="references.html#{slug(_key(tag))}">{escape(tag)}</a>' for tag in found.tags)
    link = f'<a href="{markup.file(found.path, found.line)}">{found.path}, line {found.line}</a>'
    foot = f'<p class="foot">{f"Source: {sources} · " if sources else ""}{link}</p>'
    lists = [_named_tests(markup, tests_of(found)), *(vector_list(id, f"{id}: ", " vectors") for id in found.ids)]
    return text + code + foot + "".join(lists)


def _key(tag: str) -> str:
    if not (key := reference(tag)):
        raise BookError(f"the tag [{tag}] is not in references.md")
    return key


def _named_tests(markup: Markup, found: list[Test]) -> str:
    return test_list(markup, found, "Proved by ", f" test{'s' * (len(found) > 1)}") if found else ""


def test_list(markup: Markup, found: list[Test], before: str = "", after: str = "") -> str:
    """A folded list of tests: their number, and when unfolded their names and docstrings."""
    lines = [
        f'<li><a href="{markup.file(test.name.split("::")[0], test.line)}"><code>{test.name.split("::")[1]}</code></a> '
        f"{markup.inline(test.doc) if '$' in test.doc else escape(test.doc)}</li>"
        for test in found
    ]
    lines[SHOWN:] = [f"<li>and {len(lines) - SHOWN} more</li>"] * (len(lines) > SHOWN)
    return f"<details><summary>{before}{len(found)}{after}</summary><ul>{''.join(lines)}</ul></details>"


def vector_list(id: str, before: str = "", after: str = "") -> str:
    """A folded list of an equation's test vectors: their number, and when unfolded the number of each operation."""
    found = vectors(id)
    listed = "".join(f"<li><code>{name}</code>: {count}</li>" for name, count in found.items())
    return f"<details><summary>{before}{sum(found.values()):,}{after}</summary><ul>{listed}</ul></details>" if found else ""
