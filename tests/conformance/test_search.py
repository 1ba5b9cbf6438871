"""The kinds of changes that the search tries: one implementation for each, the name that it gets, and the inputs for which it holds."""

import numpy as np
import pytest

from refdiff.conformance import adapter
from refdiff.conformance.budget import Budget
from refdiff.conformance.diagnosis import causes, search
from refdiff.conformance.mutations.conventions import by_one_convention
from refdiff.conformance.operations import operations
from refdiff.conformance.report.mutant_text import sentence
from refdiff.conformance.run import runner

SECONDS = 6.0  # of computing for a search


def right(name, **inputs):
    """The specification's answer: an array, or several."""
    return operations()[name].formula(**inputs)


def found(seconds=SECONDS, **methods):
    """The causes of an implementation with these methods, but for missing checks: the sentence, the predicate and the failures of each;
    and the number of all failures.
    """
    target = adapter.Adapter(type("Planted", (), {name: staticmethod(method) for name, method in methods.items()}))
    results = by_one_convention([runner.check(target, vector) for vector in runner.select(only=list(methods))], "float64")
    listed = [each for each in causes.causes(search.diagnose(results, budget=Budget(seconds))) if each.is_cause]
    listed = [each for each in listed if not each.mutants[0].name.startswith("unchecked")]
    wrong = sum(each.status == "failed" and each.vector.expected is not None for each in results)
    explained = [sum(map(len, each.explained.values())) for each in listed]
    said = [sentence(each.mutants[0], next(iter(each.explained))) for each in listed]
    return list(zip(said, (each.where for each in listed), explained, strict=True)), wrong


def first_three_channels(unconditional, conditional, gamma):
    guided = np.array(right("classifier_free", unconditional=unconditional, conditional=conditional, gamma=gamma))
    guided[..., 3:] = conditional[..., 3:]
    return guided


def zeros_between(x):
    larger = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2], x.shape[3]))
    larger[:, ::2, ::2] = x
    return larger


def first_times(x0, grid, noise, betas, **rest):
    """Every term at the times of the first."""
    terms = [right("elbo_terms", x0=x0, grid=grid[:2], noise=each[None], betas=betas, **rest)[1] for each in noise[: len(grid) - 1]]
    return np.stack([right("prior_kl", x0=x0, betas=betas), *terms])


KINDS = {  # of change: the methods, a part of the sentence, and the predicate
    "a constant factor of the output": (
        {"snr": lambda betas: 3.7 * right("snr", betas=betas)}, "the output `snr` were multiplied by 3.7", "",
    ),
    "a constant added inside the formula": (
        {"posterior_variance": lambda t, s, betas: right("posterior_variance", t=t, s=s, betas=betas) + 3e-7}, "3e-07", "",
    ),
    "a parameter that is fixed": (
        {"cosine": lambda T, offset, beta_max: right("cosine", T=T, offset=0.0213, beta_max=beta_max)}, "the input `offset` were always 0.0213", "",
    ),
    "two changes of the output": (
        {"bits_per_dim": lambda nats, dimensions: right("bits_per_dim", nats=nats, dimensions=dimensions).mean() / 2 + 0 * nats},
        "halved", "",
    ),
    "a change of the formula, and one of its output": (
        {"prior_kl": lambda x0, betas: right("prior_kl", x0=x0**2, betas=betas) / x0[0].size}, "divided by the numbers of an example", "",
    ),
    "a part of the output": ({"classifier_free": first_three_channels}, "from its fourth entry on only", ""),
    "several inputs alike": (
        {"film": lambda x, scale, shift: right("film", x=x, scale=scale[:1] + 0 * scale, shift=shift[:1] + 0 * shift)},
        "`scale`, `shift` were the first along axis 0, everywhere", "",
    ),
    "one input for another": (
        {"velocity": lambda data, noise, t, path: right("velocity", data=noise, noise=data, t=t, path=path)}, "`data` and `noise` were swapped", "",
    ),
    "another method of the field": ({"up": zeros_between}, "every pixel is followed by zeros", ""),
    "the derivative of another forward pass": (
        {"up": zeros_between, "up_vjp": lambda x, dy: dy[:, ::2, ::2]}, "every pixel is followed by zeros", "",
    ),
    "a loop's table that stands still": ({"elbo_terms": first_times}, "`grid[i]` were `grid[0]`", ""),
    "a table that all formulas read": (
        {
            "snr": lambda betas: right("snr", betas=-np.expm1(-betas)),
            "alpha_bar": lambda betas: right("alpha_bar", betas=-np.expm1(-betas)),
        },
        "exp(-sum of betas)", "",
    ),
    "a kind only": (
        {
            "min_snr_weight": lambda t, betas, gamma, kind: right("min_snr_weight", t=t, betas=betas, gamma=gamma, kind=kind)
            * (2 if kind == "v" else 1)
        },
        "the output `weight` were doubled", "kind is v",
    ),
    "a missing factor": (
        {"transition": lambda t, s, betas: (lambda alpha, beta, ab: (alpha, beta * ab[s]))(*right("transition", t=t, s=s, betas=betas), right("alpha_bar", betas=betas))},
        "ab[s]", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_change_is_named(kind):
    """All failures have one cause, with these words and under this condition."""
    methods, words, where = KINDS[kind]
    ((text, condition, explained),), wrong = found(**methods)
    assert words in text and condition == where and explained == wrong, text


def test_a_second_departure_does_not_hide_the_first():
    """One on every last step, and one on every step on which x0 is limited, which changes some of the answers of the first."""

    def ddim_step(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
        ab, given = right("alpha_bar", betas=betas), {"x_t": x_t, "t": t, "betas": betas, "kind": kind}
        x0, eps = (right(name, prediction=prediction, **given) for name in ("to_x0", "to_eps"))
        x0 = x0 if clip is None else np.maximum(x0, -clip / 2)
        late = ab[max(s, 1)]
        var = eta**2 * (1 - late) / (1 - ab[t]) * (1 - ab[t] / late)
        return x_t if t == 1 else np.sqrt(late) * x0 + np.sqrt(1 - late - var) * eps + np.sqrt(var) * noise

    causes_found, wrong = found(2.0, ddim_step=ddim_step)  # nothing explains the second one, so the search takes all its time
    assert "stops at alpha_bar_1" in causes_found[0][0] and wrong / 2 < causes_found[0][2] < wrong


def third_order(wrong):
    """DPM-Solver++ whose second difference has another factor, made of phi2 and H, for each eta among these."""

    def dpmpp_step(x_t, x0, signal, sigma, variant, noise, **given):
        lam = np.log(signal / sigma)
        u, H = (lam[:-1] - lam[0]) / (lam[-1] - lam[0]), (1 + given["eta"]) * (lam[-1] - lam[0])
        step = right("dpmpp_step", x_t=x_t, x0=x0, signal=signal, sigma=sigma, variant=variant, noise=noise, **given)
        if len(x0) < 3 or given["eta"] not in wrong:
            return step
        second = sum(value / np.prod([a - b for b in u if b != a]) for a, value in zip(u, x0, strict=True))
        phi2 = np.expm1(-H) / H + 1
        return step + signal[-1] * (2 * phi2 / H - 1 - wrong[given["eta"]](phi2, H)) * second

    return dpmpp_step


def test_two_departures_by_what_a_caller_chooses():
    """One formula with a known departure for the ODE and another one for the SDE: both are named, each with its condition."""
    wrong = {0: lambda phi2, H: phi2 / H - 1 / 2, 1: lambda phi2, H: phi2 / H + 1 / 2}
    listed, failures = found(dpmpp_step=third_order(wrong))
    said = {where: text for text, where, _ in listed}
    assert set(said) == {"eta is 0", "eta is 1"} and sum(explained for *_, explained in listed) == failures
    assert "lacks the factor 2!" in said["eta is 0"] and "wrong sign" in said["eta is 1"]


def test_a_departure_in_another_convention():
    """Fewer predictions at the end, which is a declared convention, and a known departure: both are named together."""

    def dpmpp_sample(model, order, signal, sigma, x):
        step, states, x0 = third_order({0: lambda phi2, H: phi2 / H - 1 / 2}), [x], []
        for i in range(len(sigma) - 1):
            x0 = [model(states[-1], i), *x0][: min(order, len(sigma) - 1 - i)]
            at = [i - j for j in range(len(x0))] + [i + 1]
            states.append(step(states[-1], np.stack(x0), signal[at], sigma[at], "midpoint", 0 * x, eta=0))
        return np.stack(states)

    ((text, where, explained),), failures = found(dpmpp_sample=dpmpp_sample)
    assert "the last steps use fewer predictions" in text and "lacks the factor 2!" in text and (where, explained) == ("", failures)


def test_what_was_tried_counts():
    """The same change of the same few numbers is a cause among ten candidates, and none among a million."""
    from refdiff.conformance.diagnosis.cover import Score
    from refdiff.conformance.diagnosis.scoring import Tried, is_cause
    from refdiff.conformance.mutations.mutants import Mutant

    score = Score(Mutant("change", ()), frozenset("a"), frozenset(), frozenset(), {(0.1, 0.2): 30.0})
    assert is_cause(score, Tried(10, 0)) and not is_cause(score, Tried(10**6, 0))
    known = score._replace(mutant=Mutant("known", (), text="known"))
    assert is_cause(known, Tried(10**6, 10)) and not is_cause(known, Tried(10, 10**9))
    assert not is_cause(score._replace(contradicted=frozenset("b")), Tried(10, 0))
    many = score._replace(ids=frozenset(map(str, range(20))), contradicted=frozenset("ab"), missed=frozenset("ab"))
    assert is_cause(many, Tried(10, 0)) and not is_cause(many._replace(ids=frozenset("a")), Tried(10, 0))
