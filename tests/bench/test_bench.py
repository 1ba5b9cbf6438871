"""Benchmarks of a training step run without PyTorch, and fail for a wrong gradient."""

import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from refdiff import fast

BENCH = Path(__file__).parent


@pytest.mark.parametrize(
    ("script", "options", "agree"),
    [
        ("mlp_step.py", ["--steps", "1", "--sizes", "8x16", "16x8"], 2),
        pytest.param("unet_step.py", ["--steps", "1", "--base", "8", "--rows", "2"], 1, marks=pytest.mark.long),
    ],
)
def test_runs_without_pytorch(script, options, agree):
    """Losses and gradients agree with the reference at every size, and our times are printed, without a ratio."""
    words = ["x", "--repeats", "1", *options]
    code = (
        f"import runpy, sys; sys.modules['torch'] = None; sys.argv = {words}; runpy.run_path({str(BENCH / script)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "PyTorch is not installed" in done.stdout, done.stderr
    assert done.stdout.count("agree") == agree and " ms\n" in done.stdout and "ratio" not in done.stdout


def test_a_wrong_gradient_fails(monkeypatch, capsys):
    """The exit status is 1 if one number of the gradient is off by a thousandth of the largest."""
    spec = util.spec_from_file_location("mlp_step", BENCH / "mlp_step.py")
    bench = util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "torch", None)
    spec.loader.exec_module(bench)
    right = fast.value_and_grad

    def wrong(*arguments):
        loss, grads = right(*arguments)
        grads["layer1"]["w"][0, 0] += 1e-3 * np.abs(grads["layer1"]["w"]).max()
        return loss, grads

    arguments = ["--steps", "1", "--repeats", "1", "--sizes", "8x16"]
    assert bench.main(arguments) == 0
    monkeypatch.setattr(fast, "value_and_grad", wrong)
    assert bench.main(arguments) == 1 and "DISAGREE" in capsys.readouterr().out
