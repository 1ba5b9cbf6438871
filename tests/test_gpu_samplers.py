"""Kernels of diffusion against the text, number by number: every operation in the text's order, so that nothing differs."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refdiff import flow, guidance, predict, reverse, samplers, schedules
from refdiff.arrays import like
from refdiff.forward import posterior_variance, q_sample
from refdiff.samplers import velocity_field
from refdiff_gpu import emulate
from refdiff_gpu.kernels import KERNELS

from .strategies import Case, case

READ = {"eps": "eps", "x0": "x0", "score": "score", "v": "any", "velocity": "any"}


def gpu(name, *inputs, out=None, dtype=None, **numbers):
    """The kernel's answer, interpreted: an array, or a list of several."""
    results = emulate.call(name, KERNELS[name], inputs, numbers, out, dtype)
    return results[0] if len(results) == 1 else results


def same(ours, theirs):
    """The same numbers in the same precision, to the last bit but the sign of a zero."""
    return ours.dtype == theirs.dtype and np.array_equal(ours, np.broadcast_to(theirs, ours.shape), equal_nan=True)


def coefficients(kind, t, path, x):
    """What the kernels want to know of a kind: x0_x, x0_p, eps_p, eps_x, eps_b, each if it is needed."""
    signal, sigma = path.signal_sigma(t)
    a, b = predict.row(kind, t, path)
    D = signal * b - sigma * a
    x0 = {} if kind == "x0" else {"x0_x": b / D, "x0_p": sigma / D}
    eps = {"eps": {}, "score": {"eps_b": b}}.get(kind) if kind in ("eps", "score") else {"eps_p": signal / D, "eps_x": a / D}
    return {name: like(value, x) for name, value in x0.items()}, {name: like(value, x) for name, value in eps.items()}


def answers(guided, p, q, gamma):
    """The inputs of a step, and the prediction the text gets."""
    return ((q, p, like(gamma, p, "gamma")), guidance.classifier_free(q, p, gamma)) if guided else ((p,), p)


prefixes = st.sampled_from(["", "guided_"])
kinds = st.sampled_from(sorted(READ))


@given(case(2), st.floats(-1, 3))
def test_noising(case, gamma):
    """F3, T1, G1, G3: q_sample, alone and with the target in one pass; the two guidances."""
    schedule, t, _, x0, noise = case
    signal, sigma = (like(value, x0) for value in schedule.signal_sigma(t))
    assert same(gpu("q_sample", x0, noise, signal, sigma), q_sample(x0, t, schedule, noise))
    for kind in predict.KINDS:
        a, b = (like(value, x0) for value in predict.row(kind, t, schedule))
        x_t, target = gpu("noised", x0, noise, signal, sigma, a, b)
        assert same(x_t, q_sample(x0, t, schedule, noise)) and same(target, predict.target(kind, x0, noise, t, schedule))
    scale = like(gamma, x0)
    assert same(gpu("guide", x0, noise, scale), guidance.classifier_free(x0, noise, gamma))
    assert same(gpu("steer_score", x0, noise, scale), guidance.classifier_score(x0, noise, gamma))
    scale = like(gamma * schedule.sigma[t], x0)
    assert same(gpu("steer_eps", x0, noise, scale), guidance.classifier_eps(x0, noise, gamma, t, schedule))


@given(case(2), kinds, kinds)
@example(Case(schedules.linear(40), 20, 10, [np.ones((2, 3)), np.full((2, 3), 0.5)]), "score", "eps")
def test_conversions(case, source, to):
    """R6, C2: what a prediction says of the data, of the noise, and as another kind."""
    schedule, t, _, x_t, p = case
    x0, eps = coefficients(source, t, schedule, x_t)
    if source != "x0":
        assert same(gpu("to_x0", x_t, p, **x0), predict.to_x0(p, x_t, t, schedule, source))
    if source == "score":
        assert same(gpu("to_eps_score", p, **eps), predict.to_eps(p, x_t, t, schedule, source))
    elif source != "eps":
        assert same(gpu("to_eps", x_t, p, **eps), predict.to_eps(p, x_t, t, schedule, source))
    (a, b), (a_to, b_to), (signal, sigma) = predict.row(source, t, schedule), predict.row(to, t, schedule), schedule.signal_sigma(t)
    if {source, to} == {"eps", "score"}:
        ours = gpu("convert_score", p, like(b_to / b, x_t))
    elif source != to:
        D = signal * b - sigma * a
        of_x, of_p = (a_to * b - a * b_to) / D, (signal * b_to - sigma * a_to) / D
        ours = gpu("convert", x_t, p, like(of_x, x_t), like(of_p, x_t))
    assert source == to or same(ours, predict.convert(p, x_t, t, schedule, source, to))
    ours = gpu("tweedie_mean", x_t, p, like(sigma**2, x_t), like(signal, x_t))
    assert same(ours, predict.tweedie_mean(x_t, p, t, schedule))


@given(case(4), prefixes, kinds, st.floats(-1, 3), st.sampled_from([0.0, 0.3, 1.0]))
def test_ddim(case, guided, kind, gamma, eta):
    """S2, G3: the step for every kind, with and without guidance, with and without noise."""
    schedule, t, s, x_t, p, q, noise = case
    inputs, prediction = answers(guided, p, q, gamma)
    x0, eps = coefficients(kind, t, schedule, x_t)
    alpha, _ = schedule.transition(t, s)
    share = alpha * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    kept = schedule.sigma[s] * np.sqrt((1 - eta) * (1 + eta) + eta**2 * share)
    numbers = {**x0, **eps, "signal": like(schedule.signal[s], x_t), "kept": like(kept, x_t)}
    if eta:
        numbers |= {"noise": noise, "deviation": like(eta * np.sqrt(posterior_variance(t, s, schedule)), x_t)}
    ours = gpu(f"{guided}ddim_{READ[kind]}{'_noise' if eta else ''}", x_t, *inputs, **numbers)
    assert same(ours, samplers.ddim_step(prediction, x_t, t, s, schedule, noise, eta, kind))


@given(case(4, low=1), prefixes, kinds, st.floats(-1, 3), st.sampled_from(["none", "posterior", "beta", "learned"]))
def test_ddpm(case, guided, kind, gamma, variance):
    """S1, R4, G3: the mean, and a draw with any of the variances."""
    schedule, t, s, x_t, p, q, noise = case
    inputs, prediction = answers(guided, p, q, gamma)
    alpha, beta = schedule.transition(t, s)
    weight_x0 = schedule.signal[s] * beta / schedule.one_minus_alpha_bar[t]
    weight_xt = np.sqrt(alpha) * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    numbers = {**coefficients(kind, t, schedule, x_t)[0], "weight_x0": like(weight_x0, x_t), "weight_xt": like(weight_xt, x_t)}
    name, mix = f"{guided}ddpm_{'x0' if kind == 'x0' else 'any'}", abs(noise) / 4
    if variance == "none":
        theirs, _ = reverse.kernel(prediction, x_t, t, s, schedule, kind)
    else:
        theirs = samplers.ddpm_step(prediction, x_t, t, s, schedule, noise, kind, variance, mix)
    if variance == "learned":
        of = posterior_variance(t, s, schedule)
        numbers |= {"noise": noise, "mix": mix, "variance": like(of, x_t), "log_ratio": like(np.log(beta / of), x_t)}
    elif variance != "none":
        numbers |= {"noise": noise, "deviation": np.sqrt(reverse.model_variance(x_t, t, s, schedule, variance))}
    name += {"none": "", "learned": "_learned"}.get(variance, "_noise")
    assert same(gpu(name, x_t, *inputs, **numbers), theirs)


SLOPES = {"": "velocity", "_any": "v", "_score": "score"}


@given(case(3, dtypes=(np.float64,)), st.floats(0.1, 0.9), st.floats(-1, 3), prefixes, st.sampled_from(sorted(SLOPES)))
@settings(max_examples=30)
def test_ode(case, t, gamma, guided, kind):
    """M1, G3: Euler and Heun along a flow, the velocity told by a network of any kind."""
    *_, x, w, u = case
    path, s = flow.straight, t / 2
    source = SLOPES[kind]

    def network(x, t):
        """Answers with and without the label."""
        return w * x + t, u - x

    def field(x, t):
        return guidance.classifier_free(*network(x, t)[::-1], gamma) if guided else network(x, t)[0]

    def kernel(name, x, t, *more, **numbers):
        p, q = network(x, t)
        numbers["h"] = s - t if name != "heun_last" else numbers["h"]
        if kind:
            (a, b), (da, db), (signal, sigma) = predict.row(source, t, path), predict.row("velocity", t, path), path.signal_sigma(t)
            D = signal * b - sigma * a
            numbers |= {"slope_x": (da * b - a * db) / D, "slope_p": (signal * db - sigma * da) / D}
            if kind == "_score":
                numbers.pop("slope_x")
        return gpu(f"{guided}{name}{kind}", *more, *((q, p, gamma) if guided else (p,)), **numbers)

    if kind == "_score":  # a multiple of eps: velocity = slope_p p on a path without signal's rate is a fixed multiple
        numbers = {"slope_p": 0.7, "h": s - t}
        slope = field(x, t) * 0.7
        p, q = network(x, t)
        assert same(gpu(f"{guided}euler_score", x, *((q, p, gamma) if guided else (p,)), **numbers), x + (s - t) * slope)
        return
    text = field if not kind else velocity_field(field, path, source)
    assert same(kernel("euler", x, t, x), samplers.euler_step(text, x, t, s))
    if kind or guided:
        slope_1, x_s = kernel("heun_first", x, t, x)
    else:
        slope_1, x_s = network(x, t)[0], kernel("euler", x, t, x)
    more = {"x_s": x_s} if kind else {}
    assert same(kernel("heun_last", x_s, s, x, slope_1, h=s - t, **more), samplers.heun_step(text, x, t, s))


@pytest.mark.parametrize("kind", ["", "_score", "_any"])
@pytest.mark.parametrize("guided", ["", "guided_"])
def test_heun_is_two_halves(guided, kind):
    """M1: the last half of Heun's step is x + h (k1 + k2) / 2, whatever tells the slope k2 at the far end."""
    x, slope_1, p, q, x_s = (np.linspace(k, k + 1, 6).reshape(2, 3) for k in range(5))
    combined = guidance.classifier_free(q, p, 1.5) if guided else p
    slope = {"": combined, "_score": combined * 0.7, "_any": -0.3 * x_s + 0.7 * combined}[kind]
    numbers = {"": {}, "_score": {"slope_p": 0.7}, "_any": {"slope_p": 0.7, "slope_x": -0.3, "x_s": x_s}}[kind]
    inputs = (q, p, 1.5) if guided else (p,)
    assert same(gpu(f"{guided}heun_last{kind}", x, slope_1, *inputs, h=-0.25, **numbers), x - 0.25 * (slope_1 + slope) / 2)
    if guided or kind:
        numbers.pop("x_s", None)
        slope = {"": combined, "_score": combined * 0.7, "_any": -0.3 * x + 0.7 * combined}[kind]
        first, x_s = gpu(f"{guided}heun_first{kind}", x, *inputs, h=-0.25, **numbers)
        assert same(first, slope) and same(x_s, x - 0.25 * slope)
