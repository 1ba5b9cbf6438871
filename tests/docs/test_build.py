"""The book: it builds without a network, shows every equation, and fails if a page names anything that does not exist."""

import ast
import json
import re
import socket
import subprocess
import sys

import pytest

from docs.build import __main__ as build_command
from docs.build import check, directives, equations, formulas, inventory, markup
from docs.build import site as build
from docs.build.chapters import PAGES
from docs.build.inventory import ROOT
from docs.pictures import __main__ as pictures_command
from docs.pictures import draw as pictures
from docs.pictures import house
from refdiff.equations import EQUATIONS

DOCS = ROOT / "docs"
TEXTS = {page: (DOCS / f"{page}.md").read_text() for page in PAGES}
FUNCTION_PAGES = build.function_pages(TEXTS)


def offline(*args, **kwargs):
    raise AssertionError("the build opened a socket")


@pytest.mark.long
def test_the_site_is_whole(tmp_path, monkeypatch):
    """Every page, link, anchor, picture and formula is there, with no network; and the check finds what is removed afterwards."""
    monkeypatch.setattr(socket, "socket", offline)
    assert f"Of {len(EQUATIONS)} equations {len(EQUATIONS)} are on a page" in build.build(tmp_path)
    html = {page: (tmp_path / f"{page}.html").read_text() for page in PAGES}
    assert all("<h1" in text and text.count("<h1") == 1 for text in html.values())
    assert all(f'href="{page}.html' in html["index"] for page in PAGES)
    assert all(f'id="{headline}"' in html[FUNCTION_PAGES[headline].rstrip("/")] for _, headline in EQUATIONS.values())
    assert not re.search(
        r"(?:src|href)=\"(?:https?:)?//(?!arxiv|github)|@import|url\(", "".join(html.values()) + (tmp_path / "style.css").read_text()
    )
    assert {path.stem.rpartition("-")[0] for path in (tmp_path / "pictures").iterdir()} == set(pictures.PICTURES)
    assert all(f"docs.pictures {name}\n<" in html["gallery"] and pictures_command.parser().parse_args([name]) for name in pictures.PICTURES)
    assert '"page": "The forward process"' in (tmp_path / "search.js").read_text()
    (tmp_path / "pictures" / "posterior-dark.svg").unlink()
    (tmp_path / "rng.html").write_text(
        '<h1 id="random-numbers">$$x$$</h1><a href="https://example.org/">x</a> <a href="forward.html#lost">x</a> <a href="lost.html">x</a>\n::: rest\n'
    )
    found = "\n".join(check.problems(tmp_path))
    assert "forward.html: pictures/posterior-dark.svg does not exist" in found
    assert "rng.html: a formula is left as '$$x$$" in found and "rng.html: a line is left as '::: rest'" in found
    assert "https://example.org/ needs a network" in found and "rng.html: lost.html does not exist" in found
    assert "rng.html: forward.html#lost: forward.html has no such anchor" in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("::: function forward.posteriour", "there is no forward.posteriour in refdiff/process/forward.py"),
        ("::: function nowhere.at_all", "refdiff has no module nowhere"),
        ("::: function forward", "there is no forward: it names a module"),
        ("::: picture sunset A caption.", "there is no picture sunset; there are schedules, "),
        ("::: poem", "::: poem is not known; there are function, rest, picture, gallery, printed"),
        ("![a cat](cat.png)", "there is no picture docs/cat.png"),
        ("See `tests/test_forward.py::test_nothing`.", "there is no test tests/test_forward.py::test_nothing"),
        ("See `refdiff/nothing.py`.", "there is no file refdiff/nothing.py"),
        ("[text](../refdiff/nothing.py)", "there is no file refdiff/nothing.py"),
        ("An $\\unknown{x}$.", r"\unknown is not known, in the formula"),
        ("A\n\n$$\\frac{1}{2$$", "} is missing, in the formula"),
        ("See `docs/nothing.md`.", "there is no file docs/nothing.md"),
        ("See `forward.posteriour`.", "there is no posteriour in refdiff/process/forward.py"),
        ("See `refdiff.oracles.Mixture.scores`.", "there is no Mixture.scores in refdiff/sampling/oracles.py"),
        ("As in [DDPMM eq. 6].", "[DDPMM eq. 6] cites nothing in references.md"),
        ("As in [DDPM equation 6].", "[DDPM equation 6] cites nothing in references.md"),
        ("A list:\n\n    ls -l", "an indented line, 'ls -l'"),
        ("```klingon\nQapla\n```", "'klingon', which is not known"),
    ],
)
def test_unknown_names_are_refused(text, message):
    """A page that names something that does not exist is refused with one line that names it."""
    _, wrong = build.render(markup.Markup(FUNCTION_PAGES), "page", text)
    assert len(wrong) == 1 and message in wrong[0], wrong


def test_missing_things_fail_the_build(tmp_path, monkeypatch, capsys):
    """The command names the page, returns 1, and writes nothing; a page in the list has to exist."""
    monkeypatch.setattr(sys, "argv", ["docs.build", "--out", str(tmp_path / "site")])
    monkeypatch.setitem(pictures.PICTURES, "unused", lambda: None)
    monkeypatch.setitem(build.DIRECTIVES, "measured", lambda *_: (_ for _ in ()).throw(inventory.BookError("lost")))
    assert build_command.main() == 1 and not (tmp_path / "site").exists()
    error = capsys.readouterr().err
    assert "docs/numerics.md: ::: measured: lost" in error and "docs/pictures/draw.py: no page shows unused" in error


def test_a_picture_by_its_name(tmp_path, monkeypatch, capsys):
    """The gallery's command writes the picture as a PNG; an unknown name is refused, and the error lists the names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["docs.pictures", "unet"])
    pictures_command.main()
    assert (tmp_path / "unet.png").read_bytes().startswith(b"\x89PNG") and "unet.png" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        pictures_command.parser().parse_args(["sunset"])
    assert "forward" in capsys.readouterr().err


def test_the_picture_of_the_packages(monkeypatch):
    """Every arrow leads down, every import follows from the arrows, and a package without a box is an error."""
    found = house.arrows()
    assert {("training", "networks"), ("process", "base"), ("gpu.device", "gpu.emulator")} <= set(found) <= house.imports()
    assert all(house.BOXES[a].bottom >= house.BOXES[b].top for a, b in found)
    across = {(a, b) for a, b in house.imports() if a.startswith("gpu.") and not b.startswith("gpu.")}  # one arrow for all of them
    assert ("gpu.mirror", "demo") in across
    assert all(house.reaches(a, b, {*found, ("gpu.mirror", "demo")}) for a, b in house.imports() - across)
    monkeypatch.delitem(house.BOXES, "fast")
    with pytest.raises(ValueError, match=r"no box for refdiff\.fast; there are cli, conformance, "):
        house.imports()


def test_functions_without_a_page_are_named():
    """A public function that its module's page leaves out is a problem of that page."""
    pages = {name: page for name, page in FUNCTION_PAGES.items() if name != "forward.posterior"}
    _, wrong = build.render(markup.Markup(pages), "forward", TEXTS["forward"].replace("::: function forward.posterior\n", ""))
    assert wrong == ["forward.posterior is shown nowhere; ::: rest would show it"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda listed: listed.pop("R2"), "its ids are not those of refdiff/equations.py"),
        (lambda listed: listed["R2"].append("tests/test_lost.py::test_x"), "it lists tests/test_lost.py::test_x, which does not exist"),
    ],
)
def test_a_stale_list_of_tests_is_named(change, message, tmp_path, monkeypatch, capsys):
    """The build says how to update refdiff/tested.json, instead of a KeyError."""
    listed = json.loads(inventory.TESTED.read_text())
    change(listed)
    (tmp_path / "tested.json").write_text(json.dumps(listed))
    monkeypatch.setattr(inventory, "TESTED", tmp_path / "tested.json")
    monkeypatch.setattr(sys, "argv", ["docs.build", "--out", str(tmp_path / "site")])
    inventory.tests_by_equation.cache_clear()
    assert build_command.main() == 1
    assert capsys.readouterr().err == f"refdiff/tested.json is out of date: {message}. Run `python -m tests.test_equations`.\n"


def test_stale_tables_and_untested_equations_are_named(tmp_path, monkeypatch):
    """The build refuses a map that is out of date, and an equation without tests or vectors."""
    page = ROOT / "docs" / "map.md"
    monkeypatch.setitem(equations.GENERATED, page, lambda: "| R2 |\n")
    with pytest.raises(inventory.BookError, match=r"the equations in docs/map\.md are out of date"):
        equations.check()
    monkeypatch.setitem(equations.EQUATIONS, "R2", ("posterior of an earlier state", "attic.posterior"))
    with pytest.raises(inventory.BookError, match=r"equation R2 has no page: .* lists no page for the module attic"):
        equations.page("R2")
    monkeypatch.setattr(equations, "vectors", lambda id: {})
    with pytest.raises(inventory.BookError, match="equation F1 has no vectors"):
        equations.check()


def test_unknown_tags_fail(monkeypatch):
    """A function whose source is not in references.md cannot be shown."""
    monkeypatch.setattr(directives, "reference", lambda tag: None)
    with pytest.raises(inventory.BookError, match=r"the tag \[DDPM eq\. 6, 7\] is not in references\.md"):
        directives.function(markup.Markup(FUNCTION_PAGES), "forward", "forward.posterior")


def test_the_definition_of_a_function():
    """Equation, code without docstring, sources, line and tests of one function."""
    found = inventory.definition("forward.posterior_variance")
    assert found.ids == ["R2"] and found.tags == ["DDPM eq. 7"] and "$$" in found.doc and "Source" not in found.doc
    assert found.code.splitlines()[0].startswith("def posterior_variance(") and '"""' not in found.code
    assert (ROOT / found.path).read_text().splitlines()[found.line - 1].startswith("def posterior_variance(")
    assert all("posterior_variance" in test.code for test in inventory.tests_of(found))
    assert (
        "log_alpha_bar: Array" in inventory.definition("tables.Schedule").code
        and "def " not in inventory.definition("tables.Schedule").code
    )
    assert inventory.definition("flow.straight").doc.startswith("Rectified flow") and inventory.definition("flow.straight").tags


@pytest.mark.parametrize("page", [page for page in PAGES if PAGES[page]])
def test_every_function_of_a_page_has_a_test(page):
    """No function that states an equation is without a test."""
    for module in PAGES[page]:
        for name in inventory.public(module):
            found = inventory.definition(name)
            assert inventory.tests_of(found) or not found.ids, name


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        (r"x_t^2", "<msubsup><mi>x</mi><mi>t</mi><mn>2</mn></msubsup>"),
        (r"\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
        (r"signal_s", "<msub><mi>signal</mi><mi>s</mi></msub>"),
        (r"\sum_{i=1}^T a", "<munderover>"),
        (r"\sqrt{\bar\alpha_t}", '<msqrt><msub><mover accent="true"><mi>α</mi>'),
        (r"a'b", "<msup><mi>a</mi><mo>′</mo></msup><mi>b</mi>"),
        (r"\mathcal N(0, I)", "<mi>𝒩</mi>"),
        (r"a < b", "<mo>&lt;</mo>"),
        (r"\varepsilon", "<mi>ε</mi>"),
        (r"\text{for } x", "<mtext>for\xa0</mtext>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", '<mtable class="aligned"'),
        (r"\Bigl( x \Bigr)", 'minsize="1.8em"'),
        (r"a \mathrel{+}= b", "<mo>+=</mo>"),
        (r"(-x)", '<mo form="prefix" lspace="0" rspace="0">−</mo>'),
        ("0.25 x", "<mn>0.25</mn>"),
        (r"\|a\|^2 - b", "<mo>−</mo><mi>b</mi>"),
        (r"\|-a\|", '<mo form="prefix" lspace="0" rspace="0">−</mo>'),
    ],
)
def test_formulas(latex, part):
    """Pieces of LaTeX and their MathML."""
    assert part in formulas.mathml(latex)


@pytest.mark.parametrize("latex", [r"\frac{1}{", "x^2^3", "a}", r"\begin{array}x\end{array}", "_", r"\left( x", r"\text", "é"])
def test_incomplete_formulas(latex):
    """An unknown command or an unclosed group is an error that shows the formula."""
    if latex == "é":
        assert "é" in formulas.mathml(latex)
        return
    with pytest.raises(formulas.FormulaError, match="in the formula"):
        formulas.mathml(latex)


def test_a_name_of_two_modules_has_its_own_tests():
    """`load` of one module is not tested by the tests of the other's on the same page."""
    for module, file in ("data", "toy2d"), ("mnist", "mnist"):
        found = inventory.tests_of(inventory.definition(f"{module}.load"))
        assert found and all(test.name.startswith(f"tests/data/test_{file}") for test in found)


def test_formulas_are_cut_at_wide_spaces():
    """Only at the top level: not inside braces, brackets or a table."""
    assert markup.split_at_quads(r"a, \quad b(c \quad d), \qquad \text{e \quad f}") == ["a, ", r" b(c \quad d), ", r" \text{e \quad f}"]
    assert len(markup.split_at_quads(r"\begin{aligned} a \quad b \end{aligned}")) == 1


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


PYTHON = {
    **{page: blocks(text, "python") for page, text in TEXTS.items()},
    "README": blocks((ROOT / "README.md").read_text(), "python"),
}
DEVICE = """
import os
os.environ["REFDIFF_GPU_EMULATE"] = "1"
import refdiff_gpu as rd
from functools import partial
images, labels, config = rd.rng.normal(3, 20, (2, 2, 1), dtype="float32"), rd.rng.integers(3, 20, 10), rd.training.Config(steps=1, batch=2, classes=10)
rd.unet.init = partial(rd.unet.init, base=8, multipliers=(1,), embedding=8)
"""


@pytest.mark.parametrize("page", [page for page in PYTHON if PYTHON[page] and page != "gpu"])
def test_python_runs(page, capsys, tmp_path, monkeypatch):
    """The code of a page, block after block in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for code in PYTHON[page]:
        exec(compile(code, f"{page}.md", "exec"), namespace)


def test_python_of_the_device_runs():
    """The code of the page on GPUs, after the variables that it assumes, on an emulated device."""
    done = subprocess.run([sys.executable, "-c", DEVICE + "".join(PYTHON["gpu"])], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_formula_is_known():
    """The formulas of all pages and docstrings become MathML; the build says which do not."""
    texts = [
        (path.name, path.read_text().replace(r"\\|", r"\|")) for path in sorted((ROOT / "docs").glob("*.md"))
    ]  # as cells of tables write it
    for name, path in inventory.modules().items():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                texts.append((f"{name}.{getattr(node, 'name', '')}", text))
    wrong = []
    for name, text in texts:
        for display, inline in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S), re.S):
            try:
                formulas.mathml(display or inline, bool(display))
            except formulas.FormulaError as error:
                wrong.append(f"{name}: {error}")
    assert wrong == []
