"""Pages as notebooks: the format, the links, and one that runs from its first cell to its last."""

import json
import re
import subprocess
import sys

import pytest

from docs.build.chapters import PAGES
from docs.build.inventory import ROOT
from docs.build.notebooks import notebook

TEXTS = {page: (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_with_code_is_a_notebook(page):
    """The cells of code are the blocks of Python in their order, without outputs; no directive and no link to a page of Markdown is left."""
    blocks, text = re.findall(r"^```python\n(.*?)^```", TEXTS[page], re.S | re.M), notebook(page, TEXTS[page])
    if not blocks:
        assert text is None
        return
    read = json.loads(text)
    assert (read["nbformat"], read["nbformat_minor"], read["metadata"]["kernelspec"]["name"]) == (4, 5, "python3")
    code = [cell for cell in read["cells"] if cell["cell_type"] == "code"]
    words = [cell for cell in read["cells"] if cell["cell_type"] == "markdown"]
    assert ["".join(cell["source"]) + "\n" for cell in code] == blocks
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code) and len(code) + len(words) == len(read["cells"])
    ids = [cell["id"] for cell in read["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]{1,64}", id) for id in ids)
    prose = "\n".join("".join(cell["source"]) for cell in words)
    assert not re.search(r"^:::|\]\(\w+\.md", prose, re.M) and prose.startswith("# ")
    for target, anchor in re.findall(r"\]\(\.\./(\w+)\.html(?:#([\w.-]+))?\)", prose):
        assert target in PAGES and (not anchor or anchor.count(".") == 0 or f"::: function {anchor}" in TEXTS[target])


def test_a_notebook_runs(tmp_path):
    """The cells of a page, one after another in an interpreter of their own, as a notebook runs them."""
    cells = json.loads(notebook("samplers", TEXTS["samplers"]))["cells"]
    program = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
