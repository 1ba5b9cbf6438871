"""The pytest plugin: a test for every vector in the tested project, expected failures that stay honest, and no cost where it is not used."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from refdiff.conformance.operations import operations
from refdiff.conformance.run import runner
from refdiff.conformance.vectors.files import load

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
ENTRY = "refdiff.conformance.run.entry.refdiff_pytest"
GOOD = """
import numpy as np
from refdiff.conformance.adapter import Skip

class Adapter:
    name, version, precision = "theirs", "1.2", "float64"

    def alpha_bar(self, betas):
        if not ((betas > 0) & (betas <= 1)).all():
            raise ValueError("betas")
        return np.append(1.0, np.cumprod(1 - betas))

    def snr(self, betas):
        table = self.alpha_bar(betas)[1:]
        return table / (1 - table)
"""
WRONG_SNR = GOOD.replace("return table / (1 - table)", "return table / (1 - table) ** 2")
NO_ERRORS = GOOD.replace('raise ValueError("betas")', "pass")


def count(operation):
    return sum(vector.operation == operation for vector in load())


def ids(operation):
    return [vector.id for vector in load() if vector.operation == operation]


@pytest.fixture
def run(pytester):
    """A function that writes their adapter as my/adapter.py and runs pytest on it in a process of its own or, faster, in this one."""
    pytester.makeini("[pytest]\nmarkers = theirs")

    def run(adapter, *options, apart=False):
        pytester.makepyfile(**{"my/__init__": "", "my/adapter": adapter})
        given = ("-p", "no:refdiff", "-p", ENTRY, "-p", "no:cacheprovider", *options)
        if adapter:
            given += ("--refdiff-impl", "my.adapter")
        before = set(sys.modules)
        result = pytester.runpytest_subprocess(*given) if apart else pytester.runpytest_inprocess(*given)
        for name in set(sys.modules) - before:
            if name.split(".")[0] == "my":
                del sys.modules[name]
        return result

    return run


def test_every_vector_is_a_test(run):
    """Ids are those of the vectors, what is not offered is skipped, and the header says who is tested."""
    result = run(GOOD, "--refdiff-only", "schedules", "-v")
    offered = count("alpha_bar") + count("snr")
    total = len(runner.select(only=["schedules"]))
    result.assert_outcomes(passed=offered, skipped=total - offered)
    text = result.stdout.str()
    assert f"refdiff: {total} vectors for theirs 1.2 (float64)" in text
    for id in ids("snr") + ids("grid"):
        assert re.search(rf"^refdiff::{re.escape(id)} (PASSED|SKIPPED)", text, re.M), id
    assert result.ret == 0


def test_only_minimal_and_their_own_tests(run, pytester):
    """--refdiff-only takes areas and operations, often or with commas; their own tests run beside, and -m and -k choose."""
    pytester.makepyfile(test_theirs="def test_theirs(): pass")
    run(GOOD, "--refdiff-only", "snr,alpha_bar").assert_outcomes(passed=count("snr") + count("alpha_bar") + 1)
    few = len(runner.select(minimal=True, only=["snr"]))
    assert 0 < few < count("snr")
    run(GOOD, "--refdiff-only", "snr", "--refdiff-minimal").assert_outcomes(passed=few + 1)
    run(GOOD, "--refdiff-only", "snr", "-m", "refdiff").assert_outcomes(passed=count("snr"), deselected=1)
    run(GOOD, "--refdiff-only", "snr", "-k", "snr/1").assert_outcomes(
        passed=sum("snr/1" in id for id in ids("snr")), deselected=1 + sum("snr/1" not in id for id in ids("snr"))
    )


def test_a_failure_is_short_and_says_what_is_wrong(run):
    """Output, index, values, error, equation, rule and small inputs, and no traceback through the kit."""
    result = run(WRONG_SNR, "--refdiff-only", "snr,alpha_bar")
    result.assert_outcomes(passed=count("alpha_bar"), failed=count("snr"))
    text = result.stdout.str()
    assert re.search(r"^failed: snr\[0\]: got \S+, want \S+: \S+ apart, \S+ allowed; largest error \S+; tolerance class each$", text, re.M)
    assert f"snr (must; F5): {operations()['snr'].rule}" in text
    assert re.search(r"^  betas = \[0\.1, 0\.2, 0\.3\]$", text, re.M) and "  betas = linear-1000, array of shape (1000,)" in text
    assert "Traceback" not in text and "runner.py" not in text and "FAILED refdiff::snr/1 - failed: snr[0]" in text
    assert max(len(block.splitlines()) for block in re.split(r"^_{5,}.*$", text, flags=re.M)[1:-1]) < 10


def test_exceptions_and_missing_errors_fail(run):
    """An implementation that raises, and one that answers where only an error is right."""
    result = run(GOOD.replace("return table / (1 - table)", "raise ZeroDivisionError('oh')"), "--refdiff-only", "snr")
    assert result.ret == 1
    result.stdout.re_match_lines([r"errored: ZeroDivisionError: oh \(\w+\.py, line \d+\)$"])
    result = run(NO_ERRORS, "--refdiff-only", "alpha_bar", "--refdiff-level", "refusal")
    result.assert_outcomes(passed=count("alpha_bar") - 1, failed=1)
    result.stdout.fnmatch_lines(["failed: an answer, where only an error is right: a beta outside (0, 1[]]"])


def test_levels(run):
    """Refusals fail the run only if they are asked for; else they are shown as expected failures."""
    assert {v.level for v in load() if v.operation == "alpha_bar" and v.expected is None} == {"refusal"}
    result = run(NO_ERRORS, "--refdiff-only", "alpha_bar", "-rx")
    result.assert_outcomes(passed=count("alpha_bar") - 1, xfailed=1)
    assert result.ret == 0 and "refusal: failed: an answer, where only an error is right" in result.stdout.str()
    run(WRONG_SNR, "--refdiff-only", "snr", "--refdiff-level", "must").assert_outcomes(failed=count("snr"))
    assert run(GOOD, "--refdiff-level", "may").ret == pytest.ExitCode.USAGE_ERROR


def test_expected_failures(run, pytester):
    """Ids, operations and patterns, with reasons; skips stay skips; without the file the same run fails."""
    pytester.makefile(".txt", xfails="# ours\n\nsnr  # squared, see our issue\ngrid/* # not ours\n")
    result = run(WRONG_SNR, "--refdiff-only", "snr,grid", "--refdiff-xfails", "xfails.txt", "-rx")
    result.assert_outcomes(xfailed=count("snr"), skipped=count("grid"))
    assert result.ret == 0 and "squared, see our issue" in result.stdout.str()
    pytester.makefile(".txt", xfails="".join(f"{id}\n" for id in ids("snr")[:-1]))
    run(WRONG_SNR, "--refdiff-only", "snr", "--refdiff-xfails", "xfails.txt").assert_outcomes(xfailed=count("snr") - 1, failed=1)
    pytester.makefile(".txt", xfails="snr/[!1]*\n")
    ones = sum(id.startswith("snr/1") for id in ids("snr"))
    run(WRONG_SNR, "--refdiff-only", "snr", "--refdiff-xfails", "xfails.txt").assert_outcomes(xfailed=count("snr") - ones, failed=ones)


def test_the_file_stays_honest(run, pytester):
    """An expected failure that passes fails, a line that matches nothing is an error, and so is a file that is not there."""
    pytester.makefile(".txt", xfails=f"{ids('snr')[0]}  # once\n")
    result = run(GOOD, "--refdiff-only", "snr", "--refdiff-xfails", "xfails.txt")
    result.assert_outcomes(passed=count("snr") - 1, failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*once*"])
    for line in ("snr/9999", "snrr", "SNR", "schedules/*"):
        pytester.makefile(".txt", xfails=f"snr/1\n{line}  # gone\n")
        result = run(GOOD, "--refdiff-only", "snr", "--refdiff-xfails", "xfails.txt")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert f"xfails.txt:2: '{line}' matches no vector" in result.stderr.str()
    assert run(GOOD, "--refdiff-xfails", "nowhere.txt").ret == pytest.ExitCode.USAGE_ERROR


def test_wrong_options_are_named(run):
    """No such adapter, area or operation, two implementations, and a program that is none."""
    for options, message in (
        (("--refdiff-impl", "my.nothing"), "adapter = 'my.nothing': no module"),
        (("--refdiff-impl", "my.broken"), "No module named 'refdiff_no_such_thing'"),
        (("--refdiff-impl", "my", "--refdiff-only", "nothing"), "only = 'nothing'; allowed: areas"),
        (("--refdiff-impl", "my", "--refdiff-pipe", "cat"), "allowed: one of them"),
        (("--refdiff-pipe", "/no/such"), "allowed: a program that can be started"),
        (("--refdiff-pipe", " "), "allowed: a list of a program and its arguments"),
        (("--refdiff-pipe", "true"), "exited with status 0 when it was sent"),
        (("--refdiff-pipe", "cat"), "allowed: operations as a list of names"),
        (("--refdiff-pipe", "sleep 100", "--refdiff-timeout", "0.5"), "gave no answer in time (0.5 s)"),
    ):
        Path("my").mkdir(exist_ok=True)
        Path("my/broken.py").write_text("import refdiff_no_such_thing")
        result = run("", *options)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, options
        assert message in result.stderr.str(), options


PROGRAM = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    if "hello" in request:
        answer = {"name": "tiny", "operations": ["alpha_bar"]}
    else:
        table, wrong = [1.0], False
        for beta in request["inputs"]["betas"]["data"]:
            table.append(table[-1] * (1 - beta))
            wrong = wrong or not 0 < beta <= 1
        answer = {"outputs": {"alpha_bar": {"shape": [len(table)], "data": table}}}
        answer = {"error": "betas"} if wrong else answer
    print(json.dumps({"id": request.get("id", 0), **answer}), flush=True)
    if "--die" in sys.argv and request.get("id") == 3:
        sys.exit(4)
"""


def test_a_program(run, pytester):
    """--refdiff-pipe takes a command with arguments; one that dies fails all remaining vectors at every level."""
    path = pytester.makefile(".py", program=PROGRAM)
    command = f"'{sys.executable}' '{path}'"
    run("", "--refdiff-pipe", command, "--refdiff-only", "alpha_bar").assert_outcomes(passed=count("alpha_bar"))
    result = run("", "--refdiff-pipe", f"{command} --die", "--refdiff-only", "alpha_bar", "--refdiff-level", "must")
    result.assert_outcomes(passed=3, failed=count("alpha_bar") - 3)
    result.stdout.fnmatch_lines(["*exited with status 4 when it was sent*"])


@pytest.mark.long
def test_in_a_process_of_its_own_under_xdist(run, pytester):
    """The outcomes are the same with workers, whose options and settings are those of the project."""
    pytester.makeini("[pytest]\naddopts = --refdiff-xfails xfails.txt --refdiff-only snr --refdiff-only alpha_bar\nfilterwarnings = error")
    pytester.makefile(".txt", xfails="snr/1  # squared\n")
    result = run(WRONG_SNR, "-n", "2", apart=True)
    result.assert_outcomes(passed=count("alpha_bar"), xfailed=1, failed=count("snr") - 1)


def test_costs_nothing_where_it_is_not_used(tmp_path):
    """What pytest loads is a file of its own that imports nothing, and without an option neither NumPy nor refdiff is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"refdiff": "refdiff_pytest"}
    assert "refdiff/conformance/run/entry" in project["tool"]["setuptools"]["packages"]["find"]["where"]
    installed = tmp_path / "refdiff_pytest"
    installed.mkdir()
    (installed / "__init__.py").write_text(ROOT.joinpath(*ENTRY.split("."), "__init__.py").read_text())
    (tmp_path / "test_x.py").write_text(
        "import sys\ndef test(): assert not {'numpy', 'refdiff', 'scipy'} & set(sys.modules) and 'refdiff_pytest' in sys.modules"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:refdiff",  # that of an installed refdiff
        "-p",
        "refdiff_pytest",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "test_x.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": "", "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
