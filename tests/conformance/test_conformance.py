"""The conformance kit: what is committed is what the command makes, every mutant is killed and named, and a correct implementation passes."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from refdiff.conformance import adapter, cases, compare, generate, operations
from refdiff.conformance.diagnosis import search
from refdiff.conformance.known.equivalent import EQUIVALENT
from refdiff.conformance.mutations import catalogue, kills, mutants
from refdiff.conformance.mutations.conventions import by_one_convention
from refdiff.conformance.run import runner
from refdiff.conformance.vectors import files

OPERATIONS = operations.operations()
VECTORS = files.load()
FORMULAS = Path(operations.formulas("schedules").__file__).parent


@pytest.mark.parametrize("error", ["KeyError('x')", "SystemExit('bye')", "math.sqrt(-1)"])
def test_an_error_names_the_line_of_the_adapter(error):
    """An exception in an operation is an error of that vector, with the line of the adapter that led to it; the run continues."""
    namespace = {}
    code = f"import math\n\ndef snr(self, betas):\n    raise {error}\n"
    exec(compile(code, "/home/mine.py", "exec"), namespace)
    probe = adapter.Adapter(type("Mine", (), {"snr": namespace["snr"]})())
    first, *_, last = runner.run(probe, [vector for vector in VECTORS if vector.operation == "snr"])
    assert first.status == last.status == "errored" and first.message == last.message
    assert first.message.startswith(error.partition("(")[0] if "math" not in error else "ValueError")
    assert first.message.endswith(" (mine.py, line 4)")


@pytest.mark.parametrize("name", OPERATIONS)
def test_answers_are_those_that_are_made(name):
    """The committed vectors are, in their order, the inputs of the cases and their outputs at 50 digits."""
    committed = json.loads((files.FOLDER / OPERATIONS[name].area / f"{name}.json").read_text())
    made = json.loads(generate.file(name, find_killed=lambda *_: []))
    committed |= {"mutants": [], "cases": [case | {"kills": []} for case in committed["cases"]]}
    assert json.dumps(committed, indent=1) == json.dumps(made, indent=1)


@pytest.mark.parametrize("number", range(16))
def test_kills_are_those_that_are_found(number):
    """For a sample of the vectors (the next test takes all): the mutants that a vector lists are those that it kills."""
    for vector in VECTORS[number * 4 :: 1009]:
        (case,) = [case for case, id in cases_by_id(vector.operation) if id == vector.id]
        assert vector.kills == kills.killed(OPERATIONS[vector.operation], case.inputs, vector.expected, vector.tolerance)


@pytest.mark.long
@pytest.mark.parametrize("name", OPERATIONS)
def test_committed_is_what_is_made(name):
    """The file of an operation is, letter for letter, the output of `python -m refdiff.conformance.generate`."""
    assert (files.FOLDER / OPERATIONS[name].area / f"{name}.json").read_text() == generate.file(name)


def cases_by_id(name):
    """An operation's cases, with the ids that they get."""
    return [(case, f"{name}/{i}") for i, case in enumerate((c for c in cases.all_cases() if c.operation == name), 1)]


def test_no_file_is_left_over():
    """Every file of vectors belongs to an operation, and the tables are those of the cases."""
    expected = {f"{operation.area}/{name}.json" for name, operation in OPERATIONS.items()} | {"tables.json"}
    assert {str(path.relative_to(files.FOLDER)) for path in files.FOLDER.rglob("*.json")} == expected
    assert (files.FOLDER / "tables.json").read_text() == generate.tables_text()


def test_every_mutant_is_killed_or_cannot_be():
    """Each mutant is killed by a vector, or is listed as equivalent with a reason; no other mutant is listed."""
    killed = {name for vector in VECTORS for name in vector.kills}
    assert set(catalogue.all_mutants()) - killed == set(EQUIVALENT)


def test_every_vector_kills():
    """Every vector kills a mutant."""
    assert [vector.id for vector in VECTORS if not vector.kills] == []


@pytest.mark.parametrize("precision", ["Adapter", "Float32"])
def test_refdiff_passes(precision):
    """refdiff has every operation and passes every vector, in both precisions."""
    results = runner.run(adapter.find(f"refdiff.conformance.own:{precision}"), VECTORS)
    assert [(r.vector.id, r.difference, r.message) for r in results if r.status != "passed"] == []


@pytest.mark.parametrize("path", sorted(FORMULAS.glob("*.py")), ids=lambda path: path.stem)
def test_formulas_are_independent(path):
    """The formulas import arithmetic and each other, nothing else of refdiff."""
    imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {("." * node.level + (node.module or "")) if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imported}
    assert all(name in ("numpy", "itertools", "..numbers") or (name.startswith(".") and name[1:].isidentifier()) for name in modules), (
        modules
    )


def test_floats_do_not_enter():
    """A float among numbers at 50 digits raises while vectors are generated."""
    with generate.no_floats(), pytest.raises(TypeError, match="a float met"):
        _ = generate.exact(np.array([0.5])) * 0.1


def mutated(mutant, only=None):
    """An implementation with a mutant in it."""
    names = [name for name in OPERATIONS if mutants.affects(mutant, name) and (only is None or name in only)]
    methods = {name: staticmethod(mutants.formula(name, mutant)) for name in names}
    return adapter.Adapter(type("Mutated", (), methods))


KILLED_BY: dict[str, set[str]] = {}
for vector in VECTORS:
    for name in vector.kills:
        KILLED_BY.setdefault(name, set()).add(vector.operation)
KNOWN = [mutant for mutant in catalogue.all_mutants().values() if mutant.text]


@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name, marks=[pytest.mark.long] if i % 8 else []) for i, m in enumerate(KNOWN)])
def test_known_mistakes_are_named(mutant):
    """A known mistake in an implementation is found and named, alone or among mutants with the same answers, or passes as a convention."""
    name = min(KILLED_BY[mutant.name], key=lambda name: (name not in mutant.functions, len(mutants.reachable(name))))
    results = by_one_convention(
        list(runner.run(mutated(mutant, {name}), [vector for vector in VECTORS if vector.operation == name])), "float64"
    )
    if any(result.convention for result in results):
        return
    assert any(result.status in ("failed", "errored") for result in results if result.vector.expected is not None)
    assert mutant.name in {found.name for diagnosed in search.diagnose(results) for found in diagnosed.mutants}


@pytest.mark.long
def test_two_mistakes_at_once_are_named():
    """A pair of small changes is found where no single change explains the failures."""
    edits = catalogue.edits_of("ddim_step", "sqrt(1 - ab[s] - var)", "sqrt(1 - ab[s])") + catalogue.edits_of("ddim_step", "eta**2", "eta")
    mutant = mutants.Mutant("both", tuple(edits))
    results = list(runner.run(mutated(mutant, {"ddim_step"}), [v for v in VECTORS if v.operation == "ddim_step" and v.minimal]))
    (found,) = search.diagnose(results)
    assert found.explained == sum(r.status == "failed" and r.vector.expected is not None for r in results)
    assert any(
        {(edit.old, edit.new) for edit in each.edits} == {("sqrt(1 - ab[s] - var)", "sqrt(1 - ab[s])"), ("eta ** 2", "eta")}
        for each in found.mutants
    )


def test_unexplained_is_said():
    """An answer that no mutant gives has no diagnosis."""

    class Odd:
        @staticmethod
        def q_sample(x0, t, betas, noise):
            return x0 * 0.123 + noise * 0.456

    (found,) = search.diagnose(list(runner.run(adapter.Adapter(Odd), [v for v in VECTORS if v.operation == "q_sample" and v.minimal])))
    assert all(mutant.name == "unchecked: q_sample" for mutant in found.mutants)  # it does not check its inputs either


@pytest.mark.parametrize(
    "got, same",
    [(1.0, True), (1.0 + 5e-10, True), (1.0 + 2e-9, False), (np.nan, False), (np.array([1.0, 1.0]), False), (np.array([1.0]), True)],
)
def test_within_judges_as_difference_does(got, same):
    """The fast comparison agrees with the one that is reported."""
    want = {"x": np.array([1.0])}
    assert compare.within({"x": got}, compare.bounds(want, "tensor")) is same
    assert (compare.difference({"x": np.asarray(got)}, want, "tensor") is None) is same


def test_vectors_read_back():
    """Hex, decimals and shapes encode the same numbers."""
    value = np.array([[0.1, -2.5e-300], [np.inf, 3.0]])
    written = files.encode(value)
    np.testing.assert_array_equal(files.decode(written), value)
    np.testing.assert_array_equal(np.array([float(x) for x in written["decimal"]]).reshape(2, 2), value)
    assert files.decode(files.encode({"kind": "eps", "mean": 0.75})) == {"kind": "eps", "mean": 0.75}


def test_the_readme_counts_the_vectors():
    """README.md says how many vectors there are."""
    assert f"The conformance kit has {len(VECTORS):,} test vectors" in (Path(__file__).parents[2] / "README.md").read_text()
