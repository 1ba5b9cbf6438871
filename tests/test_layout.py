"""The layout of the packages: modules are short, and folders have few modules. `lint-imports` checks the imports."""

from pathlib import Path

import pytest

from refdiff.conformance.operations import AREAS

ROOT = Path(__file__).parents[1]
PACKAGES = ("refdiff", "refdiff_gpu")
DATA = {"refdiff/conformance/dialects/table.py", "refdiff/conformance/known/diffusion.py"}  # lists of facts


def modules(package):
    return [path for path in (ROOT / package).glob("**/*.py") if path.name != "__init__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_short(package):
    """No module is longer than 220 lines, except those that list data."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules(package)}
    assert {path: length for path, length in lengths.items() if length > 220 and path not in DATA} == {}
    assert set(lengths) >= {path for path in DATA if path.startswith(f"{package}/")}


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_are_small(package):
    """No folder has more than 13 modules; those of the conformance kit's areas have one for each area."""
    folders = {path.parent for path in modules(package)}
    assert {
        str(f): n for f in folders if (n := len([*f.glob("[!_]*.py")])) > (len(AREAS) if f.name in ("cases", "formulas", "own") else 13)
    } == {}
