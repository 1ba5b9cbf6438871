"""The whole package on guard arrays: the same numbers as NumPy, and no implicit transfer or wait."""

import re
from dataclasses import replace
from inspect import isfunction
from types import SimpleNamespace

import numpy as np
import pytest

import refdiff
import refdiff_gpu
from refdiff import classifier, io, metrics, mlp, rng, solvers, training, tree, unet
from refdiff_gpu.device import to_device, to_host, unchecked
from refdiff_gpu.device.tables import copy_tables
from refdiff_gpu.emulator.guard import GuardArray, asarray, unwrap, wrap
from refdiff_gpu.emulator.transfers import COUNTS, TransferRefused, allowed_sync, sealed
from refdiff_gpu.proof import cases
from refdiff_gpu.proof.cases import CASES

from ..strategies import frozen
from ..tolerances import COMPLEX_STEP, IDENTITY, TRAINED_ELSEWHERE, relative

# Cases with explicit transfers: they fetch per-example times to choose a formula, or copy an identity matrix.
TRANSFERRING = {"predict.clip_x0", "predict.tweedie_covariance", "samplers.ddpm_step"} | {
    name for name in CASES if name.startswith("latent.LinearGaussian")
}
TRANSFERRING |= {name for name in CASES if name.startswith(("predict.to_eps", "predict.convert"))}
TRANSFERRING -= {
    "latent.LinearGaussian.log_likelihood",
    "predict.to_eps from eps",
    *(f"predict.convert {k} to {k}" for k in refdiff.predict.KINDS),
}


@pytest.fixture(autouse=True)
def _emulated(monkeypatch):
    monkeypatch.setenv("REFDIFF_GPU_EMULATE", "1")


@pytest.fixture
def schedule():
    """A schedule whose tables are on the device already."""
    schedule = refdiff_gpu.schedules.linear(100)
    copy_tables(schedule)
    return schedule


def device_arguments(dtype=np.float64):
    """The arguments of the cases, with the tables of the schedule, on the device."""
    arguments = to_device(cases.arguments(dtype))
    copy_tables(arguments["schedule"])
    return arguments


def x(*shape):
    """The numbers 1, 2, ... on the device."""
    return asarray(np.arange(1.0, 1 + np.prod(shape)).reshape(shape))


def assert_same(ours, numpys):
    """Equal bit for bit, in shape and in dtype."""
    if isinstance(numpys, list | tuple):
        assert len(ours) == len(numpys)
        for one, other in zip(ours, numpys, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(to_host(ours), numpys)
        assert ours.dtype == numpys.dtype and np.shape(ours) == np.shape(numpys)


# What the guard array refuses

HOST = np.ones(2)
MISTAKES = {
    "np.asarray": lambda: np.asarray(x(2)),
    "np.array of a list": lambda: np.array([x(2), x(2)]),
    "np.sum of a list": lambda: np.sum([x(2), x(2)]),
    "sum with a host array": lambda: x(2) + HOST,
    "a host array's sum": lambda: HOST + x(2),
    "a host array without dimensions": lambda: x(2) * np.asarray(2.0),
    "in place": lambda: x(2).__iadd__(HOST),
    "in place on the host": lambda: np.add(HOST, x(2), out=np.empty(2)),
    "concatenate": lambda: np.concatenate([x(2), HOST]),
    "where": lambda: np.where(x(2) > 1, HOST, 0),
    "a list as an operand": lambda: x(2) + [1.0, 2.0],
    "assignment": lambda: x(2).__setitem__(0, HOST[:1]),
    "an index on the host": lambda: x(2)[np.array([0, 1])],
    "an index in a list": lambda: x(2)[[0, 1]],
    "a host table, by a device index": lambda: HOST[wrap(np.array([0, 1]))],
    "a function CuPy lacks": lambda: np.insert(x(2), 0, 1.0),
    "a function not in use": lambda: np.median(x(2)),
    "a keyword CuPy lacks": lambda: np.sum(x(2), initial=0.0),
    "a method's keyword": lambda: x(2).sum(where=True),
    "a ufunc's keyword": lambda: np.add(x(2), 1, where=True),
    "a ufunc's method": lambda: np.add.reduce(x(2)),
    "np.full by like=": lambda: np.full(2, 1.0, like=x(2)),
    "np.eye by like=": lambda: np.eye(2, like=x(2)),
    "an attribute": lambda: x(2, 2).mT,
    "long double": lambda: wrap(np.ones(2, np.longdouble)),
    "objects": lambda: wrap(np.array([None])),
    "unwrap of a host array": lambda: unwrap(HOST),
}
WAITS = {
    "float": lambda: float(x(1)[0]),
    "int": lambda: int(x(1)[0]),
    "bool": lambda: bool(x(1) > 0),
    "if": lambda: 1 if x(1)[0] > 0 else 0,
    "complex": lambda: complex(x(1)[0]),
    "index": lambda: HOST[wrap(np.array(0)) :],
    "item": lambda: x(1).item(),
    "tolist": lambda: x(2).tolist(),
    "iteration": lambda: list(x(2)),
    "a mask": lambda: x(2)[x(2) > 1],
    "a format": lambda: f"{x(1)[0]:.3f}",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cupy_refuses_is_refused(name):
    """Host arrays among device arrays, implicit conversions, and calls that CuPy lacks are errors, as with CuPy."""
    with pytest.raises((TypeError, AttributeError)):
        MISTAKES[name]()


@pytest.mark.parametrize("name", WAITS)
def test_implicit_waits_are_refused(name):
    """What would wait for the device implicitly is an error; inside `allowed_sync` it runs and is counted."""
    with pytest.raises((TransferRefused, TypeError)) as caught:
        WAITS[name]()
    before = COUNTS["sync"]
    if caught.type is TransferRefused:
        with allowed_sync():
            WAITS[name]()
        assert COUNTS["sync"] == before + 1


def test_explicit_transfers_are_counted_and_can_be_sealed():
    """get and like= are allowed and counted; `sealed` refuses them, and they are allowed again after it."""
    before = COUNTS.copy()
    array = np.asarray(HOST, like=x(1))
    assert isinstance(array, GuardArray) and np.array_equal(array.get(), HOST)
    assert COUNTS["move"] == before["move"] + 2 and COUNTS["get"] == before["get"] + 1
    for transfer in (array.get, lambda: asarray(HOST), lambda: np.asarray(HOST, like=array), lambda: repr(array)):
        with sealed(), pytest.raises(TransferRefused, match="nothing in here passes"):
            transfer()
    array.get()


def test_results_stay_on_the_device():
    """Full sums, single entries and views are device arrays; in-place operations keep the array.

    Writing to a view changes it.
    """
    a = x(2, 2)
    for part in (a.sum(), a[0, 0], a.T, np.mean(a), a.real, *np.split(a, 2), abs(a), 2 - a, np.float32(2) * a):
        assert isinstance(part, GuardArray)
    b = a
    b += 1
    b[0][...] = 7
    assert b is a and to_host(a).tolist() == [[7, 7], [4, 5]] and np.shape(a) == (2, 2) and np.ndim(a) == 2


# Every equation


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_reference_runs_on_the_device(name, dtype):
    """Every equation of `refdiff` gives NumPy's result bit for bit on device arrays, without implicit transfers.

    The result stays on the device.
    """
    arguments, expected = device_arguments(dtype), CASES[name](refdiff, frozen_tree(cases.arguments(dtype)))
    assert_same(CASES[name](refdiff, arguments), expected)
    if name not in TRANSFERRING:
        with sealed(), unchecked():
            assert_no_host_arrays(CASES[name](refdiff, arguments))


def test_transferring_cases_are_those_listed():
    """The list of equations with explicit transfers is exact."""
    arguments, found = device_arguments(), set()
    for name, case in CASES.items():
        with sealed(), unchecked():
            try:
                case(refdiff, arguments)
            except TransferRefused:
                found.add(name)
    assert found == TRANSFERRING


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_rebound_equations_are_the_reference(name, dtype):
    """Every equation of `refdiff_gpu`, with its kernels, gives the result of `refdiff` bit for bit."""
    assert_same(CASES[name](refdiff_gpu, device_arguments(dtype)), CASES[name](refdiff, cases.arguments(dtype)))


def test_every_equation_has_a_case():
    """Every public function of the equation modules has a case, or is of host numbers, or is in another test here."""
    in_other_tests = {"elbo.weight_mean", "elbo.weight_eps", "elbo.weight_x0", "flow.couple_optimally", "flow.optimal_transport"}
    in_other_tests |= {f"samplers.{name}" for name in ("sample", "last", "stepper", "solve_adaptive")} | {
        "generation.generate",
        "generation.steps_of",
    }
    in_other_tests |= {"learned_schedule.gradient", "learned_schedule.error_and_slope", "vdm.path"}  # with `gamma`, and tests of an Sde
    in_other_tests |= {"bridge.gaussian"}
    of_host_numbers = {
        "vdm.stratified_times",
        "learned_schedule.init",
        "forward.posterior_variance",
        "predict.row",
        "guidance.scale_from_w",
        "guidance.w_from_scale",
    }
    public = set()
    for name in (
        "forward",
        "predict",
        "reverse",
        "gaussian",
        "elbo",
        "latent",
        "flow",
        "bridge",
        "vdm",
        "learned_schedule",
        "samplers",
        "guidance",
        "generation",
    ):
        module = getattr(refdiff, name)
        own = {key for key, item in vars(module).items() if isfunction(item) and item.__module__ == module.__name__ and key[0] != "_"}
        public |= {f"{name}.{key}" for key in own | {key for key in getattr(module, "__all__", ()) if isfunction(vars(module)[key])}}
    covered = {re.match(r"[\w.]+", name)[0] for name in CASES}
    assert public - covered == in_other_tests | of_host_numbers


def frozen_tree(arguments):
    """Read-only copies of the arrays."""
    return {key: list(map(frozen, value)) if isinstance(value, list) else frozen_one(value) for key, value in arguments.items()}


def frozen_one(value):
    return frozen(value) if isinstance(value, np.ndarray) else value


def assert_no_host_arrays(result):
    """The result holds device arrays and numbers only."""
    for each in result if isinstance(result, list | tuple) else [result]:
        assert not isinstance(each, np.ndarray) or each.ndim == 0


def test_values_are_checked_on_the_device_too(schedule):
    """NaN and a time out of range raise the errors of `refdiff`, which name the values.

    Inside `unchecked` they do not.
    """
    bad = asarray(np.array([[0.0, np.nan]]))
    good, t = asarray(np.ones((1, 2))), wrap(np.array([101]))
    for lib in refdiff, refdiff_gpu:
        with pytest.raises(ValueError, match="x0 holds NaN or infinity"):
            lib.q_sample(bad, 3, schedule, good)
        with pytest.raises(ValueError, match=r"t = array\(\[101\]\); allowed: 0\.\.100"):
            lib.q_sample(good, t, schedule, good)
        with unchecked(), sealed():
            assert lib.q_sample(bad, 3, schedule, good).shape == (1, 2)
            with pytest.raises(ValueError, match="noise has shape"):
                lib.q_sample(good, 3, schedule, good[:, :1])


WRONG = {
    "q_sample, t": lambda rd, a: rd.q_sample(a["x"], 101, a["schedule"], a["noise"]),
    "q_sample, per-example t": lambda rd, a: rd.q_sample(a["x"], a["t"] + 1, a["schedule"], a["noise"]),
    "q_sample, length of t": lambda rd, a: rd.q_sample(a["x"], a["t"][:2], a["schedule"], a["noise"]),
    "q_sample, precision": lambda rd, a: rd.q_sample(a["x"], 3, a["schedule"], a["noise"].astype(np.float32)),
    "q_sample, integers": lambda rd, a: rd.q_sample(a["t"], 3, a["schedule"], a["t"]),
    "q_step_sample": lambda rd, a: rd.forward.q_step_sample(a["x"], 3, 5, a["schedule"], a["noise"]),
    "trajectory": lambda rd, a: rd.forward.trajectory(a["x"], cases.GRID, a["schedule"], a["states"]),
    "interpolate": lambda rd, a: rd.flow.interpolate(a["x"], a["noise"], 1.5),
    "to_x0, kind": lambda rd, a: rd.predict.to_x0(a["p"], a["x"], 3, a["schedule"], "noise"),
    "to_eps from x0 at 0": lambda rd, a: rd.predict.to_eps(a["p"], a["x"], 0, a["schedule"], "x0"),
    "to_x0 without signal": lambda rd, a: rd.predict.to_x0(a["p"], a["x"], 100, rd.schedules.zero_terminal_snr(a["schedule"])),
    "convert": lambda rd, a: rd.predict.convert(a["p"], a["x"], 0, a["schedule"], "eps", "score"),
    "clip_x0": lambda rd, a: rd.predict.clip_x0(a["p"], a["x"], 3, a["schedule"], limit=0.0),
    "tweedie_mean": lambda rd, a: rd.predict.tweedie_mean(a["x"], a["p"][:, :1], 3, a["schedule"]),
    "ddim_step, eta": lambda rd, a: rd.ddim_step(a["p"], a["x"], 5, 3, a["schedule"], eta=1.5),
    "ddim_step, etas": lambda rd, a: rd.ddim_step(a["p"], a["x"], 5, 3, a["schedule"], eta=np.array([0.5])),
    "ddim_step, noise": lambda rd, a: rd.ddim_step(a["p"], a["x"], 5, 3, a["schedule"], eta=0.5),
    "ddim_step, order": lambda rd, a: rd.ddim_step(a["p"], a["x"], 3, 5, a["schedule"]),
    "ddpm_step, variance": lambda rd, a: rd.ddpm_step(a["p"], a["x"], 5, 3, a["schedule"], a["noise"], variance="fixed"),
    "ddpm_step, noise": lambda rd, a: rd.ddpm_step(a["p"], a["x"], 5, 3, a["schedule"]),
    "ddpm_step, mix": lambda rd, a: rd.ddpm_step(a["p"], a["x"], 5, 3, a["schedule"], a["noise"], variance="learned"),
    "ddpm_step, mix outside": lambda rd, a: rd.ddpm_step(a["p"], a["x"], 5, 3, a["schedule"], a["noise"], "v", "learned", a["mix"] + 1),
    "euler_step, time": lambda rd, a: rd.samplers.euler_step(lambda x, t: -x, a["x"], np.nan, 0.3),
    "euler_step, slope": lambda rd, a: rd.samplers.euler_step(lambda x, t: x[:2], a["x"], 0.1, 0.3),
    "heun_step, slope": lambda rd, a: rd.samplers.heun_step(lambda x, t: x.astype(np.float32), a["x"], 0.1, 0.3),
    "sample, noise": lambda rd, a: list(rd.sample(lambda x, t: x, rd.samplers.euler_step, [0.0, 0.5, 1.0], a["x"], a["states"][:1])),
    "classifier_free": lambda rd, a: rd.guidance.classifier_free(a["x"], a["p"], np.inf),
    "classifier_score": lambda rd, a: rd.guidance.classifier_score(a["x"], a["p"], a["t"][:3] * 1.0),
    "guided": lambda rd, a: rd.guidance.guided(lambda x, t, y: x, a["labels"][:3], 3.0, 2)(a["x"], 3),
    "normal, seed": lambda rd, a: rd.rng.normal(-1, 3),
    "normal, samples": lambda rd, a: rd.rng.normal(0, np.array([-1])),
    "bits, elements": lambda rd, a: rd.rng.bits(0, 2, -1),
    "bits, steps": lambda rd, a: rd.rng.bits(0, 2, 4, np.array([1, 2, 3])),
    "integers, high": lambda rd, a: rd.rng.integers(0, 2, 0),
    "conv": lambda rd, a: rd.layers.conv({"w": a["matrix"], "b": a["uniform"]}, a["x"]),
    "up": lambda rd, a: rd.layers.up({}, a["x"]),
    "pool": lambda rd, a: rd.layers.pool({}, a["x"][:, :, :, None]),
    "group_norm": lambda rd, a: rd.layers.group_norm({"scale": a["uniform"], "shift": a["uniform"]}, a["x"], 5),
    "cross_attention": lambda rd, a: rd.layers.cross_attention({"q": {"w": a["matrix"][0]}}, a["x"], a["x"], 2),
    "embedding": lambda rd, a: rd.layers.embedding({"table": a["matrix"][0]}, a["t"]),
    "mlp": lambda rd, a: rd.mlp.mlp(rd.mlp.init(0), a["x"][:, 0], a["tau"][:3]),
    "mlp, labels": lambda rd, a: rd.mlp.mlp(rd.mlp.init(0), a["x"][:, 0], 3.0, a["labels"]),
    "mlp.init": lambda rd, a: rd.mlp.init(0, features=3),
    "adam, step": lambda rd, a: rd.optim.adam(a["x"], a["p"], {"m": a["x"], "v": a["variance"]}, 0),
    "adam, beta": lambda rd, a: rd.optim.adam(a["x"], a["p"], {"m": a["x"], "v": a["variance"]}, 1, beta1=1.0),
    "ema": lambda rd, a: rd.optim.ema(a["x"], a["p"], 1.5),
    "mixture": lambda rd, a: rd.oracles.mixture([[0.0]], [[[-1.0]]]),
    "draw": lambda rd, a: rd.training.draw(1, a["x"][:0], None, a["schedule"], training.Config()),
    "draw, labels": lambda rd, a: rd.training.draw(1, a["x"], a["labels"][:2], a["schedule"], training.Config()),
    "train, workers": lambda rd, a: next(rd.training.train(training.start({}), a["x"], None, a["schedule"], training.Config(), workers=0)),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_those_of_refdiff(name):
    """A wrong argument raises the same error on the device as on the host: type and message."""
    with pytest.raises((ValueError, TypeError)) as expected:
        WRONG[name](refdiff, cases.arguments())
    with pytest.raises(expected.type) as ours:
        WRONG[name](refdiff_gpu, device_arguments())
    assert str(ours.value) == str(expected.value)


# Oracles, networks, samplers


def mixture():
    """Three Gaussians of two classes."""
    means = [[0.0, 1.0], [1.0, -1.0], [-1.0, 0.5]]
    return refdiff.oracles.mixture(means, [np.diag([0.3, 0.2])] * 3, labels=[0, 1, 1])


@pytest.mark.parametrize("kind", refdiff.predict.KINDS)
def test_oracles_run_on_the_device(kind, schedule):
    """The functions of a mixture, with and without labels, give NumPy's results."""
    points, labels, t = rng.normal(0, 4, (2,)), np.array([0, 1, 2, 1]), np.array([10, 40, 60, 90])
    on_host, on_device = mixture(), to_device(mixture())
    signal, sigma = schedule.signal_sigma(30)
    for y in None, labels:
        ours = on_device.model(schedule, kind)(asarray(points), asarray(t), None if y is None else asarray(y))
        assert_same(ours, on_host.model(schedule, kind)(points, t, y))
    assert_same(on_device.log_density(asarray(points), signal, sigma), on_host.log_density(points, signal, sigma))
    assert_same(on_device.log_class(asarray(points), signal, sigma), on_host.log_class(points, signal, sigma))
    uniform = np.abs(np.tanh(points[:, 0]))
    assert_same(on_device.sample(asarray(uniform), asarray(points)), on_host.sample(uniform, points))


def network(dtype, **options):
    """A small U-Net, no parameter of which is zero."""
    p = unet.init(0, base=8, multipliers=(1, 2), attention=(1,), embedding=16, classes=3, dtype=dtype, **options)
    return tree.map(lambda leaf: leaf + rng.normal(1, 1, leaf.shape, stream=rng.START, dtype=dtype)[0] / 10, p)


def batch(dtype):
    """Images, times and labels."""
    return rng.normal(0, 3, (8, 8, 1), dtype=dtype), np.array([1.0, 500.0, 999.0]), np.array([0, 2, 3])


@pytest.mark.parametrize("mode", ["adaptive", "add"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reference_unet_on_the_device(mode, dtype):
    """The reference U-Net with attention, forward and backward, gives NumPy's result bit for bit, without transfers."""
    p, (images, t, y) = network(dtype, mode=mode), batch(dtype)
    on_device = to_device((p, images, t, y))
    out, vjp = unet.unet(p, images, t, y)
    with sealed(), unchecked():
        ours, ours_vjp = unet.unet(*on_device)
        grads = ours_vjp(on_device[1])
    assert_same(ours, out)
    assert_same(*(list(tree.flatten(each[0]).values()) for each in (grads, vjp(images))))
    assert_same(grads[1], vjp(images)[1])


@pytest.mark.parametrize("mode", ["adaptive", "add"])
def test_unet_with_kernels(mode):
    """The U-Net on fused kernels, forward and backward, is the reference up to rounding errors of sums."""
    p, (images, t, y) = network(np.float64, mode=mode), batch(np.float64)
    on_device = to_device((p, images, t, y))
    out, vjp = unet.unet(p, images, t, y)
    with sealed(), unchecked():
        ours, ours_vjp = refdiff_gpu.unet.unet(*on_device)
        grads = ours_vjp(on_device[1])
    assert relative(to_host(ours), out) <= COMPLEX_STEP
    assert relative(*(tree.pack({"p": to_host(dp), "x": to_host(dx)})[0] for dp, dx in (grads, vjp(images)))) <= COMPLEX_STEP


@pytest.mark.parametrize("L", [refdiff.layers, refdiff_gpu.layers])
def test_mlp_and_classifier(L):
    """The MLP and the image classifier run on the device, forward and backward, without any transfer."""
    p, points = (
        tree.map(lambda leaf: leaf + 0.1, refdiff.mlp.init(0, width=8, features=4, classes=2, dtype=np.float64)),
        rng.normal(0, 3, (2,)),
    )
    t, y = np.array([1.0, 500.0, 999.0]), np.array([0, 1, 2])
    weights = tree.map(lambda leaf: leaf + 0.1, classifier.init(0, base=8, embedding=8, dtype=np.float64))
    images, _, _ = batch(np.float64)
    for net, inputs in (refdiff.mlp.mlp, (p, points, t, y)), (classifier.classifier, (weights, images, t)):
        on_device = to_device(inputs)
        out, vjp = net(*inputs)
        with sealed(), unchecked():
            ours, ours_vjp = net(*on_device, L=L)
            grads = ours_vjp(ours)
        assert relative(to_host(ours), out) <= COMPLEX_STEP
        assert relative(tree.pack(to_host(grads[0]))[0], tree.pack(vjp(out)[0])[0]) <= COMPLEX_STEP


def test_guided_ddim_sampler(schedule):
    """Twenty guided DDIM steps of a U-Net give the images of the CPU, without transfers between first and last state."""
    p, y = network(np.float64), np.array([0, 1, 2])
    grid = refdiff.schedules.grid("trailing", 100, 20)

    def run(lib, p, y, schedule, net):
        model = lib.guidance.guided(lib.training.as_model(p, schedule, net), y, 3.0, 3)
        step = lib.samplers.stepper(lib.ddim_step, schedule, eta=0.7)
        return lib.sample(model, step, grid, lib.rng.normal(0, 3, (8, 8, 1)), lib.rng.Normals(1, 3, (8, 8, 1)))

    *_, expected = run(refdiff, p, y, refdiff.schedules.linear(100), unet.unet)
    states = run(refdiff_gpu, *to_device((p, y)), schedule, refdiff_gpu.unet.unet)
    next(states)
    with sealed():
        *_, ours = states
    assert relative(to_host(ours), expected) <= 1e3 * COMPLEX_STEP


@pytest.mark.parametrize("path", ["diffusion", "flow"])
def test_generate(schedule, path):
    """One call gives the samples of the CPU, with labels, guidance and noise, and returns them on the device."""
    p, y = network(np.float64), np.array([0, 1, 2])

    def run(lib, p, schedule, net):
        steps = (schedule, "ddpm") if path == "diffusion" else (lib.flow.straight, "heun")
        model = lib.training.as_model(p, steps[0], net)
        return lib.generate(model, steps[0], (3, 8, 8, 1), 4, steps[1], labels=y, guidance=2.0, dtype=np.float64)

    ours = run(refdiff_gpu, to_device(p), schedule, refdiff_gpu.unet.unet)
    assert isinstance(ours, GuardArray)
    assert relative(to_host(ours), run(refdiff, p, refdiff.schedules.linear(100), unet.unet)) <= 1e3 * COMPLEX_STEP


@pytest.mark.parametrize("name", solvers.METHODS)
def test_generate_by_a_solver(schedule, name):
    """K5, K6, K7, K8, K9: the solvers compute on the device, with a network of two layers, and give the samples of the CPU."""
    p = mlp.init(0, width=8, depth=2, features=4, dtype=np.float64)

    def run(lib, p, schedule, net):
        return lib.generate(lib.training.as_model(p, schedule, net), schedule, (5, 2), 6, name, dtype=np.float64)

    ours = run(refdiff_gpu, to_device(p), schedule, refdiff_gpu.mlp.mlp)
    assert isinstance(ours, GuardArray)
    assert relative(to_host(ours), run(refdiff, p, refdiff.schedules.linear(100), mlp.mlp)) <= 1e3 * COMPLEX_STEP


LAYERS = {
    "linear": lambda L, a: L.linear({"w": a["w"], "b": a["b"]}, a["rows"]),
    "silu": lambda L, a: L.silu({}, a["image"]),
    "softmax": lambda L, a: L.softmax({}, a["image"]),
    "up": lambda L, a: L.up({}, a["image"]),
    "pool": lambda L, a: L.pool({}, a["image"]),
    "film": lambda L, a: L.film({}, a["image"], a["modulation"][:, :4], a["modulation"][:, 4:]),
    "normalize": lambda L, a: L.normalize({}, a["image"], 2),
    "group_norm": lambda L, a: L.group_norm({"scale": a["b"], "shift": -a["b"]}, a["image"], 2),
    "adaptive_group_norm": lambda L, a: L.adaptive_group_norm({"w": a["wide"], "b": a["modulation"][0]}, a["image"], a["rows"], 2),
    "conv": lambda L, a: L.conv({"w": a["kernel"], "b": a["b"]}, a["image"]),
    "conv, stride 2": lambda L, a: L.conv({"w": a["kernel"], "b": a["b"]}, a["image"], stride=2),
    "conv, 1 x 1": lambda L, a: L.conv({"w": a["kernel"][:1, :1], "b": a["b"]}, a["image"]),
    "conv_up": lambda L, a: L.conv_up({"w": a["kernel"], "b": a["b"]}, a["image"]),
    "cross_attention": lambda L, a: L.cross_attention(
        {n: {"w": a["square"], "b": a["b"]} for n in ("q", "k", "v", "out")}, a["words"], a["others"], 2
    ),
    "self_attention": lambda L, a: L.self_attention({n: {"w": a["square"], "b": a["b"]} for n in ("q", "k", "v", "out")}, a["words"], 2),
    "embedding": lambda L, a: L.embedding({"table": a["square"]}, a["labels"]),
    "cross_entropy": lambda L, a: L.cross_entropy(a["rows"], a["labels"]),
}


def layer_arguments(dtype):
    """Small arrays for the layers."""
    shapes = {"rows": (3, 5), "w": (5, 4), "b": (4,), "image": (3, 4, 6, 4), "modulation": (3, 8), "wide": (5, 8), "kernel": (3, 3, 4, 4)}
    shapes |= {"square": (4, 4), "words": (3, 5, 4), "others": (3, 2, 4)}
    return {name: rng.normal(0, 1, shape, i, dtype=dtype)[0] for i, (name, shape) in enumerate(shapes.items())} | {
        "labels": np.array([0, 3, 1])
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, dtype):
    """Every layer, forward and backward, without transfers: the reference bit for bit, kernels up to the order of sums."""
    arguments = layer_arguments(dtype)
    y, vjp = LAYERS[name](refdiff.layers, arguments)
    dy = rng.normal(1, 1, y.shape, dtype=dtype)[0]
    on_device, our_dy = to_device((arguments, dy))
    for L in refdiff.layers, refdiff_gpu.layers:
        with sealed(), unchecked():
            ours, ours_vjp = LAYERS[name](L, on_device)
            found, expected = flat((ours, ours_vjp(our_dy))), flat((y, vjp(dy)))
        for one, other in zip(found, expected, strict=True):
            if L is refdiff.layers:
                assert_same(one, other)
            else:
                assert one.dtype == other.dtype and relative(to_host(one), other) <= IDENTITY * np.finfo(dtype).eps


def flat(result):
    """All arrays of nested tuples and dicts."""
    if isinstance(result, dict):
        result = [result[key] for key in sorted(result)]
    return [each for part in result for each in flat(part)] if isinstance(result, list | tuple) else [result]


@pytest.mark.parametrize("optim", [refdiff.optim, refdiff_gpu.optim])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_optimizers(optim, dtype):
    """Adam, EMA, norm and clipping, by the reference and by kernels, give NumPy's results bit for bit.

    The norm is fetched explicitly.
    """
    params, grads = ({"a": {"w": rng.normal(i, 3, (2,), dtype=dtype)}, "b": rng.normal(i, 1, (4,), 1, dtype=dtype)[0]} for i in range(2))

    def steps(optim, params, grads):
        state = optim.init(params)
        grads, norm = optim.clip(grads, 0.5)
        for step in 1, 2:
            params, state = optim.adam(params, grads, state, step, decay=0.1)
        average = optim.ema(tree.map(np.zeros_like, params), params)
        return flat((params, state, optim.ema_debiased(average, 1))), norm

    (ours, our_norm), (expected, norm) = steps(optim, *to_device((params, grads))), steps(refdiff.optim, params, grads)
    assert our_norm == norm
    assert_same(ours, expected)


def test_what_scipy_computes_is_fetched():
    """Metrics, the adaptive solver and the optimal coupling accept device arrays, and give the results of `refdiff`."""
    x, y = rng.normal(0, 6, (2,)), rng.normal(1, 6, (2,))
    on_device = to_device((x, y))
    assert refdiff_gpu.metrics.energy_distance(*on_device) == metrics.energy_distance(x, y)
    assert refdiff_gpu.metrics.sliced_wasserstein(*on_device, directions=on_device[0]) == metrics.sliced_wasserstein(x, y, directions=x)
    assert_same(refdiff_gpu.flow.couple_optimally(*on_device), refdiff.flow.couple_optimally(x, y))
    for name in ("frechet_of_features", "kid"):
        assert getattr(refdiff_gpu.feature_metrics, name)(*on_device) == getattr(refdiff.feature_metrics, name)(x, y)
    coupling = refdiff_gpu.transport.couple_entropic(*on_device, eps=1.0)
    for ours, its in zip(coupling, refdiff.transport.couple_entropic(x, y, eps=1.0), strict=True):
        assert_same(ours, its)
    C = np.array([[2.0, 0.5], [0.5, 1.0]])
    for ours, its in zip(
        refdiff_gpu.bridge.gaussian(*to_device((C, C / 2)), 0.5, 1.0), refdiff.bridge.gaussian(C, C / 2, 0.5, 1.0), strict=True
    ):
        assert_same(ours, its)
    square = refdiff_gpu.oracles.expectation(refdiff_gpu.oracles.gaussian([0.5], [[2.0]]), lambda x: x[:, 0] ** 2, nodes=3)
    assert isinstance(square, GuardArray) and abs(float(square.get()) - 2.25) < 1e-14
    solved = refdiff_gpu.samplers.solve_adaptive(lambda x, t: -x, on_device[0], 0.0, 1.0)
    assert isinstance(solved, GuardArray)
    assert_same(solved, refdiff.samplers.solve_adaptive(lambda x, t: -x, x, 0.0, 1.0))


# Training

CONFIG = training.Config(steps=5, batch=4, warmup=2, seed=3, decay=0.01)


def runs(lib, config=CONFIG, dtype=np.float64, net=unet.unet, path=None):
    data, labels = rng.normal(3, 20, (8, 8, 1), stream=rng.DATA, dtype=dtype), np.arange(20) % 3
    path = path or lib.schedules.linear(100)
    return lib.training.train(lib.training.start(network(dtype)), data, labels, path, config, net=net)


@pytest.mark.parametrize(("kind", "path"), [("edm", refdiff.edm_training.path()), ("velocity", refdiff.flow_times.logit_normal())])
def test_batches_with_times_of_a_density(kind, path):
    """T1: times by normal quantiles, which the host computes, are the same on the device."""
    data, config = rng.normal(3, 20, (8, 8, 1), stream=rng.DATA, dtype=np.float32), replace(CONFIG, kind=kind)
    ours, theirs = (each.training.draw(2, values, None, path, config) for each, values in ((refdiff_gpu, to_device(data)), (refdiff, data)))
    for a, b in ((ours.x, theirs.x), (ours.clock, theirs.clock), (ours.target, theirs.target)):
        assert relative(to_host(a), b) <= 1e-6


@pytest.mark.parametrize("kind", ["eps", "velocity"])
def test_training_follows_the_cpu_without_transfers(kind):
    """Loss and parameters of five training steps on the device follow the CPU's.

    After the first step there is no transfer.
    """
    config = replace(CONFIG, kind=kind)
    path = refdiff.flow.straight if kind == "velocity" else None
    expected = [
        (loss, tree.pack(state.params)[0], tree.pack(state.averaged(config))[0]) for state, loss in runs(refdiff, config, path=path)
    ]
    run = runs(refdiff_gpu, config, path=path)
    for step, (loss, params, average) in enumerate(expected):
        if step:
            with sealed():
                state, ours = next(run)
        else:
            state, ours = next(run)
        assert abs(float(ours) - loss) <= TRAINED_ELSEWHERE * loss
        assert relative(to_host(tree.pack(state.params)[0]), params) <= TRAINED_ELSEWHERE
        assert relative(to_host(tree.pack(state.averaged(config))[0]), average) <= TRAINED_ELSEWHERE
    assert next(run, None) is None


def train_with_fault(state, data, fault, schedule):
    """Training with a fault in every step."""
    L = SimpleNamespace(**vars(refdiff_gpu.layers))
    if fault == "float(loss)":
        L.value_and_grad = lambda *args: (lambda loss, grads: (asarray(np.array(float(loss))), grads))(
            *refdiff_gpu.training.value_and_grad(*args)
        )
    if fault == "np.zeros on the host":
        L.silu = lambda p, h: refdiff_gpu.layers.silu(p, h + np.zeros(h.shape))
    if fault == "a table copied in every step":
        L.silu = lambda p, h: refdiff_gpu.layers.silu(p, h * asarray(np.ones(h.shape, h.dtype)))
    if fault == "a check of a value":
        L.silu = lambda p, h: refdiff_gpu.layers.silu(p, h if refdiff.arrays.all_true(h < 1e9) else -h)
    if fault == "an if":
        L.silu = lambda p, h: refdiff_gpu.layers.silu(p, h if h.sum() < 1e9 else -h)
    if fault == "numpy's own function":
        L.silu = lambda p, h: refdiff_gpu.layers.silu(p, np.nan_to_num(h))
    return refdiff_gpu.training.train(state, data, None, schedule, CONFIG, L=L)


@pytest.mark.parametrize(
    "fault",
    [None, "float(loss)", "np.zeros on the host", "a table copied in every step", "a check of a value", "an if", "numpy's own function"],
)
def test_planted_faults_are_caught(fault, schedule):
    """Training an MLP runs inside `sealed`; with a planted fault it raises."""
    state, data = (
        refdiff_gpu.training.loop.flatten_state(training.start(refdiff.mlp.init(0, width=8, features=4))),
        asarray(rng.normal(0, 9, (2,), dtype=np.float32)),
    )
    run = train_with_fault(state, data, fault, schedule)
    with sealed():
        if fault is None:
            next(run), next(run)
        else:
            with pytest.raises((TransferRefused, TypeError)):
                next(run)


def test_a_loss_is_fetched_when_read(schedule):
    """float(loss) and formatting fetch one number; a loss that is not finite raises the error of `refdiff` then."""
    data = rng.normal(0, 9, (2,), dtype=np.float32)
    start = training.start(refdiff.mlp.init(0, width=8, features=4))
    run = refdiff_gpu.training.train(start, data, None, schedule, CONFIG)
    _, loss = next(run)
    before = COUNTS["get"]
    assert f"{loss:.3f}" == f"{float(loss):.3f}" and COUNTS["get"] == before + 2
    wild = replace(CONFIG, rate=1e30, clip=np.inf, warmup=0)
    with (
        np.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"loss = .* in step \d; allowed: finite. A smaller rate, 1e\+30 now"),
    ):
        for _, loss in refdiff_gpu.training.train(start, data, None, schedule, wild):
            float(loss)


def test_checkpoint_from_the_device(tmp_path, schedule):
    """A state on the device is saved and loaded, and training continues from it bit for bit."""
    data, start = rng.normal(3, 20, (2,)), training.start(refdiff.mlp.init(0, width=8, features=4, dtype=np.float64))

    def run(state):
        return refdiff_gpu.training.train(state, data, None, schedule, CONFIG)

    *_, (end, _) = run(start)
    states = run(start)
    for _ in range(2):
        state, _ = next(states)
    io.save_state(tmp_path / "run.npz", state, CONFIG)
    *_, (again, _) = run(io.load_state(tmp_path / "run.npz", CONFIG)[0])
    assert end.step == again.step == 5
    for one, other in (end.params, again.params), (end.ema, again.ema), (end.moments, again.moments):
        assert_same(tree.pack(one)[0], tree.pack(to_host(other))[0])
