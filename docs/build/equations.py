"""The table of equations: generated into docs/map.md, summarized in README.md, and with folded lists on the built page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from refdiff.equations import EQUATIONS, MODULES, functions

from .chapters import PAGES
from .inventory import ROOT, BookError, reference, tests_by_equation, vectors
from .markup import slug

CHAPTERS = {
    "process": "The forward process and its Gaussian distributions: schedules, posteriors, reverse kernels, and what a network predicts.",
    "objectives": "The quantities that training minimizes: the ELBO and its terms, latent variable models, and flow matching.",
    "sampling": "The generation of samples: DDPM, DDIM and ODE solvers, guidance, and oracles, models whose answer is known exactly.",
    "solvers": "Fast solvers of the probability-flow ODE and the reverse SDE, with their orders measured, and EDM.",
    "networks": "Neural networks with hand-written backward passes: layers, the MLP, attention, and the U-Net.",
    "training": "The training loop, its batches, and the optimizer.",
    "data": "Metrics that compare samples with data: distances between sets, and metrics on the features of a network.",
}
BLOCK = re.compile(r"(<!-- equations: .*? -->\n).*?(<!-- end of equations -->)", re.S)
PAGES_URL = "https://github.com/refdiff/refdiff/blob/main/docs/"  # absolute, so that the README is whole on other sites
ROW = re.compile(r"<tr>\n<td>([A-Z]\d)</td>\n(<td>.*?</td>\n<td>.*?</td>)\n<td>\d+</td>\n<td>[\d,]+</td>")


def ids(chapter: str) -> list[str]:
    """The equations of a chapter: those whose headline function belongs to the package of this name."""
    return [id for id, (_, headline) in EQUATIONS.items() if MODULES[headline.split(".")[0]].startswith(f"{chapter}.")]


def page(id: str) -> str:
    """The page of the equation's headline function. Raises BookError if there is none."""
    module = EQUATIONS[id][1].split(".")[0]
    for page, modules in PAGES.items():
        if module in modules:
            return page
    raise BookError(f"equation {id} has no page: docs/build/chapters.py lists no page for the module {module}")


def tables() -> str:
    """The equations in Markdown: for each chapter a heading, a sentence and a table."""
    return "".join(f"\n## {chapter.capitalize()}\n\n{text}\n\n{_table(chapter)}\n" for chapter, text in CHAPTERS.items()) + "\n"


def _table(chapter: str) -> str:
    rows = ["| id | equation | function | tests | vectors | source |", "|---|---|---|---|---|---|"]
    for id in ids(chapter):
        name, headline = EQUATIONS[id]
        link = f"[`{headline}`]({page(id)}.md#{headline})"
        tags = "; ".join(f"[{tag}](references.md#{slug(reference(tag) or '')})" for tag in functions(id)[0].tags)
        rows.append(f"| {id} | {name} | {link} | {len(tests_by_equation()[id])} | {sum(vectors(id).values()):,} | {tags} |")
    return "\n".join(rows)


def summary() -> str:
    """A line for each chapter: its equations, its pages, and how many tests and vectors it has, each counted once."""
    rows = ["| chapter | equations | pages | tests | vectors |", "|---|---|---|---|---|"]
    for chapter in CHAPTERS:
        of_chapter = ids(chapter)
        links = ", ".join(f"[{name}]({PAGES_URL}{name}.md)" for name in PAGES if name in map(page, of_chapter))
        tests = {test.name for id in of_chapter for test in tests_by_equation()[id]}
        counts = {name: count for id in of_chapter for name, count in vectors(id).items()}
        rows.append(f"| {chapter} | {', '.join(_ranges(of_chapter))} | {links} | {len(tests)} | {sum(counts.values()):,} |")
    return "\n".join(rows) + "\n"


def _ranges(of_chapter: list[str]) -> Iterator[str]:
    """ "F1–F6" for neighbouring ids, "E1" for a single one."""
    for _, group in groupby(of_chapter, lambda id: (id[0], int(id[1]) - of_chapter.index(id))):
        first, *others = group
        yield f"{first}–{others[-1]}" if others else first


GENERATED: dict[Path, Callable[[], str]] = {ROOT / "docs" / "map.md": tables, ROOT / "README.md": summary}


def updated(path: Path) -> str:
    """The text of a file with its generated block as it should be now."""
    return BLOCK.sub(lambda match: match[1] + GENERATED[path]() + match[2], path.read_text(encoding="utf-8"))


def check() -> None:
    """Raise BookError if a generated block is out of date, or if an equation has no test or no vectors."""
    for id in EQUATIONS:
        if not tests_by_equation()[id] or not vectors(id):
            raise BookError(f"equation {id} has no {'vectors' if tests_by_equation()[id] else 'test'}")
    for path in GENERATED:
        if updated(path) != path.read_text(encoding="utf-8"):
            raise BookError(f"the equations in {path.relative_to(ROOT)} are out of date. Run `python -m tests.test_equations`.")


def with_lists(html: str, test_list: Callable[[str], str], vector_list: Callable[[str], str]) -> str:
    """The built page: every row with an anchor, and the numbers of tests and vectors as folded lists."""
    return ROW.sub(
        lambda row: f'<tr id="{row[1]}">\n<td>{row[1]}</td>\n{row[2]}\n<td>{test_list(row[1])}</td>\n<td>{vector_list(row[1])}</td>', html
    )
