"""The command line: help texts, exit codes, messages that name the wrong argument, and the demo from end to end."""

import os
import re
import subprocess
import sys

import pytest
from PIL import Image

import refdiff
from refdiff import cli, equations
from refdiff.demo import convergence, experiment, plots, run, scores

NOISE_ROWS = ("fresh data (noise floor)", "DDPM, 100 steps", "DDIM, 50 steps", "DDIM, 10 steps", "DDIM, 50 steps, guidance 3")
FLOW_ROWS = ("flow, Euler, 20 steps", "flow, Heun, 10 steps", "flow, Heun, 10 steps, guidance 3", "pure noise")


def check_pictures(folder, name):
    with Image.open(folder / f"{name}.png") as picture:
        picture.load()
        assert picture.format == "PNG" and min(picture.size) > 1000
    with Image.open(folder / f"{name}.gif") as animation:
        assert animation.format == "GIF" and animation.n_frames == experiment.QUICK["frames"] + 1
    assert (folder / f"{name}.gif").stat().st_size < 3_000_000


def check_rows(out):
    for name in (*NOISE_ROWS, *FLOW_ROWS):
        assert re.search(rf"^{re.escape(name)} +\d+\.\d{{5}} +\d+\.\d\d", out, re.M), name


def test_demo_from_end_to_end(tmp_path, capfd):
    """`refdiff demo --quick` trains, prints every row, the paths of the pictures and the time it took, and exits with 0."""
    assert cli.main(["demo", "--quick", "--dataset", "pinwheel", "--out", str(tmp_path / "new" / "folder")]) == 0
    out, err = capfd.readouterr()
    check_rows(out)
    check_pictures(tmp_path / "new" / "folder", "demo")
    assert str(tmp_path / "new" / "folder" / "demo.png") in out and str(tmp_path / "new" / "folder" / "demo.gif") in out
    assert re.search(r"^done in \d+ s$", out, re.M) and "Pinwheel, seed 0" in out
    assert "loss" in err and "steps/s" in err and "DDPM, 100 steps" in err


@pytest.mark.long
@pytest.mark.parametrize("seed", ["1", "2"])
def test_checked_samplers_are_near_the_data(tmp_path, capfd, seed):
    """With the full demo and seeds 1 and 2, every checked sampler is within three times the noise floor."""
    assert cli.main(["demo", "--seed", seed, "--no-gif", "--out", str(tmp_path)]) == 0
    assert capfd.readouterr().out.count("PASS, limit 3") == 4


@pytest.mark.long
def test_exact_demo_from_end_to_end(tmp_path, capfd):
    """`refdiff demo --oracle --quick` prints every row and every sampler's order, and writes pictures; guidance 1 is allowed."""
    assert cli.main(["demo", "--quick", "--oracle", "--guidance", "1", "--seed", "7", "--out", str(tmp_path)]) == 0
    out, _ = capfd.readouterr()
    check_rows(out.replace("guidance 1", "guidance 3"))
    check_pictures(tmp_path, "oracle")
    assert out.count("PASS, expected 1") == 7 and out.count("PASS, expected 2") == 4 and out.count("PASS, expected 4") == 1


@pytest.mark.parametrize("oracle", [False, True])
def test_a_failed_check_exits_with_1(tmp_path, capsys, monkeypatch, oracle):
    """A sampler too far from the data, or a wrong order, gives FAILED and exit code 1; --no-gif writes no animation."""
    monkeypatch.setattr(experiment, "QUICK", {**experiment.QUICK, "steps": 1, "samples": 8, "ddpm_steps": 4, "train_size": 100})
    monkeypatch.setattr(convergence, "QUICK_STEPS", (2, 4))
    monkeypatch.setattr(scores, "failed", lambda results: not oracle)
    monkeypatch.setattr(convergence, "failed", lambda orders, settings: oracle)
    monkeypatch.setattr(plots, "save_demo", lambda content, path: None)
    assert cli.main(["demo", "--quick", "--no-gif", "--out", str(tmp_path), *(["--oracle"] if oracle else [])]) == 1
    assert re.search(r"^FAILED in \d+ s: see the table$", capsys.readouterr().out, re.M)
    assert not list(tmp_path.iterdir())


def test_options_reach_the_demo(tmp_path, monkeypatch):
    """Options become settings: the full ones without --quick, the small ones with it; --steps overrides both."""
    seen = []
    monkeypatch.setattr(run, "run", lambda *arguments: seen.append(arguments) or 0)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo"]) == cli.main(["demo", "--quick", "--steps", "5", "--guidance", "2", "--seed", "3", "--no-gif"]) == 0
    (full, out, animate), (quick, _, still) = seen
    assert full == experiment.Settings() and str(out) == "refdiff-demo" and out.is_dir() and animate and not still
    assert quick == experiment.Settings(**{**experiment.QUICK, "steps": 5, "guidance": 2.0, "seed": 3})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paint"], "invalid choice: 'paint'"),
        (["dem"], "Did you mean demo?"),
        (["demo", "--dataset", "moons"], "spirals. Did you mean two_moons?"),
        (["demo", "--steps", "-3"], "argument --steps: '-3'; allowed: an integer, 1..10000000"),
        (["demo", "--steps", "0"], "argument --steps: '0'; allowed: an integer, 1..10000000"),
        (["demo", "--steps", "1e3"], "argument --steps: '1e3'"),
        (["demo", "--seed", "1.5"], "argument --seed: '1.5'; allowed: an integer, 0..18446744073709551615"),
        (["demo", "--seed", str(2**64)], "argument --seed: '18446744073709551616'"),
        (["demo", "--guidance", "nan"], "argument --guidance: 'nan'; allowed: a number, 0..100"),
        (["demo", "--guidance", "strong"], "argument --guidance: 'strong'"),
        (["demo", "--guidance", "-1"], "argument --guidance: '-1'"),
        (["demo", "--brush"], "unrecognized arguments: --brush\n"),
        (["demo", "--stepz", "3"], "unrecognized arguments: --stepz 3. Did you mean --steps?"),
        (["eq", "Z9"], "Z9"),
        (["dialects", "edmm"], "Did you mean edm?"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, message, capsys):
    """Wrong usage names the argument, its value and what is allowed, on stderr, without a traceback, and exits with 2."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err and "Traceback" not in err and out == ""


def test_a_folder_that_cannot_be_written_is_refused_first(tmp_path, capsys):
    """An --out below a file is refused before any work, with the reason."""
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file" / "below")]) == 2
    out, err = capsys.readouterr()
    assert f"argument --out: '{tmp_path / 'file' / 'below'}'; allowed: a folder that can be made and written (" in err and out == ""


@pytest.mark.parametrize("package", ["matplotlib", "tqdm"])
def test_missing_extras_are_named(package, tmp_path, capsys, monkeypatch):
    """Without matplotlib or tqdm the demo prints what to install, in one line, and exits with 2."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert cli.main(["demo", "--quick", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr() == ("", f"refdiff demo: {package} is not installed; pip install 'refdiff[toys]'\n")


def test_equations_are_listed_and_shown(capsys):
    """`refdiff eq` prints the list, `refdiff eq R2` one equation, also in lower case."""
    assert cli.main(["eq"]) == 0
    assert capsys.readouterr().out == equations.list_text() + "\n"
    for id in ("R2", "r2"):
        assert cli.main(["eq", id]) == 0
        assert capsys.readouterr().out == equations.show_text("R2") + "\n"


def test_without_arguments_the_help_is_printed(capsys):
    """`refdiff` prints what `refdiff --help` prints, and exits with 0."""
    assert cli.main([]) == cli.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert out == 2 * out[: len(out) // 2] and "refdiff demo" in out and err == ""


def test_an_interrupted_demo_says_what_it_has_written(capsys, monkeypatch, tmp_path):
    """Ctrl-C ends the demo with 130, and a line that names the files that it has written, not older ones."""
    (tmp_path / "old.png").touch()
    os.utime(tmp_path / "old.png", (1, 1))
    for written in ("nothing", "demo.png"):

        def stop(*_):
            if written != "nothing":  # noqa: B023
                (tmp_path / written).touch()  # noqa: B023
            raise KeyboardInterrupt

        monkeypatch.setattr(run, "run", stop)
        assert cli.main(["demo", "--quick", "--out", str(tmp_path)]) == 130
        assert capsys.readouterr().err == f"\nrefdiff demo: interrupted; written to {tmp_path}: {written}\n"


@pytest.mark.parametrize(("error", "code", "printed"), [(KeyboardInterrupt, 130, "\nrefdiff: interrupted\n"), (BrokenPipeError, 0, "")])
def test_interruptions_take_a_line(error, code, printed, capsys, monkeypatch):
    """Ctrl-C exits with 130 and one line, a closed pipe with 0 and without output."""

    def stop():
        raise error

    monkeypatch.setattr(equations, "list_text", stop)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    assert cli.main(["eq"]) == code
    assert capsys.readouterr() == ("", printed)


def test_version_and_help_exit_with_0(capsys):
    """The help shows every option, and the version is the package's."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"refdiff {refdiff.__version__}\n"
    assert cli.main(["demo", "--help"]) == 0
    options = capsys.readouterr().out
    for option in ("--dataset", "--seed", "--steps", "--guidance", "--out", "--oracle", "--quick", "--backend", "--no-gif"):
        assert option in options
    assert f"(default {experiment.Settings().steps}; {experiment.QUICK['steps']} with" in re.sub(r"\s+", " ", options)
    for name in refdiff.data.DATASETS:
        assert name in options


def test_the_package_runs_as_a_module():
    """`python -m refdiff --help` prints the help and exits with 0; a failure is the exit code of the process."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [os.path.dirname(refdiff.__path__[0]), os.environ.get("PYTHONPATH")])),
    }
    page = subprocess.run([sys.executable, "-m", "refdiff", "--help"], capture_output=True, text=True, env=environment)
    assert page.returncode == 0 and "exit codes: 0 success, 1 a check failed, 2 wrong usage" in page.stdout and page.stderr == ""
    for line in ("refdiff demo ", "refdiff demo --oracle", "refdiff eq ", "refdiff eq R2"):
        assert line in page.stdout
    wrong = subprocess.run([sys.executable, "-m", "refdiff", "demo", "--steps", "x"], capture_output=True, text=True, env=environment)
    assert wrong.returncode == 2 and "argument --steps: 'x'" in wrong.stderr


def test_orders(tmp_path, capfd):
    """`refdiff orders` prints a row for each method and draws the errors; wrong methods, numbers and folders are named."""
    assert cli.main(["orders", "ddim", "dpmpp_2m", "--steps", "8", "--out", str(tmp_path / "new" / "a.png")]) == 0
    out, _ = capfd.readouterr()
    assert re.search(r"^ddim +1 +\d\.\d\d +\d\.\d\d +1 ", out, re.M) and re.search(r"^dpmpp_2m +2 ", out, re.M)
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.format == "PNG"
    (tmp_path / "file").touch()
    for wrong, message in (
        (["dpmpp_9m"], "argument METHOD: 'dpmpp_9m'; allowed: euler, heun"),
        (["ddim", "--steps", "0"], "argument --steps: '0'; allowed: "),
        (["ddim", "--out", str(tmp_path / "file" / "a.png")], "argument --out: "),
    ):
        assert cli.main(["orders", *wrong]) == 2
        assert message in capfd.readouterr().err
