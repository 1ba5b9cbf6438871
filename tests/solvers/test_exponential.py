"""Steps of exponential integrators: exact for polynomial predictions, equal to DDIM, DDPM and the formulas as printed, and to other solvers."""

import re
from functools import partial

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import ddim_step, ddpm_step, oracles, predict, rng, samplers, schedules, sde, solvers
from refdiff.sampling import maps
from tests.tolerances import IDENTITY, roundings

VP = sde.vp()
X, A, B, NOISE = (rng.normal(seed, 3, (2,)) for seed in range(4))
# The weights carry the roundings of lambda, up to 5, in differences of at least 0.05, and of a system of up to 4 equations.
WEIGHTS = 1e-11


def exact_phi(k, z):
    return mpmath.hyp1f1(1, k + 1, mpmath.mpf(z)) / mpmath.factorial(k)


@pytest.mark.parametrize("k", range(7))
def test_phi_is_accurate(k):
    """K4: a few ulp for |z| from 1e-300 to 50 and both signs, where the recursion alone loses all digits."""
    z = np.concatenate([[0.0], *(sign * np.geomspace(1e-12, 50, 60) for sign in (1, -1)), [1e-300, 4.0, -4.0, np.nextafter(4, 5), -4.0001]])
    want = [exact_phi(k, each) for each in z]
    assert max(abs(float((got - right) / right)) for got, right in zip(solvers.phi(k, z).tolist(), want, strict=True)) < 2**-50
    assert solvers.phi(k, 0.5).shape == () and solvers.phi(k, z.reshape(6, -1)).shape == (6, 21)


def exact_integral(k, start, end, rate, power):
    """The integral of e^(power l) e^(-rate (end - l)) (l - start)^k over l from start to end, at 50 digits."""
    return float(mpmath.quad(lambda v: mpmath.exp(power * v - rate * (end - v)) * (v - start) ** k, [start, end]))


levels = st.lists(st.integers(-20, 40), min_size=3, max_size=5, unique=True).map(lambda values: [v / 10 for v in values])


@given(levels, st.sampled_from([0.0, 0.5, 1.0]), st.data())
def test_polynomials_in_lambda_are_integrated_exactly(found, eta, data):
    """K4, K6, K7: in one step, with p predictions, every polynomial of a degree below p is exact, and lam^p is not."""
    (start, *nodes), end = found[:-1], max(found) + 0.3
    times = [solvers.time_at(each, VP) for each in (start, *nodes)]
    s, degree = solvers.time_at(end, VP), data.draw(st.integers(0, len(times)))
    a_s, b_s = VP.signal_sigma(s)
    values = [np.full((1, 1), (each - start) ** degree) for each in (start, *nodes)]
    x, zero = np.zeros((1, 1)), np.zeros((1, 1))
    h = end - start
    clean = (1 + eta) * b_s * exact_integral(degree, start, end, eta, 1)
    noisy = -(1 + eta) * a_s * exact_integral(degree, start, end, 0, -1)
    for formula, want in ((solvers.dpmpp_step, clean), (solvers.dpm_solver_step, noisy)):
        got = formula(x, values, times, s, VP, "taylor", eta, zero)[0, 0]
        scale = abs(want) + max(h, 1) ** 6 * 10
        assert (abs(got - want) < WEIGHTS * scale * 100) == (degree < len(times)), (formula.__name__, got, want)


def test_polynomials_in_other_variables():
    """K9: LMS is exact for polynomials in rho, and DEIS in time for polynomials in the time, with as many predictions as coefficients."""
    times, s = [0.5, 0.62, 0.7, 0.9], 0.41
    a_s, _ = VP.signal_sigma(s)

    def rho(t):
        return float(solvers.noise_to_signal(t, VP))

    def slope(t):
        (a, b), (a_rate, b_rate) = VP.signal_sigma(t), VP.rates(t)
        return (b_rate * a - b * a_rate) / a**2

    for variable, value in (("rho", rho), ("t", lambda t: t), ("log_rho", lambda t: np.log(rho(t)))):
        for degree in range(5):
            eps = [np.full((1, 1), value(t) ** degree) for t in times]
            got = solvers.deis_step(np.zeros((1, 1)), eps, times, s, VP, variable)[0, 0] / a_s
            nodes, weights = np.polynomial.legendre.leggauss(60)
            points = (nodes + 1) / 2 * (s - times[0]) + times[0]
            want = sum(w / 2 * (s - times[0]) * value(u) ** degree * slope(u) for w, u in zip(weights, points, strict=True))
            assert (abs(got - want) < 1e-10) == (degree < 4), (variable, degree)


SCHEDULES = {"cosine": schedules.cosine(50), "zero terminal": schedules.zero_terminal_snr(schedules.linear(50))}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("t, s", [(50, 49), (50, 0), (30, 11), (2, 1), (1, 0)])
def test_one_prediction_is_ddim_and_ddpm(schedule, t, s):
    """K5, K6, K7: of order 1 they are the steps of DDIM (eta = 0) and of DDPM (eta = 1), at clean data and at pure noise too."""
    x0 = np.tanh(A)
    same = ddim_step(x0, X, t, s, schedule, kind="x0")
    assert roundings(solvers.dpmpp_step(X, [x0], [t], s, schedule), same, X, x0) < IDENTITY
    ancestral = ddpm_step(x0, X, t, s, schedule, NOISE, kind="x0")
    assert roundings(solvers.dpmpp_step(X, [x0], [t], s, schedule, eta=1.0, noise=NOISE), ancestral, X, x0, NOISE) < IDENTITY
    if schedule.signal[t] > 0:
        eps = predict.to_eps(x0, X, t, schedule, "x0")
        for formula in (solvers.dpm_solver_step, solvers.deis_step, solvers.plms_step):
            assert roundings(formula(X, [eps], [t], s, schedule), same, X / schedule.signal[t], eps / schedule.signal[t]) < IDENTITY


def parts(*times):
    """Half the log-SNR, the signal and sigma of some times of the VP path."""
    return [(float(solvers.half_log_snr(t, VP)), *VP.signal_sigma(t)) for t in times]


def test_the_formulas_as_printed():
    """K6, K7: DPM-Solver++ (2M), its SDE, and (3M) by finite differences D1 and D2, with the factor 2! before D2 that Taylor's formula has."""
    t, t1, t2, s = 0.5, 0.6, 0.75, 0.42
    (lt, _, bt), (l1, *_), (l2, *_), (ls, a_s, bs) = parts(t, t1, t2, s)
    h, r0, r1 = ls - lt, (lt - l1) / (ls - lt), (l1 - l2) / (ls - lt)
    m0, m1, m2 = A, B, NOISE
    D1 = (m0 - m1) / r0
    printed = bs / bt * X - a_s * np.expm1(-h) * (m0 + D1 / 2)
    assert roundings(solvers.dpmpp_step(X, [m0, m1], [t, t1], s, VP), printed, X, D1) < IDENTITY
    sde_2m = bs / bt * np.exp(-h) * X - a_s * np.expm1(-2 * h) * (m0 + D1 / 2) + bs * np.sqrt(-np.expm1(-2 * h)) * NOISE
    assert roundings(solvers.dpmpp_step(X, [m0, m1], [t, t1], s, VP, eta=1.0, noise=NOISE), sde_2m, X, D1) < IDENTITY
    D1_0, D1_1 = D1, (m1 - m2) / r1
    first, second = D1_0 + r0 / (r0 + r1) * (D1_0 - D1_1), (D1_0 - D1_1) / (r0 + r1)
    phi_2 = np.expm1(-h) / h + 1
    phi_3 = phi_2 / h - 0.5
    printed = bs / bt * X - a_s * np.expm1(-h) * m0 + a_s * phi_2 * first - a_s * phi_3 * 2 * second
    assert np.allclose(solvers.dpmpp_step(X, [m0, m1, m2], [t, t1, t2], s, VP), printed, rtol=0, atol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "variant, share", [("midpoint", lambda h: np.expm1(h) / 2), ("taylor", lambda h: np.expm1(h) / h - 1), ("bh1", lambda h: h / 2)]
)
def test_noise_prediction_as_printed(variant, share, eta):
    """K5, K7, K8: two noise predictions with e^h - 1, times 1 + eta, and noise of the variance eta (e^(2h) - 1); the three variants of D1."""
    t, t1, s = 0.5, 0.6, 0.42
    (lt, at, _), (l1, *_), (ls, a_s, bs) = parts(t, t1, s)
    h, D1 = ls - lt, (A - B) * (ls - lt) / (lt - l1)
    printed = a_s / at * X - (1 + eta) * bs * (np.expm1(h) * A + share(h) * D1) + bs * np.sqrt(eta * np.expm1(2 * h)) * NOISE
    got = solvers.dpm_solver_step(X, [A, B], [t, t1], s, VP, variant, eta, NOISE)
    assert roundings(got, printed, X, A, D1) < 4 * IDENTITY


def test_the_stages_of_dpm_solver_as_printed():
    """K5: DPM-Solver-2 and -3, by the formulas of their algorithms with e^h - 1."""
    t, s = 0.5, 0.3
    model = oracles.mixture([[-1.0, 0.3], [0.8, 0.0]], np.tile(np.eye(2) / 9, (2, 1, 1))).model(VP, "eps")
    (lt, at, _), (ls, a_s, bs) = parts(t, s)
    h, e0 = ls - lt, model(X, t)
    u, u1, u2 = (solvers.time_at(lt + share * h, VP) for share in (1 / 2, 1 / 3, 2 / 3))
    (_, au, bu), (_, a1, b1), (_, a2, b2) = parts(u, u1, u2)
    middle = au / at * X - bu * np.expm1(h / 2) * e0
    second = a_s / at * X - bs * np.expm1(h) * e0 - bs * np.expm1(h) * (model(middle, u) - e0)
    assert np.allclose(solvers.solver("dpm_solver_2", VP)(model, X, t, s, None), second, rtol=0, atol=1e-12)
    e1 = model(a1 / at * X - b1 * np.expm1(h / 3) * e0, u1)
    x2 = a2 / at * X - b2 * np.expm1(2 * h / 3) * e0 - b2 * 2 * (np.expm1(2 * h / 3) / (2 * h / 3) - 1) * (e1 - e0)
    third = a_s / at * X - bs * np.expm1(h) * e0 - bs * 1.5 * (np.expm1(h) / h - 1) * (model(x2, u2) - e0)
    assert np.allclose(solvers.solver("dpm_solver_3", VP)(model, X, t, s, None), third, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant, B_of", [("midpoint", np.expm1), ("bh1", lambda z: z)])
def test_unipc_as_printed(variant, B_of):
    """K8: the predictor with two predictions has the coefficient 1/2 times B(h); the corrector with three solves R rho = b, whatever B is."""
    t, t1, s = 0.5, 0.6, 0.42
    (lt, _, bt), (l1, *_), (ls, a_s, bs) = parts(t, t1, s)
    z, r1 = -(ls - lt), (l1 - lt) / (ls - lt)
    base = bs / bt * X - a_s * np.expm1(z) * A
    predicted = base - a_s * B_of(z) * 0.5 * (B - A) / r1
    assert roundings(solvers.dpmpp_step(X, [A, B], [t, t1], s, VP, variant), predicted, X, (B - A) / r1) < IDENTITY
    b = [float(z * mpmath.factorial(k) * exact_phi(k + 1, z)) / B_of(z) for k in (1, 2)]
    rho = np.linalg.solve([[1.0, 1.0], [r1, 1.0]], b)
    corrected = base - a_s * B_of(z) * (rho[0] * (B - A) / r1 + rho[1] * (NOISE - A))
    assert np.allclose(solvers.dpmpp_step(X, [A, B, NOISE], [t, t1, s], s, VP, variant), corrected, rtol=0, atol=1e-11)


def test_deis_in_time_reaches_clean_data():
    """K9: where the slope of rho is infinite, at clean data, the weights are still exact: with one prediction DDIM's, with two those of mpmath."""
    one, ddim = (formula(X, [A], [0.1], 0.0, VP) for formula in (partial(solvers.deis_step, variable="t"), solvers.dpm_solver_step))
    assert roundings(one, ddim, X) < IDENTITY
    two = solvers.deis_step(0 * X, [A, B], [0.1, 0.2], 0.0, VP, "t")
    rho_0 = solvers.noise_to_signal(0.1, VP)
    share = float(mpmath.quad(lambda r: solvers.noise_to_signal(0.1 * (1 - float(r)), VP), [0, 0.5, 0.9, 0.99, 1]))  # of the slope of eps
    assert np.allclose(two, -rho_0 * A - share * (A - B), rtol=0, atol=1e-5)


def test_midpoint_rule_in_sigma():
    """K5: in the variables of EDM, DPM-Solver-2 is the midpoint rule for dx / d sigma = eps, with the geometric mean as the middle."""
    edm, data = sde.edm(), oracles.mixture([[-1.0, 0.3], [0.8, 0.0]], np.tile(np.eye(2) / 9, (2, 1, 1)))
    eps, t, s = data.model(edm, "eps"), 3.0, 0.7
    middle = np.sqrt(t * s)
    want = X + (s - t) * eps(X + (middle - t) * eps(X, t), middle)
    assert roundings(solvers.solver("dpm_solver_2", edm)(eps, X, t, s, None), want, X) < IDENTITY


def test_plms_is_lms_where_the_steps_are_equal_in_rho():
    """K9: on such a grid the Adams-Bashforth weights are the integrals of the Lagrange polynomials; on another grid they are not."""
    edm, eps = sde.edm(), [A, B, NOISE, A * B]
    for count in (1, 2, 3, 4):
        equal = [1.0 + 0.25 * j for j in range(count)]
        lms, plms = (formula(X, eps[:count], equal, 0.75, edm) for formula in (solvers.deis_step, solvers.plms_step))
        assert roundings(lms, plms, X, 10 * A) < IDENTITY
    assert abs(solvers.deis_step(X, eps[:2], [1.0, 1.5], 0.75, edm) - solvers.plms_step(X, eps[:2], [1.0, 1.5], 0.75, edm)).max() > 0.01


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("formula, kind", [(solvers.dpmpp_step, "x0"), (solvers.dpm_solver_step, "eps")])
def test_the_noise_of_the_sde_is_exact(formula, kind, eta):
    """K7: with a prediction that does not depend on x, the variance of a step is that of the SDE's solution, whatever the order: two
    half steps have the variance of a whole one."""
    times = [0.5, 0.4, 0.3]
    zeros = [np.zeros((1, 1))]

    def variance(t, s, before):
        step = maps.affine_of(lambda x, noise: formula(x, [0 * x], [t], s, VP, eta=eta, noise=noise), 1)
        return step.moments(np.zeros(1), np.array([[before]]))[1][0, 0]

    assert zeros and abs(variance(times[1], times[2], variance(*times[:2], 0.2)) / variance(times[0], times[2], 0.2) - 1) < 1e-13


def test_the_reverse_sde_keeps_a_gaussian():
    """K7: for eta = 1 and Gaussian data the mean is exact in every step, and the variance tends to that of the data with order 2 for 2M."""
    data, errors = oracles.gaussian([0.7], [[0.3]]), []
    for steps in (40, 80):
        grid = [solvers.time_at(each, VP) for each in np.linspace(-2.5, 3, steps + 1)]
        (a, b), (a_s, b_s) = VP.signal_sigma(grid[0]), VP.signal_sigma(grid[-1])

        def run(x, noise, grid=grid, steps=steps):
            noises = noise.reshape(len(x), steps, 1).swapaxes(0, 1) if noise.shape[1] == steps else [noise] * steps
            return samplers.last(samplers.sample(data.model(VP, "eps"), solvers.solver("sde_dpmpp_2m", VP), np.array(grid), x, noises))

        zero = np.zeros((1, steps))
        offset, slope = run(np.zeros((1, 1)), zero), run(np.ones((1, 1)), zero) - run(np.zeros((1, 1)), zero)
        noises = run(np.zeros((steps, 1)), np.eye(steps)) - offset
        assert abs(offset + slope * a * 0.7 - a_s * 0.7).max() < 1e-12
        errors.append(float((slope**2 * (a**2 * 0.3 + b**2) + (noises**2).sum() - (a_s**2 * 0.3 + b_s**2)).item()))
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.1


def test_times_of_each_example():
    """K6, K9: times may differ between the examples, of a schedule and of a path, and each example is that of a call by itself."""
    schedule = SCHEDULES["cosine"]
    for path, times, s in (
        (VP, np.array([[0.5, 0.6, 0.7], [0.55, 0.7, 0.9]]), np.array([0.4, 0.3, 0.2])),
        (schedule, [[30, 20, 9], [40, 22, 11]], [12, 8, 1]),
    ):
        for formula in (solvers.dpmpp_step, solvers.dpm_solver_step, solvers.deis_step, solvers.plms_step):
            together = formula(X, [A, B], [*np.array(times)], np.array(s), path)
            for i in range(3):
                t, t1 = times[0][i], times[1][i]
                alone = formula(X[i : i + 1], [A[i : i + 1], B[i : i + 1]], [t, t1], s[i], path)
                assert roundings(together[i : i + 1], alone, X) < IDENTITY


def test_single_precision():
    """K6: the state keeps its precision; the weights are computed in double precision."""
    single = [each.astype(np.float32) for each in (X, A, B)]
    got = solvers.dpmpp_step(single[0], single[1:], [0.5, 0.6], 0.4, VP)
    assert got.dtype == np.float32 and np.allclose(got, solvers.dpmpp_step(X, [A, B], [0.5, 0.6], 0.4, VP), atol=1e-6)


WRONG = [
    ((X, [A], [0.5, 0.6], 0.4), {}, ValueError, "x0 has 1 entries, times 2; allowed: the same number, 1 to 6"),
    ((X, A, [0.5], 0.4), {}, TypeError, "x0 is a ndarray, times a list; allowed: lists or tuples"),
    ((X, [], [], 0.4), {}, ValueError, "the same number, 1 to 6"),
    ((X, [A, B], [0.5, 0.5], 0.4), {}, ValueError, "times = [0.5, 0.5] holds a time twice; allowed: different times"),
    ((X, [A], [0.5], 0.5), {}, ValueError, "s = 0.5 has the log-SNR of t = 0.5; allowed: another time"),
    ((X, [A[:2]], [0.5], 0.4), {}, ValueError, "x0[0] has shape (2, 2); allowed: (3, 2), the shape of x_t"),
    ((X, [A * np.nan], [0.5], 0.4), {}, ValueError, "x0[0] holds NaN"),
    ((X, [A, B], [0.5, 0.6], 0.0), {}, ValueError, "infinite log-SNR among them; allowed: only one prediction there"),
    ((X, [A], [1.5], 0.4), {}, ValueError, "times[0] = 1.5: t = 1.5; allowed: "),
    ((X, [A], [0.5], 0.4), {"variant": "heun"}, ValueError, "variant = 'heun'; allowed: "),
    ((X, [A], [0.5], 0.4), {"eta": -1.0}, ValueError, "eta = -1.0; allowed: "),
    ((X, [A], [0.5], 0.4), {"eta": 1.0}, ValueError, "noise = None; allowed: an array of x_t's shape, unless eta = 0"),
    (
        (X, [A], [0.5], 0.6),
        {"eta": 1.0, "noise": A},
        ValueError,
        "s = 0.6 is noisier than times[0] = 0.5; allowed for eta > 0: a time with less",
    ),
    ((X, [A], [0.5], 0.4), {"eta": 1.0, "noise": A[:1]}, ValueError, "noise has shape (1, 2); allowed: (3, 2)"),
]


@pytest.mark.parametrize("arguments, options, error, message", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_arguments(arguments, options, error, message):
    """K6: each wrong argument is named, with its value and what is allowed."""
    with pytest.raises(error, match=re.escape(message)):
        solvers.dpmpp_step(*arguments, VP, **options)


def test_what_has_no_step():
    """K5, K9: predictions of the noise need signal at t; noise at clean data would stay; quadrature in time needs real times."""
    zero = SCHEDULES["zero terminal"]
    for formula in (solvers.dpm_solver_step, solvers.deis_step, solvers.plms_step):
        with pytest.raises(ValueError, match="signal"):
            formula(X, [A], [50], 30, zero)
    with pytest.raises(ValueError, match="for eta > 0 sigma above 0 at s"):
        solvers.dpm_solver_step(X, [A], [0.5], 0.0, VP, eta=1.0, noise=NOISE)
    with pytest.raises(TypeError, match="path is a Schedule, T = 50; allowed: a path of real times, for the variable t"):
        solvers.deis_step(X, [A], [5], 3, zero, "t")
    with pytest.raises(ValueError, match="eps has 5 entries; allowed: 1 to 4"):
        solvers.plms_step(X, [A] * 5, [0.5, 0.6, 0.7, 0.8, 0.9], 0.4, VP)
    for k, z in ((-1, 1.0), (1, 1000.0), (1, np.nan)):
        with pytest.raises(ValueError, match=r"(k|z) = .*; allowed: "):
            solvers.phi(k, z)
