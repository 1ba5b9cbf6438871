"""What changes between steps: copies of a state, arrays put in the place of others, networks with attributes, forks and interrupts."""

import copy
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from refdiff import fast, layers, mlp, training, tree, unet
from refdiff.fast import flat_state
from refdiff.fast.captured import captured
from refdiff.training import Config

from ..networks.test_unet import normals
from ..tolerances import UNET
from ..training.small_runs import drawn, network

CONFIG = Config(kind="velocity", steps=9, batch=7, rate=0.05, warmup=0)


def losses(state, count=4, net=mlp.mlp, workers=2):
    """Losses of a few steps, which a state whose arrays are not those of its buffers would not lower."""
    found = []
    for _ in range(count):
        state, loss = fast.step(state, drawn(7), CONFIG, net, fast, workers)
        found.append(loss)
    return found


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda s: pickle.loads(pickle.dumps(s)), fast.adopt, replace])
def test_copies_of_a_state_train(copied):
    """T1: a copy of an adopted state trains as the state itself does; deep copies, and those by pickle, share nothing with it."""
    start = fast.adopt(training.start(network(0)))
    state, _ = fast.step(start, drawn(7), CONFIG, mlp.mlp, fast, 2)
    expected, ours = losses(copy.deepcopy(state)), copied(state)
    assert losses(ours) == expected and expected[-1] < expected[0]
    if copied not in (copy.copy, replace):
        assert ours.step == 5 and state.step == 1 and losses(state) == expected


def test_copies_of_parameters():
    """T1: the gradient is that of the parameters at the call, also for those changed through their buffer, or packed without a state."""
    params = fast.adopt(training.start(network(0))).params
    for ours in (fast.buffers.copy(params), copy.deepcopy(params), params):
        for _ in range(3):
            loss, grads = fast.value_and_grad(mlp.mlp, ours, drawn(7), fast, 2)
            expected, expected_grads = training.value_and_grad(mlp.mlp, tree.map(np.array, ours), drawn(7))
            assert abs(loss - expected) <= UNET * expected
            np.testing.assert_allclose(tree.pack(grads)[0], tree.pack(expected_grads)[0], rtol=1e-9, atol=1e-9)
            ours.buffer *= 1.5


def test_arrays_cannot_be_replaced():
    """T1: another array in the place of one of a packed tree is refused; elements can be changed, and a copy can be changed at will."""
    state = fast.adopt(training.start(network(0)))
    for part in (state.params, state.params["layer0"]):
        key = next(iter(part))
        for change in (
            lambda: part.__setitem__(key, part[key]),  # noqa: B023
            lambda: part.__delitem__(key),  # noqa: B023
            lambda: part.update({}),  # noqa: B023
            lambda: part.pop(key),  # noqa: B023
            lambda: part.__ior__({}),  # noqa: B023
            part.clear,
            part.popitem,
        ):
            with pytest.raises(TypeError, match="cannot be replaced; allowed:"):
                change()
    state.params["layer0"]["b"][...] = 3
    assert np.count_nonzero(state.params.buffer == 3) >= 3
    assert type(dict(state.params)) is dict and type(state.params | {"a": 1}) is dict


@pytest.mark.parametrize("part", ["params", "ema", "moments"])
def test_trees_that_replace_others_are_used(part):
    """T1: a state with a tree in the place of another trains as the reference does."""
    state, (grads, other) = fast.adopt(training.start(network(0))), (tree.map(np.ones_like, network(i)) for i in range(2))
    other = {"m": other, "v": other} if part == "moments" else tree.map(lambda leaf: leaf / 3, other)
    mine = replace(state, **{part: other})
    expected = training.update(
        training.State(0, *(tree.map(np.array, each) for each in (mine.params, mine.ema, mine.moments))), grads, CONFIG
    )
    ours = fast.update(mine, grads, CONFIG)
    for name in ("params", "ema", "moments"):
        np.testing.assert_allclose(tree.pack(getattr(ours, name))[0], tree.pack(getattr(expected, name))[0], rtol=1e-9, atol=1e-12)


SCALE = 1.0
SCALES = [1.0]


def scaled(scale, p, x, t, y, L):
    """A network whose output depends on a number."""
    out, vjp = mlp.mlp(p, x, t, y, L)
    return scale * out, lambda d: vjp(scale * d)


def by_global(*args):
    return scaled(SCALE, *args)


def by_list(*args):
    return scaled(SCALES[0], *args)


class Scaled:
    """A network with an attribute."""

    def __init__(self):
        self.scale = 1.0

    def __call__(self, *args):
        return scaled(self.scale, *args)


def networks():
    """Pairs of a network and a function that changes it, by every way to keep a number."""
    cell, array, item, function, holder = (
        1.0,
        np.ones(()),
        Scaled(),
        (lambda *args: scaled(function.scale, *args)),
        SimpleNamespace(scale=1.0),
    )
    function.scale = 1.0

    def set_cell(value):
        nonlocal cell
        cell = value

    def default(p, x, t, y, L, scale=1.0):
        return scaled(scale, p, x, t, y, L)

    bound = partial(default, scale=1.0)
    return {
        "closure": (lambda *args: scaled(cell, *args), set_cell),
        "array": (partial(scaled, array), lambda value: array.__setitem__((), value)),
        "attribute": (item, partial(setattr, item, "scale")),
        "method": (item.__call__, partial(setattr, item, "scale")),
        "function's attribute": (function, partial(setattr, function, "scale")),
        "namespace": (lambda *args: scaled(holder.scale, *args), partial(setattr, holder, "scale")),
        "default": (default, lambda value: setattr(default, "__defaults__", (value,))),
        "keyword": (bound, lambda value: bound.keywords.__setitem__("scale", value)),
        "global": (by_global, lambda value: globals().__setitem__("SCALE", value)),
        "list": (by_list, lambda value: SCALES.__setitem__(0, value)),
        "layers": (lambda p, x, t, y, L: scaled(L.scale, p, x, t, y, L), None),
    }


@pytest.mark.parametrize("way", networks())
def test_networks_that_change(way):
    """T1: a network that changes between steps is the network of that step, on any number of workers."""
    net, change = networks()[way]
    L = SimpleNamespace(**{name: getattr(fast, name) for name in fast.__all__}, scale=1.0)
    assert way not in ("closure", "default", "keyword", "global", "layers", "function's attribute") or captured(net, L)
    params = fast.adopt(training.start(network(0))).params
    for scale in (1.0, 2.0, 0.5, 1.0):
        (change or partial(setattr, L, "scale"))(scale)
        expected, _ = training.value_and_grad(partial(scaled, scale), params, drawn(7))
        for workers in (1, 2):
            loss, _ = fast.value_and_grad(net, params, drawn(7), L, workers)
            assert abs(loss - expected) <= UNET * expected


def test_what_is_captured():
    """T1: functions that read only constants and library functions are computed by processes; what can change unnoticed is not."""
    heads, weights, unchanged = 4, np.ones(3), partial(unet.unet, heads=4)
    fixed = [
        unet.unet,
        mlp.mlp,
        unchanged,
        lambda *args: unet.unet(*args, heads=heads),
        lambda x: np.sqrt(x) + np.float32(heads),
        by_global,
    ]
    assert all(captured(each, fast) == captured(each, fast) is not None for each in fixed)
    assert captured(partial(unet.unet, heads=2), fast) != captured(unchanged, fast) == captured(partial(unet.unet, heads=4), fast)
    assert captured(unchanged, layers) != captured(unchanged, fast)
    assert captured(lambda: 0.0) != captured(lambda: -0.0)
    generator = np.random.default_rng(0)
    free = [
        partial(unet.unet, heads=weights),
        lambda x: x @ weights,
        lambda: SCALES,
        Scaled(),
        Scaled().__call__,
        generator.normal,
        [].append,
    ]
    assert all(captured(each) is None for each in free)


def test_interrupts_do_not_break_an_update_off(monkeypatch):
    """T1: a signal in the middle of an update in place is handled after it, when the state has counted the step."""
    apply, arrived = flat_state.apply, []

    def interrupted(*args):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        apply(*args)

    monkeypatch.setattr(flat_state, "apply", interrupted)
    handlers = [signal.signal(number, handler) for number, handler in ((signal.SIGTERM, lambda *_: arrived.append(1)),)]
    ours, reference, grads = fast.adopt(training.start(network(0))), training.start(network(0)), tree.map(np.ones_like, network(0))
    for step in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            fast.update(ours, grads, CONFIG)
        reference = training.update(reference, grads, CONFIG)
        assert ours.step == step and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        np.testing.assert_allclose(tree.pack(ours.params)[0], tree.pack(reference.params)[0], rtol=1e-12, atol=1e-12)
    signal.signal(signal.SIGTERM, handlers[0])


@pytest.mark.skipif(sys.platform != "linux", reason="no worker processes here")
def test_a_fork_goes_on_by_itself():
    """T1: a fork of a process that trains has a state of its own: both go on from the same step, and neither changes the other's losses."""
    code = """if True:
        import os, sys
        from refdiff import fast, training
        from tests.fast.test_changes import losses
        from tests.training.small_runs import network
        state = fast.adopt(training.start(network(0)))
        losses(state, 2)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write, b"%r" % losses(state, 3))
            sys.exit()
        mine = losses(state, 3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        mine += losses(state, 1)
        print([os.read(read, 4096).decode(), mine])"""
    code = code.replace('b"%r" % losses(state, 3)', "repr(losses(state, 3)).encode()")
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=True, capture_output=True, text=True)
    theirs, mine = eval(done.stdout)
    whole = losses(fast.adopt(training.start(network(0))), 6)
    assert eval(theirs) == mine[:3] == whole[2:5] and mine == whole[2:]


def test_gradients_of_a_unet_after_changes():
    """N5, T1: processes forked for one network are not used for another with other parameters or keywords."""
    p = normals(unet.init(0, base=4, multipliers=(1,), attention=(0,), embedding=8, classes=2), 3)
    x = np.linspace(-1, 1, 5 * 16).reshape(5, 4, 4, 1)
    one = training.Batch(x, np.linspace(1, 900, 5), np.arange(5) % 2, x[::-1])
    params = fast.adopt(training.start(p)).params
    for heads in (2, 4, 1, 2):
        net = partial(unet.unet, heads=heads, groups=2)
        loss, expected = (f(net, params, one, fast, n)[0] for f, n in ((fast.value_and_grad, 2), (training.value_and_grad, 1)))
        assert abs(loss - expected) <= UNET * expected
