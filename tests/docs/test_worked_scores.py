"""W6: what lecture slides print of scores, guidance, flow matching and attention, beside the right forms; docs/errata.md has a row for each test
that names W6.

A test that does not name W6 shows what a claim in words leaves out.
"""

import numpy as np

from refdiff import flow, forward, gaussian, guidance, oracles, predict, samplers

from ..lecture_example import ALPHA_BAR, EXAMPLE, NOISE, TWO_POINTS, X0, differ, same, two_places

# --- W6, scores and guidance ---


def test_a_model_learns_the_marginal_score():
    """C1, W6: the best s_theta is the score of q(x_t), the mean over x0 of the score of q(x_t | x0), and -eps / sigma is the latter."""
    x, (signal, sigma) = np.array([[0.4]]), EXAMPLE.signal_sigma(2)
    conditional = [gaussian.score(x, signal * m, np.float64(sigma**2)).item() for m in (-1.0, 2.0)]
    share = np.array([0.3, 0.7]) * [np.exp(gaussian.log_density(x, signal * m, np.float64(sigma**2))).item() for m in (-1.0, 2.0)]
    marginal = TWO_POINTS.score(x, signal, sigma).item()
    assert all(differ(score, marginal) for score in conditional)
    assert same(share @ conditional / share.sum(), marginal, *conditional)
    noise = (x - signal * 2.0) / sigma
    assert same(-noise / sigma, conditional[1]) and differ(TWO_POINTS.eps(x, signal, sigma), noise)


def test_guidance_with_the_empty_label_twice():
    """G3, W6: (1 - gamma) s(x) + gamma s(x, no label) is the unconditional score for every gamma; the label belongs in the second."""
    unconditional, conditional = NOISE[0], NOISE[1]
    for gamma in (0.5, 1.0, 3.0):
        assert same(guidance.classifier_free(unconditional, unconditional, gamma), unconditional, gamma * unconditional)
        assert differ(unconditional, guidance.classifier_free(unconditional, conditional, gamma))


def test_two_meanings_of_w():
    """G3: u + w (c - u) calls w what refdiff calls gamma; the paper's w, in (1 + w) c - w u, is one less."""
    u, c, w = NOISE[0], NOISE[1], 2.0
    assert same(u + w * (c - u), guidance.classifier_free(u, c, w), w * c)
    paper = (1 + w) * c - w * u
    assert same(paper, guidance.classifier_free(u, c, guidance.scale_from_w(w)), 3 * c) and differ(u + w * (c - u), paper)


def test_v_is_not_the_velocity():
    """R6, W6: v = signal eps - sigma x0 is a velocity in the angle of (signal, sigma), neither the noise nor data - noise of flow matching."""
    targets = {kind: predict.target(kind, X0, NOISE[1], 2, EXAMPLE) for kind in ("v", "velocity", "eps")}
    assert same(np.sqrt(ALPHA_BAR[2]) * NOISE[1] - np.sqrt(1 - ALPHA_BAR[2]) * X0, targets["v"], X0) and same(
        X0 - NOISE[1], targets["velocity"]
    )
    angle = np.arctan2(*EXAMPLE.signal_sigma(2)[::-1]) + 1e-30j
    assert same((np.cos(angle) * X0 + np.sin(angle) * NOISE[1]).imag / 1e-30, targets["v"], X0)
    assert differ(targets["v"], targets["velocity"]) and differ(-targets["v"], targets["velocity"]) and differ(targets["v"], targets["eps"])


# --- W6, flow matching ---


def test_x_0_is_noise_in_flow_time():
    """M2, W6: at t = 0 a flow has the noise and a diffusion the data; the letters x_0 and p change their meaning between the two."""
    assert np.array_equal(flow.interpolate(X0, NOISE[0], 0), NOISE[0]) and np.array_equal(flow.interpolate(X0, NOISE[0], 1), X0)
    assert np.array_equal(forward.q_sample(X0, 0, EXAMPLE, NOISE[0]), X0)


def test_width_of_the_conditional_path():
    """M2, W6: x_t = t data + (1 - t) noise is a draw of N(t data + (1 - t) noise, sigma^2 I) for sigma = 0; else sigma times noise is missing."""
    mean, variance = flow.conditional_path(X0, NOISE[0], 0.4, 0.5)
    x_t = flow.interpolate(X0, NOISE[0], 0.4)
    assert np.array_equal(mean, x_t) and variance == 0.25 and differ(x_t, mean + 0.5 * NOISE[1])
    assert flow.conditional_path(X0, NOISE[0], 0.4)[1] == 0


def test_paths_of_the_flow_are_curved():
    """M2, M4: conditional paths are straight; the flow of the marginal velocity, which sampling follows, is not."""
    oracle, x = oracles.gaussian([0.7], [[0.25]]), np.array([[1.5]])
    middle, end = (oracles.transport(oracle, x, 0, t, flow.straight) for t in (0.5, 1))
    assert same(end, 0.7 + 0.5 * 1.5) and same(middle, 0.5 * 0.7 + np.sqrt(0.25 * 0.25 + 0.25) * 1.5)
    assert differ((x + end) / 2, middle)
    assert same((x + X0[:, :1]) / 2, flow.interpolate(X0[:, :1], x, 0.5))


def test_the_field_is_the_mean_of_conditional_fields():
    """M3, W6: the marginal field is the mean of the conditional ones given x_t; no single conditional field equals it."""
    x, t, data = np.array([[0.4]]), 0.4, np.array([-1.0, 2.0])
    conditional = data - (x.item() - t * data) / (1 - t)
    share = np.array([0.3, 0.7]) * [np.exp(gaussian.log_density(x, t * m, np.float64((1 - t) ** 2))).item() for m in data]
    marginal = TWO_POINTS.model(flow.straight, "velocity")(x, t).item()
    assert all(differ(velocity, marginal) for velocity in conditional)
    assert same(share @ conditional / share.sum(), marginal, *conditional)


def test_the_field_depends_on_time():
    """M2, W6: one x has different velocities at different t: f takes t, with a label or without."""
    velocity = TWO_POINTS.model(flow.straight, "velocity")
    assert differ(velocity(np.array([[0.4]]), 0.3), velocity(np.array([[0.4]]), 0.6))


def test_the_difference_quotient_is_approximate():
    """M1: (x(t + h) - x(t)) / h is f(x(t), t) up to order h: for dx/dt = x and h = 1/2 it is 1.30 against 1."""
    x = np.array([1.0])
    step = samplers.euler_step(lambda x, t: x, x, 0.0, 0.5)
    assert same(step, 1.5) and differ(step, np.exp(0.5)) and two_places((np.exp(0.5) - 1) / 0.5) == ["1.30"]


def test_flow_matching_does_not_transport_optimally():
    """M4, W6: independent pairs are longer than optimal ones; optimal transport is a choice of coupling, and not flow matching itself."""
    data, noise = np.array([[-1.0, 0.5], [2.0, 1.0], [0.3, -0.7]]), np.array([[1.2, 0.1], [0.2, -1.0], [-0.4, 0.6]])
    order = flow.couple_optimally(data, noise)
    assert ((data[order] - noise) ** 2).sum() < 0.9 * ((data - noise) ** 2).sum()


def test_rectified_flow_straightens_trajectories():
    """M2, M4, W6: a flow has the densities of its interpolation and curved trajectories; a reflow makes them straight, and one step exact."""
    oracle, x = oracles.gaussian([0.7], [[0.25]]), np.array([[1.5], [-0.4]])
    end = oracles.transport(oracle, x, 0, 1, flow.straight)

    def reflowed(x_t, t):
        """The velocity of the pairs that the flow made: one pair passes through each x_t."""
        noise = (x_t - 0.7 * t) / (1 - 0.5 * t)
        return flow.velocity(oracles.transport(oracle, noise, 0, 1, flow.straight), noise, t)

    once = samplers.euler_step(oracle.model(flow.straight, "velocity"), x, 0.0, 1.0)
    assert same(once, 0.7) and differ(once, end)  # the mean of the data, from every start
    assert same(samplers.euler_step(reflowed, x, 0.0, 1.0), end, x)
    middle = oracles.transport(oracle, x, 0, 0.5, flow.straight)
    assert differ(flow.interpolate(end, x, 0.5), middle)
    assert same(reflowed(flow.interpolate(end, x, 0.5), 0.5), reflowed(x, 0.0), x)
    width = (middle[0, 0] - middle[1, 0]) / (x[0, 0] - x[1, 0])
    assert same(width, np.hypot(0.5 * 0.5, 0.5))  # of the flow at t = 1/2, as of the interpolation of independent pairs


# --- W6, attention ---


def attention(queries, keys, values):
    """Softmax attention, a row for each query."""
    scores = np.exp(queries @ keys.T / np.sqrt(queries.shape[1]))
    return scores / scores.sum(axis=1, keepdims=True) @ values


def test_queries_of_cross_attention():
    """W6: the output has one row for each query, so the queries come from the image: with queries from the text it cannot be added to the image."""
    image, text = np.sin(np.arange(48.0)).reshape(16, 3), np.cos(np.arange(15.0)).reshape(5, 3)
    assert attention(image, text, text).shape == image.shape
    assert attention(text, image, image).shape == text.shape != image.shape


def test_cost_of_cross_attention():
    """W6: n^2 products are those of self-attention; cross-attention over a text of m tokens has n m, far fewer."""
    n, m = 32 * 32, 77
    assert n * n == 1_048_576 and n * m == 78_848
