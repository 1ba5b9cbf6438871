"""Checkpoints: nothing is lost in a save, and a resumed run equals an uninterrupted one."""

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import refdiff
from refdiff import flow, mlp, rng, training, tree
from refdiff import io as checkpoints
from refdiff.training import Config
from refdiff.training.checkpoint import CheckpointError, checkpointed, load, load_state, save, save_state

DTYPES = ["?", "i1", "u2", "<i8", ">i4", "f2", "<f4", ">f4", "f8", "c8", "c16", "longdouble"]
names = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="/\\"), min_size=1, max_size=4)
leaves = st.builds(
    lambda dtype, shape, seed, fortran: np.asarray(
        rng.integers(seed, int(np.prod(shape)), 256).astype(dtype).reshape(shape), order="F" if fortran else "C"
    ),
    st.sampled_from(DTYPES),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    st.integers(0, 99),
    st.booleans(),
)
trees = st.dictionaries(
    names, st.recursive(leaves, lambda node: st.dictionaries(names, node, min_size=1, max_size=3), max_leaves=5), max_size=4
)


def assert_same(a, b):
    """Equal trees: keys, dtypes, byte order, shapes, layout, and every bit."""
    a, b = (tree.flatten(t) if t else {} for t in (a, b))
    assert a.keys() == b.keys()
    for path in a:
        assert a[path].dtype.str == b[path].dtype.str and a[path].shape == b[path].shape and a[path].tobytes() == b[path].tobytes()
        assert a[path].flags.c_contiguous == b[path].flags.c_contiguous


def example():
    return {"net": {"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(0, np.float32)}, "step": np.array(7)}


def problem():
    """Data, labels, path, and a configuration for a short run."""
    config = Config(kind="velocity", steps=6, batch=8, warmup=2, seed=3)
    return rng.normal(0, 20, (2,), stream=rng.DATA, dtype=np.float32), np.arange(20) % 2, flow.straight, config


def states(state=None, upto=6):
    """The states and losses of the run, from its start or from a state."""
    start = training.start(mlp.init(0, width=8, depth=2, features=4, classes=2))
    return [pair for pair in training.train(state or start, *problem()) if pair[0].step <= upto]


def same_state(a, b):
    assert a.step == b.step
    for part in ("params", "ema", "moments"):
        assert_same(getattr(a, part), getattr(b, part))


@given(trees)
def test_round_trip(tmp_path_factory, params):
    """Any tree of numbers is restored bit for bit, with dtypes, byte order, layout, 0-d and empty arrays, and so is the manifest."""
    path = tmp_path_factory.getbasetemp() / "round trip.npz"
    words = {"note": "é ∞", "list": [1, 0.1, None, True], "deep": {"a": {}}}
    save(path, params, **words)
    again, manifest = load(path)
    assert_same(again, params)
    assert {name: manifest[name] for name in words} == words
    assert manifest["refdiff"] == refdiff.__version__ and manifest["format"] == checkpoints.FORMAT == 2


def test_manifest_describes_every_array(tmp_path):
    """The file is a plain .npz for anyone with NumPy: arrays by path, and a manifest with dtype, shape and sha256 of each."""
    save(str(tmp_path / "a.npz"), example(), step=3)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        manifest = json.loads(file["manifest"].tobytes())
        assert sorted(file.files) == sorted([*manifest["arrays"], "manifest"]) and manifest["step"] == 3
        for name, entry in manifest["arrays"].items():
            array = tree.flatten(example())[name]
            assert entry == {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": hashlib.sha256(array.tobytes()).hexdigest()}
            np.testing.assert_array_equal(file[name], array)


def test_scalars_become_arrays(tmp_path):
    """A NumPy scalar, as arithmetic on a 0-d array gives, is restored as a 0-d array."""
    save(tmp_path / "a", {"a": np.float32(1.5)})
    assert_same(load(tmp_path / "a")[0], {"a": np.array(1.5, np.float32)})


def test_state_round_trip(tmp_path):
    """T1: state, configuration and extra are restored; the manifest has step, seed and generator, the position in the random numbers."""
    (state, _), *_ = states()
    config, extra = problem()[-1], {"dataset": "two moons"}
    save_state(tmp_path / "s.npz", state, config, extra)
    again, found, kept = load_state(tmp_path / "s.npz")
    same_state(again, state)
    assert found == config and kept == extra
    manifest = load(tmp_path / "s.npz")[1]
    assert manifest["rng"] == {"generator": "Philox-4x32-10", "seed": 3, "step": 1} and manifest["step"] == 1
    assert manifest["config"] == asdict(config)
    save_state(tmp_path / "s.npz", state, config)
    assert load_state(tmp_path / "s.npz", config)[2] == {}


def test_resume_equals_uninterrupted(tmp_path):
    """T1: saved and loaded after any step, a run continues with the same losses and states bit for bit."""
    whole = states()
    for stop in range(1, 7):
        save_state(tmp_path / "s.npz", whole[stop - 1][0], problem()[-1])
        rest = states(load_state(tmp_path / "s.npz")[0])
        assert [loss for _, loss in rest] == [loss for _, loss in whole[stop:]]
        for (a, _), (b, _) in zip(rest, whole[stop:], strict=True):
            same_state(a, b)


RESUME = """
import sys
from refdiff import flow, io, training

state, config, _ = io.load_state(sys.argv[1])
problem, _ = io.load(sys.argv[2])
pairs = list(training.train(state, problem["data"], problem["labels"], flow.straight, config))
io.save_state(sys.argv[1], pairs[-1][0], config, {"losses": [loss for _, loss in pairs]})
"""


def test_resume_in_another_process(tmp_path):
    """T1: a run resumed in another process continues with the same losses and states."""
    whole, (data, labels, _, config) = states(), problem()
    paths = [str(tmp_path / name) for name in ("state.npz", "data.npz")]
    save_state(paths[0], whole[2][0], config)
    save(paths[1], {"data": data, "labels": labels})
    subprocess.run([sys.executable, "-c", RESUME, *paths], check=True, cwd=Path(__file__).parents[2])
    state, _, extra = load_state(paths[0])
    same_state(state, whole[-1][0])
    assert extra["losses"] == [loss for _, loss in whole[3:]]


def test_another_configuration(tmp_path):
    """For another configuration than the file's, loading raises and gives every field that differs, with both values."""
    path, config = tmp_path / "s.npz", problem()[-1]
    save_state(path, states()[0][0], config)
    assert load_state(path, config)[1] == config
    other = Config(**asdict(config) | {"rate": 0.5, "kind": "eps"})
    with pytest.raises(CheckpointError, match=r"s\.npz: kind = 'velocity', asked for 'eps', rate = 0\.002, asked for 0\.5$"):
        load_state(path, other)


def test_checkpointed_saves_regularly_and_at_the_end(tmp_path, monkeypatch):
    """`checkpointed` saves every `every` steps, at the end, and where the caller stops; never a step twice, nothing without steps."""
    saved, config = [], problem()[-1]
    monkeypatch.setattr(checkpoints, "save_state", lambda path, state, config, extra: saved.append((state.step, extra)))
    whole = states()
    assert list(checkpointed(whole, "p", config, 4)) == whole and saved == [(4, None), (6, None)]
    saved.clear()
    list(checkpointed(whole, "p", config, 3, {"a": 1}))
    assert saved == [(3, {"a": 1}), (6, {"a": 1})]
    saved.clear()
    assert list(checkpointed([], "p", config)) == list(checkpointed(whole, "p", config))[6:] == [] and saved == [(6, None)]
    for leave, expected in (2, [2]), (4, [4]), (5, [4, 5]):
        saved.clear()
        for state, _ in checkpointed(whole, "p", config, 4):
            if state.step == leave:
                break
        assert [step for step, _ in saved] == expected
    long = [(training.State(step, {}, {}, {}), 0.0) for step in (499, 500, 501)]
    saved.clear()
    list(checkpointed(long, "p", config))
    assert saved == [(500, None), (501, None)], "every 500 steps by default"


def test_checkpointed_does_not_save_a_failed_run(tmp_path):
    """After an error in training, whose arrays may be inconsistent, the previous file is kept."""

    def failing():
        yield from states(upto=3)
        raise FloatingPointError("in the middle of step 4")

    with pytest.raises(FloatingPointError):
        list(checkpointed(failing(), tmp_path / "s.npz", problem()[-1], 2))
    assert load_state(tmp_path / "s.npz")[0].step == 2


@pytest.mark.parametrize(
    "params, manifest, error, message",
    [
        (np.ones(2), {}, TypeError, "params = array([1., 1.]); allowed: a dict of arrays of numbers"),
        ({"a": [1, 2]}, {}, TypeError, "params at a = [1, 2]; allowed: a dict of arrays of numbers"),
        ({"a": {"b": np.array(["x"])}}, {}, TypeError, "params at a/b = array(['x']"),
        ({"a": np.array([None])}, {}, TypeError, "params at a = array([None]"),
        ({"manifest": np.ones(1)}, {}, TypeError, "none of them named 'manifest'"),
        ({"a": {}}, {}, ValueError, "params at a is an empty dict; allowed: dicts that hold arrays"),
        ({"a/b": np.ones(1)}, {}, ValueError, "params has key 'a/b'; allowed: printable strings without slashes"),
        ({"a\\b": np.ones(1)}, {}, ValueError, r"params has key 'a\\b'; allowed"),
        ({"a": {"": np.ones(1)}}, {}, ValueError, "params has key ''; allowed"),
        ({"a\0": np.ones(1)}, {}, ValueError, r"params has key 'a\x00'; allowed"),
        ({1: np.ones(1)}, {}, ValueError, "params has key 1; allowed"),
        (example(), {"format": 1}, ValueError, "manifest has 'format'; allowed: names other than arrays, format, refdiff"),
        (example(), {"arrays": 1}, ValueError, "manifest has 'arrays'; allowed"),
        (example(), {"refdiff": 1}, ValueError, "manifest has 'refdiff'; allowed"),
        (example(), {"note": (1, 2)}, ValueError, "allowed: values that JSON gives back unchanged"),
        (example(), {"note": {1: 2}}, ValueError, "allowed: values that JSON gives back unchanged"),
        (example(), {"note": np.int64(1)}, TypeError, "allowed: plain JSON values"),
        (example(), {"note": float("nan")}, ValueError, "allowed: plain JSON values"),
    ],
)
def test_errors(tmp_path, params, manifest, error, message):
    """Trees and manifests that could not be restored unchanged are refused when saved, and nothing is written."""
    with pytest.raises(error, match=re.escape(message)):
        save(tmp_path / "a.npz", params, **manifest)
    assert list(tmp_path.iterdir()) == []


def test_every_must_be_positive(tmp_path):
    """`checkpointed` refuses every = 0."""
    with pytest.raises(ValueError, match=r"every = 0; allowed: 1\.\."):
        next(checkpointed(states(), tmp_path / "a.npz", problem()[-1], 0))


def test_nested_array_named_manifest(tmp_path):
    """An array may be named manifest below the top level."""
    save(tmp_path / "a.npz", {"a": {"manifest": np.ones(1)}, "file": np.ones(2), "x.npy": np.ones(3), "x": np.ones(4)})
    assert_same(load(tmp_path / "a.npz")[0], {"a": {"manifest": np.ones(1)}, "file": np.ones(2), "x.npy": np.ones(3), "x": np.ones(4)})
