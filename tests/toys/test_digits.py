"""The digits toy, end to end on small synthetic digits, and the classifier that it trains."""

import os
import re
import shlex
import signal

import numpy as np
import pytest
from PIL import Image

from refdiff import checkpoint, classifier, fast, guidance, layers, mnist, rng, schedules, training, tree
from refdiff.data.images import Images
from refdiff.training import classification, loop
from toys.digits import __main__ as toy
from toys.digits import evaluation, fit, generate

from .. import digits
from ..strategies import frozen, tree_gradient
from ..tolerances import FLOAT32_FIELD, UNET, relative


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the four IDX files of 60 digits to train on and 20 held out."""
    return digits.write(tmp_path_factory.mktemp("digits"))


def train(data, out, *more, steps=3):
    return toy.main(["train", "--data", str(data), "--base", "8", "--steps", str(steps), "--workers", "2", "--out", str(out), *more])


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A checkpoint of every kind of model."""
    folder = tmp_path_factory.mktemp("runs")
    chosen = {"eps": ["--kind", "eps"], "velocity": [], "v": ["--kind", "v", "--schedule", "cosine"]}
    chosen |= {name: ["--model", name] for name in ("classifier", "clean-classifier")}
    for name, more in chosen.items():
        assert train(data, folder / name, *more, steps=2) == 0
    return folder


def assert_same(a, b):
    """Two checkpoints hold the same run, bit for bit."""
    (state, *rest), (other, *other_rest) = checkpoint.load_state(a), checkpoint.load_state(b)
    assert rest == other_rest and state.step == other.step
    for a, b in (state.params, other.params), (state.ema, other.ema), (state.moments, other.moments):
        for x, y in zip(tree.flatten(a).values(), tree.flatten(b).values(), strict=True):
            np.testing.assert_array_equal(x, y)


def test_resumed_run_is_the_uninterrupted_one(data, tmp_path, capfd, monkeypatch):
    """Ctrl-C during a step lets the step finish and saves; the printed command resumes, with the same bits."""
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    assert train(data, whole, steps=3) == 0
    out, err = capfd.readouterr()
    assert f"60 images to train on and 20 to test on, from {data}" in out and "steps/s" in err
    assert 0.5 < float(re.search(r"loss (\S+) per pixel", err)[1]) < 2  # noise of variance 1, of which the network predicts nothing yet
    value_and_grad, calls = loop.value_and_grad, []

    def interrupted(*arguments):
        calls.append(0)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return value_and_grad(*arguments)

    monkeypatch.setattr(loop, "value_and_grad", interrupted)
    assert train(data, parts, steps=3) == 130
    monkeypatch.undo()
    assert checkpoint.load_state(parts)[0].step == 2
    command = shlex.split(capfd.readouterr().err.strip().splitlines()[-1])
    assert command[1:3] == ["-m", "toys.digits"]
    assert toy.main(command[3:]) == 0
    assert_same(whole, parts)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_within_a_step_leaves_the_last_checkpoint(data, tmp_path, capfd, monkeypatch):
    """A KeyboardInterrupt within a step, as by a second Ctrl-C, leaves a checkpoint from which training resumes."""

    def broken(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "value_and_grad", broken)
    assert train(data, tmp_path / "run", steps=2) == 130
    assert "the last checkpoint is kept" in capfd.readouterr().err
    monkeypatch.undo()
    assert toy.main(["train", "--data", str(data), "--resume", str(tmp_path / "run")]) == 0
    assert checkpoint.load_state(tmp_path / "run")[0].step == 2


@pytest.mark.parametrize("more", [["--steps", "2"], ["--minutes", "0.01"]])
def test_a_run_is_extended(data, tmp_path, capfd, more):
    """A finished run says so, and trains on for more steps or minutes, with the rates of the longer run; the printed command does it."""
    run = tmp_path / "run.npz"
    assert train(data, run, steps=3) == 0
    capfd.readouterr()
    assert toy.main(["train", "--data", str(data), "--resume", str(run)]) == 0
    printed = capfd.readouterr().out
    assert "finished: step 3 of 3. To train for 10 more minutes:" in printed
    command = shlex.split(printed.strip().splitlines()[-1])
    assert command[-2:] == ["--minutes", "10"] and toy.main([*command[3:-2], *more]) == 0
    state, config, _ = checkpoint.load_state(run)
    assert state.step == config.steps >= 5 and training.rate(config.steps, config) < 1e-6
    planned = config.steps if more[0] == "--steps" else r"\d+"  # a run of minutes measures its speed again, and may change the plan
    assert re.search(rf"extended from step 3 to {planned}: learning rate 0 so far, from", capfd.readouterr().out)


def test_a_run_of_minutes_is_measured_again(monkeypatch, data, tmp_path, capfd):
    """A machine that turns out four times as slow as measured gets fewer steps, one that is faster more, and the run ends in its time."""
    for speed in 0.25, 4.0:
        now, out = [0.0], tmp_path / f"{speed}.npz"
        monkeypatch.setattr(fit, "monotonic", lambda now=now: now[0])
        monkeypatch.setattr(fit, "steps_within", lambda *_: 40)
        first = []  # the gradient of the first step stands for all: what counts here is their number
        right = loop.value_and_grad

        def counted(*arguments, now=now, speed=speed, first=first, right=right):
            now[0] += 0.6 / 40 / speed  # the plan was 40 steps in 0.6 seconds
            first[:] = first or [right(*arguments)]
            return first[0]

        monkeypatch.setattr(loop, "value_and_grad", counted)
        assert toy.main(["train", "--data", str(data), "--base", "8", "--workers", "1", "--minutes", "0.01", "--out", str(out)]) == 0
        monkeypatch.undo()
        state, config, _ = checkpoint.load_state(out)
        assert state.step == config.steps and abs(state.step / (40 * speed) - 1) < 0.3 and 0.5 < now[0] < 0.7
        printed = capfd.readouterr()
        assert training.rate(config.steps, config) < 1e-6 and "measured again: " in printed.err
        assert "note: digits are rough after 300 steps, and clean after 2,000, which take 0 minutes here" in printed.out


@pytest.mark.long
def test_minutes_become_steps_that_fit(data, tmp_path):
    """--minutes measures the speed and stores a number of steps, at the end of which the learning rate is 0."""
    assert toy.main(["train", "--data", str(data), "--base", "8", "--minutes", "0.01", "--out", str(tmp_path / "run")]) == 0
    state, config, extra = checkpoint.load_state(tmp_path / "run")
    assert state.step == config.steps >= 2 and training.rate(config.steps, config) < 1e-6
    assert extra["model"] == "unet" and config.kind == "velocity" and (config.batch, config.ema, config.clip) == (64, 0.995, 1.0)


@pytest.mark.parametrize(
    "run, more",
    [
        ("eps", ["--sampler", "ddpm", "--guidance", "2"]),
        ("velocity", ["--sampler", "dpmpp_2m", "--guidance", "2"]),
        pytest.param("v", ["--sampler", "unipc_3"], marks=pytest.mark.long),
        pytest.param("eps", ["--classifier", "classifier", "--scale", "2"], marks=pytest.mark.long),
        pytest.param("eps", ["--classifier", "classifier", "--guidance", "2"], marks=pytest.mark.long),
        pytest.param("v", ["--sampler", "heun"], marks=pytest.mark.long),
        pytest.param("velocity", ["--guidance", "2"], marks=pytest.mark.long),
    ],
)
def test_sample_and_animate_write_pictures(run, more, runs, tmp_path, capfd):
    """A PNG with ten rows and the requested columns; a GIF with frames; the same bytes for the same seed."""
    more = ["--run", str(runs / run), "--steps", "3", *(str(runs / word) if word == "classifier" else word for word in more)]
    for name in "first", "again":
        assert toy.main(["sample", *more, "--columns", "2", "--out", str(tmp_path / f"{name}.png")]) == 0
    assert toy.main(["animate", *more, "--out", str(tmp_path / "film.gif")]) == 0
    with Image.open(tmp_path / "first.png") as picture:
        assert picture.size == (2 * 32 * 2, 10 * 32 * 2)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames >= 3 and film.size == (5 * 32 * 2, 2 * 32 * 2)
    out, err = capfd.readouterr()
    assert str(tmp_path / "film.gif") in out and "sampling" in err


def test_eval_prints_numbers(runs, data, capfd):
    """Samples beside real digits, and the ELBO with its parts, which add up, also of a flow; the published likelihoods of MNIST."""
    common = ["--data", str(data), "--judge", str(runs / "clean-classifier"), "--samples", "20", "--steps", "2"]
    assert toy.main(["eval", "--run", str(runs / "v"), *common, "--elbo", "6", "--draws", "2"]) == 0
    out = capfd.readouterr().out
    for row in (
        "classified as the requested label",
        "classified as their label",
        "Frechet distance, samples",
        "Frechet distance, 20 training",
    ):
        assert re.search(rf"^{row}.* \d+\.\d{{4}}$", out, re.M)
    assert re.search(r"^distance to the nearest training digit, held-out +minimum \d", out, re.M)
    assert toy.main(["eval", "--run", str(runs / "velocity"), "--data", str(data), "--elbo", "6", "--draws", "2"]) == 0
    for text in out, capfd.readouterr().out:
        *parts, total = [float(value) for value in re.findall(r"^  .* (\d+\.\d+) \+- \d", text, re.M)]
        assert len(parts) == 3 and abs(sum(parts) - total) < 3e-4
        assert "FFJORD 0.99 (Grathwohl et al., arXiv 1810.01367, table 2)" in text and abs(np.log2(10) / 784 - 0.004) < 5e-4


def test_a_flow_as_a_diffusion():
    """M5: the exact velocity of Gaussian pixels gives the exact mean of x0 given x_t, at every time of the linear schedule."""
    spec, mean, s = toy.Spec("unet", "velocity", "straight", 8, 1, ""), 0.2, 0.1  # pixels far from -1 and 1
    net = lambda x, t, y: mean + (t * s**2 - (1 - t)) / (t**2 * s**2 + (1 - t) ** 2) * (x - t * mean)  # noqa: E731
    model, schedule = generate.predict_x0(net, spec, np.zeros(3, int), generate.Method("ddpm", 1)), spec.diffusion()
    for t in 1, 300, 1000:
        signal, sigma = schedule.signal_sigma(t)
        x = signal * mean + np.hypot(signal * s, sigma) * rng.normal(t, 3, (28, 28, 1))
        exact = mean + signal * s**2 / (signal**2 * s**2 + sigma**2) * (x - signal * mean)
        np.testing.assert_allclose(model(x, t), np.clip(exact, -1, 1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "words, message",
    [
        (["train", "--kind", "noise"], "--kind: 'noise'; allowed: eps, x0, v, velocity"),
        (["train", "--base", "12"], "--base: 12; allowed: a multiple of 8"),
        (["train", "--kind", "velocity", "--schedule", "linear"], "--schedule: 'linear'; allowed: no --schedule"),
        (["train", "--kind", "eps", "--times", "uniform"], "--times: 'uniform'; allowed: no --times, but for --kind velocity"),
        (["train", "--times", "cosine"], "--times: 'cosine'; allowed: uniform, logit-normal"),
        (["train", "--resume", "RUN", "--times", "uniform"], "--times: 'uniform' with --resume"),
        (["train", "--model", "classifier", "--kind", "v"], "--kind: 'v' with --model classifier"),
        (["train", "--minutes", "0"], "--minutes: '0'; allowed: a number, 0.01..100000"),
        (["train", "--data", "/nowhere"], "--data: '/nowhere'; allowed"),
        (["train", "--resume", "RUN", "--seed", "1"], "--seed: '1' with --resume"),
        (["train", "--out", "RUN"], "exists; allowed: a new file"),
        (["sample", "--run", "/nowhere"], "--run: '/nowhere'; allowed: a checkpoint"),
        (["sample", "--run", "CLASSIFIER"], "holds a classifier; allowed: unet"),
        (["sample", "--run", "RUN", "--scale", "2"], "--scale: 2.0; allowed: with --classifier"),
        (["sample", "--run", "V", "--classifier", "CLASSIFIER"], "learned on the schedule linear; allowed: cosine"),
        (["sample", "--run", "VELOCITY", "--sampler", "ddim"], "--sampler: 'ddim' for a run of kind velocity; allowed: heun"),
        (["trian"], "Did you mean train?"),
    ],
)
def test_wrong_options(words, message, runs, capsys, monkeypatch, tmp_path):
    """A message that names option, value and what is allowed, and exit code 2."""
    monkeypatch.chdir(tmp_path)
    names = {"RUN": "eps", "CLASSIFIER": "classifier", "V": "v", "VELOCITY": "velocity"}
    assert toy.main([str(runs / names[word]) if word in names else word for word in words]) == 2
    assert message in capsys.readouterr().err


def test_a_run_resumes_with_its_own_data_only(runs, tmp_path, capsys):
    """Other digits are refused, by their digest."""
    digits.write(tmp_path, train=30)
    assert toy.main(["train", "--data", str(tmp_path), "--resume", str(runs / "eps")]) == 2
    assert "allowed: those that the run began with" in capsys.readouterr().err


def small_classifier(dtype=np.float64):
    """A classifier of two-channel images without zero parameters, and images."""
    p = classifier.init(0, channels=2, base=4, classes=3, embedding=3, groups=2, dtype=dtype)
    noise = tree.views(rng.normal(1, 1, (tree.size(p),), dtype=dtype)[0], p)
    return tree.map(lambda leaf, z: leaf + np.asarray(0.3, dtype) * z, p, noise), rng.normal(2, 2, (3, 4, 2), dtype=dtype)


@pytest.mark.long
def test_classifier_derivative():
    """G2: the gradient in x and in all parameters equals the complex-step derivative, number by number."""
    p, x = small_classifier()
    t, dout = np.array([3.5, 700.0]), rng.normal(3, 2, (3,))
    arguments = frozen({"p": p, "x": x})
    logits, vjp = classifier.classifier(p, x, t, groups=2)
    dp, dx = vjp(dout)
    assert logits.shape == (2, 3)
    expected = tree_gradient(lambda a: (dout * classifier.classifier(a["p"], a["x"], t, groups=2)[0]).sum(), arguments)
    for found, want in zip(tree.flatten({"p": dp, "x": dx}).values(), tree.flatten(expected).values(), strict=True):
        assert relative(found, want) <= UNET and np.abs(want).max() > 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0])
def test_guidance_scale_selects_the_conditioning(gamma):
    """G3: gamma = 0 evaluates the model without labels, 1 with them, any other value combines the two predictions."""
    net = lambda x, t, y=None: x + (100.0 if y is None else np.where(y == 10, 100.0, y))  # noqa: E731
    x, y = np.zeros(3), np.array([1, 2, 3])
    prediction = generate.conditional(net, toy.Spec("unet", "eps", "linear", 8, 1, ""), y, generate.Method("ddim", 1, gamma))(x, 5)
    np.testing.assert_allclose(prediction, (1 - gamma) * 100.0 + gamma * y, rtol=1e-15)


def test_classifier_of_fast_layers_is_the_same():
    """G2: `fast` equals `layers` in float32, logits and gradient; float32 stays; a scalar time is that time for every image."""
    p, x = small_classifier(np.float32)
    for t in 30.0, np.array([3.5, 700.0]):
        (a, a_vjp), (b, b_vjp) = (classifier.classifier(p, x, t, L, groups=2) for L in (layers, fast))
        assert a.dtype == b.dtype == np.float32 and relative(b, a) < FLOAT32_FIELD
        assert all(relative(fast_grad, grad) < FLOAT32_FIELD for fast_grad, grad in zip(b_vjp(b)[1], a_vjp(a)[1], strict=True))
    one, each = (classifier.classifier(p, x, t, groups=2)[0] for t in (30.0, np.full(2, 30.0)))
    np.testing.assert_array_equal(one, each)


def test_gradient_of_the_classifier_loss():
    """T1, G2: the gradient of the summed cross-entropy equals the complex-step derivative, and that from two slices."""
    p, x = small_classifier()
    net = lambda p, x, t, y, L: classifier.classifier(p, x, t, L, groups=2)  # noqa: E731
    batch = training.Batch(x, np.array([3.5, 700.0]), np.array([2, 0]), x)
    loss, grads = classification.value_and_grad(net, p, batch, layers, 1)

    def f(p):
        return layers.cross_entropy(net(p, batch.x, batch.clock, None, layers)[0], batch.y)[0].sum()

    assert relative(loss, f(p)) < UNET
    direction = tree.views(rng.normal(4, 1, (tree.size(p),))[0], p)
    slope = f(tree.map(lambda leaf, d: leaf + 1e-30j * d, p, direction)).imag / 1e-30
    assert abs(slope - tree.pack(grads)[0] @ tree.pack(direction)[0]) <= UNET * np.linalg.norm(tree.pack(grads)[0])
    halves, half_grads = classification.value_and_grad(net, p, batch, layers, 2)
    assert relative(halves, loss) < UNET and relative(tree.pack(half_grads)[0], tree.pack(grads)[0]) < UNET


def test_classifier_learns_bars(data):
    """G2: the cross-entropy on clean bars falls from log 10 nats to less than half of it."""
    images, labels = digits.draw(60, 60)
    config = training.Config("x0", 40, batch=30, rate=1e-2, warmup=5, label_dropout=0.0, classes=10)
    start = training.start(classifier.init(0, base=8))
    x = mnist.to_model(images)
    L = classification.with_cross_entropy(fast)
    losses = [
        loss for _, loss in training.train(start, x, labels.astype(int), classification.CleanPath(), config, classification.as_network, L)
    ]
    assert abs(losses[0] - np.log(10)) < 1e-5 and losses[-1] < 1.15


def test_class_gradient_is_that_of_guidance():
    """G2: the gradient computed in slices is `guidance.classifier_gradient`, and in float64 the complex-step derivative."""
    schedule, p = schedules.cosine(1000), classifier.init(0, base=8)
    p = p | {"head": {"w": rng.normal(0, 32, (10,), dtype=np.float32), "b": p["head"]["b"]}}
    x, y = rng.normal(1, 20, (28, 28, 1), dtype=np.float32), np.arange(20) % 10
    logits, vjp = classifier.classifier(p, x, schedule.clock(300))
    assert relative(generate.class_gradient(p, schedule)(x, 300, y), guidance.classifier_gradient(logits, vjp, y)) < FLOAT32_FIELD
    wide, z, direction = tree.map(lambda leaf: leaf.astype(np.float64), p), x[:2].astype(np.float64), rng.normal(5, 2, (28, 28, 1))
    logits, vjp = classifier.classifier(wide, z + 1e-30j * direction, schedule.clock(300))
    slope = -layers.cross_entropy(logits, y[:2])[0].sum().imag / 1e-30
    logits, vjp = classifier.classifier(wide, z, schedule.clock(300))
    gradient = guidance.classifier_gradient(logits, vjp, y[:2])
    assert abs((gradient * direction).sum() - slope) <= UNET * np.linalg.norm(gradient)


def test_speckle_is_noise_in_the_frame():
    """A drawing inside the frame is clean; one pixel in a hundred of the frame at full ink, or all at a little more, is speckle."""
    x = np.full((4, 28, 28, 1), -1.0)
    x[:, 2:-2, 2:-2] = 1
    x[1, 0, :3] = 1  # 3 of 208 pixels
    x[2, :, 0] = -0.8
    x[3, 0, 0] = 1
    assert [evaluation.speckle(each[None]) for each in x] == [0, 1, 1, 0] and evaluation.speckle(x) == 0.5


def test_nearest_distance_finds_copies():
    """A copy has distance 0; an image with one pixel changed from background to ink has distance 1."""
    training = mnist.to_model(digits.draw(30, 1)[0])
    images = training[[4, 7]].copy()
    images[1, 0, 0, 0] += 2
    np.testing.assert_allclose(evaluation.nearest_distance(images, training), [0, 1], atol=1e-6)


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_slices_keep_the_order(monkeypatch, cores):
    """Slices are returned in order for any number of slices and cores, with times and labels or without; also after an error."""
    monkeypatch.setattr(generate.parallel, "cores", lambda: cores)
    x, t = np.arange(170.0), np.arange(170)

    def add(x, t, y):
        if y is not None and (y < 0).any():
            raise ValueError("wrong", y.min())
        return x + t + (0 if y is None else y)

    model = generate.on_all_cores(add)
    for _ in range(2):
        np.testing.assert_array_equal(model(x, t, t), 3 * x)
        np.testing.assert_array_equal(model(x[:3], 1), x[:3] + 1)
        with pytest.raises(ValueError, match="wrong"):
            model(x, t, t - 100)


def test_wrong_classifiers():
    """A wrong argument is named."""
    for wrong in {"base": 12}, {"base": 2}, {"classes": 1}, {"embedding": 0}:
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} = {next(iter(wrong.values()))}"):
            classifier.init(0, **wrong)


@pytest.mark.long
def test_elbo_of_a_model_that_predicts_zero():
    r"""E5, E6: for the prediction x0 = 0 the divergences, with every time once, sum to $\tfrac12 (SNR(1) - SNR(T)) \|x_0\|^2$."""
    images, labels = digits.draw(30, 2)
    data = Images(images, labels.astype(int), images, labels.astype(int), "")
    spec = toy.Spec("unet", "x0", "cosine", 8, 1, "")
    schedule, x0 = spec.path(), mnist.to_model(images[:: len(images) // 3], np.float64)
    rows = dict(evaluation.elbo_estimate(lambda x, t, y: np.zeros_like(x), spec, data, 3, 999, 0))
    expected = (schedule.snr[1] - schedule.snr[1000]) / 2 * (x0**2).sum(axis=(1, 2, 3)) / (784 * np.log(2))
    found = rows["L_1 + ... + L_{T-1}, the other divergences"]
    assert relative(found.mean, expected.mean()) < 1e-9 and relative(found.error, expected.std(ddof=1) / 3**0.5) < 1e-9
    assert sum(part.mean for name, part in rows.items() if name != "negative ELBO") == pytest.approx(rows["negative ELBO"].mean)
    assert rows["L_0, the discretized decoder"].mean > 0


def test_clean_path_adds_no_noise():
    """G2: `CleanPath` leaves the data as it is at every time and gives the network t = 0; `as_network` ignores the label."""
    clean, t = classification.CleanPath(), np.array([0.2, 0.9])
    for found, want in zip((*clean.signal_sigma(t), *clean.rates(t), clean.draw_time(t), clean.clock(t)), (1, 0, 0, 0, 0, 0), strict=True):
        np.testing.assert_array_equal(found, np.full(2, float(want)))
    p, x = classifier.init(1, base=8, dtype=np.float64), rng.normal(2, 2, (28, 28, 1))
    for y in None, np.array([3, 7]):
        np.testing.assert_array_equal(classification.as_network(p, x, t, y)[0], classifier.classifier(p, x, t)[0])
