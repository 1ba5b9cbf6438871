"""Causes against chance: what is worth how many bits, and the kinds of evidence that are not enough for a name."""

import numpy as np
import pytest

from refdiff.conformance import adapter
from refdiff.conformance.budget import Budget
from refdiff.conformance.diagnosis import causes, likelihood, search
from refdiff.conformance.mutations.symptoms import CANCELLED, ROUNDED
from refdiff.conformance.run import runner

SECONDS = 2.0  # of computing for a search


def diagnosed(*only, **methods):
    """The causes and the resemblances of an implementation with these methods, by the names of their first mutants."""
    target = adapter.Adapter(type("Planted", (), {name: staticmethod(method) for name, method in methods.items()}))
    results = [runner.check(target, vector) for vector in runner.select(only=only or list(methods))]
    found = causes.causes(search.diagnose(results, budget=Budget(SECONDS)))
    names = [each.mutants[0].name for each in found if each.is_cause and not each.mutants[0].name.startswith("unchecked")]
    return names, [each.mutants[0].name for each in found if not each.is_cause]


def alpha_bar(betas):
    return np.concatenate([[1.0], np.cumprod(1 - np.asarray(betas, dtype=float))])


def per_example(value, x):
    return np.reshape(value, np.shape(value) + (1,) * (np.ndim(x) - np.ndim(value))) if np.ndim(value) else value


@pytest.mark.parametrize("value, bits", [(0.0, 1), (1.0, 1), (-4.0, 1), (0.875, 3), (2.5, 3), (1000.0, 7), (0.1, 30), (1 / 3, 30)])
def test_a_number_has_its_bits(value, bits):
    """Simple numbers are given by many formulas, and count for little."""
    assert likelihood.significant(np.array([value]))[0] == pytest.approx(bits, abs=2)


def test_a_number_counts_once():
    """The same number at several places is one agreement; where the prediction is the right answer, there is none."""
    got = np.array([0.1, 0.1, 0.1, 0.7])
    found = likelihood.numbers(got, got, np.array([0.2, 0.2, 0.2, 0.7]))
    assert sum(found.values()) == pytest.approx(29, abs=2)


def test_agreement_is_measured_against_the_departure():
    """A prediction that is as far from the answer as the right answer is agrees to no bit."""
    got = np.array([1 / 3])
    assert sum(likelihood.numbers(got, got + 1e-9, got + 1e-9 + 1e-9).values()) < 1
    assert sum(likelihood.numbers(got, got + 1e-9, got + 1).values()) > 28


def test_choices_cost():
    """Every cause tried, and everything chosen to fit, takes bits off."""
    assert likelihood.above_chance(50, 1024) == 40
    assert likelihood.above_chance(50, 1024, [likelihood.CONSTANT, likelihood.PREDICATE]) == 4


def test_a_contradicted_change_is_no_cause():
    """N1: min(SNR + 1, gamma) / (SNR + 1) for v agrees with the weight of eps at some vectors, and is not that."""

    def min_snr_weight(t, betas, gamma, kind):
        ratio = alpha_bar(betas)[t] / (1 - alpha_bar(betas)[t])
        if kind == "v":
            return np.minimum(ratio + 1, gamma) / (ratio + 1)
        return np.minimum(ratio, gamma) / (ratio if kind == "eps" else 1)

    names, _ = diagnosed(min_snr_weight=min_snr_weight)
    assert not any("eps's weight" in name for name in names)


def test_nan_is_no_evidence():
    """N2: NaN at steep leaps is named as NaN, not as any change that makes NaN somewhere."""

    def posterior_variance(t, s, betas):
        ab = alpha_bar(betas)
        right = (1 - ab[s]) / (1 - ab[t]) * (1 - ab[t] / ab[s])
        return np.where(ab[t] < 1e-3, np.nan, right)

    names, _ = diagnosed(posterior_variance=posterior_variance)
    assert names == ["nan: posterior_variance"]


def test_nearly_right_is_not_float32():
    """N3: the weights of another Runge-Kutta rule are nearly right at short steps, and float64 all the same."""

    def rk4_step(f, x, t, s):
        h = s - t
        k1 = f(x, t)
        k2 = f(x + h * k1 / 3, t + h / 3)
        k3 = f(x + h * (k2 - k1 / 3), t + 2 * h / 3)
        k4 = f(x + h * (k1 - k2 + k3), s)
        return x + h * (k1 + 3 * k2 + 3 * k3 + k4) / 8

    names, _ = diagnosed(rk4_step=rk4_step)
    assert not any(name.startswith(ROUNDED) for name in names)


def test_float32_is_named():
    """Everything in float32 is right to float32's digits, and wrong wherever these are not enough."""

    def q_sample(x0, t, betas, noise):
        ab = per_example(np.cumprod(1 - betas.astype(np.float32), dtype=np.float32)[np.maximum(t - 1, 0)], x0)
        ab = np.where(per_example(t, x0) > 0, ab, np.float32(1))
        return np.sqrt(ab) * x0.astype(np.float32) + np.sqrt(1 - ab) * noise.astype(np.float32)

    names, _ = diagnosed(q_sample=q_sample)
    assert names == [f"{ROUNDED}: q_sample"]


def test_a_late_table_is_a_late_table():
    """N4, M1: alpha_bar read one entry late is named as that, not as what a table of two entries has in common with it."""

    def late(betas):
        return np.concatenate([[1.0, 1.0], np.cumprod(1 - betas)[:-1]])

    names, _ = diagnosed(alpha_bar=late)
    assert len(names) == 1 and ("late" in names[0])


def test_rounding_is_no_change_of_the_formula():
    """N5: a divergence that loses its digits to cancellation is not explained by the claim that two names of a square were swapped."""

    def kl_diagonal(mean1, variance1, mean2, variance2):
        ratio = variance1 / variance2
        inner = 0.5 * (ratio + (mean1 - mean2) ** 2 / variance2 - 1 - np.log(ratio)) + 0 * mean1
        return inner.reshape(len(mean1), -1).sum(1)

    names, _ = diagnosed(kl_diagonal=kl_diagonal)
    assert names == [f"{CANCELLED}: kl_diagonal"]


def test_a_condition_is_named():
    """beta in place of beta-tilde on the last step alone."""

    def posterior_variance(t, s, betas):
        ab = alpha_bar(betas)
        beta = 1 - ab[t] / ab[s]
        return beta if s == 0 else (1 - ab[s]) / (1 - ab[t]) * beta

    target = adapter.Adapter(type("Planted", (), {"posterior_variance": staticmethod(posterior_variance)}))
    results = [runner.check(target, vector) for vector in runner.select(only=["posterior_variance"])]
    (cause,) = (
        each
        for each in causes.causes(search.diagnose(results, budget=Budget(SECONDS)))
        if each.is_cause and not each.mutants[0].name.startswith("unchecked")
    )
    assert cause.where == "s = 0" and "beta-for-beta-tilde" in {mutant.name for mutant in cause.mutants}
