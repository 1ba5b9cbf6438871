"""Hostile programs behind a pipe: a broken answer is an error of its vector, never a pass, and the report comes whole."""

import json
import sys
import time

import numpy as np
import pytest

from refdiff import cli
from refdiff.conformance.run import pipe, runner, wire
from refdiff.conformance.run.processes import subprocess
from refdiff.conformance.vectors.files import Vector, load

X = {"x0": np.array([[1.5, -2.0]])}
PROGRAM = """
import json, os, sys
sys.stdin.readline()
print(json.dumps(dict(name="hostile", operations=["q_sample"])), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    id = request["id"]
    if id % 2:
        os.write(1, ({answer} % id if "%d" in {answer} else {answer}).encode("utf-8", "surrogatepass") + b"\\n")
    else:
        print(json.dumps(dict(id=id, outputs=dict(x_t=request["inputs"]["x0"]))), flush=True)
"""


def outputs(text):
    return f'{{"id": %d, "outputs": {{"x_t": {text}}}}}'


def array(*numbers):
    return outputs(f'{{"shape": [{len(numbers)}], "data": [{", ".join(numbers)}]}}')


ERROR, DIGITS = '"error": "no"', "1" + 400 * "0"
BROKEN = {
    "400 digits": array(DIGITS),
    "400 digits, alone": outputs(DIGITS),
    "400 digits and a fraction": array("0.5", DIGITS),
    "5000 digits": array("1" * 5000),
    "1e999": array("1e999"),
    "1e999, alone": outputs("-1e999"),
    "900 deep": outputs("[" * 900 + "]" * 900),
    "900 objects deep": outputs('{"a": ' * 900 + "1" + "}" * 900),
    "100000 deep": outputs("[" * 100000 + "]" * 100000),
    "deep beside an error": f'{{"id": %d, {ERROR}, "outputs": {"[" * 900 + "]" * 900}}}',
    "invalid UTF-8": array("1").replace("1]}", "\udcff1]}"),
    "UTF-8 of a surrogate": '{"id": %d, "error": "\ud800"}',
    "UTF-16": "{\x00}\x00",
    "NaN": array("NaN"),
    "Infinity, alone": outputs("-Infinity"),
    "NaN as a word": array('"NaN"'),
    "NaN as a word, alone": outputs('"NaN"'),
    "inf as a word": array('"+inf"'),
    "infinity as a word": array('"infinity"'),
    "a truth": outputs("true"),
    "null": outputs("null"),
    "a text": outputs('"text"'),
    "a text that is a number": array('"1"'),
    "nested outputs": outputs('{"x_t": 1}'),
    "the id twice": f'{{"id": 1, {ERROR}, "id": %d}}',
    "an error twice": f'{{"id": %d, {ERROR}, {ERROR}}}',
    "outputs and an error": f'{{"id": %d, "outputs": {{"x_t": 1}}, {ERROR}}}',
    "an error and a skip": f'{{"id": %d, {ERROR}, "skip": "no"}}',
    "an error that is null": '{"id": %d, "error": null}',
    "outputs and an error that is null": '{"id": %d, "error": null, "outputs": {"x_t": 1}}',
    "a skip that is a truth": '{"id": %d, "skip": true}',
    "an error that is an object": '{"id": %d, "error": {"code": 3}}',
    "an id that is a float": f'{{"id": %d.0, {ERROR}}}',
    "an id that is a truth": f'{{"id": true, {ERROR}}}',
    "an id that is a text": f'{{"id": "%d", {ERROR}}}',
    "an id of 400 digits": f'{{"id": {DIGITS}, {ERROR}}}',
    "the answer to a later question": f'{{"id": %d9, {ERROR}}}',
    "no id": f"{{{ERROR}}}",
    "a shape of 400 digits": outputs(f'{{"shape": [{DIGITS}], "data": []}}'),
    "a shape beyond memory": outputs('{"shape": [0, 99999999999999999999], "data": []}'),
    "a shape of many zeros": outputs(f'{{"shape": [{", ".join("0" * 70)}], "data": []}}'),
    "a shape of truths": outputs('{"shape": [true], "data": [1]}'),
    "data that is an object": outputs('{"shape": [1], "data": {"0": 1}}'),
    "a call with an error": f'{{"id": %d, "call": "f", "x": 1, "t": 1, {ERROR}}}',
    "a call of a text": '{"id": %d, "call": "f", "x": "eps", "t": 1}',
    "a call at a truth": '{"id": %d, "call": "f", "x": 1, "t": true}',
    "a call at 400 digits": f'{{"id": %d, "call": "f", "x": 1, "t": {DIGITS}}}',
    "a call at NaN": '{"id": %d, "call": "f", "x": NaN, "t": 1}',
    "two objects": f'{{"id": %d, {ERROR}}} {{}}',
    "a comment": f'{{"id": %d, {ERROR}}} // no',
    "a byte order mark": f'\ufeff{{"id": 1, {ERROR}}}',
}


def vector(expected, f=None):
    return Vector(
        "q_sample/0",
        "q_sample",
        "must",
        "tensor",
        True,
        {},
        X | ({"f": {"model": "field", "a": 1.0, "b": 0.0, "c": 0.0}} if f else {}),
        expected,
        [],
        "",
    )


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_an_error_of_its_vector(tmp_path, name):
    """Errored where outputs are right and where only an error is; the next answer is read as it should be."""
    (tmp_path / "program.py").write_text(PROGRAM.format(answer=ascii(BROKEN[name])))
    began = time.monotonic()
    with pipe.Pipe([sys.executable, str(tmp_path / "program.py")], 20.0) as probe:
        for expected in (None, {"x_t": X["x0"]}, None):
            result = runner.check(probe, vector(expected, "call" in name))
            assert result.status == "errored" and len(result.message) < 2000, result.message
            assert "call" not in name or result.message.isprintable()
            assert runner.check(probe, vector({"x_t": X["x0"]})).status == "passed"
        assert not probe.broken and time.monotonic() - began < 20


def test_every_depth_is_broken(tmp_path):
    """About the limit of recursion too, where a message can be read and cannot be written again."""
    program = PROGRAM.format(answer="'{\"id\": %d, \"outputs\": {\"x_t\": ' % id + '[' * (800 + id) + ']' * (800 + id) + '}}'")
    (tmp_path / "program.py").write_text(program.replace("if id % 2", "if True"))
    with pipe.Pipe([sys.executable, str(tmp_path / "program.py")], 20.0) as probe:
        assert {runner.check(probe, vector(None)).status for _ in range(250)} == {"errored"}


def test_what_cannot_be_written_as_json_is_quoted_all_the_same():
    """A value that is nested too deeply, and an integer of too many digits."""
    deep = []
    for _ in range(10**5):
        deep = [deep]
    assert wire.abbreviate(deep) == wire.abbreviate(10**5000) == "a value that cannot be quoted"


def test_the_errors_of_a_program_are_its_own(tmp_path):
    """What the table above spoils passes in the right form: a text as error where only an error is right."""
    (tmp_path / "program.py").write_text(PROGRAM.format(answer=ascii(f'{{"id": %d, {ERROR}}}')))
    with pipe.Pipe([sys.executable, str(tmp_path / "program.py")]) as probe:
        assert runner.check(probe, vector(None)).status == "passed"


@pytest.mark.parametrize("text", ["\\ud800", "\\u001b[2J\\u0000", "x" * 10**6, "\\u202e"])
def test_what_a_program_says_is_printable(tmp_path, text):
    """Its name, version, errors, skips and the names of its outputs."""
    hello = f'{{"name": "{text}", "version": "{text}", "operations": ["q_sample"]}}'
    for kind in ("error", "skip", "outputs"):
        answer = f'{{"id": %d, "{kind}": {f"{chr(34)}{text}{chr(34)}" if kind != "outputs" else f"{{{chr(34)}{text}{chr(34)}: {chr(34)}{chr(34)}}}"}}}'
        program = PROGRAM.format(answer=ascii(answer)).replace('json.dumps(dict(name="hostile", operations=["q_sample"]))', ascii(hello))
        (tmp_path / "program.py").write_text(program)
        with pipe.Pipe([sys.executable, str(tmp_path / "program.py")]) as probe:
            message = runner.check(probe, vector({"x_t": X["x0"]})).message
            assert all(each.isprintable() and len(each) < 2500 for each in (probe.name, probe.version, message))


# ---- the whole command

VECTORS = [each for each in load() if each.operation == "alpha_bar"]
WHOLE = """
import json, os, sys, time
def say(**fields):
    print(json.dumps(fields), flush=True)
sys.stdin.readline()
say(name="hostile", operations={operations})
for line in sys.stdin:
    id = json.loads(line)["id"]
    {body}
"""
RUNS = {
    "exits": ("os._exit(0)", 2, "the program exited with status 0 when it was sent"),
    "exits at the end": ("say(id=id, skip='no') if id < 10 else os._exit(0)", 2, "the program exited with status 0 when it was sent"),
    "hangs": ("time.sleep(100)", 2, "the program gave no answer in time (1 s)"),
    "a drip of blank lines": (
        "[(print(flush=True), time.sleep(0.01)) for _ in range(10**4)]",
        2,
        "the program gave no answer in time (1 s)",
    ),
    "late answers to nothing": ("[(say(id=0, error='no'), time.sleep(0.3)) for _ in range(10)]", 1, ""),
    "skips all": ("say(id=id, skip='no')", 2, ""),
    "refuses all": ("say(id=id, error='no')", 1, ""),
    "a flood": ("while True: os.write(1, b'x' * 65536)", 2, "the program"),
    "answers before the request": ("[say(id=i, error='no') for i in range(1, 1000)]; time.sleep(0.1)", 1, ""),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_command_ends_with_a_whole_report(capfd, tmp_path, name):
    """The exit code, every vector in the report, and the reason if the run stopped early."""
    body, code, stopped = RUNS[name]
    (tmp_path / "program.py").write_text(WHOLE.format(body=body, operations=["alpha_bar"]))
    began = time.monotonic()
    options = ["--only", "alpha_bar", "--format", "json", "--timeout", "1"]
    assert cli.main(["check", "--pipe", f"'{sys.executable}' '{tmp_path / 'program.py'}'", *options]) == code
    found = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)
    assert time.monotonic() - began < 20
    assert [each["id"] for each in found["vectors"]] == [each.id for each in VECTORS] and not found["passed"]
    assert found["stopped"].startswith(stopped) and bool(found["stopped"]) == (code == 2 and name != "skips all")
    assert sum(each["status"] == "passed" for each in found["vectors"]) <= sum(each.expected is None for each in VECTORS)


def test_a_program_without_operations_has_not_passed(capfd, tmp_path):
    """It offers nothing, and nothing is asked."""
    (tmp_path / "program.py").write_text(WHOLE.format(body="pass", operations=[]))
    assert cli.main(["check", "--pipe", f"'{sys.executable}' '{tmp_path / 'program.py'}'"]) == 2
    assert "NOT PASSED: no vector of level must was run." in capfd.readouterr().out


@pytest.mark.parametrize(
    "command, says", [("'", "No closing quotation"), ("a\0b", "embedded null byte"), ("/no/such", "No such file"), (" ", "allowed: a list")]
)
def test_a_command_that_is_none(capfd, command, says):
    """Exit code 2, and the argument by name."""
    assert cli.main(["check", "--pipe", command]) == 2
    assert f"argument --pipe: {says}" in (error := capfd.readouterr().err) or says in error


def test_memory_for_a_flood_is_bounded(tmp_path):
    """Lines that nobody reads wait in the program, not in this process."""
    assert subprocess.MAX_LINE * subprocess.MAX_QUEUED <= 2**28
    (tmp_path / "program.py").write_text("import sys\nwhile True: sys.stdout.write('x' * 10**6 + '\\n')\n")
    opened = subprocess.Program(subprocess.start([sys.executable, str(tmp_path / "program.py")]))
    time.sleep(0.5)
    assert opened._received.qsize() <= subprocess.MAX_QUEUED
    opened.close(0)


def test_calls_without_reading_are_bounded(tmp_path):
    """A program that calls a function again and again and never reads the values is ended."""
    body = "import os\n    while True: say(id=id, call='f', x=dict(shape=[9999], data=[0.5] * 9999), t=1)"
    (tmp_path / "program.py").write_text(WHOLE.format(body=body, operations=["q_sample"]))
    with pipe.Pipe([sys.executable, str(tmp_path / "program.py")], 30.0) as probe:
        result = runner.check(probe, vector(None, "f"))
        assert result.status == "errored" and "does not read its input" in result.message and probe.broken
