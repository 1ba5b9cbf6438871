"""The pipe: values are exact, hostile programs give a clear error and never block the run, and a program in C passes its vectors."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from refdiff.conformance.adapter import Broken, Skip
from refdiff.conformance.run import pipe, runner
from refdiff.conformance.run.processes.subprocess import ProgramEnded
from refdiff.conformance.vectors.files import Vector

SOURCE = Path(__file__).parents[2] / "toys" / "conformance" / "refdiff_pipe.c"
OFFERED = [
    "alpha_bar",
    "classifier_free",
    "convert",
    "ddim_sample",
    "ddim_step",
    "euler_step",
    "grid",
    "posterior",
    "posterior_variance",
    "q_sample",
    "snr",
]
START = """
import json, os, subprocess, sys, time
def say(**fields):
    print(json.dumps(fields), flush=True)
"""
HELLO = 'sys.stdin.readline(); say(name="probe", version=2, precision="float64", operations=["q_sample", "euler_step"])\n'
LOOP = """
for line in sys.stdin:
    request = json.loads(line)
    id, inputs = request["id"], request["inputs"]
    odd = id % 2
    good = dict(id=id, outputs=dict(x_t=inputs.get("x0")))
"""
X = {"x0": np.array([[1.5, -2.0]])}


@pytest.fixture
def program(tmp_path):
    """A function that starts a Python program of this text on a pipe; all are ended after the test."""
    opened = []

    def start(body, timeout=20.0, hello=HELLO, loop=LOOP):
        path = tmp_path / f"program{len(opened)}.py"
        path.write_text(START + hello + loop + "".join(f"    {line}\n" for line in body.splitlines()) if loop else START + hello + body)
        opened.append(pipe.Pipe([sys.executable, str(path)], timeout))
        return opened[-1]

    yield start
    for entry in opened:
        entry.close()


def vector(expected, inputs=X):
    return Vector("q_sample/0", "q_sample", "must", "tensor", True, {}, inputs, expected, [], "")


def test_values_cross_exactly(program):
    """What is echoed is what was sent, bit by bit, in float64 and float32, with what is not finite, and with shapes that hold nothing."""
    echo = program("say(**good)")
    assert (echo.name, echo.version, echo.precision) == ("probe", "2", "float64")
    assert echo.has("q_sample") and not echo.has("posterior")
    hard = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308, np.nan, np.inf, -np.inf, 2 / 3, 1e22, 123456789012345680.0])
    for sent in (hard, hard.reshape(2, 5), np.zeros((0, 2)), np.array(0.3), np.arange(3), np.array([2**62, -1])):
        got = echo.answer("q_sample", {"x0": sent})["x_t"]
        assert got.shape == sent.shape and got.tobytes() == sent.tobytes()
    small = (np.arange(1, 8) / 7).astype(np.float32)
    assert np.array_equal(echo.answer("q_sample", {"x0": small})["x_t"].astype(np.float32), small)
    for sent in (3, 0.1, np.float64(0.1), np.int64(3)):
        assert echo.answer("q_sample", {"x0": sent})["x_t"] == sent
    assert np.isnan(echo.answer("q_sample", {"x0": np.nan})["x_t"]) and echo.answer("q_sample", {"x0": -np.inf})["x_t"] == -np.inf


def test_large_integers_are_numbers(program):
    """An integer beyond 64 bits is taken as the nearest float64."""
    probe = program("say(id=id, outputs=dict(x_t=dict(shape=[2], data=[2**70, 1])))")
    assert np.array_equal(probe.answer("q_sample", X)["x_t"], [2.0**70, 1.0])


def test_request_is_as_documented(program):
    """The program sees the id, the operation, flat arrays, and functions by name."""
    probe = program("say(id=id, error=json.dumps(request))")
    inputs = {"x": np.array([[1.0, np.nan], [0.5, 2.0]]), "t": 3, "kind": "eps", "f": lambda x, t: x}
    with pytest.raises(pipe.ProgramError) as said:
        probe.answer("euler_step", inputs)
    assert json.loads(str(said.value)) == {
        "id": 1,
        "operation": "euler_step",
        "inputs": {"x": {"shape": [2, 2], "data": [1.0, "nan", 0.5, 2.0]}, "t": 3, "kind": "eps", "f": {"callable": "f"}},
    }


def test_errors_and_skips_are_the_programs_own(program):
    """error is an error, which is right where only an error is right; skip is a skip."""
    probe = program('say(id=id, error="t = 4; allowed: 0..3") if odd else say(id=id, skip="no time for each example")')
    with pytest.raises(pipe.ProgramError, match="t = 4; allowed"):
        probe.answer("q_sample", X)
    with pytest.raises(Skip, match="no time for each"):
        probe.answer("q_sample", X)
    assert runner.check(probe, vector(None)).status == "passed"
    assert runner.check(probe, vector(None)).status == "skipped"
    assert [runner.check(probe, vector({"x_t": X["x0"]})).status for _ in range(2)] == ["errored", "skipped"]


WRONG = {
    "garbage": ('print("x_t is fine", flush=True)', r"sent .*q_sample.*, came x_t is fine; which is not JSON"),
    "bytes": (r'os.write(1, b"\xff\xfe\x00\n")', r"came .*xff.*not JSON"),
    "deep": ('print("[" * 100000, flush=True)', r"came \[\[\[.*\(100000 characters\); which is not JSON"),
    "list": ('print("[1, 2]", flush=True)', r"came \[1, 2\]; allowed: a JSON object"),
    "other id": ('say(id=id + 7, outputs=good["outputs"])', r"allowed: the id of the request, 1"),
    "old id": ('say(id=0, outputs=good["outputs"])', r"allowed: the id of the request, 1"),
    "word as id": ('say(id=str(id), outputs=good["outputs"])', r"allowed: the id of the request, 1"),
    "no id": ('say(outputs=good["outputs"])', r"allowed: the id of the request, 1"),
    "nothing": ("say(id=id)", r"came .*allowed: an answer with outputs by name, error, skip or call"),
    "flat outputs": ("say(id=id, outputs=[1, 2])", r"allowed: an answer with outputs by name"),
    "nested lists": ("say(id=id, outputs=dict(x_t=[[1, 2]]))", r"x_t = \[\[1, 2\]\]; allowed: an array as"),
    "too short": ("say(id=id, outputs=dict(x_t=dict(shape=[2, 2], data=[1, 2, 3])))", r"x_t has 3 numbers; allowed: a flat list of 4"),
    "no data": ("say(id=id, outputs=dict(x_t=dict(shape=[2])))", r"x_t has data null; allowed: a flat list of 2"),
    "bad shape": ("say(id=id, outputs=dict(x_t=dict(shape=[-1], data=[])))", r"x_t has shape \[-1\]; allowed: a list of sizes"),
    "bad number": ('say(id=id, outputs=dict(x_t=dict(shape=[2], data=[1, "NaN?"])))', r"x_t has NaN\? at position 1 of its data"),
    "a truth": ("say(id=id, outputs=dict(x_t=dict(shape=[1], data=[True])))", r"x_t has true at position 0"),
    "calls nothing": ('say(id=id, call="model", x=1, t=1)', r"a call of nothing, since no input"),
    "calls a list": ("say(id=id, call=[1], x=1, t=1)", r"a call of nothing, since no input"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_costs_one_vector(program, name):
    """The error names what was sent and what came, is no right answer even where only an error is right, and the run goes on."""
    body, message = WRONG[name]
    probe = program(f"if odd:\n    {body}\nelse:\n    say(**good)")
    with pytest.raises(Broken, match=message):
        probe.answer("q_sample", X)
    assert np.array_equal(probe.answer("q_sample", X)["x_t"], X["x0"])
    assert runner.check(probe, vector(None)).status == "errored"
    assert runner.check(probe, vector({"x_t": X["x0"]})).status == "passed"


def test_late_answers_are_passed_over_and_second_ones_are_not(program):
    """The answer to a request that failed before does not harm the next; an answer to one that was answered is a wrong id."""
    late = program('if odd:\n    print("debug", flush=True)\nsay(**good)')
    with pytest.raises(Broken, match="came debug"):
        late.answer("q_sample", X)
    assert np.array_equal(late.answer("q_sample", {"x0": np.ones(2)})["x_t"], np.ones(2))
    twice = program("say(**good)\nif odd:\n    say(**good)")
    twice.answer("q_sample", X)
    with pytest.raises(Broken, match="the id of the request, 2"):
        twice.answer("q_sample", X)


DEAD = {
    "exits": ("sys.exit(3)", r"exited with status 3 when it was sent .*q_sample"),
    "ends well": ("sys.exit(0)", r"exited with status 0"),
    "is killed": ("os.kill(os.getpid(), 9)", r"was ended by SIGKILL"),
    "by an unknown signal": ("os.kill(os.getpid(), 40)", r"was ended by signal 40"),
    "closes its output": ("os.close(1); time.sleep(100)", r"closed its output"),
    "half a line": ("os.write(1, b'{\"id\": '); os._exit(1)", r"exited with status 1|came .\"id\""),
    "leaves a child": ("subprocess.Popen(['sleep', '100']); os._exit(5)", r"exited with status 5"),
    "hangs": ("time.sleep(100)", r"gave no answer in time \(1 s\)"),
    "blank lines": ("while True:\n        print(flush=True)", r"gave no answer in time|wrote"),
    "a line without end": ("while True:\n        os.write(1, b'a' * 65536)", r"gave no answer in time|wrote a line of more"),
    "calls without end": ("while True:\n        say(id=id, call='f', x=1, t=1); sys.stdin.readline()", r"gave no answer in time"),
    "ignores the end": ("import signal; signal.signal(15, signal.SIG_IGN)\n    while True:\n        time.sleep(1)", r"no answer in time"),
}


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", DEAD)
def test_a_dead_or_silent_program_ends_the_run_in_time(program, name):
    """The first vector says how the program ended, all others that they were not run; none is skipped, and none passes by this error."""
    body, message = DEAD[name]
    probe = program(f"if id > 1:\n    {body}\nsay(**good)", timeout=1.0)
    inputs = X | {"f": lambda x, t: x}
    assert np.array_equal(probe.answer("q_sample", inputs)["x_t"], X["x0"])
    began = time.monotonic()
    with pytest.raises(Broken, match=message):
        probe.answer("q_sample", inputs)
    results = [runner.check(probe, vector(expected)) for expected in (None, {"x_t": X["x0"]}) * 50]
    assert time.monotonic() - began < 8
    if name != "half a line":
        assert all(result.status == "errored" and result.message.startswith("not run: the program ") for result in results)
    assert all(result.status == "errored" for result in results) and probe.broken
    assert probe._program.process.poll() is not None


def test_a_program_that_reads_nothing_cannot_block(program):
    """A request larger than any buffer of the system, to a program that never reads it, ends at the time limit."""
    probe = program("time.sleep(100)", timeout=1.0, loop="")
    began = time.monotonic()
    with pytest.raises(Broken, match="gave no answer in time"):
        probe.answer("q_sample", {"x0": np.zeros(10**6)})
    assert time.monotonic() - began < 8


def test_an_answer_before_the_request_is_read(program):
    """A program may write much before it reads."""
    probe = program("say(id=id, outputs=dict(x_t=dict(shape=[300000], data=[0.1] * 300000)))")
    assert probe.answer("q_sample", {"x0": np.zeros(300000)})["x_t"].shape == (300000,)


def test_lines_that_never_cease_do_not_put_off_the_limit(program):
    """Past the time limit a waiting line is no answer any more."""
    opened = program("print(); print('late', flush=True); time.sleep(100)", loop="")._program
    while opened._received.qsize() < 2:
        time.sleep(0.01)
    with pytest.raises(ProgramEnded, match="gave no answer in time"):
        opened.receive(time.monotonic() - 1)


HELLOS = {
    "silent": ("time.sleep(100)", r"gave no answer in time \(1 s\) when it was sent .*hello"),
    "dies": ("sys.exit(1)", r"exited with status 1 when it was sent .*hello"),
    "usage": ("print('usage: me FILE')", r"sent .*hello.*, came usage: me FILE; which is not JSON"),
    "half": ("say(precision='float16', operations=[])", r"precision = 'float16'; allowed: float64, float32"),
    "no operations": ("say(name='me')", r"allowed: operations as a list of names"),
    "unknown": ("say(operations=['q_smaple'])", r"operations has 'q_smaple', which refdiff does not know; near it: q_sample"),
    "unhashable": ("say(precision=[], operations=[[]])", r"allowed: "),
}


@pytest.mark.parametrize("name", HELLOS)
def test_a_wrong_hello_is_refused(program, name):
    """A program that does not introduce itself is not run."""
    body, message = HELLOS[name]
    with pytest.raises(Broken, match=message):
        program(body, timeout=1.0, hello="", loop="")


def test_wrong_arguments_are_named(tmp_path):
    """No such program, no command, a command as one word, and a time limit that is none."""
    with pytest.raises(ValueError, match=r"command = \['/no/such'\]; allowed: a program that can be started \(No such file"):
        pipe.Pipe(["/no/such"])
    with pytest.raises(ValueError, match=r"command = .*allowed: a program that can be started \(Permission denied"):
        pipe.Pipe([str(tmp_path)])
    for command in ([], "cat"):
        with pytest.raises(ValueError, match="allowed: a list of a program and its arguments"):
            pipe.Pipe(command)
    for timeout in (0, -1, np.nan):
        with pytest.raises(ValueError, match=r"timeout = .*; allowed: a positive number of seconds"):
            pipe.Pipe(["cat"], timeout)


CALL = """
say(id=id, call="f", x=inputs["x"], t=inputs["t"])
reply = json.loads(sys.stdin.readline())
assert reply["id"] == id
say(id=id, outputs=dict(x_s=reply["value"])) if "value" in reply else say(id=id, error="no value")
"""


def test_the_program_calls_back(program):
    """A function among the inputs is called with arrays and numbers, whole numbers as integers, and its value goes back exactly."""
    probe, seen = program(CALL), []

    def f(x, t):
        seen.append((x, t))
        return x / 3 + t

    x = np.array([[0.1, 0.7]])
    for t, given in ((2, int), (0.25, float), (3.0, int)):
        assert np.array_equal(probe.answer("euler_step", {"f": f, "x": x, "t": t})["x_s"], x / 3 + t)
        assert type(seen[-1][1]) is given and np.array_equal(seen[-1][0], x)
    each = np.array([[1.0], [2.0]])
    assert np.array_equal(probe.answer("euler_step", {"f": f, "x": np.ones((2, 1)), "t": each})["x_s"], 1 / 3 + each)


def test_a_call_that_fails_is_reported_to_both(program):
    """The function's own error is the vector's, and the program can go on; a call without t or of another name is a wrong line."""
    probe = program(CALL)

    def refuses(x, t):
        raise IndexError("t is out of the table")

    with pytest.raises(pipe.ProgramError, match=r"f raised IndexError: t is out of the table, when called by .*\"t\": 99"):
        probe.answer("euler_step", {"f": refuses, "x": 1.0, "t": 99})
    assert probe.answer("euler_step", {"f": lambda x, t: x, "x": 2.0, "t": 1})["x_s"] == 2.0
    for body, message in (
        ('call="g", x=1, t=1', "a call of f$"),
        ('call="f", x=1', "a call without t"),
        ('call="f", x=[1], t=1', r"x = \[1\]"),
    ):
        with pytest.raises(Broken, match=message):
            program(f"say(id=id, {body})").answer("euler_step", {"f": lambda x, t: x})


def test_stderr_is_passed_through(program, capfd):
    """What a program complains of is seen."""
    probe = program('print("careful", file=sys.stderr, flush=True); say(**good)')
    probe.answer("q_sample", X)
    assert "careful" in capfd.readouterr().err


def test_close_ends_the_program():
    """At the end of input a program may end by itself; afterwards no request is sent."""
    with pipe.Pipe([sys.executable, "-c", START + HELLO + "sys.stdin.read(); sys.exit(7)"]) as probe:
        process = probe._program.process
    assert process.returncode == 7
    with pytest.raises(Broken, match="not run: the program was closed"):
        probe.answer("q_sample", X)
    probe.close()


# ---- the program in C


def compiled(source, folder, level="-O2"):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "program.c").write_text(source)
    flags = [level, "-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", str(folder / "program"), str(folder / "program.c"), "-lm"], check=True)
    return str(folder / "program")


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    with pipe.Pipe([compiled(SOURCE.read_text(), tmp_path_factory.mktemp("c"))]) as opened:
        yield opened


@pytest.mark.parametrize("operation", OFFERED)
def test_the_program_in_c_passes_its_vectors(in_c, operation):
    """Straight loops in another language agree with every vector, the must-fail ones among them; nothing is skipped."""
    results = list(runner.run(in_c, runner.select(only=[operation])))
    assert len(results) >= 8
    assert [(r.vector.id, r.status, r.message, r.difference) for r in results if r.status != "passed"] == []


def test_the_program_in_c_offers_what_it_says(in_c):
    """No operation is left out of the test above, and what it does not know is a skip."""
    assert sorted(in_c.offered) == OFFERED
    with pytest.raises(Skip, match="no such operation"):
        in_c.answer("slerp", {})


def test_the_program_in_c_refuses_and_goes_on(in_c):
    """Inputs that are missing, of another kind or not finite are errors with a name, and the next request is answered."""
    good = {"x0": np.ones((1, 2)), "noise": np.zeros((1, 2)), "t": 1, "betas": np.array([0.75])}
    wrong = {
        "x0": [None, "word", np.full((1, 2), np.inf), np.ones((2, 2)), 1.0],
        "noise": [np.zeros(1), 1.0],
        "t": [0.5, 2, -1, np.array([1, 1]), np.array([[1]])],
        "betas": [np.zeros(2), np.array([[0.5]]), np.array([]), 'say "no"\\'],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(pipe.ProgramError):
                in_c.answer("q_sample", good | {name: value})
    assert np.array_equal(in_c.answer("q_sample", good)["x_t"], [[0.5, 0.5]])


def test_the_page_is_right(in_c):
    """The dialogue of docs/pipe.md, spoken line by line with the program in C, goes as printed; so do the commands of its README."""
    page = (SOURCE.parent.parent.parent / "docs" / "pipe.md").read_text()
    assert all(line.strip(" *") in page for line in SOURCE.read_text().splitlines()[:6] if " *     " in line)
    block = page.split("## A dialogue")[1].split("```")[1].replace("\n   ", " ")
    lines = [(line[0], json.loads(line[2:])) for line in block.splitlines() if line]
    assert [direction for direction, _ in lines].count("<") == 5
    for i, (direction, message) in enumerate(lines):
        if direction == ">":
            in_c._program.send(json.dumps(message))
            answer = json.loads(in_c._program.receive(time.monotonic() + 20))
            assert answer == lines[i + 1][1] or ("hello" in message and set(answer) == set(lines[i + 1][1])), message


FAULTS = {
    "q_sample": ("sqrt(q.noise[at]) * noise.at[i]", "q.noise[at] * noise.at[i]"),
    "posterior": ("sqrt(kept) * q.noise[early]", "kept * q.noise[early]"),
    "posterior_variance": ("return q.noise[s] / q.noise[t] * noise;", "return (void)s, noise;"),
    "alpha_bar": ("q.kept[t - 1] * (1 - q.beta[t]);", "q.kept[t - 1] * (1 - q.beta[t] / 2);"),
    "snr": ("q.kept[t] /= q.noise[t]", "q.kept[t] /= q.noise[t - 1] + 1"),
    "grid": ("(2 * over + under) / (2 * under)", "over / under"),
    "ddim_step": ("rest = sqrt(fmax(q.noise[s] - variance, 0))", "rest = sqrt(q.noise[s])"),
    "ddim_sample": ('call("model", x, (double)t)', 'call("model", x, (double)s)'),
    "euler_step": ("(s - t) * slope", "(t - s) * slope"),
    "classifier_free": ("(1 - g) * without.at[i] + g * with.at[i]", "(1 + g) * with.at[i] - g * without.at[i]"),
    "convert": ("*of_x0 = -sigma, *of_eps = signal", "*of_x0 = sigma, *of_eps = -signal"),
}


@pytest.mark.parametrize("operation", FAULTS)
def test_a_fault_planted_in_c_is_found(tmp_path, operation):
    """One wrong term in the source fails vectors of its operation."""
    old, new = FAULTS[operation]
    source = SOURCE.read_text()
    assert source.count(old) == 1
    with pipe.Pipe([compiled(source.replace(old, new), tmp_path, "-O0")]) as faulty:
        results = list(runner.run(faulty, runner.select(only=[operation], minimal=True)))
    assert any(result.status == "failed" for result in results)
