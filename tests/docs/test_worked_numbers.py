"""W1-W5: the numbers that lecture slides work out, computed again by refdiff; docs/errata.md lists those that are wrong.

A test whose docstring names no W shows what an example or a claim in words leaves out, and has no row.
"""

import weakref

import numpy as np
import pytest

from refdiff import elbo, forward, guidance, layers, samplers, schedules
from refdiff.arrays import event_size

from ..lecture_example import CHAIN, EXAMPLE, NOISE, WIDE, X0, differ, same, two_places


@pytest.mark.parametrize("t, signal, sigma", [(1, "0.949", "0.316"), (2, "0.894", "0.447"), (3, "0.837", "0.548")])
def test_roots_of_the_4d_example(t, signal, sigma):
    """W1: the roots of alpha and of 1 - alpha are right in every step."""
    alpha, beta = EXAMPLE.transition(t, t - 1)
    assert (f"{np.sqrt(alpha):.3f}", f"{np.sqrt(beta):.3f}") == (signal, sigma)


@pytest.mark.parametrize(
    "t, printed, right",
    [
        (1, [1.11, 1.80, -0.70, 0.41], [1.11, 1.80, -0.70, 0.41]),
        (2, [0.79, 1.43, -0.81, 0.82], [0.81, 1.52, -0.80, 0.81]),
        (3, [0.41, 1.45, -0.42, 0.55], [0.40, 1.44, -0.40, 0.57]),
    ],
)
def test_states_of_the_4d_example(t, printed, right):
    """W1: x_1 is right; all four numbers of x_2 and of x_3 are wrong, also if each state is computed from the printed one before."""
    assert two_places(CHAIN[3 - t]) == two_places(right)
    wrong = t > 1
    assert all((a != b) == wrong for a, b in zip(two_places(printed), two_places(right), strict=True))
    if wrong:
        before = {2: [1.11, 1.80, -0.70, 0.41], 3: [0.79, 1.43, -0.81, 0.82]}[t]
        again = forward.q_step_sample(np.array([before]), t, t - 1, EXAMPLE, NOISE[t - 1])
        assert all(a != b for a, b in zip(two_places(printed), two_places(again), strict=True))


@pytest.mark.parametrize(
    "t, printed, right, of_the_printed_state",
    [
        (0, "2.45", "2.50", [1.0, 2.0, -1.0, 0.5]),
        (1, "2.41", "2.26", [1.11, 1.80, -0.70, 0.41]),
        (2, "2.19", "2.07", [0.79, 1.43, -0.81, 0.82]),
        (3, "1.87", "1.65", [0.41, 1.45, -0.42, 0.55]),
    ],
)
def test_norms_of_the_4d_example(t, printed, right, of_the_printed_state):
    """W1: none of the four norms is right, neither for the right states nor for the printed ones; that of x_0 is the root of 6.25."""
    again = two_places(np.linalg.norm(of_the_printed_state))
    assert two_places(np.linalg.norm(CHAIN[3 - t])) == [right] and again == [{2: "2.00", 3: "1.66"}.get(t, right)]
    assert printed not in (right, *again)
    assert t > 0 or two_places(np.linalg.norm(X0[0, :3])) == [printed]  # the last number left out


def test_loss_of_the_4d_example():
    """W2: x_t and the loss are right; the mean squared error that the loss is called is a quarter of it."""
    x0, noise, answer = (np.array([v]) for v in ([0.8, -0.5, 0.3, 1.2], [0.2, -0.7, 1.1, -0.4], [0.3, -0.5, 0.9, -0.3]))
    x_t = forward.q_sample(x0, 1, schedules.from_alpha_bars([0.64]), noise)
    assert two_places(x_t) == ["0.76", "-0.82", "0.90", "0.72"]
    assert two_places(noise - answer) == ["-0.10", "-0.20", "0.20", "-0.10"]
    assert two_places(elbo.l_simple(noise, answer)) == ["0.10"]
    assert f"{np.mean((noise - answer) ** 2):.3f}" == "0.025"


def test_no_named_schedule_keeps_that_much():
    """F5: alpha_bar = 0.64 halfway through T = 100, an example, belongs to no schedule of the document: linear as printed, scaled, or cosine."""
    unscaled = schedules.from_betas(np.linspace(1e-4, 0.02, 100))
    assert two_places([s.alpha_bar[50] for s in (unscaled, schedules.linear(100), schedules.cosine(100))]) == ["0.78", "0.07", "0.49"]


def test_guided_score_of_the_example():
    """W3: base score plus twice the gradient is (0.7, 0.5, -0.2); the sum without the scale is another vector."""
    score, gradient = np.array([[0.5, -0.3, 0.2]]), np.array([[0.1, 0.4, -0.2]])
    guided = guidance.classifier_score(score, gradient, 2.0)
    assert two_places(guided) == ["0.70", "0.50", "-0.20"]
    assert differ(score + gradient, guided) and same(score + gradient, guidance.classifier_score(score, gradient, 1.0))


def test_numbers_that_are_right():
    """W4: 786,432 and 16,384 numbers, a ratio of 48, and about 3 MB and 65 KB in float32."""
    image, code = np.zeros((1, 512, 512, 3), np.float32), np.zeros((1, 64, 64, 4), np.float32)
    assert (event_size(image), event_size(code)) == (786_432, 16_384)
    assert event_size(image) == 48 * event_size(code)
    assert (f"{image.nbytes / 1e6:.0f}", f"{code.nbytes // 1000}") == ("3", "65")


def test_compression_by_eight_is_per_side():
    """W4: 512 to 64 is 8 per side and 64 in positions; with 4 channels for 3 the ratio of numbers is 48, that of pairs of positions 4096."""
    positions = (512 // 64) ** 2
    assert (512 // 64, positions, positions * 3 // 4, positions**2) == (8, 64, 48, 4096)


def test_totals_of_fifty_steps():
    """W4: fifty states are 157 MB and 3.3 MB, or 150 MiB and 3.1 MiB: "150 MB" and "3.2 MB" mix the units, and their ratio is not 48."""
    image, code = 50 * 4 * 786_432, 50 * 4 * 16_384
    assert (f"{image / 1e6:.0f}", f"{image / 2**20:.0f}") == ("157", "150")
    assert (f"{code / 1e6:.1f}", f"{code / 2**20:.1f}") == ("3.3", "3.1")
    assert f"{150 / 3.2:.0f}" == "47" and image == 48 * code


def test_memory_of_a_run_does_not_grow():
    """W4: states do not add up over the steps: at most two are alive at any moment of a run."""
    alive, seen = [], []

    def model(x, t):
        seen.append(weakref.ref(x))
        alive.append(sum(ref() is not None for ref in seen))
        return 0.1 * x

    step = samplers.stepper(samplers.ddim_step, schedules.linear())
    samplers.last(samplers.sample(model, step, schedules.grid("trailing", 1000, 50), np.ones((1, 4))))
    assert len(alive) == 50 and max(alive) <= 2


def test_ddim_grid_of_the_example():
    """W5: [1, 20, 40, ..., 1000] has 51 entries, so 51 model calls and not 50; as printed it is no grid, reversed and ended by 0 it is one."""
    printed = [1, *range(20, 1001, 20)]
    assert len(printed) == 51 and f"{1000 / 51:.1f}" == "19.6"
    for broken in (printed, printed[::-1]):
        with pytest.raises(ValueError, match=r"(?s)^grid = .*; allowed: strictly decreasing .*, the last of them 0$"):
            schedules.check_grid(broken, 1000)
    grid = schedules.check_grid([*printed[::-1], 0], 1000)
    assert sorted(set(-np.diff(grid))) == [1, 19, 20]  # steps of three lengths
    calls = []

    def model(x, t):
        calls.append(int(t))
        return WIDE.eps(x, *schedule.signal_sigma(t))

    schedule = schedules.linear()
    states = list(samplers.sample(model, samplers.stepper(samplers.ddim_step, schedule), grid, np.array([[0.3], [-1.2]])))
    assert calls == printed[::-1] and len(states) == 52
    assert f"{schedule.sigma[grid[-2]]:.2f}" == "0.01"  # the noise left in for good where a run stops at t = 1


def test_a_run_of_fifty_steps():
    """S2, W5: 50 steps, half the fewest of the comparison with GANs, reach 97 % of the data's width, with one model call a step."""
    schedule, x = schedules.linear(), np.array([[0.0], [1.0]])
    widths = {}
    for count in (50, 100, 1000):
        calls = []

        def model(x, t, calls=calls):
            calls.append(t)
            return WIDE.eps(x, *schedule.signal_sigma(t))

        step = samplers.stepper(samplers.ddim_step, schedule)
        low, high = samplers.last(samplers.sample(model, step, schedules.grid("trailing", 1000, count), x)).ravel()
        widths[len(calls)] = f"{(high - low) / 2:.2f}"  # of N(0, 1) at the end of the run, against the data's 2
    assert widths == {50: "0.97", 100: "0.98", 1000: "1.00"}


def test_ddim_steps_to_its_grid_and_not_to_the_time_before():
    """S2, W5: on a grid with gaps the update takes alpha_bar of the next entry; t - 1 is right only where the gap is 1."""
    schedule, noise = schedules.linear(), NOISE[0]
    x_t = forward.q_sample(X0, 500, schedule, noise)
    step = samplers.ddim_step(noise, x_t, 500, 480, schedule)
    assert same(step, forward.q_sample(X0, 480, schedule, noise), X0)
    assert differ(forward.q_sample(X0, 499, schedule, noise), step)


def test_48_is_the_ratio_of_states():
    """W4: for one network the ratio of feature maps is 64 and that of parameters is 1: 48 is the ratio of states, not of memory."""
    image, code = np.zeros((1, 16, 16, 3)), np.zeros((1, 2, 2, 4))  # 8 to 1 per side, and 4 channels for 3, as printed
    inner = {"w": np.zeros((3, 3, 8, 8)), "b": np.zeros(8)}
    maps = []
    for state in (image, code):
        first = {"w": np.zeros((3, 3, state.shape[-1], 8)), "b": np.zeros(8)}
        h, _ = layers.conv(first, state)
        maps.append(layers.conv(inner, h)[0])
    parameters = sum(part.size for part in inner.values())
    assert event_size(image) == 48 * event_size(code) and event_size(maps[0]) == 64 * event_size(maps[1])
    whole, compressed = (parameters + event_size(state) + event_size(h) for state, h in zip((image, code), maps, strict=True))
    assert compressed < whole < 48 * compressed
