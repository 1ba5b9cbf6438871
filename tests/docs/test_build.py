"""The book: it builds whole and without a network, shows every equation, and fails if anything it names is missing."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from docs.build import __main__ as build_command
from docs.build import check, directives, formulas, markup, quotes
from docs.build import site as build
from docs.build.chapters import PAGES
from docs.pictures import __main__ as pictures_command
from docs.pictures import draw as pictures
from refdiff.equations import EQUATIONS

DOCS = Path(build.__file__).parents[1]
TEXTS = {page: (DOCS / f"{page}.md").read_text() for page in PAGES}
PLACES = build.placed(TEXTS)


def offline(*args, **kwargs):
    raise AssertionError("the build asked for a network")


@pytest.mark.long
def test_the_site_is_whole(tmp_path, monkeypatch):
    """Every page, link, anchor, picture and formula is there, with no network; and what is taken away afterwards is missed."""
    monkeypatch.setattr(socket, "socket", offline)
    assert f"Of {len(EQUATIONS)} equations {len(EQUATIONS)} are on a page" in build.build(tmp_path)
    html = {page: (tmp_path / f"{page}.html").read_text() for page in PAGES}
    assert all("<h1" in text and text.count("<h1") == 1 for text in html.values())
    assert all(f'href="{page}.html' in html["index"] for page in PAGES)
    assert all(f'id="{headline}"' in html[PLACES[headline].rstrip("/")] for _, headline in EQUATIONS.values())
    assert not re.search(
        r"(?:src|href)=\"(?:https?:)?//(?!arxiv|github)|@import|url\(", "".join(html.values()) + (tmp_path / "style.css").read_text()
    )
    assert {path.stem.rpartition("-")[0] for path in (tmp_path / "pictures").iterdir()} == set(pictures.PICTURES)
    assert all(f"docs.pictures {name}<" in html["gallery"] and pictures_command.parser().parse_args([name]) for name in pictures.PICTURES)
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
        ("::: poem", "::: poem is not known; there are function, rest, picture, gallery, map"),
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
def test_what_is_missing_is_named(text, message):
    """A page that asks for something that is not there says what, in one line."""
    _, wrong = build.rendered(markup.Markup(PLACES), "page", text)
    assert len(wrong) == 1 and message in wrong[0], wrong


def test_missing_things_fail_the_build(tmp_path, monkeypatch, capsys):
    """The command names the page, returns 1, and writes nothing; a page in the list has to exist."""
    monkeypatch.setattr(sys, "argv", ["docs.build", "--out", str(tmp_path / "site")])
    monkeypatch.setitem(pictures.PICTURES, "unused", lambda: None)
    monkeypatch.setitem(build.DIRECTIVES, "map", lambda *_: (_ for _ in ()).throw(quotes.BookError("lost")))
    assert build_command.main() == 1 and not (tmp_path / "site").exists()
    error = capsys.readouterr().err
    assert "docs/map.md: ::: map: lost" in error and "docs/pictures/draw.py: no page shows unused" in error


def test_a_picture_by_its_name(tmp_path, monkeypatch, capsys):
    """The gallery's command writes the picture, light, where it is told to; a name that is not there is refused with those that are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["docs.pictures", "unet"])
    pictures_command.main()
    assert (tmp_path / "unet.png").read_bytes().startswith(b"\x89PNG") and "unet.png" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        pictures_command.parser().parse_args(["sunset"])
    assert "forward" in capsys.readouterr().err


def test_equations_and_functions_without_a_page_are_named():
    """The map refuses an equation that no page shows, and a module's page a public function that it leaves out."""
    places = {name: page for name, page in PLACES.items() if name != "forward.posterior"}
    with pytest.raises(quotes.BookError, match=r"equation R2 has no page that shows forward\.posterior"):
        directives.map_(markup.Markup(places), "map")
    _, wrong = build.rendered(markup.Markup(places), "forward", TEXTS["forward"].replace("::: function forward.posterior\n", ""))
    assert wrong == ["forward.posterior is shown nowhere; ::: rest would show it"]


def test_unknown_tags_fail(monkeypatch):
    """A function whose source is not in the list of works cannot be shown."""
    monkeypatch.setattr(directives, "work", lambda tag: None)
    with pytest.raises(quotes.BookError, match=r"the tag \[DDPM eq\. 6, 7\] is not in references\.md"):
        directives.function(markup.Markup(PLACES), "forward", "forward.posterior")


def test_a_function_is_quoted_as_it_stands():
    """Equation, code without docstring, sources, line and tests of one function."""
    quoted = quotes.quote("forward.posterior_variance")
    assert quoted.ids == ["R2"] and quoted.tags == ["DDPM eq. 7"] and "$$" in quoted.doc and "Source" not in quoted.doc
    assert quoted.code.splitlines()[0].startswith("def posterior_variance(") and '"""' not in quoted.code
    assert (DOCS.parent / quoted.path).read_text().splitlines()[quoted.line - 1].startswith("def posterior_variance(")
    assert all("posterior_variance" in test.text for test in quotes.proofs(quoted))
    assert "log_alpha_bar: Array" in quotes.quote("tables.Schedule").code and "def " not in quotes.quote("tables.Schedule").code
    assert quotes.quote("flow.straight").doc.startswith("Rectified flow") and quotes.quote("flow.straight").tags


@pytest.mark.parametrize("page", [page for page in PAGES if PAGES[page]])
def test_every_function_of_a_page_has_a_test(page):
    """No function that states an equation is without a test."""
    for module in PAGES[page]:
        for name in quotes.public(module):
            quoted = quotes.quote(name)
            assert quotes.proofs(quoted) or not quoted.ids, name


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
    """Pieces of LaTeX and the MathML they become."""
    assert part in formulas.mathml(latex)


@pytest.mark.parametrize("latex", [r"\frac{1}{", "x^2^3", "a}", r"\begin{array}x\end{array}", "_", r"\left( x", r"\text", "é"])
def test_formulas_that_are_not_whole(latex):
    """What is not known or not closed is an error that shows the formula."""
    if latex == "é":
        assert "é" in formulas.mathml(latex)
        return
    with pytest.raises(formulas.FormulaError, match="in the formula"):
        formulas.mathml(latex)


def test_a_name_of_two_modules_has_its_own_tests():
    """`load` of one module is not proved by the tests of the other's on the same page."""
    for module, file in ("data", "toy2d"), ("mnist", "mnist"):
        found = quotes.proofs(quotes.quote(f"{module}.load"))
        assert found and all(test.name.startswith(f"tests/data/test_{file}") for test in found)


def test_formulas_are_cut_at_wide_spaces():
    """At the top only: not inside braces, brackets or a table."""
    assert markup.parted(r"a, \quad b(c \quad d), \qquad \text{e \quad f}") == ["a, ", r" b(c \quad d), ", r" \text{e \quad f}"]
    assert len(markup.parted(r"\begin{aligned} a \quad b \end{aligned}")) == 1


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


PYTHON = {
    **{page: blocks(text, "python") for page, text in TEXTS.items()},
    "README": blocks((DOCS.parent / "README.md").read_text(), "python"),
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
def test_python_runs(page, capsys):
    """The code of a page, block after block in one namespace."""
    namespace = {}
    for code in PYTHON[page]:
        exec(compile(code, f"{page}.md", "exec"), namespace)


def test_python_of_the_device_runs():
    """The code of the page on GPUs, with what it says is at hand, on an emulated device."""
    done = subprocess.run([sys.executable, "-c", DEVICE + "".join(PYTHON["gpu"])], cwd=DOCS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
