"""Hostile implementations: whatever an adapter or a program does, the check ends in time, with the right exit code and a whole report."""

import io
import json
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser

import numpy as np
import pytest

from refdiff import cli
from refdiff.conformance import adapter
from refdiff.conformance.mutations.catalogue import all_mutants
from refdiff.conformance.operations import named, operations
from refdiff.conformance.own import Adapter as Own
from refdiff.conformance.report import build, wording
from refdiff.conformance.run import command, isolated, runner
from refdiff.conformance.run.processes import forked
from refdiff.conformance.vectors.files import load

FORMATS = ("json", "text", "markdown", "html")
VECTORS = [vector for vector in load() if vector.operation == "alpha_bar"]
LIMIT = 60  # seconds: what ends in time ends long before, also where other work slows it down
SHORT = 2.0  # seconds for an answer that never comes

HANGS = re.compile(r"while True|sleep\(|SIGSTOP|L\.acquire")

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and sessions of POSIX")


@pytest.fixture
def check(capfd, tmp_path, monkeypatch):
    """A function that checks an adapter of this text; it gives the exit code, and what was printed."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(forked, "possible", lambda: sys.platform == "linux")  # faster than a new interpreter

    def run(text, *options):
        (tmp_path / "hostile.py").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        began = time.monotonic()
        code = cli.main(["check", "hostile", "--timeout", str(SHORT if HANGS.search(str(text)) else LIMIT), *options])
        assert time.monotonic() - began < LIMIT
        return code, capfd.readouterr()

    return run


def whole(text, form):
    """Whether a report has its beginning, its end, and all that is between them."""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    if form == "json":
        found = json.loads(text, parse_constant=pytest.fail)
        assert [each["id"] for each in found["vectors"]] == [vector.id for vector in VECTORS]
        assert sum(sum(each.values()) for each in found["counts"].values()) == len(VECTORS)
    elif form == "text":
        assert re.search(r"\n(NOT )?PASSED: .*(\n.+)*\n\Z", text) and "area" in text
    elif form == "markdown":
        assert text.startswith("# ") and "## All operations" in text and text.splitlines()[-1].startswith("| *refusal* |")
    else:
        parser = HTMLParser()
        parser.feed(text)
        assert text.startswith("<!doctype html>") and text.endswith("</main></body></html>\n")
    return True


RIGHT = """
import ctypes, json, os, signal, subprocess, sys, threading, time
import numpy as np

def right(betas):
    if not ((betas > 0) & (betas <= 1)).all():
        raise ValueError("betas")
    return np.append(1.0, np.cumprod(1 - betas))

class Loud(BaseException):
    pass

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class Gone(Exception):
    def __str__(self):
        os._exit(0)

class Meta(type):
    __name__ = property(lambda self: 1 / 0)

class Nameless(Exception, metaclass=Meta):
    pass

class Text(str):
    __format__ = __getitem__ = __len__ = encode = isprintable = __iter__ = lambda *_: 1 / 0

class Odd(Exception):
    def __str__(self):
        return Text("odd")

class Lazy:
    def __array__(self, *_, **__):
        raise ValueError("not now")

FORGED = json.dumps(dict(id=2, kind="error", message="no", outputs=None, overwritten=[])).encode() + bytes([10])
calls = 0
"""
ADAPTER = (
    RIGHT
    + """
class Adapter:
    name = "hostile"

    def alpha_bar(self, betas):
        global calls
        calls += 1
{}
"""
)
ENDED = [  # in a method: what it does in place of an answer, and what the report says of it
    ("os._exit(0)", "exited with status 0 at alpha_bar/1"),
    ("os._exit(3)", "exited with status 3"),
    ("os.abort()", "was ended by SIGABRT"),
    ("os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    ("ctypes.string_at(0)", "was ended by SIGSEGV"),
    ("raise KeyboardInterrupt", "(exited with status|was ended by)"),
    ("while True: pass", r"gave no answer in time \(2 s\) at alpha_bar/1"),
    ("time.sleep(100)", "gave no answer in time"),
    ("signal.signal(signal.SIGUSR1, signal.SIG_IGN); time.sleep(100)", "gave no answer in time"),
    ("threading.Lock().acquire(); L = threading.Lock(); L.acquire(); L.acquire()", "gave no answer in time"),
    ("os.kill(os.getpid(), signal.SIGSTOP)", "gave no answer in time"),
    ("os.closerange(3, 200); time.sleep(100)", "closed its output"),
    ("for i in range(3, 200):\n            try: os.write(i, b'junk\\n')\n            except OSError: pass", "wrote junk to the pipe"),
    ("for i in range(3, 200):\n            try: os.write(i, FORGED)\n            except OSError: pass", 'wrote {"id": 2'),
    ("raise Gone", "exited with status 0"),
    ("subprocess.Popen(['sleep', '100']); os._exit(0)", "exited with status 0"),
    ("os.fork() or os._exit(0); time.sleep(100)", "gave no answer in time"),
    ("if calls == 3: os._exit(0)\n        return right(betas)", "exited with status 0 at alpha_bar/3"),
]


@needs_posix
@pytest.mark.parametrize("body, says", ENDED)
def test_an_adapter_that_ends_or_stops_its_process(check, body, says):
    """Exit code 2, and a whole report in each format: the reason at the end, and no vector after it passes or is skipped."""
    for form in FORMATS[: 1 if "in time" in says else None]:
        code, printed = check(ADAPTER.format(f"        {body}"), "--only", "alpha_bar", "--format", form)
        assert code == 2 and whole(printed.out, form)
        if form == "json":
            found = json.loads(printed.out)
            assert re.match(f"the adapter {says}", found["stopped"]) and not found["passed"] and found["timeout"] in (SHORT, LIMIT)
            assert {each["status"] for each in found["vectors"]} <= {"errored", "passed"}
            assert [each["status"] for each in found["vectors"]].count("passed") == (2 if "calls" in body else 0)
            assert found["vectors"][-1]["message"].startswith("not run: the adapter ")
        if form == "text":
            assert re.search(rf"NOT PASSED: the run stopped early, because the adapter {says}", " ".join(printed.out.split()))


@needs_posix
def test_an_adapter_that_ends_after_all_that_counts(check):
    """Exit code 2, though every vector at the level has passed: the last one, where an error is right, is a refusal."""
    assert VECTORS[-1].level == "refusal"
    body = "        try:\n            return right(betas)\n        except ValueError:\n            os._exit(0)"
    code, printed = check(ADAPTER.format(body), "--only", "alpha_bar", "--format", "json")
    found = json.loads(printed.out)
    assert code == 2 and not found["passed"] and found["stopped"].endswith(VECTORS[-1].id)
    assert [each["status"] for each in found["vectors"]] == ["passed"] * (len(VECTORS) - 1) + ["errored"]


@needs_posix
def test_a_hanging_adapter_shows_its_stack(check):
    """On standard error: the line where it hangs."""
    _, printed = check(ADAPTER.format("        time.sleep(100)"), "--only", "alpha_bar")
    assert re.search(r'File ".*hostile.py", line \d+ in alpha_bar', printed.err)


WRONG = [  # in a method: what it does, and the message of its first vector; the run goes on, and no vector passes by it
    ("sys.exit(0)", r"SystemExit: 0 \(hostile.py, line \d+\)"),
    ("raise Loud('no')", r"Loud: no \(hostile.py"),
    ("return", "alpha_bar is None; is a return missing"),
    ("return Lazy()", "returned no arrays: ValueError: not now"),
    ("return [[1], [2, 3]]", "returned no arrays: ValueError"),
    ("return np.broadcast_to(1.0, 10**10)", r"returned no arrays: ValueError: alpha_bar has shape \(10000000000,\); allowed: at most"),
    ("return np.ma.masked_array(right(betas), mask=True)", "returned no arrays: .*masked"),
    ("return right(betas) + 0j", "alpha_bar has dtype complex128, not numbers"),
    ("return right(betas).astype(str)", "alpha_bar has dtype <U32, not numbers"),
    ("return right(betas) * np.nan", ""),
    ("return iter(right(betas))", "alpha_bar has dtype object, not numbers"),
    ("return {}", "no output alpha_bar"),
    ("return 10**400", "alpha_bar has dtype object"),
    ("return np.full(10**5, 0.5)", r"alpha_bar has shape \(100000,\)"),
]


def reports(check, body):
    """Each format and the report, which is whole, of an adapter whose method has this body; the exit code is 1."""
    for form in FORMATS:
        code, printed = check(ADAPTER.format(f"        {body}"), "--only", "alpha_bar", "--format", form)
        assert code == 1 and whole(printed.out, form)
        yield form, printed.out


@pytest.mark.parametrize("body, says", WRONG)
def test_what_is_no_answer_never_passes(check, body, says):
    """Not even where an error is right; exit code 1."""
    for form, text in reports(check, body):
        if form == "json":
            found = json.loads(text)
            assert re.match(says, found["operations"][0]["first"]["message"]) and not found["stopped"]
            refusals = [each for each, vector in zip(found["vectors"], VECTORS, strict=True) if vector.expected is None]
            wanted = {"errored", "failed"} | ({"passed"} if "right" in body else set())
            assert {each["status"] for each in refusals} <= wanted
            assert "passed" not in {each["status"] for each in found["vectors"] if each not in refusals}


SPEECH = [  # what is raised, and how the message begins
    ("raise ValueError('\\ud800')", r"ValueError: \\ud800 \(hostile"),
    ("raise ValueError('\\x1b[2J\\x00\\u202e')", r"ValueError: \\x1b\[2J\\x00\\u202e"),
    ("raise ValueError('x' * 10**7)", r"ValueError: x+\.\.\. \(10000000 characters\) \(hostile"),
    ("raise ValueError('</code></main><script>|`*')", r"ValueError: </code></main><script>\|`\*"),
    ("raise Silent", r"Silent: \(its text cannot be read: RuntimeError\) \(hostile"),
    ("raise Nameless('x')", "Nameless: x"),
    ("raise Odd", "Odd: odd"),
    ("raise KeyError", r"KeyError:  \(hostile"),
    ("def f(): f()\n        f()", "RecursionError: maximum recursion"),
    ("exec(compile('1 / 0', '/x/\\ud800.py', 'exec'))", r"ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize("body, says", SPEECH)
def test_what_cannot_be_printed_is_escaped(check, body, says):
    """Messages with lone surrogates, control characters, or no text; each format stays whole, and can be encoded."""
    for form, text in reports(check, body):
        assert form != "html" or "<script" not in text
        assert form != "json" or re.match(says, json.loads(text)["operations"][0]["first"]["message"])


@pytest.mark.parametrize(
    "text, shown",
    [
        ("name = 'a\\ud800\\nb\\x1b'", "a\\ud800 b\\x1b"),
        ("name, version = 'n' * 10**6, 'v' * 10**6", f"{'n' * 100}... (1000000 characters)"),
        ("name = Silent()", "(its text cannot be read: RuntimeError)"),
        ("name = Text('sly')", "sly"),
        ("name = 3", "3"),
        ("__dir__ = lambda self: 1 / 0", "Adapter"),
        ("__dir__ = lambda self: [f'alpha_ba{i}\\ud800' for i in range(10**5)]", "Adapter"),
    ],
)
def test_a_name_cannot_harm_the_report(check, text, shown):
    """A right implementation of a hostile name passes, and its report is whole."""
    for form in FORMATS:
        code, printed = check(
            f"{RIGHT}\nclass Adapter:\n    alpha_bar = staticmethod(right)\n    {text}\n", "--only", "alpha_bar", "--format", form
        )
        assert code == 0 and whole(printed.out, form)
        assert form != "json" or json.loads(printed.out)["implementation"] == shown


START = [  # at the import, or in the class
    ("import os\nos._exit(0)", "the adapter exited with status 0 at its import"),
    ("import sys\nsys.exit(0)", r"'hostile' gave SystemExit: 0 \(hostile.py, line 2\)"),
    ("import os\nos.abort()", "was ended by SIGABRT at its import"),
    ("import time\ntime.sleep(100)", r"gave no answer in time \(2 s\) at its import"),
    ("class B(BaseException): pass\nraise B", "'hostile' gave B: "),
    ("raise KeyboardInterrupt", "'hostile' gave KeyboardInterrupt: "),
    ("raise ValueError('\\ud800')", r"'hostile' gave ValueError: \\ud800"),
    ("1 +", "'hostile' gave SyntaxError: invalid syntax"),
    ("class Mute(ValueError):\n    def __str__(self): raise KeyError\nraise Mute", r"gave Mute: \(its text cannot be read: KeyError\)"),
    (b"\xff\xfe", "'hostile' gave SyntaxError: "),
    (RIGHT + "raise Silent", r"gave Silent: \(its text cannot be read: RuntimeError\)"),
    ("class Adapter:\n    def __init__(self):\n        raise SystemExit(0)", "'hostile' gave SystemExit: 0"),
    ("class Adapter:\n    name = property(lambda self: 1 / 0)", "gave ZeroDivisionError: division by zero"),
    ("class Adapter:\n    precision = 'float16'", "precision = 'float16'; allowed: float64, float32"),
    ("class Same:\n    __eq__ = lambda *_: True\nclass Adapter:\n    precision = Same()", "precision = .*; allowed: float64, float32"),
    ("import sys\nsys.path.clear()", ""),
]


@needs_posix
@pytest.mark.parametrize("text, says", START)
def test_an_adapter_that_cannot_start(check, text, says):
    """Exit code 2, also where it starts and has no operation; standard output stays empty, the reason is on standard error."""
    code, printed = check(text, "--only", "alpha_bar", "--format", "json")
    assert code == 2
    assert not says or (printed.out == "" and re.search(f"error: argument ADAPTER: .*{says}", printed.err))


@pytest.mark.parametrize("raised", ["1 / 0", "sys.exit(0)"])
def test_an_operation_that_cannot_be_looked_up_is_errored(check, raised):
    """It is there, and it is not skipped."""
    text = f"{RIGHT}\nclass Adapter:\n    alpha_bar = property(lambda self: {raised})\n"
    code, printed = check(text, "--only", "alpha_bar", "--format", "json")
    statuses = [each["status"] for each in json.loads(printed.out)["vectors"]]
    assert code == 1 and statuses[:-1] == ["errored"] * (len(VECTORS) - 1) and "skipped" not in statuses


def test_a_look_at_many_names_is_bounded():
    """An object of 50,000 methods, all nearly operations: the warnings have an end."""
    many = adapter.Adapter(type("Many", (), {f"alpha_bas{i}": print for i in range(50000)}))
    assert 0 < len(many.methods) <= adapter.MAX_METHODS


@needs_posix
def test_what_is_written_to_file_descriptor_1_is_no_part_of_the_report(check):
    """Nor what a process writes that the adapter starts; in a process of its own and in this one."""
    body = "        os.write(1, b'noise'); print('noise'); subprocess.run(['echo', 'noise']); return right(betas)"
    text = ADAPTER.format(body).replace("class Adapter", "os.write(1, b'noise')\nclass Adapter")
    for options in ((), ("--in-process",)):
        code, printed = check(text, "--only", "alpha_bar", "--format", "json", *options)
        assert code == 0 and whole(printed.out, "json") and printed.err.count("noise") == 3 * (len(VECTORS) + 1) + 1
        sys.modules.pop("hostile", None)


def test_the_process_of_the_check_stays_as_it_is(check, tmp_path, monkeypatch):
    """An adapter changes its own folder, path, warnings and NumPy, and the report is written where the option says."""
    monkeypatch.chdir(tmp_path)
    text = RIGHT + "os.chdir('/'); sys.path.clear(); np.abs = np.asarray = None; np.seterr(all='raise'); del sys.modules['json']\n"
    text += "class Adapter:\n    alpha_bar = staticmethod(right)\n"
    for options, code in (([], 1), (["--only", "alpha_bar"], 1)):
        assert check(text, *options, "--out", "report.txt")[0] == code
        assert "returned no arrays: TypeError" in (tmp_path / "report.txt").read_text()
    assert np.asarray(1) == 1


def test_inputs_that_are_changed_are_named(check):
    """In place, in shape and in dtype; the report says so, and the next vector has its own."""
    for change in ("betas[:] = 2", "betas.shape = (1, -1)", "betas.dtype = np.int8", "betas.dtype = 'S8'"):
        body = f"        found = right(betas)\n        {change}\n        return found"
        code, printed = check(ADAPTER.format(body), "--only", "alpha_bar", "--format", "json")
        found = json.loads(printed.out)
        assert code == 1 and any("alpha_bar writes into its input betas" in warning for warning in found["warnings"]), change


def test_a_buffer_that_is_used_again_is_read_in_time():
    """The outputs of a result are those of its vector, though the implementation has overwritten them since."""
    buffer = np.zeros(2000)

    class Reuses:
        @staticmethod
        def alpha_bar(betas):
            buffer[: len(betas) + 1] = np.append(1.0, np.cumprod(1 - betas)) / 2
            return buffer[: len(betas) + 1]

    results = [r for r in runner.run(adapter.Adapter(Reuses), VECTORS) if r.vector.expected is not None]
    assert results and all(np.allclose(r.got["alpha_bar"], r.vector.expected["alpha_bar"] / 2) for r in results)


# ---- nothing was asked


NOTHING_RUN = "no vector of level must was run."
NOTHING = [
    ("", NOTHING_RUN),
    ("class Adapter: pass", NOTHING_RUN),
    (ADAPTER.format("        raise NotImplementedError"), NOTHING_RUN),
    (RIGHT + "alpha_bars = right", NOTHING_RUN),
    (ADAPTER.format("        right(betas)\n        raise NotImplementedError"), NOTHING_RUN),
]


@pytest.mark.parametrize("text, verdict", NOTHING)
def test_a_run_without_a_comparison_has_not_passed(check, text, verdict):
    """No operation, only skips, or only refusals."""
    for options in ((), ("--only", "alpha_bar"), ("--in-process",)):
        code, printed = check(text, "--level", "refusal", *options)
        assert code == 2 and f"NOT PASSED: {verdict}" in printed.out, options
        sys.modules.pop("hostile", None)


def test_every_operation_has_a_vector_of_level_must():
    """So each run of a right implementation passes, and nothing passes that was not compared."""
    assert {v.operation for v in load() if v.level == "must" and v.expected is not None} == set(operations())
    for nothing in ("", "alpha_bar,", "nothing"):
        assert cli.main(["check", "refdiff.conformance.own", "--only", nothing]) == 2


# ---- the report at its end


def test_a_report_that_cannot_be_written_is_printed(check, tmp_path):
    """Exit code 2, and the report on standard output."""
    text = f"{RIGHT}\nclass Adapter:\n    alpha_bar = staticmethod(right)\n"
    if not os.path.exists("/dev/full"):
        pytest.skip("no full device here")
    code, printed = check(text, "--only", "alpha_bar", "--format", "json", "--out", "/dev/full")
    assert code == 2 and whole(printed.out, "json") and "argument --out: '/dev/full'; allowed: a file that can be written" in printed.err


def command_line(tmp_path, *words, **kwargs):
    """A run of the command in a process of its own."""
    given = [sys.executable, "-m", "refdiff", "check", *words]
    return subprocess.run(given, cwd=tmp_path, capture_output=True, timeout=60, **kwargs)


def test_an_encoding_that_lacks_a_character(check, tmp_path, monkeypatch):
    """The report is printed, with escapes."""
    for form in FORMATS:
        printed = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
        assert check(f"{RIGHT}\nname = 'na\u00efve'\nalpha_bar = right\n", "--only", "alpha_bar", "--format", form)[0] == 0
        assert whole(printed.getvalue().decode("ascii"), form) and b"na\\" in printed.getvalue()


@needs_posix
def test_a_reader_that_has_gone_does_not_make_a_failure_a_pass(tmp_path):
    """The exit code behind `| head`, and without a standard output or error, is that of the check."""
    (tmp_path / "hostile.py").write_text(ADAPTER.format("        return 0 * right(betas)"))
    for line, shown in (("{} | true; exit ${{PIPESTATUS[0]}}", False), ("{} >&-", False), ("{} 2>&-", True)):
        words = f"'{sys.executable}' -m refdiff check hostile --only alpha_bar"
        done = subprocess.run(["bash", "-c", line.format(words)], cwd=tmp_path, capture_output=True, timeout=LIMIT)
        assert done.returncode == 1 and b"Traceback" not in done.stderr, (line, done)
        assert (b"NOT PASSED: at level must, something differs" in done.stdout) == shown, (line, done)


@needs_posix
def test_the_command_survives_an_adapter_that_ends_its_process(tmp_path):
    """As a user types it: F1's reproduction, and no process is left."""
    (tmp_path / "hostile.py").write_text(ADAPTER.format("        os._exit(0)"))
    done = command_line(tmp_path, "hostile", "--only", "alpha_bar", "--format", "json")
    assert done.returncode == 2 and whole(done.stdout.decode(), "json")


@needs_posix
def test_an_adapter_does_not_outlive_the_check(tmp_path):
    """Even if the check itself is killed while the adapter hangs."""
    body = "        open('pid', 'w').write(str(os.getpid()))\n        while True: pass"
    (tmp_path / "hostile.py").write_text(ADAPTER.format(body))
    words = [sys.executable, "-m", "refdiff", "check", "hostile", "--only", "alpha_bar"]
    running, until = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL), time.monotonic() + LIMIT / 2
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    running.kill()
    running.wait(LIMIT)
    child = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:
            os.kill(child, 0)
            time.sleep(0.1)


def test_large_outputs_are_not_kept():
    """Thousands of wrong outputs of a large size would fill the memory before the report; their difference is kept."""

    class Large:
        @staticmethod
        def alpha_bar(betas):
            return np.zeros(10**5)

    results = list(runner.run(adapter.Adapter(Large), VECTORS))
    assert all(r.got is None for r in results) and any(r.difference for r in results)


# ---- both ways to start the process


@pytest.mark.parametrize("fork", [pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux forks")), False])
def test_a_process_of_its_own_gives_the_same_results(fork):
    """refdiff itself, by a fork and by a new interpreter: statuses, messages, outputs and overwritten inputs are those of this process."""
    chosen = runner.select(True, ["schedules", "latent"])
    for name in ("refdiff.conformance.own", "tests.conformance.test_hostile:Mixed"):
        here = list(runner.run(adapter.find(name), chosen))
        with isolated.Isolated(name, LIMIT, fork) as child:
            assert (child.name, child.version) == (adapter.find(name).name, adapter.find(name).version)
            there = list(runner.run(child, chosen))
            again = runner.check(child, chosen[0])
        assert [(r.vector.id, r.status, r.message, r.overwritten) for r in here] == [
            (r.vector.id, r.status, r.message, r.overwritten) for r in there
        ]
        assert again.vector == chosen[0] and (again.status == "passed" or name.endswith("Mixed"))
        for a, b in zip(here, there, strict=True):
            assert (a.got is None) == (b.got is None) and (a.difference is None) == (b.difference is None)
            for key in a.got or {}:
                assert a.got[key].dtype == b.got[key].dtype
                assert a.got[key].dtype.kind != "f" or np.array_equal(a.got[key], b.got[key], equal_nan=True)
        assert runner.check(child, chosen[0]).message == "not run: the adapter was closed"


@pytest.mark.parametrize("fork", [pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux forks")), False])
def test_its_standard_streams_are_not_those_of_the_pipe(fork, capfd):
    """Nothing to read, and what is written goes to standard error, whoever starts the process."""
    with isolated.Isolated("tests.conformance.test_hostile:Streams", LIMIT, fork) as child:
        assert [r.status for r in runner.run(child, VECTORS)] == ["failed"] * len(VECTORS)
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.count("noise") == 2 * len(VECTORS)


class Streams:
    """Reads and writes the standard streams."""

    def alpha_bar(self, betas):
        assert os.read(0, 1) == b"" and sys.stdin.read() == ""
        os.write(1, b"noise\n")
        print("noise")


class Mixed:
    """Answers of every kind."""

    name, version = "mixed", "3"

    def __init__(self):
        self.number = 0

    def __getattr__(self, name):
        if name not in operations():
            raise AttributeError(name)

        def method(**inputs):
            self.number = (self.number + 1) % 9
            right = named(operations()[name], getattr(Own, name)(**inputs))
            kinds = [right, None, {}, {key: np.asarray(v, dtype=np.float32) for key, v in right.items()}, dict.fromkeys(right, "text")]
            if self.number == 5:
                raise NotImplementedError("not this one")
            if self.number == 6:
                raise ArithmeticError("never")
            if self.number == 7:
                for value in inputs.values():
                    if isinstance(value, np.ndarray):
                        value[...] = 0
            return kinds[self.number % 5]

        return method


def test_time_limits_are_checked(capsys):
    """Only positive numbers of seconds, for the program and for the command."""
    for text in ("0", "-1", "nan", "inf", "1e9", "soon"):
        for option in ("--timeout", "--search"):
            assert cli.main(["check", "refdiff.conformance.own", option, text]) == 2
            assert f"argument {option}: '{text}'; allowed: a number of seconds above 0" in capsys.readouterr().err
    assert cli.main(["check", "--pipe", "cat", "--in-process"]) == 2
    assert "argument --in-process: given with --pipe 'cat'; allowed: with ADAPTER" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"timeout = 0; allowed: a positive number"):
        isolated.Isolated("refdiff.conformance.own", 0)


# ---- the search for causes


def perturbed(change):
    """refdiff with its outputs changed, in every operation."""

    def method(name):
        operation, right = operations()[name], getattr(Own, name)
        return staticmethod(
            lambda **inputs: {key: change(np.asarray(v, dtype=float)) for key, v in named(operation, right(**inputs)).items()}
        )

    return adapter.Adapter(type("Perturbed", (), {name: method(name) for name in operations()}))


CHANGES = {
    "larger shape": lambda v: np.stack([v, v]),
    "nan": lambda v: v * np.nan,
    "squared": lambda v: v * abs(v),
    "zero": lambda v: 0 * v,
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == "squared" else [pytest.mark.long]) for n in ("squared", "zero")])
def test_the_search_for_causes_keeps_its_limit(name):
    """An adapter that is wrong in every operation: the search ends in time, and says in every format that it was cut."""
    wrong = perturbed(CHANGES[name])
    results = list(runner.run(wrong, runner.select(minimal=True)))
    all_mutants()  # made once
    began = time.thread_time()
    found = build.build_report(wrong, results, limit=1.0)
    assert time.thread_time() - began < 3
    assert not found.search_complete and found.search_limit == 1.0
    for form in FORMATS:
        text = command.render(found, form)
        assert '"search_complete": false' in text if form == "json" else "was cut after 1 s of computing" in " ".join(text.split())
    assert wording.NOT_SEARCHED in wording.explanation(
        next(o for o in found.operations if o.unexplained and not o.searched and not o.causes)
    )


@pytest.mark.long
@pytest.mark.parametrize("name", CHANGES)
def test_any_adapter_is_diagnosed_in_ten_seconds(name):
    """With the default limit and all vectors."""
    wrong = perturbed(CHANGES[name])
    results = list(runner.run(wrong, runner.select()))
    began = time.thread_time()
    build.build_report(wrong, results)
    assert time.thread_time() - began < 10


def test_a_cut_search_finds_the_first_of_what_a_whole_one_finds():
    """The order is fixed: what is explained in less time is explained in the same way with more."""
    wrong = perturbed(lambda v: 2 * v)
    results = list(runner.run(wrong, runner.select(minimal=True, only=["schedules", "forward"])))
    short, long = (build.build_report(wrong, results, limit=limit) for limit in (0.2, 100.0))
    assert long.search_complete and not short.search_complete
    explained = [{id for cause in found.causes for ids in cause.explained.values() for id in ids} for found in (short, long)]
    assert explained[0] <= explained[1] and len(explained[0]) < len(explained[1])
