"""The package as a user sees it: messages, the demo on an emulated device, the report, and checks on a real GPU."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import refdiff
import refdiff_gpu
from refdiff import cli, data
from refdiff.demo import experiment
from refdiff_gpu.demo import experiment as gpu_experiment
from refdiff_gpu.device import driver
from refdiff_gpu.proof import report

from ..tolerances import TRAINED_ELSEWHERE, relative

SMALL = experiment.Settings(**experiment.QUICK | {"steps": 4, "ddpm_steps": 3, "samples": 12, "train_size": 60, "frames": 2})


@pytest.fixture
def emulated(monkeypatch):
    """A device emulated with NumPy."""
    monkeypatch.setenv("REFDIFF_GPU_EMULATE", "1")


def fake_cupy(devices):
    """A fake CuPy that counts devices: a number of them, or None without a driver."""

    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        if devices is None:
            raise CUDARuntimeError("cudaErrorInsufficientDriver")
        return devices

    return SimpleNamespace(cuda=SimpleNamespace(runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError, getDeviceCount=count)))


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (None, "CuPy is not installed"),
        (fake_cupy(None), "CuPy finds no driver (cudaErrorInsufficientDriver)"),
        (fake_cupy(0), "there is a driver, but no device"),
        (fake_cupy(1), None),
    ],
)
def test_what_is_missing_is_said(library, message, monkeypatch, tmp_path, capsys):
    """Without CuPy, driver or device a message says what to do; demo and report print it, with exit code 2."""
    monkeypatch.delenv("REFDIFF_GPU_EMULATE", raising=False)
    monkeypatch.setitem(sys.modules, "cupy", library)
    assert refdiff_gpu.available() == (message is None)
    if message is None:
        assert refdiff_gpu.missing() is None and driver.require_cupy() is library
        return
    assert refdiff_gpu.missing().startswith(message) and "pip install 'refdiff[gpu]'" in refdiff_gpu.missing()
    with pytest.raises(refdiff_gpu.NoDevice, match="pip install"):
        refdiff_gpu.to_device(np.ones(2))
    assert cli.main(["demo", "--backend", "gpu", "--quick", "--out", str(tmp_path / "x")]) == report.main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == f"refdiff demo: {refdiff_gpu.missing()}\nrefdiff_gpu.proof.report: {refdiff_gpu.missing()}\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("arguments", [["--backend", "tpu"], ["--backend", "gpu", "--oracle"]])
def test_wrong_backends_exit_with_2(arguments, emulated, capsys):
    """Another backend, and exact models on a GPU, are wrong usage."""
    assert cli.main(["demo", "--quick", *arguments]) == 2
    assert "argument --backend: " in capsys.readouterr().err


def test_demo_on_an_emulated_device(emulated, tmp_path, monkeypatch, capsys):
    """`REFDIFF_GPU_EMULATE=1 refdiff demo --backend gpu --quick` trains, samples, scores and plots."""
    monkeypatch.setattr(
        experiment, "QUICK", experiment.QUICK | {"ddpm_steps": 3, "samples": 12, "train_size": 60, "fresh_sets": 2, "frames": 2}
    )
    assert cli.main(["demo", "--backend", "gpu", "--quick", "--steps", "2", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"demo.png", "demo.gif"}
    assert "done in" in capsys.readouterr().out


def test_the_experiment_equals_that_of_the_cpu(emulated):
    """Losses, and the states of every sampler, guided ones too, are those of the CPU up to rounding."""
    dataset = experiment.make_data(data.two_moons, SMALL)
    found = []
    for backend in experiment, gpu_experiment:
        models = backend.train_models(dataset, SMALL)
        trajectories = backend.draw_all_samples(backend.methods(models.schedule, SMALL), models, dataset.sample_labels, 0)
        found.append((models, trajectories))
    (cpu_models, cpu_trajectories), (gpu_models, gpu_trajectories) = found
    for name, losses in cpu_models.losses.items():
        assert relative(gpu_models.losses[name], losses) <= 1e-4
    for name, states in cpu_trajectories.items():
        assert all(isinstance(state, np.ndarray) for state in gpu_trajectories[name])
        assert relative(np.stack(gpu_trajectories[name]), np.stack(states)) <= 1e-3


def test_to_device_and_back(emulated):
    """Arrays in containers and dataclasses are copied to the device and back; a schedule is copied once."""
    batch = refdiff.training.Batch(np.ones((2, 1)), np.zeros(2), None, np.ones((2, 1)))
    tree = {"a": [np.arange(3), "word"], "b": (batch, refdiff.training.start({"w": np.ones(2)})), "c": None}
    copied = refdiff_gpu.to_device(tree)
    assert (
        refdiff.arrays.on_device(copied["a"][0])
        and refdiff.arrays.on_device(copied["b"][0].x)
        and refdiff.arrays.on_device(copied["b"][1].moments["m"]["w"])
    )
    back = refdiff_gpu.to_host(copied)
    np.testing.assert_array_equal(back["a"][0], tree["a"][0])
    assert back["a"][1] == "word" and back["c"] is None and type(back["b"][0]) is refdiff.training.Batch
    schedule = refdiff.schedules.linear(100)
    ours = refdiff_gpu.to_device(schedule)
    assert refdiff_gpu.to_device(schedule) is ours is refdiff_gpu.to_device(ours)
    assert ours.signal.device_copy() is ours.signal.device_copy() and isinstance(ours.signal[3], np.float64)
    for name in refdiff_gpu.device.tables.DERIVED:
        np.testing.assert_array_equal(refdiff_gpu.to_host(getattr(ours, name).device_copy()), getattr(schedule, name))


# The report


def test_report_says_what_failed(emulated, tmp_path, monkeypatch, capsys):
    """The report lists every check with error and tolerance; if one fails or raises, the exit code is 1."""

    def broken():
        raise ZeroDivisionError("of\nall things")

    good = {name: report.CHECKS[name] for name in ("forward.q_sample, float32", "random_bits", "normals")}
    monkeypatch.setattr(report, "CHECKS", good)
    monkeypatch.setattr(report, "timings", lambda size: [("q_sample", 1e-3, 2e-3)])
    assert report.main(["--out", str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text()
    assert "3 of 3 checks passed" in page and "| random bits | 0.0e+00 | 0.0e+00 | ok |" in page
    assert "| q_sample | 1.000 | 2.000 |" in page and "not of a GPU" in page
    bad = {"wrong": lambda: report.Check("wrong", 2.0, 1.0), "nan": lambda: report.Check("nan", np.nan, 1.0), "broken": broken}
    monkeypatch.setattr(report, "CHECKS", good | bad)
    assert report.main([]) == 1
    page = capsys.readouterr().out
    assert "3 of 6 checks passed" in page and page.count("**FAILED**") == 3 and "broken: ZeroDivisionError: of all things" in page


def test_relative_error():
    """The error is relative to the largest number, and infinite for another shape or dtype."""
    assert report.relative_error(np.array([1.0, 4.0]), np.array([2.0, 4.0])) == 0.25
    assert report.relative_error([np.zeros(2)], [np.zeros(3)]) == report.relative_error(np.zeros(2, np.float32), np.zeros(2)) == np.inf
    assert report.relative_error(np.array(np.nan), np.array(1.0)) != 0


def test_timings(emulated, monkeypatch):
    """Every timed step runs on device and host."""
    monkeypatch.setattr(report, "_seconds", lambda call: call() is not None)
    assert [row[1:] for row in report.timings(2)] == [(True, True)] * 4


# A real GPU


def no_gpu():
    """Why there is no GPU; None if there is one."""
    return "REFDIFF_GPU_EMULATE=1 is set" if driver.emulating() else refdiff_gpu.missing()


@pytest.mark.gpu
@pytest.mark.parametrize("name", report.CHECKS if no_gpu() is None else ["all checks"])
def test_on_a_gpu(name):
    """Every check of the report on a real GPU; without one, a single skip that says why."""
    reason = no_gpu()
    if reason:
        pytest.skip(f"no GPU to test on: {reason}")
    found = report.CHECKS[name]()
    assert found.error <= found.allowed


def test_tolerances_are_those_of_the_tests():
    """The report's tolerance for training is that of tolerances.py."""
    assert report.TRAINED == TRAINED_ELSEWHERE
