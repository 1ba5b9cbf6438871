"""Source tags: each resolves in docs/references.md, each row there is cited, and every equation names its source."""

import ast
import re
from pathlib import Path

import pytest

from docs.build.inventory import reference
from refdiff.equations import MODULES

ROOT = Path(__file__).parents[2]
SOURCES = [path for path in sorted((ROOT / "refdiff").glob("**/*.py")) if "conformance" not in path.parts]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "references.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
][2:]
KEYS = [row[0] for row in ROWS]


def tags(text):
    """The bracketed tags after each "Source:" of a docstring, across line breaks."""
    listed = re.findall(r"Source: (?:[A-Z]\d,? )*((?:\[[^\]]+\],? ?)+)", " ".join(text.split()))
    return [tag for group in listed for tag in re.findall(r"\[([^\]]+)\]", group)]


def docstrings():
    """(place, text) of every string statement: docstrings, and the notes under module constants."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                yield f"{path.name}:{node.lineno}", node.value.value


def public(body, prefix):
    """(name, node) of every public function and class, and of their public methods; properties are fields, covered by their class."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
            yield f"{prefix}.{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{prefix}.{node.name}")


def test_every_tag_resolves():
    """Every cited work is in the list, and every cited place is named as one."""
    found = [(where, tag) for where, text in docstrings() for tag in tags(text)]
    assert len(found) > 100
    assert [(where, tag) for where, tag in found if reference(tag) is None] == []


def test_every_source_line_is_read():
    """Each "Source:" is followed by ids, tags or both, and no known work is cited in brackets anywhere else."""
    for where, text in docstrings():
        flat = " ".join(text.split())
        assert len(re.findall("Source:", text)) == len(re.findall(r"Source: (?:[A-Z]\d\b|\[)", flat)), where
        cited = [tag for tag in re.findall(r"\[([^\]]+)\]", flat) if reference(tag)]
        assert cited == [tag for tag in tags(text) if reference(tag)], where


def test_every_row_is_cited():
    """Every listed work is cited by a docstring."""
    cited = {reference(tag) for _, text in docstrings() for tag in tags(text)}
    assert [key for key in KEYS if key not in cited] == []


def test_rows_are_whole_and_in_order():
    """Each key once, in alphabetical order; authors, title and venue given; an arXiv id, or none."""
    assert sorted(set(KEYS), key=str.casefold) == KEYS
    for row in ROWS:
        assert len(row) == 5 and all(row[:4]), row
        assert re.fullmatch(r"(\d{4}\.\d{4,5})?", row[4]), row
        assert re.search(r"\b(19|20)\d\d\b", row[3]), row


@pytest.mark.parametrize("module", MODULES)
def test_every_equation_names_its_source(module):
    """A public function, class or method whose docstring holds a formula has a Source line."""
    tree = ast.parse((ROOT / "refdiff" / f"{MODULES[module].replace('.', '/')}.py").read_text(encoding="utf-8"))
    texts = {name: ast.get_docstring(node) or "" for name, node in public(tree.body, module)}
    assert texts
    assert [name for name, text in texts.items() if "$" in text and "Source: " not in " ".join(text.split())] == []


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        ("DDPM eq. 6, 7", "DDPM"),
        ("DDPM eq. 1, sec. 3.2", "DDPM"),
        ("Improved DDPM eq. 15", "Improved DDPM"),
        ("VDM++", "VDM++"),
        ("VDM eq. 13", "VDM"),
        ("PRML eq. B.41", "PRML"),
        ("Hairer et al. sec. II.1", "Hairer et al."),
        ("Lin et al. table 1", "Lin et al."),
        ("Flow Matching eq. 5, thm. 2", "Flow Matching"),
        ("DDPM eq. 6, and 7", None),
        ("DDPM 7", None),
        ("DDPM eq.", None),
        ("DDPMs eq. 7", None),
        ("ddpm eq. 7", None),
        ("Nobody 1900", None),
    ],
)
def test_resolving_a_tag(tag, key):
    """The longest matching key is used; an unknown work, a misspelt one or an unnamed place does not resolve."""
    assert reference(tag) == key


def test_tags_are_read_across_lines():
    """Tags are found across line breaks, and ids do not count as tags."""
    assert tags("Text. Source: F5, E1 [Lin et al.\n    alg. 1],\n    [LDM]. More [not this]. Source: T1.") == ["Lin et al. alg. 1", "LDM"]
