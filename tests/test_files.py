"""Writing files: whole or not at all, with the mode that the file had, whoever writes at the same time and wherever the disk fills up."""

import ast
import os
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import refdiff
from docs.build import site
from docs.build.inventory import BookError
from docs.pictures import __main__ as picture_program
from refdiff import cli, files
from refdiff.demo import plots
from refdiff.demo import run as demo_run
from refdiff.training.checkpoint import load, save

ROOT = Path(__file__).parents[1]
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes, links, devices and limits of POSIX")
OLD, NEW = b"old" * 1000, b"new" * 2000


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """The usual mask: others may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_replace(tmp_path):
    """A new file and an old one have the new bytes, and nothing else is left in the folder; the path may be text."""
    for data in (OLD, NEW, b""):
        files.replace(str(tmp_path / "a.npz"), data)
        assert (tmp_path / "a.npz").read_bytes() == data and os.listdir(tmp_path) == ["a.npz"]


@POSIX
@pytest.mark.parametrize("kept", [0o600, 0o640, 0o644, 0o666, 0o777, 0o400, 0o4755])
def test_mode_is_kept(tmp_path, umask, kept):
    """The new file has the mode of the old one, wider or narrower than the mask; a file that is new has that of the mask."""
    path = tmp_path / "a"
    files.replace(path, OLD)
    assert mode(path) == 0o644
    path.chmod(kept)
    files.replace(path, NEW)
    assert mode(path) == kept and path.read_bytes() == NEW


@POSIX
def test_a_secret_is_never_readable_in_between(tmp_path, umask):
    """While a file of mode 0600 is replaced, the folder of the new one keeps all others out."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    path.chmod(0o600)
    with files.replacing(path) as new:
        new.write_bytes(NEW)
        assert mode(new.parent) == 0o700 and new.parent.parent == tmp_path
    assert mode(path) == 0o600


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_owner_is_kept(tmp_path):
    """A file of somebody else stays theirs."""
    path = tmp_path / "a"
    path.write_bytes(OLD)
    os.chown(path, 1234, 5678)
    path.chmod(0o600)
    files.replace(path, NEW)
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (1234, 5678, 0o600)


@POSIX
def test_owners_that_cannot_be_kept(tmp_path, monkeypatch):
    """Who may not give files away replaces the file all the same, and keeps its mode."""

    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "a"
    path.write_bytes(OLD)
    path.chmod(0o600)
    monkeypatch.setattr(os, "chown", refuse)
    files.replace(path, NEW)
    assert path.read_bytes() == NEW and mode(path) == 0o600


@POSIX
def test_links_stay_links(tmp_path):
    """Through a link, a chain of links, and a link to a file that is not there yet, the file at the end is replaced, in its folder."""
    (tmp_path / "far").mkdir()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to(tmp_path / "far" / "c")
    for data in (OLD, NEW):
        files.replace(tmp_path / "a", data)
        assert (tmp_path / "a").is_symlink() and (tmp_path / "b").is_symlink() and not (tmp_path / "far" / "c").is_symlink()
        assert (tmp_path / "far" / "c").read_bytes() == data
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError):
        files.replace(tmp_path / "loop", NEW)
    assert (tmp_path / "loop").is_symlink() and sorted(os.listdir(tmp_path)) == ["a", "b", "far", "loop"]


@POSIX
def test_devices_are_written_to(tmp_path):
    """A device or a pipe is not replaced by a file; a folder is an error."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.replace(tmp_path / "pipe", OLD)
    assert os.read(reader, 10**5) == OLD and (tmp_path / "pipe").is_fifo()
    os.close(reader)
    files.replace("/dev/null", OLD)
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        files.replace("/dev/full", OLD)
    with pytest.raises(IsADirectoryError):
        files.replace(tmp_path, OLD)


@pytest.mark.parametrize("failing", ["fsync", "replace", "chmod", "within"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "interrupted"])
def test_failures_keep_the_old_file(tmp_path, monkeypatch, failing, error):
    """Whichever call fails before the renaming, the old file is as it was, and nothing else is left."""

    def fail(*arguments, **keywords):
        raise error

    path = tmp_path / "a"
    path.write_bytes(OLD)
    if failing != "within":
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(type(error)), files.replacing(path) as new:
        new.write_bytes(NEW)
        if failing == "within":
            fail()
    assert path.read_bytes() == OLD and os.listdir(tmp_path) == ["a"]


FULL = """
import resource, sys
import numpy as np
from refdiff.demo import plots
from refdiff.training.checkpoint import save

resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # a write beyond it fails, as on a full disk
try:
    save(sys.argv[1], {"a": np.zeros(10_000)})
except OSError as error:
    print(type(error).__name__, error.errno)
figure = plots.Panel("title", np.zeros((5, 2)), np.zeros(5, int))
try:
    plots.save_animation([[figure]] * 3, plots.Path(sys.argv[2]), 1.0)
except OSError as error:
    print(type(error).__name__, error.errno)
"""


@POSIX
def test_a_disk_that_is_full(tmp_path):
    """A write that the system cuts short leaves the old checkpoint and the old animation, and nothing else."""
    save(tmp_path / "a.npz", {"a": np.ones(3)})
    (tmp_path / "a.gif").write_bytes(OLD)
    command = [sys.executable, "-c", FULL, tmp_path / "a.npz", tmp_path / "a.gif"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "OSError 27\n" * 2
    np.testing.assert_array_equal(load(tmp_path / "a.npz")[0]["a"], np.ones(3))
    assert (tmp_path / "a.gif").read_bytes() == OLD and sorted(os.listdir(tmp_path)) == ["a.gif", "a.npz"]


WRITER = """
import sys
import time
import numpy as np
from refdiff.training.checkpoint import save

for k in range(int(sys.argv[2]), 200, 2):
    save(sys.argv[1], {"a": np.full(1000 * (1 + k % 7), k)}, k=k)
    time.sleep(0.003)  # so that the reader has its turn on a busy machine
"""


def test_two_writers_at_once(tmp_path):
    """Two processes save to one path 100 times each: every file that a reader finds meanwhile is whole, and nothing is left over."""
    path, found = tmp_path / "a.npz", set()
    save(path, {"a": np.full(1000, -7)}, k=-7)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(start)], cwd=ROOT) for start in (0, 1)]
    while any(writer.poll() is None for writer in writers):
        arrays, manifest = load(path)
        np.testing.assert_array_equal(arrays["a"], np.full(1000 * (1 + manifest["k"] % 7), manifest["k"]))
        found.add(manifest["k"])
    print(f"{len(found)} files read while two processes wrote 200")
    assert [writer.returncode for writer in writers] == [0, 0] and len(found) > 3
    assert load(path)[1]["k"] in (198, 199) and os.listdir(tmp_path) == ["a.npz"]


def test_pictures_are_replaced_as_a_whole(tmp_path, monkeypatch):
    """Each program that draws writes its picture or animation through `replacing`: a failure leaves the old one."""

    def full(descriptor):
        raise OSError(28, "No space left on device")

    panel = plots.Panel("title", np.zeros((5, 2)), np.zeros(5, int))
    digits = np.zeros((2, 28, 28, 1))
    guidance = runpy.run_path(str(ROOT / "toys" / "guidance.py"))
    results = [guidance["Result"](gamma, np.eye(3, 2), np.eye(3, 2)) for gamma in guidance["SCALES"]]
    writers = {
        "a.gif": lambda path: plots.save_animation([[panel]] * 3, path, 1.0),
        "b.gif": lambda path: refdiff.plots.gif([digits] * 3, path),
        "c.png": lambda path: refdiff.plots.grid(digits).save(path),
        "d.png": lambda path: guidance["draw"](results, path),
        "e.png": lambda path: picture_program.main(["variances", "--out", str(path)]),
    }
    for name, write in writers.items():
        (tmp_path / name).write_bytes(OLD)
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
            patch.setattr(os, "fsync", full)
            write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == OLD
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes()[:4] == (b"GIF8" if name.endswith("gif") else b"\x89PNG")
    assert sorted(os.listdir(tmp_path)) == sorted(writers)


def test_a_full_disk_is_one_line_of_the_command(tmp_path, monkeypatch, capsys):
    """`refdiff demo` says what failed, without a traceback, after its tables."""

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device", "demo.png")

    monkeypatch.setattr(demo_run, "run", full)
    assert cli.main(["demo", "--quick", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "refdiff: [Errno 28] No space left on device: 'demo.png'\n"


@pytest.mark.parametrize("name", ["pictures/draw.py", "source/deep/notes.txt"])
def test_the_build_deletes_only_its_own(tmp_path, name):
    """A folder with other files where the build deletes, such as docs itself, is refused, and they stay."""
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(OLD)
    with pytest.raises(BookError, match=f"argument --out: .* has {name}; allowed: a folder for the site alone"):
        site.build(tmp_path)
    assert (tmp_path / name).read_bytes() == OLD
    with pytest.raises(BookError, match=r"has pictures/.*\.py; allowed"):
        site.build(ROOT / "docs")


def calls():
    """Every call in the packages, the toys and the book's programs: the place, and the node."""
    for folder in ("refdiff", "refdiff_gpu", "toys", "docs"):
        for path in sorted((ROOT / folder).glob("**/*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield path.relative_to(ROOT), node


def test_text_names_its_encoding():
    """No text is read or written in the encoding of the place: each read_text and write_text says utf-8."""
    texts = [(path, node) for path, node in calls() if getattr(node.func, "attr", "") in ("read_text", "write_text")]
    assert [f"{path}:{node.lineno}" for path, node in texts if not any(k.arg == "encoding" for k in node.keywords)] == []
    assert len(texts) > 15


def test_figures_are_saved_through_replacing():
    """No figure is drawn straight into a file that may be there already: savefig writes to `new`, to memory, or there is `replacing`."""
    saving = [(path, node) for path, node in calls() if getattr(node.func, "attr", "") in ("savefig", "imsave", "saving")]
    aside = [{ast.unparse(argument) for argument in node.args} & {"new", "str(new)", "light", "buffer"} for _, node in saving]
    direct = [f"{path}:{node.lineno}" for (path, node), found in zip(saving, aside, strict=True) if not found]
    assert direct == [] and len(saving) >= 5
