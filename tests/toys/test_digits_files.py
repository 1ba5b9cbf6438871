"""The digits toy and its files: checkpoints with a valid seal and another content, folders in place of files, full disks."""

import os
from dataclasses import replace

import numpy as np
import pytest

from refdiff import checkpoint, training, tree
from refdiff.training import Config, State
from refdiff_gpu.proof import report
from toys.digits import __main__ as toy
from toys.digits import fit
from toys.digits.spec import Spec

from .. import digits

SPEC = {"model": "clean-classifier", "kind": "x0", "schedule": "none", "base": 8, "workers": 1, "digits": ""}


def written(path, state=None, config=None, **changed):
    """A checkpoint of a classifier before its first step, with changes of its specification."""
    spec = Spec(**SPEC)
    state = training.start(spec.params(0)) if state is None else state
    checkpoint.save_state(path, state, config or fit.config(spec, 2, 0), SPEC | changed)
    return path


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"model": "gan"}, "model = 'gan'; allowed: unet, classifier, clean-classifier"),
        ({"model": ["unet"]}, r"model = ['unet']; allowed: unet"),
        ({"kind": None}, "kind = None; allowed: eps, x0, v, velocity"),
        ({"schedule": "quadratic"}, "schedule = 'quadratic'; allowed: linear, cosine, straight, none"),
        ({"base": "8"}, "base = '8'; allowed: an integer"),
        ({"base": -8}, "base = -8; allowed: 8..256"),
        ({"base": 16}, "parameters or configuration of another model than it says"),
        ({"times": "late"}, "times = 'late'; allowed: uniform, logit-normal"),
        ({"times": "logit-normal"}, "times = 'logit-normal' for x0; allowed: uniform, but for velocity"),
        ({"model": "classifier"}, "schedule = 'none' for a classifier of x0; allowed: none for clean data, straight for flows"),
        ({"kind": "velocity"}, "schedule = 'none' for a clean-classifier of velocity; allowed"),
        ({"model": "unet", "schedule": "linear"}, "parameters or configuration of another model than it says"),
        ({"kind": "eps"}, "parameters or configuration of another model than it says"),
        ({"workers": 10**9}, "workers = 1000000000; allowed: 1..1024"),
        ({"workers": 1.5}, "workers = 1.5; allowed: an integer"),
        ({"size": [28, 28, 2]}, "size = (28, 28, 2); allowed: height, width, and 1 or 3 colours"),
        ({"size": 28}, "'int' object is not iterable"),
        ({"size": [28, -28, 1]}, "size[1] = -28; allowed"),
        ({"classes": 0}, "classes = 0 for a clean-classifier; allowed: 2 or more"),
        ({"novel": 1}, "not written by this toy"),
    ],
)
def test_another_content(tmp_path, capsys, changed, message):
    """A checkpoint whose specification the toy would not write is wrong usage, with the reason."""
    path = written(tmp_path / "a.npz", **changed)
    assert toy.main(["train", "--data", "/nowhere", "--resume", str(path)]) == 2
    err = capsys.readouterr().err
    assert f"argument --resume: '{path}'; allowed: a checkpoint that `train` wrote (" in err and message in err


def test_other_parameters(tmp_path, capsys):
    """The same for parameters that do not fit the model, and for no toy's checkpoint at all."""
    params = Spec(**SPEC).params(0)
    params = params | {"head": tree.map(lambda w: w[..., :5], params["head"])}
    path = written(tmp_path / "a.npz", training.start(params))
    assert toy.main(["train", "--data", "/nowhere", "--resume", str(path)]) == 2
    assert "of another model than it says" in capsys.readouterr().err
    checkpoint.save_state(path, State(0, np.ones(2), np.ones(2), {"m": np.ones(2), "v": np.ones(2)}), Config(steps=2))
    assert toy.main(["train", "--data", "/nowhere", "--resume", str(path)]) == 2
    assert "not written by this toy" in capsys.readouterr().err


def test_what_the_toy_writes_is_read(tmp_path):
    """Every specification of a new run passes its own checks."""
    spec = Spec(**SPEC)
    for changed in (
        {"model": "unet", "kind": "velocity", "schedule": "straight"},
        {"model": "classifier", "kind": "eps", "schedule": "cosine"},
    ):
        replace(spec, **changed, base=256, workers=1024)


@pytest.mark.parametrize("command", ["sample", "animate"])
def test_a_folder_is_no_output_file(tmp_path, capsys, command):
    """An --out that is a folder is refused before any sampling."""
    assert toy.main([command, "--run", "nowhere", "--out", str(tmp_path)]) == 2
    assert f"argument --out: '{tmp_path}' is a folder; allowed: a file" in capsys.readouterr().err


def test_a_full_disk(tmp_path, capsys, monkeypatch):
    """If the first checkpoint cannot be written, the command says so in a line, with exit code 1, and leaves no file."""

    def full(descriptor):
        raise OSError(28, "No space left on device")

    (tmp_path / "data").mkdir()
    data = digits.write(tmp_path / "data")
    monkeypatch.setattr(os, "fsync", full)
    words = ["train", "--data", str(data), "--model", "clean-classifier", "--base", "8", "--steps", "2", "--workers", "1"]
    assert toy.main([*words, "--out", str(tmp_path / "a.npz")]) == 1
    assert "No space left on device; the last checkpoint is kept" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["data"]


def test_a_picture_that_cannot_be_written(capsys, monkeypatch):
    """The error of a picture is one line."""

    def full(*arguments):
        raise OSError(28, "No space left on device", "digits.png")

    monkeypatch.setattr(toy, "load_method", lambda arguments: (None, Spec("unet", "eps", "linear", 8, 1, ""), None))
    monkeypatch.setattr(toy.generate, "draw_samples", lambda *arguments: np.zeros((10, 28, 28, 1)))
    monkeypatch.setattr(toy.plots, "grid", full)
    assert toy.main(["sample", "--run", "a", "--columns", "1"]) == 1
    assert capsys.readouterr().err == "toys.digits: [Errno 28] No space left on device: 'digits.png'\n"


@pytest.mark.parametrize("out", [".", "no/such/folder/report.md"])
def test_the_report_of_the_device_has_a_place_before_it_is_made(tmp_path, capsys, monkeypatch, out):
    """`refdiff_gpu.proof.report --out` is refused before the checks, which take minutes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "attempt", pytest.fail)
    with pytest.raises(SystemExit) as stopped:
        report.main(["--out", out])
    assert stopped.value.code == 2
    assert f"argument --out: '{out}'; allowed: a file in a folder that exists" in capsys.readouterr().err
