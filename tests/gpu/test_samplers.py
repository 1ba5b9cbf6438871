"""Kernels of diffusion against the reference implementation, bit for bit: the operations have the same order."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff import flow, guidance, predict, reverse, samplers
from refdiff.arrays import like
from refdiff.process.forward import posterior_variance, q_sample
from refdiff.sampling.samplers import velocity_field
from refdiff_gpu.emulator import emulate
from refdiff_gpu.kernels.table import KERNELS

from ..strategies import case

FORMS = {"eps": "eps", "x0": "x0", "score": "score", "v": "any", "velocity": "any"}


def gpu(name, *inputs, out=None, dtype=None, **numbers):
    """The outputs of a kernel in the interpreter: an array, or a list of several."""
    results = emulate.run_kernel(name, KERNELS[name], inputs, numbers, out, dtype)
    return results[0] if len(results) == 1 else results


def same(ours, theirs):
    """The same numbers in the same precision, to the last bit but the sign of a zero."""
    return ours.dtype == theirs.dtype and np.array_equal(ours, np.broadcast_to(theirs, ours.shape), equal_nan=True)


def coefficients(kind, t, path, x):
    """The coefficients for x0 and for eps that a kind of prediction needs: x0_x, x0_p, eps_p, eps_x, eps_b."""
    signal, sigma = path.signal_sigma(t)
    a, b = predict.row(kind, t, path)
    D = signal * b - sigma * a
    x0 = {} if kind == "x0" else {"x0_x": b / D, "x0_p": sigma / D}
    eps = {"eps": {}, "score": {"eps_b": b}}.get(kind) if kind in ("eps", "score") else {"eps_p": signal / D, "eps_x": a / D}
    return {name: like(value, x) for name, value in x0.items()}, {name: like(value, x) for name, value in eps.items()}


def predictions(guided, p, q, gamma):
    """The inputs of a step kernel for a prediction, and the prediction of the reference implementation."""
    return ((q, p, like(gamma, p, "gamma")), guidance.classifier_free(q, p, gamma)) if guided else ((p,), p)


PREFIXES = "", "guided_"
few = settings(max_examples=15)


@few
@given(case(2), st.floats(-1, 3))
def test_q_sample(case, gamma):
    """F3, T1, G1, G3: q_sample, alone and with the target; classifier guidance and classifier-free guidance."""
    schedule, t, _, x0, noise = case
    signal, sigma = (like(value, x0) for value in schedule.signal_sigma(t))
    assert same(gpu("q_sample", x0, noise, signal, sigma), q_sample(x0, t, schedule, noise))
    for kind in predict.KINDS:
        a, b = (like(value, x0) for value in predict.row(kind, t, schedule))
        x_t, target = gpu("q_sample_target", x0, noise, signal, sigma, a, b)
        assert same(x_t, q_sample(x0, t, schedule, noise)) and same(target, predict.target(kind, x0, noise, t, schedule))
    scale = like(gamma, x0)
    assert same(gpu("classifier_free", x0, noise, scale), guidance.classifier_free(x0, noise, gamma))
    assert same(gpu("classifier_score", x0, noise, scale), guidance.classifier_score(x0, noise, gamma))
    scale = like(gamma * schedule.sigma[t], x0)
    assert same(gpu("classifier_eps", x0, noise, scale), guidance.classifier_eps(x0, noise, gamma, t, schedule))


@few
@given(case(2))
def test_conversions(case):
    """R6, C2: x0 and eps from a prediction, and every conversion between kinds."""
    schedule, t, _, x_t, p = case
    signal, sigma = schedule.signal_sigma(t)
    for source in FORMS:
        x0, eps = coefficients(source, t, schedule, x_t)
        if source != "x0":
            assert same(gpu("to_x0", x_t, p, **x0), predict.to_x0(p, x_t, t, schedule, source))
        if source != "eps":
            ours = gpu("to_eps_score", p, **eps) if source == "score" else gpu("to_eps", x_t, p, **eps)
            assert same(ours, predict.to_eps(p, x_t, t, schedule, source))
        for to in FORMS.keys() - {source}:
            (a, b), (a_to, b_to) = predict.row(source, t, schedule), predict.row(to, t, schedule)
            D = signal * b - sigma * a
            if {source, to} == {"eps", "score"}:
                ours = gpu("convert_score", p, like(b_to / b, x_t))
            else:
                ours = gpu("convert", x_t, p, like((a_to * b - a * b_to) / D, x_t), like((signal * b_to - sigma * a_to) / D, x_t))
            assert same(ours, predict.convert(p, x_t, t, schedule, source, to))
    ours = gpu("tweedie_mean", x_t, p, like(sigma**2, x_t), like(signal, x_t))
    assert same(ours, predict.tweedie_mean(x_t, p, t, schedule))


@few
@given(case(4, low=1), st.floats(0.1, 3), st.floats(0.1, 1))
def test_ddim(case, gamma, noisy):
    """S2, G3: the step for every kind, with and without guidance, with and without noise."""
    schedule, t, s, x_t, p, q, noise = case
    alpha, _ = schedule.transition(t, s)
    share = alpha * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    for guided, kind, eta in product(PREFIXES, FORMS, (0.0, noisy)):
        inputs, prediction = predictions(guided, p, q, gamma)
        x0, eps = coefficients(kind, t, schedule, x_t)
        eps_scale = schedule.sigma[s] * np.sqrt((1 - eta) * (1 + eta) + eta**2 * share)
        numbers = {**x0, **eps, "signal": like(schedule.signal[s], x_t), "eps_scale": like(eps_scale, x_t)}
        if eta:
            numbers |= {"noise": noise, "deviation": like(eta * np.sqrt(posterior_variance(t, s, schedule)), x_t)}
        ours = gpu(f"{guided}ddim_{FORMS[kind]}{'_noise' if eta else ''}", x_t, *inputs, **numbers)
        assert same(ours, samplers.ddim_step(prediction, x_t, t, s, schedule, noise, eta, kind))


@few
@given(case(4, low=1), st.floats(0.1, 3))
def test_ddpm(case, gamma):
    """S1, R4, G3: the mean, and a sample with each of the variances."""
    schedule, t, s, x_t, p, q, noise = case
    _, beta = schedule.transition(t, s)
    weight_x0 = schedule.signal[s] * beta / schedule.one_minus_alpha_bar[t]
    weight_xt = schedule.signal_between(t, s) * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    weights = {"weight_x0": like(weight_x0, x_t), "weight_xt": like(weight_xt, x_t)}
    for guided, kind, variance in product(PREFIXES, ("x0", "v"), ("none", *reverse.VARIANCES)):
        inputs, prediction = predictions(guided, p, q, gamma)
        name, numbers = f"{guided}ddpm_{FORMS[kind]}", weights | coefficients(kind, t, schedule, x_t)[0]
        mix = abs(noise) / 4
        if variance == "none":
            theirs, _ = reverse.kernel(prediction, x_t, t, s, schedule, kind)
        else:
            theirs = samplers.ddpm_step(prediction, x_t, t, s, schedule, noise, kind, variance, mix)
        if variance == "learned":
            beta_tilde = posterior_variance(t, s, schedule)
            log_ratio = like(np.log(beta / beta_tilde), x_t)
            numbers |= {"noise": noise, "mix": mix, "variance": like(beta_tilde, x_t), "log_ratio": log_ratio}
        elif variance != "none":
            numbers |= {"noise": noise, "deviation": np.sqrt(reverse.model_variance(x_t, t, s, schedule, variance))}
        name += {"none": "", "learned": "_learned"}.get(variance, "_noise")
        assert same(gpu(name, x_t, *inputs, **numbers), theirs)


SLOPES = {"": "velocity", "_any": "v"}


@few
@given(case(3, dtypes=(np.float64,)), st.floats(0.1, 0.9), st.floats(0.1, 3))
def test_ode(case, t, gamma):
    """M1, G3: Euler and Heun steps along a flow, with the velocity from a prediction of any kind."""
    *_, x, w, u = case
    path, s = flow.straight, t / 2
    h = s - t
    for guided, (kind, source) in product(PREFIXES, SLOPES.items()):

        def network(x, t):
            return w * x + t, u - x

        field = partial(_combined, network, guided, gamma)

        def kernel(name, x, t, *more, guided=guided, kind=kind, source=source, **numbers):
            p, q = network(x, t)
            if kind:
                (a, b), (da, db), (signal, sigma) = predict.row(source, t, path), path.rates(t), path.signal_sigma(t)
                D = signal * b - sigma * a
                numbers |= {"slope_x": (da * b - a * db) / D, "slope_p": (signal * db - sigma * da) / D}
            return gpu(f"{guided}{name}{kind}", *more, *((q, p, gamma) if guided else (p,)), h=h, **numbers)

        reference = velocity_field(field, path, source) if kind else field
        x_s = kernel("euler", x, t, x)
        assert same(x_s, samplers.euler_step(reference, x, t, s))
        slope_1, x_s = kernel("heun_first", x, t, x) if kind or guided else (field(x, t), x_s)
        more = {"x_s": x_s} if kind else {}
        assert same(kernel("heun_last", x_s, s, x, slope_1, **more), samplers.heun_step(reference, x, t, s))


def _combined(network, guided, gamma, x, t):
    """A network's prediction with the label, or its two predictions combined."""
    p, q = network(x, t)
    return guidance.classifier_free(q, p, gamma) if guided else p


@pytest.mark.parametrize("kind", ["", "_score", "_any"])
@pytest.mark.parametrize("guided", PREFIXES)
def test_ode_steps(guided, kind):
    """M1: x + h k and x + h (k1 + k2) / 2, for slopes from every kind of prediction."""
    x, slope_1, p, q, x_s = (np.linspace(k, k + 1, 6).reshape(2, 3) for k in range(5))
    combined = guidance.classifier_free(q, p, 1.5) if guided else p
    inputs, numbers = (q, p, 1.5) if guided else (p,), {"": {}, "_score": {"slope_p": 0.7}, "_any": {"slope_p": 0.7, "slope_x": -0.3}}[kind]

    def slope(x):
        return {"": combined, "_score": combined * 0.7, "_any": -0.3 * x + 0.7 * combined}[kind]

    more = {"x_s": x_s} if kind == "_any" else {}
    last = gpu(f"{guided}heun_last{kind}", x, slope_1, *inputs, h=-0.25, **numbers, **more)
    assert same(last, x - 0.25 * (slope_1 + slope(x_s)) / 2)
    assert same(gpu(f"{guided}euler{kind}", x, *inputs, h=-0.25, **numbers), x - 0.25 * slope(x))
    if guided or kind:
        first, x_s = gpu(f"{guided}heun_first{kind}", x, *inputs, h=-0.25, **numbers)
        assert same(first, slope(x)) and same(x_s, x - 0.25 * slope(x))
