"""docs/departures.md against the libraries that it describes; skipped where they are not installed. The page says how to install them."""

import math
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from refdiff.conformance import adapter, operations
from refdiff.conformance.diagnosis import search
from refdiff.conformance.mutations import catalogue
from refdiff.conformance.mutations.conventions import by_one_convention, declared, with_known
from refdiff.conformance.run import runner

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "departures.md").read_text()
IMPORTED = {  # where the module is not named as the adapters are
    "guided_diffusion_adapters": "guided_diffusion",
    "k_diffusion_adapters": "k_diffusion",
    "flow_matching_adapters": "flow_matching",
    "lucidrains_adapters": "denoising_diffusion_pytorch",
}
WHAT, EQUATION, MEASURED, NAMED, THREAD, COMMAND = range(6)


def rows():
    """Cells of every row that has a command for `refdiff check`."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [row for row in cells if len(row) == 6 and "--only" in row[COMMAND]]


def command(row):
    """Module, class and operation of a row's command."""
    found = re.fullmatch(r"`refdiff check toys\.conformance\.(\w+):(\w+) --only (\w+)`", row[COMMAND])
    assert found, row[COMMAND]
    return found.groups()


def name(row):
    """The mutant that a row names, or None."""
    found = re.fullmatch(r"`(.+)`", row[NAMED])
    return found and found[1]


def test_every_row_is_whole():
    """Each row names an operation, an adapter that the list has, a cause or a convention and a result, and links only threads."""
    assert len(rows()) == PAGE.count(" --only ") > 20
    for row in rows():
        module, class_name, operation = command(row)
        assert (ROOT / "toys" / "conformance" / f"{module}.py").exists() and f"`{class_name}`" in PAGE.split("## diffusers")[0]
        assert operation in operations.operations()
        assert name(row) is None or name(row) in known_names(operation)
        assert re.search(r": got (\S+|an answer|\d+ numbers), right (\S+|an error)$", row[MEASURED]), row[MEASURED]
        assert row[THREAD] == "–" or all("](https://github.com/" in each for each in row[THREAD].split(", "))


def known_names(operation):
    """The causes that may be named for an operation: mutants, alternatives, symptoms, and its conventions."""
    conventions = {f"convention: {mutant.text}" for mutant in declared(operation)}
    symptoms = {f"{kind}: {operation}" for kind in ("unchecked", "nan")}
    conventions |= {mutant.name for mutant in with_known(operation)}
    return set(catalogue.all_mutants()) | {mutant.name for mutant in catalogue.alternatives(operation)} | symptoms | conventions


@cache
def results(module, class_name, operation):
    """The results of an adapter, and its precision."""
    found = adapter.find(f"toys.conformance.{module}:{class_name}")
    return by_one_convention(list(runner.run(found, runner.select(only=[operation]))), found.precision), found.precision


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row[WHAT][:40])
def test_departures_are_reproduced_and_named(row, monkeypatch):
    """A vector fails with the numbers of the row, and the diagnosis of the operation has the row's name."""
    library = command(row)[0].partition("_")[0]
    module = IMPORTED.get(command(row)[0], library)
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed; docs/departures.md says how")
    monkeypatch.chdir(ROOT)
    found, precision = results(*command(row))
    assert any(is_measured(row, result) for result in found if result.status == "failed" or result.convention), row[MEASURED]
    if (name(row) or "").startswith("convention: "):
        assert {f"convention: {result.convention}" for result in found if result.convention} == {name(row)}
        return
    explanations = [each for diagnosis in search.diagnose(found, precision) for each in diagnosis.explanations]
    names = {mutant.name for explanation in explanations for mutant in explanation.mutants}
    assert name(row) is None or name(row) in names


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_62_trailing_grids_have_one_time_too_many(monkeypatch):
    """S2: the number that the page gives for the grids of a float stride."""
    pytest.importorskip("diffusers", reason="diffusers is not installed; docs/departures.md says how")
    monkeypatch.chdir(ROOT)
    trailing = adapter.find("toys.conformance.diffusers_adapters:DDIMTrailing")
    lengths = [len(trailing.answer("grid", {"kind": "trailing", "T": 1000, "S": S})) - S - 1 for S in range(1, 1001)]
    assert (lengths.count(1), lengths.count(0)) == (62, 938) and "62 of the 1000" in PAGE


NO_VECTOR = re.findall(r"last sigma: ([\d.]+).*`python -c \"(.+)\"`", PAGE)


@pytest.mark.long
@pytest.mark.parametrize(("printed", "program"), NO_VECTOR)
def test_numbers_that_no_vector_asks_for(printed, program):
    """The one-line programs of the page print its numbers."""
    pytest.importorskip("diffusers", reason="diffusers is not installed; docs/departures.md says how")
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert is_printed(printed, float(re.search(r"[\d.]+", answer)[0])) and len(NO_VECTOR) == 2


def is_measured(row, result):
    """Whether a failure is the one that a row describes."""
    got, right = re.search(r": got (.+), right (.+)$", row[MEASURED]).groups()
    if right == "an error" or result.difference is None:
        return right == "an error" and result.vector.expected is None
    if got.endswith("numbers"):
        return f"({got.split()[0]},), not ({right},)" in result.difference.text
    return is_printed(got, result.difference.got) and is_printed(right, result.difference.want)


def is_printed(text, value):
    """Whether a number is the printed one, to the digits that are printed."""
    number = float(text.replace("−", "-"))
    digits = len(text.partition(".")[2])
    return math.isnan(value) if math.isnan(number) else abs(value - number) <= 0.5001 * 10.0**-digits
