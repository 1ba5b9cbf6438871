"""What stands around the package: links that hold outside the repository, one version, types, and what the workflow runs."""

import re
import tomllib
from pathlib import Path

import pytest

import refdiff

ROOT = Path(refdiff.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOME = "https://github.com/refdiff/refdiff"


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_links_of_the_readme_hold_elsewhere():
    """Every link and picture is absolute, and those into the repository name a file that is there."""
    links = re.findall(r"\]\(([^)]+)\)", text("README.md"))
    assert len(links) > 20 and all(link.startswith("https://") for link in links)
    inside = re.compile(rf"{HOME}/blob/main/|https://raw\.githubusercontent\.com/refdiff/refdiff/main/")
    files = [inside.sub("", link) for link in links if inside.match(link)]
    assert len(files) > 20 and [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CONTRIBUTING.md"])
def test_files_at_the_root_lead_to_the_pages(name):
    """The two files that people look for link to a page of the book."""
    (page,) = re.findall(r"\((docs/\w+\.md)\)", text(name))
    assert (ROOT / page).is_file()


def test_one_version():
    """The version of the citation is that of the package, and the changelog has it."""
    assert f"\nversion: {refdiff.__version__}\n" in text("CITATION.cff")
    assert f"## {refdiff.__version__}" in text("docs/changelog.md")


def test_the_project_can_be_found():
    """Addresses, and every minor version of Python that the workflow tests."""
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= set(PROJECT["urls"])
    for address in PROJECT["urls"].values():
        assert address.startswith(HOME) and ("/blob/main/" not in address or (ROOT / address.partition("/blob/main/")[2]).is_file())
    listed = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert listed == re.findall(r'"(3\.\d+)"', re.search(r"python: \[.*\]", text(".github/workflows/check.yml"))[0])
    assert PROJECT["requires-python"] == f">={listed[0]}" and (ROOT / "refdiff" / "py.typed").exists()


def test_the_workflow_runs_what_the_readme_says():
    """The jobs install the extras that exist, and run the tests, the whole check and the build of the book."""
    workflow = text(".github/workflows/check.yml")
    assert set(re.findall(r'-e "\.\[(\w+)\]"', workflow)) <= set(PROJECT["optional-dependencies"])
    for command in ("- run: pytest\n", "- run: .ci/run\n", "- run: python -m docs.build\n", "ubuntu-latest, macos-latest, windows-latest"):
        assert command in workflow
