"""Checkpoints: nothing lost, nothing half written, nothing damaged read, and runs that go on as if never stopped."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
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
    """Data, labels, path, and a configuration for a run of a moment."""
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


def reseal(data):
    """The bytes of an archive, sealed as `save` seals them, so that only its contents are judged."""
    with zipfile.ZipFile(buffer := io.BytesIO(data), "a") as archive:
        archive.comment = b"refdiff sha256 " + bytes(64)
    body = buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@given(trees)
def test_round_trip(tmp_path_factory, params):
    """Any tree of numbers comes back bit for bit, with dtypes, byte order, layout, 0-d and empty arrays, and so does the manifest."""
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
    """What arithmetic makes of a 0-d array, a NumPy scalar, is kept as one."""
    save(tmp_path / "a", {"a": np.float32(1.5)})
    assert_same(load(tmp_path / "a")[0], {"a": np.array(1.5, np.float32)})


def test_state_round_trip(tmp_path):
    """T1: state, configuration and extra come back; the manifest holds step, seed and generator: the position in the random numbers."""
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
    """T1: saved and loaded after any step, a run goes on to the same losses and states bit for bit."""
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
    """T1: the same, when another process goes on."""
    whole, (data, labels, _, config) = states(), problem()
    paths = [str(tmp_path / name) for name in ("state.npz", "data.npz")]
    save_state(paths[0], whole[2][0], config)
    save(paths[1], {"data": data, "labels": labels})
    subprocess.run([sys.executable, "-c", RESUME, *paths], check=True, cwd=Path(__file__).parents[2])
    state, _, extra = load_state(paths[0])
    same_state(state, whole[-1][0])
    assert extra["losses"] == [loss for _, loss in whole[3:]]


def test_another_configuration(tmp_path):
    """Asked for another configuration than the file's, loading names every field that differs, with both values."""
    path, config = tmp_path / "s.npz", problem()[-1]
    save_state(path, states()[0][0], config)
    assert load_state(path, config)[1] == config
    other = Config(**asdict(config) | {"rate": 0.5, "kind": "eps"})
    with pytest.raises(CheckpointError, match=r"s\.npz: kind = 'velocity', asked for 'eps', rate = 0\.002, asked for 0\.5$"):
        load_state(path, other)


def test_checkpointed_saves_on_the_way_and_at_the_end(tmp_path, monkeypatch):
    """Every `every` steps, at the end, and where the caller leaves; never a step twice, nothing without steps, and states pass through."""
    saved, config = [], problem()[-1]

    def save(path, state, given, extra):
        assert path == "p" and given is config
        saved.append((state.step, extra))

    monkeypatch.setattr(checkpoints, "save_state", save)
    whole = states()
    assert list(checkpointed(whole, "p", config, 4)) == whole and saved == [(4, None), (6, None)]
    saved.clear()
    list(checkpointed(whole, "p", config, 4, {"a": 1}))
    assert saved == [(4, {"a": 1}), (6, {"a": 1})]
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
    assert saved == [(500, None), (501, None)], "every 500 steps unless told"


def test_checkpointed_leaves_a_broken_run_alone(tmp_path):
    """Where training raises, its arrays may be halfway through a step: the file before stands."""

    def failing():
        yield from states(upto=3)
        raise FloatingPointError("in the middle of step 4")

    with pytest.raises(FloatingPointError):
        list(checkpointed(failing(), tmp_path / "s.npz", problem()[-1], 2))
    assert load_state(tmp_path / "s.npz")[0].step == 2


KILLER = """
import json, os, random, signal, sys, time
import numpy as np
from refdiff.training.checkpoint import load, save

path, mode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
size = 200 if mode == "lines" else 20_000
tree_of = lambda k: {"a": np.full(size, k), "b": {"c": np.full((3, 4), k)}}

def save_for_ever(k, done, kill_at):
    lines = 0
    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        if lines == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace if frame.f_code.co_filename.endswith(("/archive.py", "/checkpoint.py", "/files.py")) else None
    if kill_at:
        sys.settrace(trace)
    while True:
        save(path, tree_of(k), k=k)
        sys.settrace(None)
        os.write(done, b"%d " % k)
        k += 1
        if kill_at:
            os._exit(7)

save(path, tree_of(0), k=0)
last, states, killed = 0, set(), 0
dice = random.Random(1)
for trial in range(count):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        save_for_ever(last + 1, write, trial + 1 if mode == "lines" else 0)
    os.close(write)
    if mode == "random":
        time.sleep(dice.uniform(0.0, 0.02))
        os.kill(child, signal.SIGKILL)
    killed += os.waitpid(child, 0)[1] == signal.SIGKILL
    completed = max(map(int, os.read(read, 10**6).split()), default=last)
    os.close(read)
    loaded, manifest = load(path)
    k = manifest["k"]
    assert k in (completed, completed + 1), (k, completed)
    assert (loaded["a"] == k).all() and (loaded["b"]["c"] == k).all()
    left = [name for name in os.listdir(os.path.dirname(path)) if name != "s.npz"]
    assert all(name.startswith(".s.npz.") and name.endswith(".tmp") for name in left) and len(left) <= killed
    states.add(k - completed)
    last = k
print(json.dumps({"killed": killed, "states": sorted(states)}))
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork are POSIX")
@pytest.mark.parametrize("mode, count", [("lines", 130), ("random", 20)])
def test_kill_leaves_a_whole_file(tmp_path, mode, count):
    """kill -9 before any line of a save, and at 20 random moments: the old state or the new one loads, whole, and each kill leaves at most one temporary folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", KILLER, str(tmp_path / "s.npz"), mode, str(count)]
    result = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environment)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    if mode == "random":
        assert report["killed"] == 20
    else:
        assert report["killed"] < count, "a save has fewer lines, so the last trials ended by themselves: all were reached"
        assert report["states"] == [0, 1], "some kills struck before the renaming, some after"


def judge(path, data, expected):
    """True if the bytes load as what they were before, False if they are refused; anything else fails."""
    path.write_bytes(data)
    try:
        found, manifest = load(path)
    except CheckpointError as error:
        assert str(error).startswith(f"{path}: ")
        return False
    assert_same(found, expected[0])
    assert manifest == expected[1]
    return True


def test_every_truncation_is_refused(tmp_path):
    """A file cut to any shorter length is no checkpoint; nor is one with bytes behind."""
    save(tmp_path / "a.npz", example(), step=7)
    data, expected = (tmp_path / "a.npz").read_bytes(), load(tmp_path / "a.npz")
    assert judge(tmp_path / "b.npz", data, expected)
    assert not any(judge(tmp_path / "b.npz", data[:length], expected) for length in range(len(data)))
    assert not any(judge(tmp_path / "b.npz", data + tail, expected) for tail in (b"\0", b"\n", data))


def test_bit_flips_are_refused(tmp_path):
    """Each of 3,000 files with one bit flipped is refused: never another error, never other data, never a warning."""
    save_state(tmp_path / "a.npz", states()[0][0], problem()[-1])
    data, expected = bytearray((tmp_path / "a.npz").read_bytes()), load(tmp_path / "a.npz")
    for position in rng.integers(0, 3000, 8 * len(data)):
        data[position // 8] ^= 1 << position % 8
        assert not judge(tmp_path / "b.npz", bytes(data), expected)
        data[position // 8] ^= 1 << position % 8
    assert judge(tmp_path / "b.npz", bytes(data), expected)


def manifest_bytes(**manifest):
    return np.frombuffer(json.dumps(manifest).encode(), np.uint8)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "0 bytes that are no checkpoint of refdiff"),
        (b"# refdiff\n", "10 bytes that are no checkpoint of refdiff"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "no checkpoint of refdiff"),
        (npz(a=np.ones(3)), "damaged, cut short, or not written by refdiff"),
        (reseal(npz(a=np.ones(3))), "There is no item named 'manifest.npy'"),
        (reseal(npz(manifest=np.ones(3))), "Expecting value|codec can't decode"),
        (reseal(npz(manifest=np.frombuffer(b"[]", np.uint8))), r"manifest = \[\]; allowed: a dict"),
        (reseal(npz(manifest=np.array(["x"], object))), "has dtype object, shape .*; allowed: numbers"),
        (reseal(npz(manifest=manifest_bytes(format=1, refdiff="0.1", arrays={}))), r"format = 1 of refdiff 0\.1; allowed: 2"),
        (reseal(npz(manifest=manifest_bytes(format=2, arrays={"w": {}}))), "There is no item named 'w.npy'"),
        (
            reseal(npz(manifest=manifest_bytes(format=2, arrays={"w": {}}), w=np.ones(2))),
            "array w is not the one that the manifest describes",
        ),
    ],
)
def test_foreign_files(tmp_path, data, message):
    """Other people's files, newer formats, and well-sealed nonsense: refused by name, with a reason, and no pickle is ever opened."""
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path / 'x.npz'}: ") + f".*(?:{message})"):
        load(tmp_path / "x.npz")


def test_what_is_no_state(tmp_path):
    """A checkpoint without a state of training, or with a configuration from the future, is refused."""
    save(tmp_path / "x.npz", example())
    with pytest.raises(CheckpointError, match=r"x\.npz: holds net, step; allowed: a state of training"):
        load_state(tmp_path / "x.npz")
    arrays = {part: {"a": np.ones(1)} for part in ("params", "ema", "moments")}
    save(tmp_path / "x.npz", arrays, config=asdict(Config()) | {"novel": 1}, step=1, rng={}, extra={})
    with pytest.raises(CheckpointError, match=r"x\.npz: refdiff .* wrote a configuration with unknown novel"):
        load_state(tmp_path / "x.npz")


def test_missing_files_and_folders(tmp_path):
    """What is not there stays a FileNotFoundError, and a failed save leaves neither the old file changed nor a new one behind."""
    for call in (
        lambda: load(tmp_path / "none.npz"),
        lambda: load_state(tmp_path / "none.npz"),
        lambda: save(tmp_path / "no" / "a.npz", example()),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert list(tmp_path.iterdir()) == []


def test_failed_save_keeps_the_old(tmp_path, monkeypatch):
    """A disk that fills up in the middle of a save leaves the old file, and no other."""
    save(tmp_path / "a.npz", example())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "a.npz", {"other": np.ones(3)})
    assert_same(load(tmp_path / "a.npz")[0], example())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_synced_before_renamed(tmp_path, monkeypatch):
    """The bytes are on the disk before they get the name, and the name after that: fsync, replace, fsync."""
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("replace"), replace(old, new)))
    save(tmp_path / "a.npz", example())
    assert calls == ["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_links_stay_links(tmp_path, monkeypatch):
    """A save through a link changes the file it leads to; a bare name means the current folder."""
    (tmp_path / "far").mkdir()
    (tmp_path / "a.npz").symlink_to(tmp_path / "far" / "b.npz")
    monkeypatch.chdir(tmp_path)
    save("a.npz", example())
    assert (tmp_path / "a.npz").is_symlink() and [entry.name for entry in (tmp_path / "far").iterdir()] == ["b.npz"]
    assert_same(load("far/b.npz")[0], example())


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
    """What would not come back as it was is refused when saved, and nothing is written."""
    with pytest.raises(error, match=re.escape(message)):
        save(tmp_path / "a.npz", params, **manifest)
    assert list(tmp_path.iterdir()) == []


def test_every_needs_a_number(tmp_path):
    """checkpointed: every = 0 is refused."""
    with pytest.raises(ValueError, match=r"every = 0; allowed: 1\.\."):
        next(checkpointed(states(), tmp_path / "a.npz", problem()[-1], 0))


def test_a_manifest_may_hold_an_array_of_its_name_deeper(tmp_path):
    """Only the top-level name is taken."""
    save(tmp_path / "a.npz", {"a": {"manifest": np.ones(1)}, "file": np.ones(2), "x.npy": np.ones(3), "x": np.ones(4)})
    assert_same(load(tmp_path / "a.npz")[0], {"a": {"manifest": np.ones(1)}, "file": np.ones(2), "x.npy": np.ones(3), "x": np.ones(4)})
