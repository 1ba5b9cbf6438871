"""Declared conventions: a library in each of them, written by hand, passes with the declaration and fails without it."""

# ruff: noqa: RUF012  (the classes are adapters as users write them)

import sys
from itertools import pairwise

import numpy as np
import pytest

from refdiff.conformance import adapter
from refdiff.conformance.dialects import declared, images
from refdiff.conformance.operations import operations
from refdiff.conformance.report import outcome
from refdiff.conformance.run import runner


def formula(name, **inputs):
    return operations()[name].formula(**inputs)


class Index:
    """Tables of T entries, read at 0..T - 1; clean data is -1."""

    dialect = {"time": "index"}

    def q_sample(self, x0, t, betas, noise):
        alpha_bar = np.asarray(np.cumprod(1 - betas)[t]).reshape(np.shape(t) + (1,) * (x0.ndim - np.ndim(t)))
        return np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * noise

    def posterior_variance(self, t, s, betas):
        alpha_bar = np.append(np.cumprod(1 - betas), 1.0)  # -1 is the last, where clean data stands
        return (1 - alpha_bar[s]) / (1 - alpha_bar[t]) * (1 - alpha_bar[t] / alpha_bar[s])

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        return formula(
            "ddim_sample", model=lambda y, t: model(y, t - 1), grid=grid + 1, x=x, noise=noise, betas=betas, eta=eta, kind=kind, clip=clip
        )

    def grid(self, kind, T, S):
        return formula("grid", kind=kind, T=T, S=S) - 1


class Each:
    """A time for every example, never one for all."""

    dialect = {"times": "each"}

    def q_sample(self, x0, t, betas, noise):
        alpha_bar = np.append(1.0, np.cumprod(1 - betas))[t].reshape(len(x0), *(1,) * (x0.ndim - 1))
        return np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * noise


class Noise:
    """Flow times from data, 0, to noise, 1; the velocity is noise - data."""

    dialect = {"flow_time": "noise time"}

    def interpolate(self, data, noise, t, path):
        t = np.asarray(t).reshape(np.shape(t) + (1,) * (data.ndim - np.ndim(t)))
        signal, sigma = (1 - t, t) if path == "straight" else (np.cos(np.pi / 2 * t), np.sin(np.pi / 2 * t))
        return signal * data + sigma * noise

    def velocity(self, data, noise, t, path):
        t = np.asarray(t).reshape(np.shape(t) + (1,) * (data.ndim - np.ndim(t)))
        if path == "straight":
            return noise - data + 0 * t
        return np.pi / 2 * (np.cos(np.pi / 2 * t) * noise - np.sin(np.pi / 2 * t) * data)

    def conditional_loss(self, prediction, data, noise, t, path):
        return ((prediction - self.velocity(data, noise, t, path)) ** 2).reshape(len(data), -1).sum(axis=1)

    def heun_step(self, f, x, t, s):
        first = f(x, t)
        return x + (s - t) * (first + f(x + (s - t) * first, s)) / 2

    def ode_sample(self, f, method, times, x):
        if method != "heun":
            raise NotImplementedError(method)
        states = [x]
        for t, s in pairwise(times):
            states.append(self.heun_step(f, states[-1], t, s))
        return np.stack(states)


class Thousand(Noise):
    """The same, times 1000."""

    dialect = {"flow_time": "1000 noise time"}

    def interpolate(self, data, noise, t, path):
        return super().interpolate(data, noise, np.asarray(t) / 1000, path)

    def velocity(self, data, noise, t, path):
        return super().velocity(data, noise, np.asarray(t) / 1000, path)

    def flow_time(self, log_snr):
        return 1000 * (1 - formula("flow_time", log_snr=log_snr))


class Exploding:
    """States x / sqrt(alpha_bar), with the noise of standard deviation sigma."""

    dialect = {"state": "exploding"}

    def to_eps(self, prediction, x_t, t, betas, kind):
        if kind != "x0" or np.any(np.asarray(t) == 0):
            raise NotImplementedError(kind)
        alpha_bar = np.append(1.0, np.cumprod(1 - betas))[t]
        sigma = np.sqrt(1 / alpha_bar - 1)
        return (x_t - prediction) / np.reshape(sigma, np.shape(t) + (1,) * (x_t.ndim - np.ndim(t)))

    def ddim_sample(self, model, grid, x, noise, betas, eta, kind, clip=None):
        if eta or clip or kind != "eps":
            raise NotImplementedError
        sigma, states = np.sqrt(1 / np.append(1.0, np.cumprod(1 - betas)) - 1)[grid], [x]
        for i, t in enumerate(grid[:-1]):
            slope = model(states[-1] / np.sqrt(1 + sigma[i] ** 2), t)
            states.append(states[-1] + (sigma[i + 1] - sigma[i]) * slope)
        return np.stack(states)


class Units:
    """Bits per dimension, means, w, a mix from -1 to 1, and other words for the kinds."""

    dialect = {"elbo": "bits/dim", "loss": "mean", "guidance": "w", "mix": "[-1, 1]", "kinds": {"learned": "range"}}

    def kl_diagonal(self, mean1, variance1, mean2, variance2):
        each = (variance1 / variance2 - 1 - np.log(variance1 / variance2) + (mean1 - mean2) ** 2 / variance2) / 2
        return np.broadcast_to(each, mean1.shape).reshape(len(mean1), -1).mean(axis=1) / np.log(2)

    def l_simple(self, target, prediction):
        return ((target - prediction) ** 2).reshape(len(target), -1).mean(axis=1)

    def classifier_free(self, unconditional, conditional, gamma):
        w = np.reshape(gamma, np.shape(gamma) + (1,) * (conditional.ndim - np.ndim(gamma)))
        return (1 + w) * conditional - w * unconditional

    def model_variance(self, variance, x_t, t, s, betas, mix=None):
        assert variance == "range" and -1 <= mix.min() <= mix.max() <= 1
        return formula("model_variance", variance="learned", x_t=x_t, t=t, s=s, betas=betas, mix=(mix + 1) / 2)


class ChannelsFirst:
    """Images (B, C, H, W) and kernels (out, in, size, size), as PyTorch has them."""

    dialect = {"axes": "channels first"}

    def conv(self, x, w, b, stride):
        assert x.shape[1] == w.shape[1] and w.shape[0] == len(b)
        r = w.shape[-1] // 2
        padded = np.pad(x, ((0, 0), (0, 0), (r, r), (r, r)))
        height, width = x.shape[2:]
        parts = [
            np.einsum("bchw,oc->bohw", padded[:, :, i : i + height, j : j + width][:, :, ::stride, ::stride], w[:, :, i, j])
            for i, j in np.ndindex(w.shape[2:])
        ]
        return sum(parts) + b[:, None, None]

    def up(self, x):
        return x.repeat(2, axis=2).repeat(2, axis=3)

    def linear_layer(self, x, w, b):
        return x @ w.T + b


def passed(cls):
    """Whether a class passes on the operations that it has, without one that is skipped altogether."""
    target = adapter.Adapter(cls)
    only = [name for name in operations() if target.has(name)]
    results = list(runner.run(target, runner.select(only=only)))
    ran = {result.vector.operation for result in results if result.status == "passed"}
    return outcome.passed(results) and ran == set(only)


CLASSES = (Index, Each, Noise, Thousand, Exploding, Units, ChannelsFirst)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_library_in_its_conventions_passes(cls):
    """With the declaration, and only with it."""
    assert passed(cls)
    assert not passed(type("Undeclared", (cls,), {"dialect": {}}))


def test_every_choice_has_a_library():
    """All conventions but the arrays of PyTorch and JAX, which are no dependencies, and those that are the kit's own."""
    own = {
        "step",
        "one or each",
        "one",
        "data time",
        "preserving",
        "gamma",
        "[0, 1]",
        "sum",
        "nats",
        "channels last",
        "numpy",
        "torch",
        "jax",
    }
    stated = {choice for cls in CLASSES for choice in cls.dialect.values() if isinstance(choice, str)}
    assert {choice for choices in declared.ALLOWED.values() for choice in choices} - own == stated


def test_what_a_convention_cannot_express_is_skipped():
    """t = 0 as an index, a word without another, times of the examples where one is taken."""
    operation, inputs = operations()["q_sample"], {"x0": np.zeros((2, 1)), "noise": np.zeros((2, 1)), "betas": np.array([0.5])}
    for dialect, t in (
        ({"time": "index"}, 0),
        ({"time": "index"}, np.array([1, 0])),
        ({"times": "one"}, np.array([1, 1])),
        ({"state": "exploding"}, -1),
        ({"state": "exploding"}, 2),
    ):
        with pytest.raises(adapter.Skip):
            declared.converted(operation, {**inputs, "t": t}, dialect)
    for name in ("q_between", "ddim_inversion_step"):  # these begin at s; other steps may end there
        with pytest.raises(adapter.Skip, match="no index stands for s = 0"):
            declared.converted(operations()[name], {"t": 1, "s": 0}, {"time": "index"})
    assert declared.converted(operations()["posterior_variance"], {"t": 1, "s": 0}, {"time": "index"}).inputs == {"t": 0, "s": -1}
    with pytest.raises(adapter.Skip, match="the library has no score"):
        declared.converted(operations()["to_x0"], {"kind": "score"}, {"kinds": {"eps": "epsilon"}})


@pytest.mark.parametrize(
    "dialect, says",
    [
        ("diffusers", "dialect = 'diffusers'; allowed: a dict with any of time, "),
        ({"clock": "index"}, "dialect has 'clock'; allowed: time, times, "),
        ({"time": "indices"}, "dialect['time'] = 'indices'; allowed: step, index"),
        ({"kinds": "eps"}, "dialect has 'kinds'; allowed: "),
    ],
)
def test_a_wrong_declaration_is_refused(dialect, says):
    """The message has what was given, and what is allowed."""
    with pytest.raises(ValueError) as error:
        declared.check(dialect)
    assert says in str(error.value)


class Careless:
    """A library that takes whatever it is given, in exploding states."""

    dialect = {"state": "exploding"}

    def posterior(self, x_t, x0, t, s, betas):
        return 0 * x_t, 0 * x_t

    def to_x0(self, prediction, x_t, t, betas, kind):
        return 0 * x_t

    def trajectory_log_density(self, states, grid, betas):
        return np.zeros(states.shape[1])


def test_a_conversion_is_no_refusal(monkeypatch):
    """What a convention cannot express is skipped: wrong inputs are never passed by an error of the conversion."""
    results = list(runner.run(adapter.Adapter(Careless), runner.select(only=["posterior", "to_x0", "trajectory_log_density"])))
    refusals = [result for result in results if result.vector.refused]
    assert refusals and {result.status for result in refusals} <= {"failed", "skipped"}
    assert {result.status for result in results if result.vector.operation != "to_x0"} == {"skipped"}
    missing = adapter.Adapter(type("Missing", (Careless,), {"dialect": {"arrays": "jax"}}))
    monkeypatch.setattr(declared, "importlib", None)  # as if the library were not installed
    assert {runner.check(missing, result.vector).status for result in refusals} == {"errored"}
    assert "the declared dialect cannot be applied" in runner.check(missing, refusals[0].vector).message


class Elbo:
    """Bits per dimension of chains of states, and of Gaussians with full covariances."""

    dialect = {"elbo": "bits/dim"}

    def elbo_joint(self, states, grid, betas, model, variance):
        nats = formula("elbo_joint", states=states, grid=grid, betas=betas, model=model, variance=variance)
        return nats / states[0, 0].size / np.log(2)

    def kl_full(self, mean1, covariance1, mean2, covariance2):
        return formula("kl_full", mean1=mean1, covariance1=covariance1, mean2=mean2, covariance2=covariance2) / len(mean1) / np.log(2)


class Alone:
    """A posterior variance for arrays of times only."""

    dialect = {"times": "each"}

    def posterior_variance(self, t, s, betas):
        assert t.shape == s.shape == (len(t),)
        return formula("posterior_variance", t=t, s=s, betas=betas)


class Matrices:
    """An MLP with matrices (out, in), and velocities by their rates, from data to noise."""

    dialect = {"axes": "channels first", "flow_time": "noise time"}

    def state_at(self, data, noise, signal, sigma, signal_rate, sigma_rate):
        x_t, velocity = formula(
            "state_at", data=data, noise=noise, signal=signal, sigma=sigma, signal_rate=signal_rate, sigma_rate=sigma_rate
        )
        return x_t, velocity

    def convert_on_path(self, prediction, x_t, t, path, source, to):
        sign = {"velocity": -1}
        right = formula(
            "convert_on_path", prediction=sign.get(source, 1) * prediction, x_t=x_t, t=1 - np.asarray(t), path=path, source=source, to=to
        )
        return sign.get(to, 1) * right

    def mlp(self, x, t, **weights):
        turned = {name: value.T if name in ("w0", "w1", "w2", "w3") else value for name, value in weights.items()}
        return formula("mlp", x=x, t=t, **turned)


@pytest.mark.parametrize("cls", [Elbo, Alone, Matrices], ids=lambda cls: cls.__name__)
def test_more_operations_of_a_convention(cls):
    """Operations whose inputs have another form than most pass with the declaration, and fail without it."""
    assert passed(cls)
    assert not passed(type("Undeclared", (cls,), {"dialect": {}}))


def test_converted_inputs_that_are_overwritten_are_named():
    """Also where the library is given a copy: it would overwrite the arrays of its callers."""

    class Overwrites(Index):
        def q_sample(self, x0, t, betas, noise):
            found = super().q_sample(x0, t, betas, noise)
            if np.ndim(t):
                t += 1
            return found

    vectors = [vector for vector in runner.select(only=["q_sample"]) if np.ndim(vector.inputs["t"]) and not vector.refused]
    assert any(result.overwritten == ("t",) for result in runner.run(adapter.Adapter(Overwrites), vectors))


class Tensor:
    """What the kit needs of a tensor: an array behind detach, cpu and numpy."""

    def __init__(self, array):
        self.array = np.asarray(array)

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.array


def test_tensors(monkeypatch):
    """Arrays go into tensors and come back, of models too; numbers stay numbers."""
    module = type("torch", (), {"from_numpy": staticmethod(Tensor)})
    monkeypatch.setitem(sys.modules, "torch", module)

    class Euler:
        dialect = {"arrays": "torch"}

        def euler_step(self, f, x, t, s):
            assert isinstance(x, Tensor) and isinstance(f(x, t), Tensor) and isinstance(t, float)
            return Tensor(x.array + (s - t) * f(x, t).array)

    class ExplodingTensors:
        dialect = {"state": "exploding", "arrays": "torch"}

        def q_sample(self, x0, t, betas, noise):
            alpha_bar = np.append(1.0, np.cumprod(1 - betas.array))[t.array if isinstance(t, Tensor) else t]
            sigma = np.sqrt(1 / alpha_bar - 1)
            return Tensor(x0.array + sigma.reshape(np.shape(sigma) + (1,) * (x0.array.ndim - np.ndim(sigma))) * noise.array)

    assert passed(Euler)
    assert passed(ExplodingTensors)


@pytest.mark.parametrize(
    "name, last, first",
    [
        ("x", (2, 3, 4, 5), (2, 5, 3, 4)),
        ("states", (6, 2, 3, 4, 5), (6, 2, 5, 3, 4)),
        ("w", (2, 3, 4, 5), (5, 4, 2, 3)),
        ("dw", (2, 3, 4, 5), (5, 4, 2, 3)),
        ("w0", (4, 5), (5, 4)),
        ("b", (5,), (5,)),
    ],
)
def test_channels_first_and_back(name, last, first):
    """Images, chains of images, kernels, matrices and their gradients keep every number at its place."""
    value = np.arange(np.prod(last)).reshape(last)
    turned = images.channels_first(name, value)
    assert turned.shape == first
    assert np.array_equal(images.channels_last({name: turned})[name], value)
