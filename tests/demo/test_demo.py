"""The demo's computations: data, training, samples and scores, orders of convergence with exact models, and the pictures."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from refdiff import data, flow, guidance, layers, mlp, oracles, parallel, samplers, schedules, training
from refdiff.demo import convergence, exact, experiment, figure, plots, scores
from refdiff.demo.experiment import QUICK, Settings
from refdiff.plots import arrows

from ..tolerances import FLOAT32_FIELD, IDENTITY, KMEANS, relative

EPS = np.finfo(np.float64).eps
SMALL = replace(Settings(**QUICK), steps=40, ddpm_steps=20, samples=60, train_size=500)


@pytest.fixture(scope="module")
def dataset():
    return experiment.make_data(data.two_moons, SMALL)


@pytest.fixture(scope="module")
def mixture():
    return exact.fit_mixture("two_moons")


@pytest.fixture(scope="module")
def models(mixture):
    return exact.exact_models(mixture, 1000)


def test_make_data_keeps_fresh_data_apart(dataset):
    """Fresh sets hold equally many points of each label, none of which is a training point or in another set."""
    assert dataset.points.shape == (500, 2) and dataset.labels.shape == (500,) and dataset.fresh.shape == (3, 2, 30, 2)
    everything = np.concatenate([dataset.points, dataset.fresh.reshape(-1, 2)])
    assert len(np.unique(everything, axis=0)) == len(everything)
    np.testing.assert_array_equal(dataset.points, data.two_moons(500, 0)[0])
    points, labels = data.two_moons(5000, 0)
    for y in range(2):
        of_label = {tuple(point) for point in points[labels == y]}
        assert all(tuple(point) in of_label for point in dataset.fresh[:, y].reshape(-1, 2))
    np.testing.assert_array_equal(dataset.sample_labels, [0] * 30 + [1] * 30)
    assert dataset.classes == 2


def test_training_lowers_both_losses_and_equals_plain_training(dataset):
    """The two models trained side by side are those that `training.train` gives one at a time, and their losses fall."""
    settings = replace(SMALL, steps=20)
    models = experiment.train_models(dataset, settings)
    x, y = dataset.points[:7].astype(np.float32), dataset.labels[:7]
    for kind, path, mine, losses in zip(
        ("eps", "velocity"), (models.schedule, flow.straight), (models.eps, models.velocity), models.losses.values(), strict=True
    ):
        assert losses.shape == (20,) and losses[-5:].mean() < losses[:5].mean()
        config = training.Config(kind=kind, steps=20, warmup=1)
        start = training.start(mlp.init(0, classes=2))
        with parallel.one_blas_thread():
            *_, (state, loss) = training.train(start, dataset.points.astype(np.float32), dataset.labels, path, config, L=layers)
        t = 300 if kind == "eps" else 0.3
        other = training.as_model(state.averaged(config), path)(x, t, y)
        assert relative(mine(x, t, y), other) < FLOAT32_FIELD
        assert losses[-1] == pytest.approx(loss, rel=FLOAT32_FIELD)


def test_slices_on_threads_equal_the_whole_batch(mixture):
    """A model evaluated in slices on threads gives each point the same result, with labels and without."""
    model = mixture.model(flow.straight, "velocity")
    x, y = np.linspace(-2, 2, 1400).reshape(700, 2), np.arange(700) // 350
    for labels in y, None:
        assert relative(experiment.on_threads(model)(x, 0.4, labels), model(x, 0.4, labels)) < IDENTITY * EPS


def test_methods_of_the_table():
    """DDPM 1000, DDIM 50 and 10, Euler 20 and Heun 10 without guidance, and two guided ones; four are checked."""
    methods = experiment.methods(schedules.linear(1000), Settings(guidance=2.5))
    plain = [(method.name, len(method.grid) - 1, method.role) for method in methods if method.gamma == 1]
    assert plain == [
        ("DDPM, 1000 steps", 1000, "checked"),
        ("DDIM, 50 steps", 50, "checked"),
        ("DDIM, 10 steps", 10, "few"),
        ("flow, Euler, 20 steps", 20, "checked"),
        ("flow, Heun, 10 steps", 10, "checked"),
    ]
    assert [(method.gamma, method.role) for method in methods[5:]] == [(2.5, "guided")] * 2
    for method in methods:
        assert method.grid[-1] == (0 if method.model == "eps" else 1)


def test_sampling_without_guidance_is_guidance_one(models):
    """G3: gamma = 1 gives the conditional model, so the shortcut gives the samples of `guided`."""
    method = experiment.methods(models.schedule, SMALL)[1]
    labels = np.arange(8) % 2
    short = samplers.last(experiment.draw_samples(method, models, labels, 3))
    model = guidance.guided(models.eps, labels, 1.0, 2)
    start = next(experiment.draw_samples(method, models, labels, 3))
    assert relative(short, samplers.last(samplers.sample(model, method.step, method.grid, start))) < FLOAT32_FIELD


def test_samples_do_not_depend_on_each_other(models):
    """Start and noise of a point depend on its index, so a smaller batch gives the same points; the label changes them."""
    ddpm = experiment.methods(models.schedule, SMALL)[0]
    labels = np.arange(12) % 2
    twelve, five = (samplers.last(experiment.draw_samples(ddpm, models, labels[:count], 1)) for count in (12, 5))
    assert relative(five, twelve[:5]) < FLOAT32_FIELD
    assert np.abs(samplers.last(experiment.draw_samples(ddpm, models, 1 - labels, 1)) - twelve).max() > 0.5


def test_noise_floor_is_the_bias_of_the_v_statistic(dataset):
    """The noise floor is E|X - X'| 2/n over different points, computed here from the distances themselves."""
    n = dataset.fresh.shape[2]
    inner = [[cdist(points, points).sum() / (n * (n - 1)) for points in labels] for labels in dataset.fresh]
    a, b, c = np.mean(inner, axis=1)
    assert abs(scores.noise_floor(dataset.fresh) / ((a + 2 * b + c) / 2 / n) - 1) < IDENTITY * n * EPS


def test_scores_pass_fresh_data_and_fail_swapped_labels():
    """Fresh points as a sampler's output pass; the same points under each other's labels, and noise, fail."""
    settings = Settings(samples=400, train_size=10, fresh_sets=4, ddpm_steps=50)
    dataset = experiment.make_data(data.two_moons, settings)
    methods = experiment.methods(schedules.linear(1000), settings)
    more = experiment.make_data(data.two_moons, replace(settings, seed=1)).fresh[0]
    good, swapped = more.reshape(-1, 2), more[::-1].reshape(-1, 2)
    noise = np.random.default_rng(0).normal(size=good.shape)
    passing = scores.score_samplers(methods, {method.name: [noise, good] for method in methods}, dataset, settings)
    assert [score.remark[:4] for score in passing[1:6]] == ["PASS", "PASS", "few ", "PASS", "PASS"]
    assert not scores.failed(passing) and passing[0].ratio == 1 and passing[-1].ratio > 10
    assert passing[1].ratio == pytest.approx(passing[1].distance / passing[0].distance)
    wrong = {method.name: [noise, swapped] for method in methods}
    failing = scores.score_samplers(methods, wrong, dataset, settings)
    assert scores.failed(failing) and failing[1].remark == "FAIL, limit 3"
    assert not scores.failed(scores.score_samplers(methods, wrong, dataset, replace(settings, quick=True)))


def test_table_has_a_row_for_each_score():
    """The table is a header and a line per score, with distance, ratio and remark."""
    lines = scores.table([scores.Score("floor", 0.5, 1, ""), scores.Score("DDPM", 0.75, 1.5, "PASS, limit 3")]).splitlines()
    assert [line.split() for line in lines[1:]] == [["floor", "0.50000", "1.00"], ["DDPM", "0.75000", "1.50", "PASS,", "limit", "3"]]


@pytest.mark.parametrize("name", data.DATASETS)
def test_mixture_resembles_its_data_set(name):
    """The fitted mixture has each label's mean and total variance, with the blur added; its samples have its labels."""
    mixture, (points, labels) = exact.fit_mixture(name), data.load(name, 4000)
    for y in range(mixture.classes):
        of_label = mixture.labels == y
        weights = np.exp(mixture.log_weights[of_label]) / np.exp(mixture.log_weights[of_label]).sum()
        mean = weights @ mixture.means[of_label]
        total = weights @ (mixture.spreads[of_label] + (mixture.means[of_label] - mean) ** 2).sum(axis=1)
        assert weights.min() > 0.05
        np.testing.assert_allclose(mean, points[labels == y].mean(axis=0), atol=KMEANS)
        np.testing.assert_allclose(total, points[labels == y].var(axis=0).sum() + 2 * 0.2**2, rtol=KMEANS)
    drawn, drawn_labels = exact.as_dataset(mixture)(3000, 4)
    assert (mixture.log_class(drawn, 1.0, 0.0).argmax(axis=1) == drawn_labels).mean() > 0.75
    np.testing.assert_array_equal(exact.as_dataset(mixture)(10, 4)[0], drawn[:10])


def test_moments_of_one_step():
    """S1: from T = 1 every sampler returns E[x_0 | x_1], whose mean is the data's and whose variance is C^2 signal^2 / S."""
    schedule = schedules.from_alpha_bars([0.3])
    C = convergence.VARIANCE
    for formula in (samplers.ddpm_step, samplers.ddim_step):
        mean, variance = convergence.sample_moments(formula, schedule)
        assert mean == pytest.approx(convergence.MEAN, rel=IDENTITY * EPS)
        assert variance == pytest.approx(C**2 * 0.3 / (0.3 * C + 0.7), rel=IDENTITY * EPS)


def test_moments_are_those_of_samples():
    """S1: the moments are the mean and variance of points that pass through the same steps, with all signs of the noise."""
    schedule, S = convergence.level_schedule(5), 5
    model, step = oracles.gaussian([0.7], [[0.25]]).model(schedule), samplers.stepper(samplers.ddpm_step, schedule, variance="beta")
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * S)).reshape(S, -1)  # of the start and of S - 1 noises: mean 0, variance 1, unrelated
    variance = schedule.alpha_bar[-1] * 0.25 + schedule.one_minus_alpha_bar[-1]
    x = schedule.signal[-1] * 0.7 + np.sqrt(variance) * signs[0]
    x = samplers.last(samplers.sample(model, step, np.arange(S, -1, -1), x[:, None], [*signs[1:, :, None], None]))
    assert convergence.sample_moments(samplers.ddpm_step, schedule, variance="beta") == pytest.approx(
        (x.mean(), x.var()), rel=IDENTITY * S * EPS
    )


def test_orders_of_convergence_are_those_of_theory(mixture):
    """M1, S1, S2: with exact models, Euler, Heun and RK4 converge at order 1, 2 and 4, and DDIM and DDPM at order 1; fast solvers at theirs."""
    orders = convergence.measure_orders(mixture, SMALL)
    assert {order.name: order.expected for order in orders} == {
        "flow, Euler": 1,
        "flow, Heun": 2,
        "flow, RK4": 4,
        "DDIM": 1,
        "DDIM inversion": 1,
        "DDPM, variance beta-tilde": 1,
        "DDPM, variance beta": 1,
        "DDPM, variance mix 0.5": 1,
        "DDIM, eta 0.5": 1,
        "solver dpm_solver_2": 2,
        "solver dpm_solver_3": 3,
        "solver dpmpp_2s": 2,
        "solver dpmpp_2m": 2,
    }
    assert len(convergence.curves(orders)) == len(orders) - 4
    for order in orders:
        assert abs(order.measured - order.expected) < convergence.QUICK_TOLERANCE, order
    assert not convergence.failed(orders, SMALL)
    assert convergence.table(orders, SMALL).count("PASS") == len(orders)


def test_a_sampler_of_lower_order_fails(mixture, monkeypatch):
    """M1: with Euler in Heun's place the measured order is 1, and the demo fails."""
    monkeypatch.setattr(samplers, "heun_step", samplers.euler_step)
    monkeypatch.setattr(convergence, "QUICK_STEPS", (8, 16))
    orders = convergence.measure_orders(mixture, SMALL)
    assert orders[1].name == "flow, Heun" and abs(orders[1].measured - 1) < convergence.QUICK_TOLERANCE
    assert convergence.failed(orders, SMALL) and "FAIL, expected 2" in convergence.table(orders, SMALL)


def test_measured_order_is_the_last_doubling():
    """Errors C S^-p give order p, which must be within 0.1 of the expected one, or 0.2 with --quick."""
    order = convergence.Order("x", (2, 4, 8), 3.0 * np.array([2.0, 4, 8]) ** -1.85, 2)
    assert order.measured == pytest.approx(1.85, rel=IDENTITY * EPS)
    assert convergence.failed([order], Settings()) and not convergence.failed([order], SMALL)


def test_frames_pair_equal_signal_to_noise_ratios(dataset, models):
    """M5: a frame shows the diffusion at the time whose flow time is nearest to the flow's, from pure noise to data."""
    grid = schedules.grid("linspace", 1000, 20)
    ddpm, heun = ([np.full((60, 2), float(i)) for i in range(count)] for count in (21, 9))
    shown = figure.frames(dataset, models, grid, ddpm, heun)
    assert len(shown) == 9 and shown[0][0].points[0, 0] == 0 and shown[-1][0].points[0, 0] == 20
    times = flow.flow_time(models.schedule.log_snr[grid])
    for k, (diffusion, straight) in enumerate(shown):
        i = int(diffusion.points[0, 0])
        assert straight.points[0, 0] == k and diffusion.title == f"diffusion (DDPM), t = {grid[i]}"
        assert abs(times[i] - k / 8) == np.abs(times - k / 8).min()


def test_arrows_keep_direction_and_order():
    """Arrows keep the direction of their vectors, and their lengths are the square roots of the magnitudes; zero stays zero."""
    vectors = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, -20.0]])
    drawn = arrows(vectors)
    np.testing.assert_allclose(np.hypot(*drawn[2]) / np.hypot(*drawn[1]), 2, rtol=IDENTITY * EPS)
    np.testing.assert_allclose(drawn[1] / np.hypot(*drawn[1]), [0.6, 0.8], rtol=IDENTITY * EPS)
    assert not drawn[0].any()


def test_running_mean_of_losses():
    """The loss curve is a running mean over 1/40 of the losses."""
    steps, means = figure._running_mean(np.arange(80.0))
    np.testing.assert_array_equal(steps, np.arange(2, 81))
    np.testing.assert_allclose(means, np.arange(79) + 0.5)


def test_animation_is_a_gif_of_all_frames(tmp_path):
    """Every frame is in the GIF, the last one longer; points outside the panel do not matter."""
    panels = [
        [plots.Panel("a", np.full((4, 2), i / 3), np.arange(4)), plots.Panel("b", np.full((4, 2), 9.0), np.arange(4))] for i in range(6)
    ]
    plots.save_animation(panels, tmp_path / "a.gif", 2.0)
    with Image.open(tmp_path / "a.gif") as gif:
        durations = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            durations.append(gif.info["duration"])
    assert len(durations) == 6 and durations[-1] > durations[0]
