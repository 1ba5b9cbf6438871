"""Declared conventions pass, and are named; what is nearly one fails. Wrong inputs that are accepted fail a run only if it is asked for."""

import numpy as np
import pytest

from refdiff.conformance import adapter
from refdiff.conformance.mutations import catalogue, mutants
from refdiff.conformance.mutations.conventions import choices, declared
from refdiff.conformance.operations import operations
from refdiff.conformance.report import markdown, text, wording
from refdiff.conformance.report.build import build_report
from refdiff.conformance.run import runner
from refdiff.conformance.run.template import template
from refdiff.conformance.vectors.files import load


def report(level="must", **methods):
    """The report on an implementation with these methods."""
    target = adapter.Adapter(type("Chooses", (), {name: staticmethod(method) for name, method in methods.items()}))
    return build_report(target, list(runner.run(target, runner.select(only=list(methods)))), 1.0, level=level)


def features(cosines_first, half):
    """Time features by their two conventions."""

    def time_features(t, features):
        if features % 2 or features < 4:
            raise ValueError(f"features = {features}; allowed: an even number, at least 4")
        i = np.arange(features // 2)
        angles = t[:, None] * 10000.0 ** (-i / (features // 2 - (not half)))
        waves = [np.sin(angles), np.cos(angles)]
        return np.concatenate(waves[::-1] if cosines_first else waves, axis=1)

    return time_features


@pytest.mark.parametrize("name", [name for name in operations() if choices(name)])
def test_every_convention_is_told_apart(name):
    """Each declared convention gives other outputs than refdiff's at some vector of level must, and passes the whole operation."""
    for mutant in declared(name) if len(declared(name)) < 10 else declared(name)[:4]:
        made = report(**{name: mutants.formula(name, mutant)})
        assert made.passed and not made.causes and made.conventions[name], mutant.text
        assert next(iter(made.conventions[name])).split("; ")[0] in mutant.text


def test_a_convention_is_named():
    """In each form of the report, by the choices that were made; at level convention the run does not pass."""
    made = report(time_features=features(True, True))
    assert made.passed and made.conventions == {"time_features": {"the cosines come first; the frequencies are 10000^(-i / half)": 7}}
    for form in (text, markdown):
        assert "time_features (7 vectors): the cosines come first" in " ".join(form.render(made).split()).replace("`", "")
    strict = report("convention", time_features=features(True, True))
    assert not strict.passed and "other conventions" in wording.verdict(strict)
    assert not report(time_features=features(False, False)).conventions


def test_a_mixture_of_conventions_fails():
    """Cosines first for one example only, and sines for two: no convention gives both."""

    def time_features(t, features):
        return globals()["features"](len(t) == 1, False)(t, features)

    made = report(time_features=time_features)
    assert not made.passed and not made.conventions


def test_features_that_take_turns_over_the_batch_fail():
    """They are no convention, and the run says so."""

    def time_features(t, features):
        right = globals()["features"](False, False)(t, features)
        return np.where((np.arange(len(t)) % 2 == 0)[:, None], right, right[:, ::-1])

    assert not report(time_features=time_features).passed


def test_accepted_wrong_inputs_are_one_line():
    """A formula without checks passes at level must; the line names what it accepts; at level refusal the run fails."""
    made = report(kl_isotropic=operations()["kl_isotropic"].formula, to_x0=operations()["to_x0"].formula)
    assert made.passed and made.refusals.refused < made.refusals.run
    assert "a variance of 0 or below" in made.refusals.accepted["kl_isotropic"]
    (line,) = [line for line in text.render(made).replace("\n    ", " ").splitlines() if "refused" in line]
    assert f"wrong inputs: {made.refusals.refused} of {made.refusals.run} refused; accepted by " in line
    assert not report("refusal", kl_isotropic=operations()["kl_isotropic"].formula).passed


def test_the_template_has_what_the_vectors_ask_for():
    """Every wrong input that is to be refused, and every choice, stands in the docstring of its operation."""
    for name in operations():
        shown = " ".join(template([name]).split())
        for vector in load():
            assert vector.operation != name or vector.refused in shown
        assert all(choice in shown for choice in choices(name))


def test_choices_are_edits_of_today():
    """Every change of a row is made of edits that exist in the formulas."""
    assert all(isinstance(mutant, catalogue.Mutant) for name in operations() for mutant in declared(name))
