"""What stands in place of lines such as `::: function forward.posterior` in a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from refdiff.equations import EQUATIONS

from ..pictures import draw as pictures
from . import accuracy, program
from .chapters import PAGES
from .markup import Markup, slug
from .quotes import BookError, Quote, Test, proofs, proved, public, quote, tests, vectors, work

SHOWN = 12  # tests listed for a function; the rest are counted


def function(markup: Markup, page: str, name: str) -> str:
    """A function's box: its name and equations, docstring, code, sources, tests and vectors."""
    quoted = quote(name)
    heading = f'<h3 id="{name}"><code>{name}</code>{_ids(quoted.ids)}</h3>'
    return f'<section class="function">{heading}{_body(markup, quoted)}</section>'


def rest(markup: Markup, page: str, _: str = "") -> str:
    """Every public function of the page's modules that no page shows in the open, to be unfolded."""
    quoted = [quote(name) for module in PAGES[page] for name in public(module) if markup.places.get(name) == f"{page}/"]
    return "".join(
        f'<details class="rest" id="{each.name}"><summary><code>{each.name}</code>{_ids(each.ids)}</summary>'
        f'<section class="function">{_body(markup, each)}</section></details>'
        for each in quoted
    )


def picture(markup: Markup, page: str, text: str) -> str:
    """A figure that `pictures` draws, light and dark, and its caption."""
    name, _, caption = text.partition(" ")
    if name not in pictures.PICTURES:
        raise BookError(f"there is no picture {name}; there are {', '.join(pictures.PICTURES)}")
    alt = escape(re.sub(r"\]\([^)]*\)|[\[$`\\{}]", "", caption))
    images = "".join(
        f'<img class="on-{theme}" src="pictures/{name}-{theme}.svg" alt="{alt}" loading="lazy">' for theme in ("light", "dark")
    )
    return f"<figure>{images}<figcaption>{markup.inline(caption)}</figcaption></figure>"


def gallery(markup: Markup, page: str, _: str = "") -> str:
    """Every picture of the book with the page that explains it and the command that makes it."""
    parts = []
    for name in (name for name in pictures.PICTURES if name in markup.pictures):
        place = markup.pictures[name]
        figure = picture(markup, page, f"{name} From the page [{place}]({place}.md).")
        parts.append(f'<h3 id="{name}">{name}</h3>{figure}{markup.code(f"python -m docs.pictures {name}", "sh")}')
    return "".join(parts)


def map_(markup: Markup, page: str, _: str = "") -> str:
    """Every equation with its function, page, tests and vectors. Raises if one has no page, no test or no vectors."""
    rows = []
    for id, (name, headline) in EQUATIONS.items():
        if headline not in markup.places or not proved()[id] or not vectors(id):
            what = f"no page that shows {headline}" if headline not in markup.places else "no vectors" if proved()[id] else "no test"
            raise BookError(f"equation {id} has {what}")
        place = markup.places[headline].rstrip("/")
        cells = [id, name, f'<a href="{place}.html#{headline}"><code>{headline}</code></a>', f'<a href="{place}.html">{place}</a>']
        cells += [_tests(markup, [tests()[test] for test in proved()[id]], ""), _vectors(id)]
        rows.append(f'<tr id="{id}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("id", "equation", "function", "page", "tests", "vectors"))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div><p>{coverage(markup)}</p>'


def coverage(markup: Markup) -> str:
    """How much of the list is on a page, tested, and has vectors."""
    placed = sum(headline in markup.places for _, headline in EQUATIONS.values())
    proofs = sum(bool(proved()[id]) for id in EQUATIONS)
    covered = sum(bool(vectors(id)) for id in EQUATIONS)
    functions = sum(name in markup.places for modules in PAGES.values() for module in modules for name in public(module))
    return (
        f"Of {len(EQUATIONS)} equations {placed} are on a page, {proofs} have a test, {covered} have vectors; "
        f"{functions} public functions are shown."
    )


def printed(markup: Markup, page: str, _: str = "") -> str:
    """What the tutorial's program prints, as a diffusion and as a flow."""
    runs = (("The diffusion prints", program.run()), ("The flow prints", program.run(flow=True)))
    return "".join(f"<p>{name}</p>{markup.code(run.printed, '')}" for name, run in runs)


def measured(markup: Markup, page: str, which: str = "") -> str:
    """A table of accuracy, measured now: every quantity's largest error, as one would write it and as refdiff does."""
    if which not in accuracy.TABLES:
        raise BookError(f"there is no table {which}; there are {', '.join(accuracy.TABLES)}")
    rows = []
    for each in accuracy.table(which):
        naive, ours = (f"{markup.inline(each.formulas[i])}<br>{escape(each.worst(i))}" for i in (0, 1))
        cells = [f"{markup.inline(each.name)}<br><small>{escape(each.where)}</small>", naive, ours, escape(each.allowed)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("quantity", "as one would write it", "as refdiff does", "allowed by the tests"))
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


DIRECTIVES: dict[str, Callable[[Markup, str, str], str]] = {
    "function": function,
    "rest": rest,
    "picture": picture,
    "gallery": gallery,
    "map": map_,
    "printed": printed,
    "measured": measured,
}


def _ids(ids: list[str]) -> str:
    return "".join(f'<a class="id" href="map.html#{id}">{id}</a>' for id in ids)


def _body(markup: Markup, quoted: Quote) -> str:
    text, code = markup.html(quoted.doc), markup.code(quoted.code, "python")
    sources = ", ".join(f'<a href="references.html#{slug(_known(tag))}">{escape(tag)}</a>' for tag in quoted.tags)
    place = f'<a href="{markup.file(quoted.path, quoted.line)}">{quoted.path}, line {quoted.line}</a>'
    foot = f'<p class="foot">{f"Source: {sources} · " if sources else ""}{place}</p>'
    return text + code + foot + _tests(markup, proofs(quoted), "Proved by ") + "".join(_vectors(id) for id in quoted.ids)


def _known(tag: str) -> str:
    if not (key := work(tag)):
        raise BookError(f"the tag [{tag}] is not in references.md")
    return key


def _tests(markup: Markup, found: list[Test], prefix: str) -> str:
    if not found:
        return ""
    lines = [
        f'<li><a href="{markup.file(test.name.split("::")[0], test.line)}">{_name(test)}</a> {_says(markup, test)}</li>' for test in found
    ]
    lines[SHOWN:] = [f"<li>and {len(lines) - SHOWN} more</li>"] * (len(lines) > SHOWN)
    count = f"{prefix}{len(found)} test{'s' * (len(found) > 1)}"
    return f"<details><summary>{count}</summary><ul>{''.join(lines)}</ul></details>"


def _says(markup: Markup, test: Test) -> str:
    return markup.inline(test.says) if "$" in test.says else escape(test.says)


def _name(test: Test) -> str:
    return f"<code>{test.name.split('::')[1]}</code>"


def _vectors(id: str) -> str:
    found = vectors(id)
    listed = "".join(f"<li><code>{name}</code>: {count}</li>" for name, count in found.items())
    return f"<details><summary>{id}: {sum(found.values())} vectors</summary><ul>{listed}</ul></details>" if found else ""
