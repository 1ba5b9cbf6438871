"""Asking again: what an implementation keeps between calls, and what the examples of a batch do to each other."""

import json

import numpy as np
import pytest

from refdiff import cli
from refdiff.conformance import adapter
from refdiff.conformance.operations import operations
from refdiff.conformance.run import runner, structure

ME = "tests.conformance.test_structure"


class Counts:
    """Right until its tenth call."""

    calls = 0

    def alpha_bar(self, betas):
        self.calls += 1
        return np.append(1, np.cumprod(1 - betas)) * (1 + (self.calls > 9))

    def snr(self, betas):
        return operations()["snr"].formula(betas)


class Meets:
    """Times of the examples meet the last axis where it has as many entries as the batch; else only their mean is taken."""

    def q_sample(self, x0, t, betas, noise):
        alpha_bar = np.asarray(np.append(1, np.cumprod(1 - betas))[t])
        if alpha_bar.ndim:
            alpha_bar = alpha_bar if x0.shape[-1] == len(alpha_bar) else alpha_bar.mean()
        return np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * noise


def checked(capsys, name, only):
    """The exit code and the report of an adapter of this module."""
    code = cli.main(["check", f"{ME}:{name}", "--only", only, "--in-process", "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_second_answer_is_compared(capsys):
    """The run does not pass, a warning names the operation that changes, and only that one."""
    code, report = checked(capsys, "Counts", "alpha_bar,snr")
    assert code == 1 and report["changed"] and not report["counts"]["must"]["failed"]
    assert report["warnings"] == [f"alpha_bar: {structure.TWICE}"]
    assert checked(capsys, "Meets", "q_sample")[1]["changed"] is False


def test_examples_that_affect_each_other_are_named(capsys):
    """The cause says so, for the vectors of a batch whose single examples are right, and for no others."""
    code, report = checked(capsys, "Meets", "q_sample")
    (cause,) = [each for each in report["causes"] if each["sentences"] == [structure.ALONE]]
    assert code == 1 and cause["explained"]["q_sample"] and cause["failures"] == len(cause["explained"]["q_sample"])
    assert not any(structure.ALONE in each["sentences"] for each in checked(capsys, "Counts", "alpha_bar,snr")[1]["causes"])


class HangsLater:
    """Right at first; computes for ever when the smallest table comes again."""

    seen = 0

    def alpha_bar(self, betas):
        self.seen += len(betas) == 1
        while self.seen > 1:
            pass
        return np.append(1, np.cumprod(1 - betas))


def test_a_second_call_has_a_limit_too(capsys):
    """The run stops there, with code 2, and nothing is said of a changed answer."""
    code = cli.main(["check", f"{ME}:HangsLater", "--only", "alpha_bar", "--in-process", "--timeout", "0.3", "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 2 and "no answer in 0.3 s of computing" in found["stopped"] and not found["changed"]


@pytest.mark.parametrize("name", ["q_sample", "ddim_step", "conv", "kl_isotropic", "classifier_free", "group_norm"])
def test_batches_are_taken_apart(name):
    """Into as many vectors as there are examples, each right by the formula."""
    parts = [structure.apart(vector) for vector in runner.select(only=[name]) if vector.expected is not None]
    whole = next(each for each in parts if len(each) > 1)
    right = adapter.Adapter(type("Right", (), {name: staticmethod(operations()[name].formula)}))
    assert all(runner.check(right, part).status == "passed" for part in whole)


@pytest.mark.parametrize("name", ["alpha_bar", "conv_vjp", "couple_optimally"])
def test_what_is_no_batch_is_left_whole(name):
    """Tables, derivatives of parameters and pairings are outputs of the whole."""
    assert not any(structure.apart(vector) for vector in runner.select(only=[name]) if vector.expected is not None)
