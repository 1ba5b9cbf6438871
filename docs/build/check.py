"""The check of a built site: every internal link, anchor and picture exists, and no formula or directive is left as text."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import NamedTuple


class Page(NamedTuple):
    """The anchors, links and plain text of a page."""

    anchors: list[str]
    links: list[str]
    text: str


def read(path: Path) -> Page:
    html = path.read_text(encoding="utf-8")
    links = [unescape(link) for link in re.findall(r'<[^>]* (?:href|src)="([^"]*)"', html)]
    text = re.sub(r"<(pre|code|script|math)\b.*?</\1>", "", html, flags=re.S)
    return Page(re.findall(r'<[^>]* id="([^"]*)"', html), list(dict.fromkeys(links)), unescape(re.sub(r"<[^>]*>", " ", text)))


def problems(site: Path) -> list[str]:
    """Missing targets, and formulas and directives left as text, a line each."""
    pages = {path.resolve(): read(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name}: the anchor {each} exists twice" for each in {each for each in page.anchors if page.anchors.count(each) > 1}]
        found += [f"{name}: {wrong}" for link in page.links if (wrong := _broken(link, path, pages))]
        found += [f"{name}: a formula is left as {left!r}" for left in re.findall(r"\$\$.{0,40}|\\[a-z]{2,}.{0,20}", page.text)]
        found += [f"{name}: a line is left as {left!r}" for left in re.findall(r"^::: .*", page.text, re.M)]
    return found


def _broken(link: str, path: Path, pages: dict[Path, Page]) -> str:
    address, _, anchor = link.partition("#")
    if re.match(r"https?:|data:|mailto:", address):
        return "" if address.startswith(("https://arxiv.org/", "https://github.com/", "data:,")) else f"{link} needs a network"
    target = (path.parent / address).resolve() if address else path
    if not target.is_file():
        return f"{link} does not exist"
    return f"{link}: {target.name} has no such anchor" if anchor and target in pages and anchor not in pages[target].anchors else ""
