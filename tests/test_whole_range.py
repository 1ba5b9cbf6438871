"""Numbers over the whole range of arguments that refdiff admits, against 50 digits: layers, losses, probabilities, paths, rates."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import refdiff.fast as fast
from refdiff import arrays, flow, forward, gaussian, guidance, latent, layers, optim, oracles, reverse, schedules, training
from refdiff_gpu.kernels.table import KERNELS

from . import exact
from .gpu.test_samplers import gpu
from .tolerances import KL, PIXEL, SILU, SILU_SLOPE, TABLE, float32_gradient, in_eps

DTYPES = np.float32, np.float64
NEAR = np.linspace(-40, 40, 401)
WIDE = np.concatenate([NEAR, np.linspace(-800, 800, 401), -(10.0 ** np.linspace(-300, 2.9, 100)), 10.0 ** np.linspace(-300, 2.9, 100)])
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def exactly(f, x):
    return exact.apply(f, exact.numbers(x))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def error(actual, expected, terms=None):
    """Largest error in eps of the actual precision, relative to the expected numbers, or to their terms; the smallest normal
    number at least."""
    info = np.finfo(actual.dtype)
    size = np.maximum(abs(exact.floats(expected if terms is None else terms)), float(info.smallest_normal))
    return float(np.max(exact.error(actual, expected) / size)) / float(info.eps)


def representable(x, dtype):
    """Those x whose power e^-|x| is a normal number: below, the power itself has fewer digits."""
    return x[abs(x) < -np.log(float(np.finfo(dtype).smallest_normal))]


# --- the logistic function and SiLU --------------------------------------------------------------------------------------


@dtypes
def test_logistic_function(dtype):
    """1 / (1 + e^-x) and its complement from -800 to 800, and at the ends, without a warning."""
    x = representable(WIDE.astype(dtype), dtype)
    assert error(arrays.sigmoid(x), exactly(sigmoid, x)) <= SILU
    ends = np.array([-np.inf, -1e30, -800, 0, 800, 1e30, np.inf], dtype)
    np.testing.assert_array_equal(arrays.sigmoid(ends), [0, 0, 0, 0.5, 1, 1, 1])
    assert arrays.sigmoid(ends).dtype == dtype


@dtypes
def test_silu_keeps_its_digits(dtype):
    """N2: silu and its slope to a few ulp where e^x is a normal number, and to a few ulp of x e^x's smallest digit beyond."""
    x = WIDE.astype(dtype)
    inner = representable(x, dtype)
    y, vjp = layers.silu({}, inner)
    true, gate = exact.numbers(inner), exactly(sigmoid, inner)
    rest = exactly(sigmoid, -inner)
    assert error(y, true * gate) <= SILU
    assert error(vjp(np.ones_like(inner))[1], gate * (1 + true * rest), gate * (1 + abs(true) * rest)) <= SILU
    y, vjp = layers.silu({}, x)
    least = float(np.finfo(dtype).smallest_subnormal)
    assert np.all(exact.error(y, exactly(lambda x: x * sigmoid(x), x)) <= np.maximum(SILU * np.spacing(abs(y)), least * (1 + abs(x))))
    assert y.dtype == vjp(x)[1].dtype == dtype


def test_silu_by_complex_step():
    """N2: the complex-analytic silu gives the slope in the imaginary part, far to the left too."""
    x = WIDE[abs(WIDE) < 600]
    step = 1e-30
    slope = layers.silu({}, x + 1j * step)[0].imag / step
    gate, rest, true = exactly(sigmoid, x), exactly(sigmoid, -x), exact.numbers(x)
    size = gate * (1 + abs(true) * rest)
    assert error(slope[x < 1], (gate * (1 + true * rest))[x < 1], size[x < 1]) <= 2 * SILU
    assert error(slope, gate * (1 + true * rest), size) <= 40  # e / (1 + e) of complex numbers loses x ulp of the slope where e is large


@dtypes
def test_fast_silu_keeps_the_digits_of_x(dtype):
    """N2: the faster silu, alone, in the recorded MLP and fused with a normalization: the text's to a few ulp of x, not of silu."""
    x = WIDE.astype(dtype)
    (y, vjp), (text_y, text_vjp) = fast.silu({}, x), layers.silu({}, x)
    eps = np.finfo(dtype).eps
    assert np.all(abs(y - text_y) <= SILU * eps * abs(x))
    one = np.ones_like(x)
    assert np.all(abs(vjp(one)[1] - text_vjp(one)[1]) <= SILU_SLOPE * eps * (1 + abs(x)))
    p, x = {"scale": np.array([30.0, 1, 100, 5], dtype), "shift": np.array([-20.0, 0, 50, -300], dtype)}, np.resize(x, (2, 16, 4))
    z = abs(layers.group_norm(p, x, 2)[0]) + abs(p["scale"]) + abs(p["shift"])
    assert np.all(abs(fast.group_norm_silu(p, x, 2)[0] - layers.group_norm_silu(p, x, 2)[0]) <= 16 * eps * z)


def test_recorded_mlp_far_out():
    """N1, N2: a network whose gates are mostly closed: the recorded gradient is the text's, relative to each array's largest number."""
    p = training.start(fast_params()).params
    data = np.linspace(-50, 50, 64, dtype=np.float32).reshape(32, 2)
    batch = training.draw(0, data, None, flow.straight, training.Config(kind="velocity", batch=32))
    _, ours = fast.value_and_grad(network(), fast.adopt(training.start(p)).params, batch, fast)
    _, texts = training.value_and_grad(network(), p, batch, layers)
    for name, leaf in arrays_of(texts).items():
        assert np.max(abs(arrays_of(ours)[name] - leaf)) <= float32_gradient(8, 32) * np.finfo(np.float32).eps * 50 * np.max(abs(leaf)), (
            name
        )


def fast_params():
    from refdiff import mlp

    p = mlp.init(0, width=8, features=8)
    p["layer3"]["w"] += 0.5
    return p


def network():
    from refdiff import mlp

    return mlp.mlp


def arrays_of(params):
    from refdiff import tree

    return tree.flatten(params)


@dtypes
def test_silu_kernels_keep_their_digits(dtype):
    """N2: every kernel that contains SiLU uses the precise form: the device's silu is the text's from -800 to 800."""
    x, dy = WIDE.astype(dtype), np.ones(len(WIDE), dtype)
    y, vjp = layers.silu({}, x)
    np.testing.assert_array_equal(gpu("silu", x), y)
    np.testing.assert_array_equal(gpu("silu_back", x, dy), vjp(dy)[1])
    assert not [name for name, kernel in KERNELS.items() if "tanh" in kernel.body]


# --- losses and probabilities --------------------------------------------------------------------------------------------


@dtypes
@given(st.integers(0, 10**6), st.sampled_from([1.0, 20.0, 60.0]))
@example(0, 40.0)
def test_cross_entropy_of_any_answer(dtype, seed, scale):
    """G2: loss and gradient for right and wrong, sure and unsure answers, to a few ulp and the rounding of z - max z."""
    rng = np.random.default_rng(seed)
    logits, labels = (scale * rng.normal(size=(4, 5))).astype(dtype), rng.integers(0, 5, 4)
    labels[:2] = logits[:2].argmax(axis=1)
    loss, vjp = layers.cross_entropy(logits, labels)
    gradient = vjp(np.ones(4, dtype))
    bound = 8 + float(np.ptp(logits, axis=1).max())
    others = [
        [mp.exp(mp.mpf(float(z)) - mp.mpf(float(row[y]))) for k, z in enumerate(row) if k != y]
        for row, y in zip(logits, labels, strict=True)
    ]
    expected = np.array([mp.log1p(mp.fsum(terms)) for terms in others])
    assert error(loss, expected) <= bound and loss.dtype == dtype
    slope = np.array([-mp.fsum(terms) / (1 + mp.fsum(terms)) for terms in others])
    assert error(gradient[np.arange(4), labels], slope) <= bound
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=8 * np.finfo(dtype).eps)
    ours = guidance.classifier_gradient(logits, lambda dlogits: (None, dlogits), labels)
    assert error(ours[np.arange(4), labels], -slope) <= bound and ours.dtype == dtype
    np.testing.assert_allclose(ours, -gradient, rtol=2 * bound * np.finfo(dtype).eps)


def test_a_sure_answer_is_not_free():
    """G2: the loss of an answer that leads by 40 is 4e-18, and its gradient, as by hand; not 0."""
    loss, vjp = layers.cross_entropy(np.array([[40.0, 0.0], [0.0, 0.0]]), np.array([0, 0]))
    np.testing.assert_allclose(loss, [np.exp(-40), np.log(2)], rtol=1e-15)
    np.testing.assert_allclose(vjp(np.ones(2)), [[-np.exp(-40), np.exp(-40)], [-0.5, 0.5]], rtol=1e-15)


def test_log_probability_of_a_sure_class():
    """G4: where x is far inside a class, log p(y | x) is minus the odds against it, never positive; one class alone has 0."""
    oracle = oracles.mixture([[0.0], [3.0], [3.5]], [[[0.1]]] * 3, [0.2, 0.3, 0.5], [0, 1, 1])
    x = np.linspace(-8, 12, 81)[:, None]
    signal, sigma = np.float64(0.9), np.float64(0.3)
    got = oracle.log_class(x, signal, sigma)
    variance = mp.mpf(0.9) ** 2 * mp.mpf(0.1) + mp.mpf(0.3) ** 2
    for row, point in zip(got, x[:, 0], strict=True):
        a, b, c = (mp.log(w) - (mp.mpf(point) - mp.mpf(0.9) * m) ** 2 / (2 * variance) for w, m in ((2, 0), (3, 3), (5, mp.mpf(3.5))))
        against = mp.log(mp.exp(b) + mp.exp(c)) - a
        expected = np.array([-mp.log1p(mp.exp(against)), -mp.log1p(mp.exp(-against))])
        assert error(row, expected) <= 64 * (1 + float(max(abs(a), abs(b), abs(c))))
    assert np.all(got < 0)
    np.testing.assert_array_equal(oracles.gaussian([0.0], [[1.0]]).log_class(x, signal, sigma), 0)


def test_values_without_mass():
    """E2: log-mean-exp where all values are -infinity is -infinity, and where some are, these count nothing; no NaN, no warning."""
    values = np.array([[-np.inf, -np.inf, 0.0], [-np.inf, 1.0, 2.0]])
    np.testing.assert_allclose(latent.log_mean_exp(values), [-np.inf, 1 - np.log(2), np.log((1 + np.exp(2)) / 2)], rtol=1e-15)
    assert latent.log_mean_exp(values.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("levels", [2, 3, 256, 2**16])
@pytest.mark.parametrize("std", [1e-4, 1e-2, 0.3, 1.0, 30.0, 1e4, 1e10])
def test_pixels_of_any_width(levels, std):
    """E7: bins from far narrower to far wider than the Gaussian, in its middle and far out, at the ends and inside."""
    rng = np.random.default_rng(levels)
    x = 2 * np.append(rng.integers(0, levels, 10), [0, levels - 1]) / (levels - 1) - 1
    mean = np.concatenate([x[:6] + std * rng.normal(size=6), rng.uniform(-1, 1, 6)])
    got = gaussian.discretized_log_likelihood(x[:, None], mean[:, None], np.full((12, 1), std), levels)
    with mp.workdps(200):
        half, sigma = mp.mpf(1) / (levels - 1), mp.mpf(std)
        for value, pixel, center in zip(got, x, mean, strict=True):
            offset = mp.mpf(float(pixel)) - mp.mpf(float(center))
            above = mp.mpf(0) if pixel > 1 - half else mp.erfc((offset + half) / sigma / mp.sqrt(2)) / 2
            below = mp.mpf(0) if pixel < -1 + half else mp.erfc(-(offset - half) / sigma / mp.sqrt(2)) / 2
            z = float((abs(offset) + half) / sigma)
            if above + below < 0.5:
                expected = mp.log1p(-above - below)  # a likely pixel: its error is that of the tails, e^(-z^2 / 2)
                bound = PIXEL * (1 + z**2)
            else:
                near = -offset if pixel < -1 + half else offset if pixel > 1 - half else abs(offset)
                beyond = mp.erfc((near + half) / sigma / mp.sqrt(2)) / 2 if -1 + half <= pixel <= 1 - half else 0
                expected, bound = mp.log(mp.erfc((near - half) / sigma / mp.sqrt(2)) / 2 - beyond), PIXEL
            if abs(expected) > 1e-290:
                assert error(np.array([value]), np.array([expected])) <= bound, (value, pixel, center)


@pytest.mark.parametrize("sigmas", [3, 5, 8, 20])
def test_a_pixel_that_is_nearly_certain(sigmas):
    """E7: the log-probability of a bin that reaches several standard deviations to both sides is minus both tails, not 0."""
    std = 1 / 255 / sigmas
    got = gaussian.discretized_log_likelihood(np.zeros((1, 1)), np.zeros((1, 1)), np.array([[std]]))
    tail = mp.erfc(mp.mpf(1) / 255 / mp.mpf(std) / mp.sqrt(2))
    assert error(got, np.array([mp.log1p(-tail)])) <= PIXEL * (1 + sigmas**2)


def test_pixels_beyond_all_numbers():
    """E7: a probability whose logarithm exceeds float64 has the logarithm -infinity, not NaN; a bin below all digits has its density."""
    x, mean = np.array([[0.5]]), np.array([[0.1]])
    assert gaussian.discretized_log_likelihood(x, mean, np.array([[1e-200]]))[0] == -np.inf
    for std in (1e17, 1e200, 1e300):
        expected = np.log(2 / 255) - np.log(std) - np.log(2 * np.pi) / 2
        assert gaussian.discretized_log_likelihood(x, mean, np.array([[std]]))[0] == pytest.approx(expected, rel=1e-14)


@given(st.floats(-300, -0.01), st.sampled_from([0.0, 1e-3, 1.0]))
@example(-18.0, 0.0)
def test_prior_term_of_a_little_signal(exponent, x0):
    """F6: the divergence of q(x_T | x_0) from noise where alpha_bar_T is below the last digit of 1 - alpha_bar_T."""
    table = schedules.from_alpha_bars([10.0**exponent])
    with mp.workdps(400):
        bar = mp.exp(mp.mpf(float(table.log_alpha_bar[1])))
        expected = (bar * mp.mpf(x0) ** 2 - bar - mp.log1p(-bar)) / 2
    got = forward.prior_kl(np.full((1, 1), x0), table)
    assert exact.error(got, np.array([expected]))[0] <= KL * (1 + abs(exponent)) * float(expected) + 1e-320
    assert forward.prior_kl(np.full((1, 1), x0, np.float32), table).dtype == np.float32


# --- steps that leave next to no signal ----------------------------------------------------------------------------------


def test_a_step_whose_alpha_underflows():
    """F1, F2, R2: alpha_{t|s} is below the smallest number and its root is not: mean and sample keep the root."""
    table = schedules.from_betas(np.full(25, 1 - 2.0**-53))
    t, s, one, zero = 24, 2, np.ones((1, 1)), np.zeros((1, 1))
    root = mp.mpf(2) ** (-53 * 11)
    assert table.transition(t, s)[0] == 0
    bound = 4e-13  # of a logarithm of 1166 / 2 ulp
    for value in (
        forward.q_step(one, t, s, table)[0],
        forward.q_step_sample(one, t, s, table, zero),
        forward.posterior(one, zero, t, s, table)[0],
    ):
        assert exact.relative(value, np.array([[root]])) <= bound
    gain = oracles.exact_reverse(zero, one, table)(one, t, s)[0]
    assert exact.relative(gain, np.array([[root]])) <= bound
    assert exact.relative(reverse.mean_from_eps(zero, one, t, s, table), np.array([[1 / root]])) <= bound


# --- paths, rates, averages ----------------------------------------------------------------------------------------------


@dtypes
def test_paths_close_to_their_ends(dtype):
    """M2: both coefficients and both rates of every path to a few ulp, next to the noise and next to the data."""
    gap = 2.0 ** -np.arange(1.0, 24 if dtype == np.float32 else 53)
    t = np.concatenate([gap, 1 - gap, [0, 1]]).astype(dtype)
    true, turn = exact.numbers(t), mp.pi / 2
    sine, cosine = exact.apply(lambda t: mp.sin(turn * t), true), exact.apply(lambda t: mp.sin(turn * (1 - t)), true)
    path = flow.trigonometric
    expected = {path.signal: sine, path.sigma: cosine, path.signal_rate: turn * cosine, path.sigma_rate: -turn * sine}
    for f, values in expected.items():
        assert error(f(t), values) <= TABLE and f(t).dtype == dtype
    assert path.sigma(np.array(1.0)) == 0 and path.signal(np.array(1.0)) == 1
    for least in (0.0, 1e-30, 1e-5, 0.3, 1.0):
        assert error(flow.optimal_transport(least).sigma(t), (1 - true) + mp.mpf(least) * true) <= TABLE


def test_flow_times_of_any_level():
    """M5: sigmoid(l / 2) for log-SNRs up to 1400 either way."""
    level = np.concatenate([np.linspace(-1400, 1400, 401), NEAR])
    assert exact.ulps(flow.flow_time(level), exactly(lambda x: sigmoid(x / 2), level)) <= TABLE
    np.testing.assert_array_equal(flow.flow_time(np.array([-np.inf, np.inf])), [0, 1])
    assert flow.flow_time(np.array([0, 4], np.uint8))[1] == pytest.approx(0.8807970779778823, rel=1e-15)


@given(st.floats(0, 16), st.integers(1, 10**6))
@example(16.0, 1)
def test_bias_corrections(memory, k):
    """T1: 1 - beta^k for a memory of up to 1e16 steps: what Adam and the EMA divide by; of the first step exactly 1 - beta."""
    beta = float(1 - 10.0**-memory)
    expected = 1 - mp.mpf(beta) ** k
    if beta < 1:
        assert exact.ulps(np.array([optim.debias(beta, k)]), np.array([expected])) <= TABLE
        assert optim.debias(beta, 1) == 1 - beta
        assert in_eps(optim.ema_debiased(np.full(1, 1 - beta), k, beta), np.array([float((1 - mp.mpf(beta)) / expected)])) <= TABLE
    assert optim.debias(0.0, k) == 1


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
@example(0, 10**6, 1)
def test_learning_rate_to_its_end(warmup, more, left):
    """T1: the cosine's decay to a floor of 0 in a few ulp, down to the last step."""
    total, step = warmup + more, max(1, warmup + more - left)
    share = mp.mpf(step) / warmup if step <= warmup else mp.sin(mp.pi / 2 * mp.mpf(total - step) / (total - warmup)) ** 2
    got = optim.learning_rate(step, 1.0, warmup, total)
    assert exact.error(np.array([got]), np.array([share]))[0] <= 2 * TABLE * np.spacing(float(share))
