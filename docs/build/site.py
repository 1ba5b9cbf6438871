"""The site: `python -m docs.build` writes it to site/ without a network, and fails if a page names anything that does not exist."""

from __future__ import annotations

import json
import re
import shutil
from html import escape, unescape
from pathlib import Path
from string import Template

from ..pictures import draw as pictures
from . import check, equations
from .chapters import PAGES, PARTS
from .directives import DIRECTIVES, coverage, test_list, vector_list
from .formulas import FormulaError
from .highlight import highlight, in_lines
from .inventory import ROOT, BookError, public, references, tests_by_equation
from .markup import Markup, slug
from .notebooks import notebook

HERE = Path(__file__).parent
DIRECTIVE = re.compile(r"^::: (\w+) ?(.*)$", re.M)
HEADING = re.compile(r'<(h[123]|details class="rest"|tr) id="([^"]*)">(.*?)</(?:h[123]|summary|tr)>', re.S)


def build(out: Path) -> str:
    """Write the site; returns the line on coverage. Raises BookError with all problems found."""
    equations.check()
    check_folder(out)
    texts = {page: (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in PAGES}
    markup = Markup(function_pages(texts))
    markup.pictures = picture_pages(texts)
    bodies, problems = {}, []
    for page, text in texts.items():
        body, wrong = render(markup, page, text)
        bodies[page] = body
        problems += [f"docs/{page}.md: {each}" for each in wrong]
    problems += [f"docs/pictures/draw.py: no page shows {name}" for name in pictures.PICTURES if name not in markup.pictures]
    if problems:
        raise BookError("\n".join(problems))
    write(out, markup, bodies, {page: found for page, text in texts.items() if (found := notebook(page, text))})
    if problems := check.problems(out):
        raise BookError("\n".join(problems))
    return coverage(markup)


def check_folder(out: Path) -> None:
    """Raise if the folder has files that no build wrote where a build deletes: `--out docs` would take the program of the pictures."""
    for folder, ending in ("pictures", ".svg"), ("source", ".html"), ("notebooks", ".ipynb"):
        for path in (out / folder).rglob("*"):
            if path.suffix != ending and not path.is_dir():
                raise BookError(f"argument --out: {str(out)!r} has {path.relative_to(out)}; allowed: a folder for the site alone")


def function_pages(texts: dict[str, str]) -> dict[str, str]:
    """The page of every function: "page", or "page/" if it is only in a folded box of `::: rest`."""
    pages = {argument: page for page, text in texts.items() for name, argument in DIRECTIVE.findall(text) if name == "function"}
    for page, modules in PAGES.items():
        if re.search(r"^::: rest", texts[page], re.M):
            pages |= {name: f"{page}/" for module in modules for name in public(module) if name not in pages}
    return pages


def picture_pages(texts: dict[str, str]) -> dict[str, str]:
    """The page of every picture; the last one if several pages show it."""
    return {
        words.split()[0]: page for page, text in texts.items() for name, words in DIRECTIVE.findall(text) if name == "picture" and words
    }


def render(markup: Markup, page: str, text: str) -> tuple[str, list[str]]:
    """A page's HTML, and the problems found in it."""
    slots: list[str] = []
    wrong: list[str] = []

    def slot(found: re.Match[str]) -> str:
        name, argument = found.groups()
        try:
            if name not in DIRECTIVES:
                raise BookError(f"::: {name} is not known; there are {', '.join(DIRECTIVES)}")
            slots.append(DIRECTIVES[name](markup, page, argument.strip()))
        except (BookError, FormulaError) as error:
            wrong.append(f"{found[0]}: {error}")
            slots.append("")
        return f'\n<div data-slot="{len(slots) - 1}"></div>\n'

    try:
        html = markup.html(DIRECTIVE.sub(slot, text))
    except (BookError, FormulaError) as error:
        return "", [*wrong, str(error)]
    missing = [name for module in PAGES.get(page, []) for name in public(module) if name not in markup.pages]
    wrong += [f"{name} is shown nowhere; ::: rest would show it" for name in missing]
    html = re.sub(r'<div data-slot="(\d+)"></div>', lambda found: slots[int(found[1])], html)
    return FINISH.get(page, lambda markup, html: html)(markup, html), wrong


def anchor_references(markup: Markup, html: str) -> str:
    """The list of references with an anchor on every row."""
    for key in references():
        html = html.replace(f"<tr>\n<td>{escape(key)}</td>", f'<tr id="{slug(key)}">\n<td>{escape(key)}</td>')
    return html


def unfold_equations(markup: Markup, html: str) -> str:
    """The map with an anchor on every equation, and with its tests and vectors as folded lists."""
    return equations.with_lists(html, lambda id: test_list(markup, tests_by_equation()[id]), vector_list)


FINISH = {"references": anchor_references, "map": unfold_equations}


def write(out: Path, markup: Markup, bodies: dict[str, str], notebooks: dict[str, str]) -> None:
    """Write all files of the site; folders of an earlier build are removed."""
    for folder in ("pictures", "source", "notebooks"):
        shutil.rmtree(out / folder, ignore_errors=True)
    for folder in ("pictures", "notebooks"):
        (out / folder).mkdir(parents=True)
    for page, text in notebooks.items():
        (out / "notebooks" / f"{page}.ipynb").write_text(text, encoding="utf-8")
    pictures.draw(out / "pictures")
    template = Template((HERE / "theme" / "page.html").read_text(encoding="utf-8"))
    titles = {page: unescape(re.sub("<.*?>", "", body.partition("</h1>")[0])).strip() for page, body in bodies.items()}
    for page, body in bodies.items():
        values = {
            "title": titles[page],
            "root": "",
            "nav": nav(titles, page, "", headings(body)),
            "body": body.replace(
                "</h1>", f'</h1>\n<p class="foot"><a href="notebooks/{page}.ipynb" download>This page as a notebook</a></p>', 1
            )
            if page in notebooks
            else body,
            "contents": headings(body),
            "pager": pager(titles, page),
        }
        (out / f"{page}.html").write_text(template.substitute(values), encoding="utf-8")
    for path, lines in sorted(markup.files.items()):
        if path.startswith("docs/") and not path.endswith(".py"):
            shutil.copy(ROOT / path, out / path.removeprefix("docs/"))
        else:
            write_source(out, path, lines, template, titles)
    sections = [section for page, body in bodies.items() for section in search_entries(page, titles[page], body)]
    (out / "search.js").write_text(f"const SECTIONS = {json.dumps(sections, ensure_ascii=False)};\n", encoding="utf-8")
    shutil.copy(HERE / "theme" / "script.js", out)
    shutil.copy(HERE / "theme" / "style.css", out)


def write_source(out: Path, path: str, linked: set[int], template: Template, titles: dict[str, str]) -> None:
    """A source file as a page, with an anchor on every line that is linked to."""
    target, root = out / "source" / f"{path}.html", "../" * (path.count("/") + 1)
    code = highlight((ROOT / path).read_text(encoding="utf-8"), "python").split("\n")
    marked = in_lines("\n".join(f'<a id="L-{number}"></a>{line}' if number in linked else line for number, line in enumerate(code, 1)))
    body = f'<div class="source"><h1>{path}</h1><pre class="code"><code>{marked}</code></pre></div>'
    target.parent.mkdir(parents=True, exist_ok=True)
    values = {"title": path, "root": root, "nav": nav(titles, "", root), "body": body, "contents": "", "pager": ""}
    target.write_text(template.substitute(values), encoding="utf-8")


def nav(titles: dict[str, str], here: str, root: str, contents: str = "") -> str:
    """The navigation: links to all pages, by part, and below the current page its contents, shown where the window is narrow."""
    parts = []
    for part, pages in PARTS.items():
        links = [f'<a href="{root}{page}.html"{" aria-current=page" * (page == here)}>{escape(titles[page])}</a>' for page in pages]
        inside = [f'<div class="contents">{contents}</div>' * (page == here) for page in pages]
        parts.append(f"<h2>{part}</h2>{''.join(map(str.__add__, links, inside))}")
    return "".join(parts)


def headings(body: str) -> str:
    """The headings of a page."""
    found = [(level, id, text) for level, id, text in HEADING.findall(body) if level in ("h2", "h3")]
    return "".join(
        f'<a class="{level}" href="#{id}">{_plain(re.sub(r"<a .*", "", text)).rpartition(".")[2] or _plain(text)}</a>'
        for level, id, text in found
    )


def pager(titles: dict[str, str], page: str) -> str:
    """Links to the pages before and after."""
    order = list(titles)
    at = order.index(page)
    before = f'<a href="{order[at - 1]}.html">← {escape(titles[order[at - 1]])}</a>' if at else "<span></span>"
    after = f'<a href="{order[at + 1]}.html">{escape(titles[order[at + 1]])} →</a>' if at + 1 < len(order) else ""
    return before + after


def search_entries(page: str, title: str, body: str) -> list[dict[str, str]]:
    """The sections of a page for the search: anchor, heading, and the text up to the next heading."""
    body = re.sub(r"<math.*?</math>", "", body, flags=re.S)
    found = list(HEADING.finditer(body))
    ends = [each.start() for each in found[1:]] + [len(body)]
    return [
        {
            "at": f"{page}.html#{each[2]}",
            "page": title,
            "title": _plain(each[3].partition("<a ")[0]),
            "text": _plain(f"{each[3]} {body[each.end() : end]}")[:1500],
        }
        for each, end in zip(found, ends, strict=True)
    ]


def _plain(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())
