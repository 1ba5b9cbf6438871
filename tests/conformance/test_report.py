"""The command `refdiff check` and its reports: exit codes, four formats, planted departures named, and no result omitted."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from refdiff import cli
from refdiff.conformance import adapter
from refdiff.conformance.diagnosis import search
from refdiff.conformance.mutations import mutants
from refdiff.conformance.mutations.catalogue import all_mutants, edits_of
from refdiff.conformance.mutations.mutants import Mutant
from refdiff.conformance.operations import operations
from refdiff.conformance.report import build, failure_text, findings, mutant_text, wording
from refdiff.conformance.results import STATUSES
from refdiff.conformance.run import command, runner
from refdiff.conformance.run.processes import limit
from refdiff.conformance.vectors.files import load

FORMATS = ("text", "json", "markdown", "html")
ME, FILE = "tests.conformance.test_report", __file__


def planted(*changes, **methods):
    """A class that answers by the formulas, with edits (formula, expression, replacement) and methods in place of formulas."""
    edits = tuple(edit for change in changes for edit in edits_of(*change))
    answers = {name: mutants.formula(name, Mutant("planted", edits)) for name in operations()} | methods
    return type("Planted", (), {name: staticmethod(answer) for name, answer in answers.items() if answer is not None})


def refuse(**_):
    raise ArithmeticError("no <b>such</b> | `thing`")


Right = planted()
Wrong = planted(("q_step", "1 - beta", "1 - beta**2"), q_sample=refuse, score=None)
Wrong.name, Wrong.version = "<script>alert(1)</script> & *co*", '0.1"'
Upstream = planted(("alpha_bar", "1 - betas", "betas"))
Misspelled = type("Misspelled", (), {"q_sampel": lambda self: 0, "alpha_bar": Right.alpha_bar, "alpha_bars": lambda self: 0})
Silent = type("Silent", (), {})


def checked(target, only=(), limit=2.0):
    results = list(runner.run(adapter.Adapter(target), runner.select(only=only)))
    return build.build_report(adapter.Adapter(target), results, limit)


def check(capsys, *arguments):
    """Exit code and what was printed, of a check in this process, which is faster; test_hostile.py has the others."""
    code = cli.main(["check", *arguments, "--in-process"])
    return code, capsys.readouterr()


@pytest.mark.parametrize(
    "target, more, code",
    [
        ("Right", ["--only", "q_step"], 0),
        ("Right", ["--only", "linear", "--level", "refusal"], 1),  # the formulas refuse nothing
        ("Right", ["--only", "linear"], 0),
        ("Wrong", ["--only", "q_step"], 1),
        ("Wrong", ["--only", "log_density"], 0),
        ("Wrong", ["--only", "q_sample"], 1),
        ("Silent", ["--minimal"], 2),
    ],
)
def test_exit_codes(capsys, target, more, code):
    """0: nothing at the level differs; 1: something differs or raises; 2: nothing of level must was run."""
    assert check(capsys, f"{ME}:{target}", *more)[0] == code


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "ADAPTER: nothing to check; allowed: one of"),
        (["a", "--pipe", "b"], "allowed: one of ADAPTER and --pipe"),
        (["no_such_module_here"], "no module 'no_such_module_here'"),
        ([f"{ME}:Nobody"], "has no 'Nobody'"),
        ([f"{ME}:Right", "--only", "q_sampel"], "--only: 'q_sampel'; allowed: an area (schedules, "),
        ([f"{ME}:Right", "--only", "q_step,sampler"], "(see --list); is samplers meant?"),
        (["my_adapter.py"], "'my_adapter.py': there is no file my_adapter.py; allowed: a Python file, module or module:Class"),
        ([f"{FILE}:Nobody"], "has no 'Nobody'"),
        ([f"{ME}:Right", "--level", "may"], "invalid choice: 'may'"),
        ([f"{ME}:Right", "--only", "q_step", "--out", "no/such/folder/x"], "--out: 'no/such/folder/x'; allowed: a file"),
    ],
)
def test_wrong_usage(capsys, arguments, message):
    """Exit code 2, with a message that names the argument, its value and what is allowed."""
    code, printed = check(capsys, *arguments)
    assert code == 2 and message in printed.err


def test_a_module_that_fails_to_start_is_wrong_usage(capsys, tmp_path, monkeypatch):
    """A module that raises when imported."""
    (tmp_path / "broken_adapter.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, printed = check(capsys, "broken_adapter")
    assert (
        code == 2
        and "gave ZeroDivisionError: division by zero (broken_adapter.py, line 1); allowed: a module that can be imported" in printed.err
    )


def test_what_an_implementation_prints_is_no_part_of_the_report(capsys, tmp_path, monkeypatch):
    """It goes to standard error, so that JSON stays JSON; a script that ends the program as it is imported is wrong usage."""
    (tmp_path / "talking.py").write_text("print('hello')\ndef alpha_bar(betas):\n    print('there')\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, printed = check(capsys, "talking", "--only", "alpha_bar", "--format", "json")
    found = json.loads(printed.out)
    assert code == 1 and "hello" in printed.err and "there" in printed.err
    assert found["operations"][0]["first"]["message"] == "alpha_bar is None; is a return missing?"
    code, printed = check(capsys, "leaving")
    assert code == 2 and "gave SystemExit: 3 (leaving.py, line 1)" in printed.err


def test_a_failure_without_an_explanation_is_shown_beside_one_that_has_it():
    """Where one cause explains the smallest failure, and nothing another."""
    right = Right.alpha_bar
    found = checked(
        planted(alpha_bar=lambda betas: right(betas)[1:] if len(betas) != 20 else 1 / 0),
        ["alpha_bar"],
    )
    (operation,) = found.operations
    explained = {id for cause in found.causes for ids in cause.explained.values() for id in ids}
    assert operation.unexplained and operation.first.id in explained and operation.other.id not in explained
    for form in FORMATS:
        assert operation.other.id in command.render(found, form)
    assert checked(Wrong, ["q_sample"]).operations[0].other is None


def test_areas_without_a_run_take_a_line():
    """By name only where another operation of the area was run."""
    text = command.render(checked(type("Few", (), {"q_step": staticmethod(Right.q_step)}), ["forward", "guidance"]), "text")
    assert "not run: guidance\n" in text and "classifier_free" not in text and "q_sample" in text


def test_counts_add_up():
    """Nothing is hidden: areas, operations, levels and the list of vectors all hold every vector once."""
    found = checked(Wrong)
    everyone = [vector.id for vector in load()]
    assert [each["id"] for each in found.vectors] == everyone
    assert findings.total(found.counts) == len(everyone)
    assert sum(map(findings.total, found.areas.values())) == len(everyone)
    assert sum(findings.total(operation.counts) for operation in found.operations) == len(everyone) - sum(found.counts["refusal"].values())
    for status in STATUSES:
        assert findings.total(found.counts, status) == sum(each["status"] == status for each in found.vectors)
    for each in found.operations:
        assert findings.total(each.counts, "failed", "errored") == sum(each.causes.values()) + each.unexplained
    names = [id for cause in found.causes for ids in cause.explained.values() for id in ids]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("form", FORMATS)
def test_a_planted_departure_is_named_in_every_format(form):
    """The sentence, the equation and the explained share are in each rendering; exceptions are shown as well."""
    text = command.render(checked(Wrong, ["q_step", "q_sample", "score"]), form)
    plain = re.sub(r"\s+", " ", re.sub(r"<(?!b>such|script)[^>]*>", "", text) if form == "html" else text)
    assert ("as if beta were beta ** 2" if form == "html" else "as if `beta` were `beta ** 2`") in plain
    if form == "json":
        cause = json.loads(text)["causes"][0]
        assert cause["equations"] == ["F1"] and not cause["contradicted"]
        assert len(cause["explained"]["q_step"]) == cause["failures"]
    else:
        assert "Differs from eq. F1 as if" in plain and re.search(r"xplains (\d+) of \1 failures in q_step", plain)
        assert "Ends in an error: raises ArithmeticError: no <b>such</b>" in plain.replace("&lt;", "<").replace("&gt;", ">")


class Library:
    """An adapter whose two operations both end in the same line of a library."""

    def alpha_bar(self, betas):
        return json.loads("{" + str(betas))

    def snr(self, betas):
        return json.loads("{" + str(betas))


def test_equal_exceptions_are_one_cause():
    """With the line of the adapter and that of the library; over all operations, whatever numbers the messages have."""
    found = checked(Library, ["alpha_bar", "snr"])
    (cause,) = found.causes
    assert set(cause.explained) == {"alpha_bar", "snr"} and cause.failures == sum(
        operation.counts["must"]["errored"] for operation in found.operations
    )
    assert re.match(r"raises JSONDecodeError: .*\(test_report\.py, line \d+; decoder\.py, line \d+\)$", cause.sentences[0])
    assert not any(operation.unexplained for operation in found.operations)


@pytest.mark.parametrize("target, expression", [(f"{ME}:Wrong", "Wrong()"), (f"{FILE}:Upstream", "Upstream()")])
def test_the_snippet_runs(target, expression):
    """It prints what the adapter gives, and what is right, for the first failure."""
    found = build.build_report(one := adapter.find(target), list(runner.run(one, runner.select(only=["q_step", "snr"]))), 1.0)
    failure = next(operation.first for operation in found.operations if operation.first)
    lines = failure_text.snippet(found, failure)
    program = "import numpy; numpy.set_printoptions(floatmode='unique', legacy='1.25')\n" + "\n".join(lines)
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"repeat({expression}, {failure.id!r})" in lines[-2]
    got, want = (str(failure.got).rstrip("0"), str(failure.want).rstrip("0"))
    assert got[:8] in printed and want[:8] in printed
    assert failure_text.snippet(replace(found, called=("", "")), failure) == []


def test_the_line_of_a_method_is_named():
    """In each form; not for a method that no Python code defines."""
    found = checked(Library, ["alpha_bar"])
    line = found.operations[0].defined
    assert line.startswith("test_report.py, line ") and "def alpha_bar" in Path(FILE).read_text().splitlines()[int(line.split()[-1]) - 1]
    assert all(line in " ".join(command.render(found, form).split()) for form in FORMATS)
    assert checked(type("Builtin", (), {"alpha_bar": print}), ["alpha_bar"]).operations[0].defined == ""


def test_a_resemblance_cannot_be_taken_for_a_cause():
    """The sentence ends with what it is not."""
    explained = {"q_sample": ["q_sample/1", "q_sample/2"]}
    cause = findings.Cause(["as if `s` were `t`"], False, 1, ["F3"], 5, explained, 3, "", {}, [], [])
    text = wording.resemblance(cause)
    assert text.startswith("2 of the 5 wrong answers of q_sample fit a change: as if `s` were `t`. But 3 other vectors say otherwise")
    assert text.endswith("this is not the cause.")


class Hangs:
    """It computes for ever for the table of three."""

    def alpha_bar(self, betas):
        while len(betas) == 3:
            pass
        return np.append(1, np.cumprod(1 - betas))


def test_a_call_in_this_process_has_a_limit(capsys):
    """Its computing is limited; the run stops there, says where, and ends with code 2."""
    code, printed = check(capsys, f"{ME}:Hangs", "--only", "alpha_bar", "--timeout", "0.3")
    assert code == 2 and "the adapter gave no answer in 0.3 s of computing at alpha_bar/6" in " ".join(printed.out.split())
    with pytest.raises(limit.OutOfTime), limit.limited(0.05):
        while True:
            pass
    with limit.limited(0.05):
        time.sleep(0.2)  # waiting, as for a debugger, is no computing


def test_one_cause_for_many_operations():
    """A wrong alpha_bar is one cause, with every operation that it changes."""
    found = checked(Upstream, ["schedules", "forward"])
    cause = found.causes[0]
    assert cause.equations == ["F3"] and "in alpha_bar `1 - betas` were `betas`" in cause.sentences[0]
    assert {"alpha_bar", "snr", "transition", "q_sample", "posterior"} <= set(cause.explained)
    assert len(wording.cause_scope(cause)) < 100 and cause.lines[0][0] == "alpha_bar"


def test_answers_that_no_mutant_gives_have_no_explanation():
    """Answers that no mutant gives have no explanation, and the operations that use them point to them."""
    found = checked(
        planted(alpha_bar=lambda betas: np.sin(np.arange(len(betas) + 1) ** 2), snr=lambda betas: np.cos(betas * 99) ** 3),
        ["alpha_bar", "snr"],
    )
    by_name = {operation.name: operation for operation in found.operations}
    assert by_name["alpha_bar"].unexplained and by_name["snr"].look_at == ["alpha_bar"]
    assert wording.UNEXPLAINED in command.render(found, "text")


def test_two_changes_at_once_are_found():
    """No single mutant explains it, a pair does."""
    found = checked(planted(("q_marginal", "sqrt(ab) * x0", "ab * x0"), ("q_marginal", "1 - ab", "ab")), ["q_marginal"], limit=20.0)
    assert len(found.causes) == 1 and "`sqrt(ab)` were `ab`" in found.causes[0].sentences[0] and " and " in found.causes[0].sentences[0]


def test_a_cause_of_part_of_the_failures_names_what_they_share():
    """A departure in one branch names the tag that its failures share."""

    def variance(variance, x_t, t, s, betas, mix=None):
        right = operations()["model_variance"].formula(variance, x_t, t, s, betas, mix)
        return 2 * right if variance == "beta" else right

    found = checked(planted(model_variance=variance), ["model_variance"])
    (cause,) = found.causes
    assert cause.common["variance"] == "beta" and "variance = beta" in wording.cause_scope(cause)
    assert sum(map(len, cause.explained.values())) == cause.failures


def test_html_is_escaped_and_stands_alone():
    """The output of an implementation is text, never markup; nothing is loaded; every tag is closed."""
    text = command.render(checked(Wrong, ["q_step", "q_sample"]), "html")
    assert "<script" not in text and "&lt;script&gt;" in text and "<b>such" not in text and "&lt;b&gt;such" in text
    assert not re.search(r"https?:|src=|@import|url\(|<link", text)
    open_tags = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta",):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balance().feed(text)
    assert not open_tags and "prefers-color-scheme" in text and "viewport" in text


def test_markdown_is_escaped():
    """The output of an implementation makes neither markup nor table cells."""
    text = command.render(checked(Wrong, ["q_sample"]), "markdown")
    assert "<script" not in text and "&lt;script&gt;" in text and r"\*co\*" in text and "such</b> / 'thing'" in text


@pytest.mark.long
def test_text_fits_a_terminal():
    """No line is longer than 100 columns."""
    text = command.render(checked(Wrong), "text")
    assert max(map(len, text.splitlines())) <= 100 and "NOT PASSED" in text and text.isascii()


def test_json_is_plain_and_whole(capsys, tmp_path):
    """It is JSON without NaN, holds every vector's id and status, and goes to a file on demand, the summary being printed."""
    path = tmp_path / "report.json"
    code, printed = check(capsys, f"{ME}:Wrong", "--only", "forward", "--format", "json", "--out", str(path))
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert code == 1 and printed.out.strip() == found["summary"] and found["format"] == build.FORMAT
    assert {each["status"] for each in found["vectors"]} == set(STATUSES)
    assert set(found) == set(re.findall(r"^\| `(\w+)` \|", (cli.Path("docs") / "report.md").read_text(), re.M))


def test_first_diverging_step():
    """Of a trajectory: the first state that departs, its pair of times, and where."""
    name = "ode_sample"
    if not any(vector.operation == name for vector in load()):
        pytest.skip("no vectors of trajectories")

    def late(f, method, times, x):
        states = np.array(operations()[name].formula(f, method, times, x))
        states[2:] += 0.5
        return states

    step = next(o for o in checked(planted(ode_sample=late), [name]).operations).first.step
    assert step.number == 2 and step.tensor == "states[2]" and step.start is not None and float(step.ulps) > 1e6
    assert failure_text.diverging_step(step).startswith("first diverging step: 2, from t = ")


def test_misspelled_methods_are_warned_about():
    """A method that is nearly an operation is a warning; a helper beside the operation itself is not."""
    found = checked(Misspelled, ["alpha_bar"])
    assert found.warnings == ["q_sampel is not an operation and was not run; is q_sample meant?"]
    for form in FORMATS:
        assert "is q" in command.render(found, form).replace("\\", "")


def test_list_and_template(capsys, tmp_path, monkeypatch):
    """--list names every operation; the template has them all, runs at once, and everything is skipped."""
    code, printed = check(capsys, "--list")
    assert code == 0 and all(re.search(rf"^  {name}\(", printed.out, re.M) for name in operations())
    code, printed = check(capsys, "--list", "--format", "json", "--only", "flow")
    assert {each["area"] for each in json.loads(printed.out)} == {"samplers", "flow"}
    code, printed = check(capsys, "--template")
    (tmp_path / "fresh_template.py").write_text(printed.out)
    monkeypatch.syspath_prepend(tmp_path)
    assert max(map(len, printed.out.splitlines())) <= 140
    template = __import__("fresh_template").Adapter
    assert all(operation.equations[0] in getattr(template, name).__doc__ for name, operation in operations().items())
    code, printed = check(capsys, "fresh_template", "--minimal")
    assert code == 2 and "no vector of level must was run" in printed.out


def test_progress_only_in_a_terminal(capsys, monkeypatch):
    """Nothing is printed unless stderr is a terminal; without tqdm, a counter is printed."""
    chosen = runner.select(only=["q_step"])
    assert command.progress(chosen, "x") is chosen
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(command.progress(chosen, "x")) == chosen and f"20 of {len(chosen)}" in capsys.readouterr().err


@pytest.mark.long
def test_every_mutant_has_a_sentence():
    """Every mutant has a sentence, and every edit has changed lines."""
    for mutant in all_mutants().values():
        text = mutant_text.sentence(mutant, next(iter(mutant.functions)))
        assert text and "->" not in text and (mutant.text or text.startswith("as if "))
        assert not mutant.edits or mutant_text.changed_lines(mutant)


def test_a_lone_mutant_explains_its_own_answers():
    """Whatever is planted is among the mutants that explain all of it."""
    for name in ("q_marginal: output mean doubled", "transition: input s + 1", "q_step: noise -> x"):
        if (mutant := all_mutants().get(name)) is None:
            continue
        operation = name.partition(":")[0]
        target = planted(**{operation: mutants.formula(operation, mutant)})
        results = list(runner.run(adapter.Adapter(target), runner.select(only=[operation])))
        (found,) = search.diagnose(results)
        assert mutant in found.mutants and found.explained <= found.failures
