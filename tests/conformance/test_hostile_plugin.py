"""Hostile implementations under pytest: none makes the run pass, and none takes the results of other tests with it."""

import time

import pytest

from tests.conformance.test_plugin import GOOD, count, run  # noqa: F401  a fixture

pytest_plugins = ["pytester"]
SNR = "--refdiff-only", "snr,alpha_bar"
HOSTILE = GOOD.replace("return table / (1 - table)", "{}").replace("import numpy as np", "import os, sys, time\nimport numpy as np")
HOSTILE += """
class Loud(BaseException):
    pass

class Silent(Exception):
    def __str__(self):
        raise RuntimeError
"""
BODIES = {
    "sys.exit(0)": "errored: SystemExit: 0 (",
    "raise Loud('no')": "errored: Loud: no (",
    "raise Silent": "errored: Silent: (its text cannot be read: RuntimeError)",
    "raise ValueError('\\ud800')": "errored: ValueError: \\ud800 (",
    "return np.ma.masked_array(table, mask=True)": "errored: returned no arrays: TypeError: snr has masked elements",
}


@pytest.mark.parametrize("body, options", [*((body, ()) for body in BODIES), ("sys.exit(0)", ("--refdiff-isolated",))])
def test_a_vector_fails_and_the_run_goes_on(run, pytester, body, options):  # noqa: F811
    """One operation is hostile; the other, and the project's own tests, pass."""
    pytester.makepyfile(test_theirs="def test_theirs(): pass")
    result = run(HOSTILE.replace("{}", body), *SNR, *options)
    result.assert_outcomes(passed=count("alpha_bar") + 1, failed=count("snr"))
    assert result.ret == 1 and BODIES[body] in result.stdout.str()


@pytest.mark.parametrize(
    "body, says", [("os._exit(0)", "exited with status 0 at snr/1"), ("time.sleep(100)", "gave no answer in time (1 s)")]
)
def test_an_isolated_adapter_cannot_end_or_stop_pytest(run, body, says):  # noqa: F811
    """The run ends in time with failures, and says why; no later vector is skipped."""
    began = time.monotonic()
    result = run(HOSTILE.replace("{}", body), *SNR, "--refdiff-isolated", "--refdiff-timeout", "1")
    result.assert_outcomes(passed=count("alpha_bar"), failed=count("snr"))
    assert result.ret == 1 and says in result.stdout.str() and time.monotonic() - began < 30


@pytest.mark.parametrize(
    "text", ["raise SystemExit(0)", "import sys; sys.exit()", "class Adapter:\n    def __init__(self): raise SystemExit(0)"]
)
def test_an_adapter_that_exits_at_its_import_is_wrong_usage(run, text):  # noqa: F811
    """Not exit code 0."""
    for isolated in ([], ["--refdiff-isolated"]):
        result = run(text, *SNR, *isolated)
        assert result.ret == pytest.ExitCode.USAGE_ERROR and "SystemExit: " in result.stderr.str()


def test_a_run_in_which_all_vectors_are_skipped_has_not_passed(run, pytester):  # noqa: F811
    """No operation, or none that does not skip; other tests do not hide it, and a vector that is expected to fail was run."""
    pytester.makepyfile(test_theirs="def test_theirs(): pass")
    for adapter in ("class Adapter: pass", GOOD.replace("return table / (1 - table)", "raise Skip('no')")):
        result = run(adapter, "--refdiff-only", "snr")
        result.assert_outcomes(passed=1, skipped=count("snr"))
        assert result.ret == 1 and f"refdiff: nothing was run; all {count('snr')} vectors were skipped" in result.stdout.str()
    result = run(GOOD, "--refdiff-only", "snr,grid")
    assert result.ret == 0 and "nothing was run" not in result.stdout.str()
    pytester.makefile(".txt", xfails="snr\n")
    assert run(HOSTILE.replace("{}", "raise ValueError"), "--refdiff-only", "snr", "--refdiff-xfails", "xfails.txt").ret == 0
    assert run("class Adapter: pass", "--refdiff-only", "snr", "-m", "not refdiff").ret == 0
