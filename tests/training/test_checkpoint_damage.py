"""Damaged checkpoints are refused, and an interrupted save leaves the old file or the new one."""

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

from refdiff import rng
from refdiff.training import Config
from refdiff.training.checkpoint import CheckpointError, load, load_state, save, save_state

from .test_checkpoint import assert_same, example, problem, states


def reseal(data):
    """The bytes of an archive with a valid checksum, so that only its contents are checked."""
    with zipfile.ZipFile(buffer := io.BytesIO(data), "a") as archive:
        archive.comment = b"refdiff sha256 " + bytes(64)
    body = buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


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
        return trace if frame.f_code.co_filename.endswith("checkpoint.py") and "refdiff" in frame.f_code.co_filename else None
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
    assert set(os.listdir(os.path.dirname(path))) <= {"s.npz", ".s.npz.tmp"}
    states.add(k - completed)
    last = k
save(path, tree_of(-1), k=-1)
assert os.listdir(os.path.dirname(path)) == ["s.npz"]
print(json.dumps({"killed": killed, "states": sorted(states)}))
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 and fork are POSIX")
@pytest.mark.parametrize("mode, count", [("lines", 90), ("random", 20)])
def test_kill_leaves_a_whole_file(tmp_path, mode, count):
    """After kill -9 before any line of a save, or at 20 random moments, the old state or the new one loads; at most one file is left over."""
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


def loads(path, data, expected):
    """Whether bytes load as expected: True, False if they are refused; any other outcome fails."""
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
    """A file truncated to any shorter length is refused, and so is one with bytes appended."""
    save(tmp_path / "a.npz", example(), step=7)
    data, expected = (tmp_path / "a.npz").read_bytes(), load(tmp_path / "a.npz")
    assert loads(tmp_path / "b.npz", data, expected)
    assert not any(loads(tmp_path / "b.npz", data[:length], expected) for length in range(len(data)))
    assert not any(loads(tmp_path / "b.npz", data + tail, expected) for tail in (b"\0", b"\n", data))


def test_bit_flips_are_refused(tmp_path):
    """Each of 3,000 files with one bit flipped is refused, with no other error, no other data, and no warning."""
    save_state(tmp_path / "a.npz", states()[0][0], problem()[-1])
    data, expected = bytearray((tmp_path / "a.npz").read_bytes()), load(tmp_path / "a.npz")
    for position in rng.integers(0, 3000, 8 * len(data)):
        data[position // 8] ^= 1 << position % 8
        assert not loads(tmp_path / "b.npz", bytes(data), expected)
        data[position // 8] ^= 1 << position % 8
    assert loads(tmp_path / "b.npz", bytes(data), expected)


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
        (reseal(npz(manifest=np.frombuffer(b"[]", np.uint8))), "list indices must be integers"),
        (reseal(npz(manifest=np.array(["x"], object))), "Object arrays cannot be loaded"),
        (reseal(npz(manifest=manifest_bytes(format=1, refdiff="0.1", arrays={}))), r"format = 1 of refdiff 0\.1; allowed: 2"),
        (reseal(npz(manifest=manifest_bytes(format=2, arrays={"w": {}}))), "There is no item named 'w.npy'"),
        (
            reseal(npz(manifest=manifest_bytes(format=2, arrays={"w": {}}), w=np.ones(2))),
            "array w is not the one that the manifest describes",
        ),
    ],
)
def test_foreign_files(tmp_path, data, message):
    """Foreign files, other formats and invalid contents are refused with a reason, and no pickle is ever opened."""
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path / 'x.npz'}: ") + f".*(?:{message})"):
        load(tmp_path / "x.npz")


def test_checkpoint_without_training_state(tmp_path):
    """A checkpoint without a training state, or with an unknown configuration field, is refused."""
    save(tmp_path / "x.npz", example())
    with pytest.raises(CheckpointError, match=r"x\.npz: holds net, step; allowed: a state of training"):
        load_state(tmp_path / "x.npz")
    arrays = {part: {"a": np.ones(1)} for part in ("params", "ema", "moments")}
    save(tmp_path / "x.npz", arrays, config=asdict(Config()) | {"novel": 1}, step=1, extra={})
    with pytest.raises(CheckpointError, match=r"x\.npz: refdiff .* wrote a configuration with unknown novel"):
        load_state(tmp_path / "x.npz")


def test_missing_files_and_folders(tmp_path):
    """Missing files raise FileNotFoundError, and a failed save leaves no file behind."""
    for call in (
        lambda: load(tmp_path / "none.npz"),
        lambda: load_state(tmp_path / "none.npz"),
        lambda: save(tmp_path / "no" / "a.npz", example()),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    assert list(tmp_path.iterdir()) == []


def test_failed_save_keeps_the_old(tmp_path, monkeypatch):
    """A save on a full disk keeps the old file, and leaves no other."""
    save(tmp_path / "a.npz", example())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "a.npz", {"other": np.ones(3)})
    assert_same(load(tmp_path / "a.npz")[0], example())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_synced_before_renamed(tmp_path, monkeypatch):
    """A save is synced before it is renamed, and the rename is synced: fsync, replace, fsync."""
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("replace"), replace(old, new)))
    save(tmp_path / "a.npz", example())
    assert calls == ["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_symbolic_links_are_kept(tmp_path, monkeypatch):
    """A save through a symbolic link changes the linked file; a bare name is in the current folder."""
    (tmp_path / "far").mkdir()
    (tmp_path / "a.npz").symlink_to(tmp_path / "far" / "b.npz")
    monkeypatch.chdir(tmp_path)
    save("a.npz", example())
    assert (tmp_path / "a.npz").is_symlink() and [entry.name for entry in (tmp_path / "far").iterdir()] == ["b.npz"]
    assert_same(load("far/b.npz")[0], example())
