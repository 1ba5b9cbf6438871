"""The commands on the pages and in the README: each exists and takes its options, and each runs, with less to do where that is long."""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

import refdiff_gpu
from refdiff import cli
from refdiff.conformance import operations
from toys import table as table_toy
from toys.digits import __main__ as digits_toy

from .. import digits
from .test_build import TEXTS, blocks

ROOT = Path(cli.__file__).parents[1]
PAGES = {**TEXTS, "README": (ROOT / "README.md").read_text()}


def commands(text):
    """The commands of some lines of shell, one by one."""
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in text.splitlines())
    return [command for line in lines for command in map(str.strip, line.split("&&")) if command]


SHELL = [(page, command) for page, text in PAGES.items() for command in commands("".join(blocks(text, "sh")))]


@pytest.mark.parametrize(("page", "command"), SHELL)
def test_commands_exist(page, command, monkeypatch):
    """Every command is one that exists, and takes these arguments; none is run."""
    words = [word for word in shlex.split(command.partition(" > ")[0], comments=True) if not re.fullmatch(r"[A-Z_]+=\S+", word)]
    program, *rest = Path(words[0]).name, *words[1:]
    if program == "refdiff":
        cli.parser().parse_args(rest)
    elif program == "cc":
        assert all((ROOT / word).is_file() for word in rest if word.endswith(".c")), command
    elif program.startswith("python") and rest[0] == "-m":
        path = ROOT / rest[1].replace(".", "/")
        assert rest[1] == "venv" or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), command
        parser = {"toys.digits": digits_toy.parser, "toys.table": table_toy.parser}.get(rest[1])
        if parser:
            parser().parse_args(rest[2:])
        else:
            assert rest[1] == "venv" or set(rest[2:]) <= {"refdiff.conformance.generate": set(operations.AREAS)}.get(rest[1], set()), (
                command
            )
    elif program.startswith("python"):
        parser = script(rest[0]).get("parser")
        assert not rest[1:] or parser().parse_args(rest[1:])
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert {extra for word in rest for extra in re.findall(r"\[(.*)\]", word)} <= set(extras)
    else:
        assert program in ("cd", "git", "export", "pytest", "mutmut", "ruff", "mypy", "lint-imports") or (ROOT / words[0]).is_file(), (
            command
        )


@cache
def script(path):
    """What is in a script, without running it."""
    return runpy.run_path(str(ROOT / path)) if "toys/digits" not in str(path) else vars(digits_toy)


# Running them

ELSEWHERE = {  # commands that are not run here, and why
    r"python3 -m venv \S+|\S*pip install .*": "sets an environment up; .ci/run types the README's two commands in fresh ones",
    r"(\S*/)?pytest( -m long)?|ruff .*|mypy|lint-imports|\S*python -m docs\.build": ".ci/run runs it",
    r"\.ci/run": "it runs this",
    r".* mutmut run|cd mutants|python -m tests\.contract\.mutants": "takes an hour; docs/mutation.md says what it found",
    r"git clone .*|git -C \.\./guided-diffusion .*|export PYTHONPATH=\.\./guided-diffusion": "needs GitHub",
    r"\.\./departures/.*": "needs other libraries; tests/conformance/test_departures.py runs all adapters where they are installed",
}
LESS = {  # words that leave a command less to do; of an option given twice the last counts
    r"\S*refdiff demo.*": "--quick --no-gif --steps 30",
    r"\S*python -m toys\.digits train --data pictures .*": "--base 8 --minutes 0.01",
    r"python -m toys\.table .*": "--steps 20",
    r"\S*python -m toys\.digits train.*": "--base 8 --minutes 0.01 --data digits",
    r"\S*python -m toys\.digits (sample|animate).*": "--steps 2",
    r"\S*python -m toys\.digits eval.*": "--steps 2 --samples 20 --elbo 4 --draws 1 --data digits",
    r"python toys/guidance\.py": "--points 60 --steps 5",
    r"python tests/bench/mlp_step\.py": "--steps 1 --repeats 1 --sizes 8x16",
    r"python -m refdiff\.conformance\.generate": "flow",
    r"HYPOTHESIS_PROFILE=nightly pytest": "-n 0 tests/sampling/test_guidance.py -k two_conventions",
    r"pytest --refdiff-(impl|pipe) .*": "-n 0 user",  # else those of the project run beside the vectors
}
STATUS = {  # the template answers nothing, the page's own adapter has a mistake, and without a card the GPU's demo says what to install
    ("README", "refdiff check my_adapter"): 2,
    ("README", "pytest --refdiff-impl my_adapter"): 1,
    ("validate", "refdiff check my_adapter"): 1,
    ("validate", "pytest --refdiff-impl my_adapter"): 1,
    ("validate", "pytest --refdiff-impl my_adapter --refdiff-minimal --refdiff-xfails refdiff-xfails.txt"): 1,
    ("README", ".venv/bin/refdiff demo --backend gpu"): 0 if refdiff_gpu.available() else 2,
}


def matching(table, command):
    """The first pattern of a table that fits a command, if any."""
    return next((pattern for pattern in table if re.fullmatch(pattern, command)), None)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A copy of the project with digits to train on, a program that answers, and this environment as .venv."""
    built, hidden = shutil.ignore_patterns("site", "build", "dist"), shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")

    def skipped(folder, names):  # docs/build is the builder of the book
        return hidden(folder, names) | (built(folder, names) if Path(folder) == ROOT else set())

    folder = Path(shutil.copytree(ROOT, tmp_path / "refdiff", ignore=skipped))
    for name in "digits", "user":
        (folder / name).mkdir()
    digits.write(folder / "digits")
    (folder / "pictures").mkdir()
    for i, image in enumerate(digits.draw(20, 0)[0]):
        Image.fromarray(image).save(folder / "pictures" / f"{i}.png")
    rows = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
    (folder / "measurements.csv").write_text(f"length,width,species\n{rows}")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "refdiff-xfails.txt").touch()
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin", prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.mark.long
@pytest.mark.parametrize("page", dict.fromkeys(page for page, command in SHELL if not matching(ELSEWHERE, command)))
def test_commands_run(page, home):
    """A page's commands, one after another, end as they should; an adapter in Python that the page shows is the one it checks."""
    if "./my_program" in PAGES[page]:
        subprocess.run(["cc", "-O2", "-o", home / "my_program", home / "toys/conformance/refdiff_pipe.c", "-lm"], check=True)
    for language, block in re.findall(r"^```(sh|python)\n(.*?)^```", PAGES[page], re.S | re.M):
        if "class Adapter" in block:
            (home / "my_adapter.py").write_text(block)
        for command in commands(block) if language == "sh" else ():
            if matching(ELSEWHERE, command):
                continue
            call, to, file = command.partition(" > ")
            line = f"{call} {LESS.get(matching(LESS, call), '')} {to} {file}"
            done = subprocess.run(["bash", "-c", line], cwd=home, capture_output=True, text=True, timeout=600)
            assert done.returncode == STATUS.get((page, command), 0), (line, done.stdout[-2000:], done.stderr[-2000:])


def test_every_exception_is_used():
    """No pattern is left over for commands that no page has."""
    assert set(STATUS) <= set(SHELL)
    for table in ELSEWHERE, LESS:
        assert all(any(re.fullmatch(pattern, command.partition(" > ")[0]) for _, command in SHELL) for pattern in table)
